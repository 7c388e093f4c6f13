//! The identity of the address at which a replica listens, as a proof that its predecessor there has ended.
//!
//! Two processes cannot listen on one address of one network namespace at once. A replica that listens where an earlier one did
//! has therefore replaced it, and Redis need not reserve the earlier one's share any longer. Where the system does not expose boot
//! id and namespace, nothing is proved, and a replica that was killed keeps its share for a minute.

use std::net::SocketAddr;
use std::os::unix::fs::MetadataExt as _;

use sha2::{Digest as _, Sha256};

/// The boot id of the kernel: differs at each start and between machines.
const BOOT_ID: &str = "/proc/sys/kernel/random/boot_id";
/// The network namespace: its inode differs between running containers.
const NETWORK_NAMESPACE: &str = "/proc/self/ns/net";

/// A digest of boot id, network namespace and address; empty when the system does not expose them.
pub(crate) fn instance_identity(address: SocketAddr) -> String {
    let (Ok(boot), Ok(namespace)) = (std::fs::read_to_string(BOOT_ID), std::fs::metadata(NETWORK_NAMESPACE)) else {
        return String::new();
    };
    let identity = format!("{} {} {address}", boot.trim(), namespace.ino());
    hex::encode(&Sha256::digest(identity)[..16])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn identity_differs_between_addresses() {
        let at = |address: &str| instance_identity(address.parse().unwrap());
        assert_eq!(at("127.0.0.1:8090"), at("127.0.0.1:8090"));
        assert_ne!(at("127.0.0.1:8090"), at("127.0.0.1:8091"));
        assert_eq!(at("127.0.0.1:8090").len(), 32, "Linux exposes boot id and namespace");
    }
}
