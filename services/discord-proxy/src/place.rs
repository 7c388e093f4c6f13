//! Where a replica runs, as a proof that its predecessor there is dead.
//!
//! Two processes cannot listen on one address of one network namespace at once. So whoever listens where an earlier replica did
//! has outlived it, and Redis need not reckon any longer that the earlier one is alive and merely cut off. Refuses to guess: a
//! system that does not say where we are proves nothing, and then a dead replica is missed for a minute.

use std::net::SocketAddr;
use std::os::unix::fs::MetadataExt as _;

use sha2::{Digest as _, Sha256};

/// The boot of the kernel: differs at each start and between machines.
const BOOT: &str = "/proc/sys/kernel/random/boot_id";
/// The network namespace: its inode differs between containers that are alive.
const NAMESPACE: &str = "/proc/self/ns/net";

/// A digest of kernel, network namespace and address; empty when the system does not tell.
pub(crate) fn proof(address: SocketAddr) -> String {
    let (Ok(boot), Ok(namespace)) = (std::fs::read_to_string(BOOT), std::fs::metadata(NAMESPACE)) else {
        return String::new();
    };
    let place = format!("{} {} {address}", boot.trim(), namespace.ino());
    Sha256::digest(place)[..16]
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_address_is_one_place_and_another_is_another() {
        let at = |address: &str| proof(address.parse().unwrap());
        assert_eq!(at("127.0.0.1:8090"), at("127.0.0.1:8090"));
        assert_ne!(at("127.0.0.1:8090"), at("127.0.0.1:8091"));
        assert_eq!(at("127.0.0.1:8090").len(), 32, "Linux tells");
    }
}
