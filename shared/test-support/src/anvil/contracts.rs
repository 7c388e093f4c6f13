//! The compiled contracts and their functions.

use alloy::primitives::Address as WireAddress;
use arrakis_domain::{Address, U256};
use serde::Deserialize;

use super::ledger::Amount;

/// The address of Multicall3 on every chain that has it.
pub const MULTICALL3: Address = Address::from_bytes([
    0xca, 0x11, 0xbd, 0xe0, 0x59, 0x77, 0xb3, 0x63, 0x11, 0x67, 0x02, 0x88, 0x62, 0xbe, 0x2a, 0x17, 0x39, 0x76, 0xca, 0x11,
]);

/// Functions of the contracts in `contracts/*.sol`.
pub(super) mod abi {
    alloy::sol! {
        function mint(address to, uint256 amount);
        function claim(address to, uint256 amount);
        function claimMany(address[] to, uint256[] amounts);
        function burn(address from, uint256 amount);
        function move(address from, address to, uint256 amount);
        function balanceOf(address owner) returns (uint256);
    }
    pub(in super::super) mod nft {
        alloy::sol! {
            function mint(address to, uint256 id);
            function mintConsecutive(address to, uint256 first, uint256 last);
            function announceConsecutive(address to, uint256 first, uint256 last);
            function burn(uint256 id);
            function move(address to, uint256 id);
        }
    }
    pub(in super::super) mod multi {
        alloy::sol! {
            function move(address from, address to, uint256 id, uint256 amount);
            function moveBatch(address from, address to, uint256[] ids, uint256[] amounts);
        }
    }
}

/// One compiled contract, as `contracts/compile.mjs` writes it.
#[derive(Debug, Deserialize)]
pub(super) struct Compiled {
    /// SHA-256 of the source.
    #[cfg_attr(not(test), expect(dead_code, reason = "compared with the source by a test"))]
    pub(super) sha256: String,
    /// Code that creates the contract, without arguments.
    pub(super) creation: String,
    /// Code on chain.
    pub(super) runtime: String,
}

#[derive(Deserialize)]
struct All {
    contracts: std::collections::BTreeMap<String, Compiled>,
}

/// A compiled contract.
pub(super) fn compiled(name: &str) -> Compiled {
    let parsed: Result<All, _> = serde_json::from_str(include_str!("../../contracts/contracts.json"));
    let mut all = parsed.unwrap_or_else(|why| panic!("contracts.json: {why}"));
    all.contracts.remove(name).unwrap_or_else(|| panic!("contracts.json has no {name}"))
}

/// An address for a test: the number in its last 8 bytes. Numbers below 1,000 are left to the EVM's precompiled contracts.
#[must_use]
pub fn address_of(number: u64) -> Address {
    let mut bytes = [0; 20];
    bytes[0] = 0xad;
    bytes[12..].copy_from_slice(&number.to_be_bytes());
    Address::from_bytes(bytes)
}

/// An amount of whole tokens of 18 decimals.
pub fn tokens(whole: impl Amount) -> U256 {
    whole.units() * U256::from(1_000_000_000_000_000_000_u64)
}

pub(super) fn wire(address: Address) -> WireAddress {
    WireAddress::from(*address.as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn compiled_contracts_are_those_of_the_sources() {
        for (name, source) in [
            ("TestToken", include_str!("../../contracts/TestToken.sol")),
            ("TestNft", include_str!("../../contracts/TestNft.sol")),
            ("TestMultiToken", include_str!("../../contracts/TestMultiToken.sol")),
            ("TestMulticall", include_str!("../../contracts/TestMulticall.sol")),
        ] {
            let hash = <sha2::Sha256 as sha2::Digest>::digest(source.as_bytes());
            assert_eq!(compiled(name).sha256, alloy::hex::encode(hash), "{name}: run contracts/compile.mjs");
        }
    }
}
