//! [`Wallet`]: a wallet with a known key, which signs as a wallet in a browser does.

use alloy::primitives::eip191_hash_message;
use anyhow::Context as _;
use arrakis_domain::Address;
use k256::ecdsa::SigningKey;

/// A wallet whose key is public: it is for local chains only.
#[derive(Debug, Clone)]
pub struct Wallet {
    key: SigningKey,
}

impl Wallet {
    /// The wallet with this number. The same number gives the same wallet.
    ///
    /// # Errors
    /// When the number is 0: there is no such key.
    pub fn numbered(number: u64) -> anyhow::Result<Self> {
        let mut key = [0; 32];
        key[24..].copy_from_slice(&number.to_be_bytes());
        let key = SigningKey::from_slice(&key).context("the number of a wallet is at least 1")?;
        Ok(Self { key })
    }

    /// Its address.
    pub fn address(&self) -> Address {
        Address::from_bytes(
            alloy::primitives::Address::from_public_key(self.key.verifying_key())
                .0
                .0,
        )
    }

    /// Signs a text as `personal_sign` does (EIP-191): `0x` and 130 hexadecimal digits.
    ///
    /// # Errors
    /// Never for the keys of [`Wallet::numbered`].
    pub fn sign(&self, text: &str) -> anyhow::Result<String> {
        let hash = eip191_hash_message(text);
        let (signature, recovery) = self.key.sign_prehash_recoverable(hash.as_slice())?;
        let mut bytes = signature.to_bytes().to_vec();
        bytes.push(27 + recovery.to_byte());
        Ok(alloy::hex::encode_prefixed(bytes))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wallets_have_the_addresses_of_their_keys() {
        // The address of the key 1, as every wallet shows it.
        let wallet = Wallet::numbered(1).unwrap();
        let known: Address = "0x7e5f4552091a69125d5dfcb7b8c2659029395bdf".parse().unwrap();
        assert_eq!(wallet.address(), known);
        assert!(Wallet::numbered(0).is_err());
    }

    #[test]
    fn signature_has_65_bytes_and_a_recovery_byte() {
        let signature = Wallet::numbered(7).unwrap().sign("text").unwrap();
        assert_eq!(signature.len(), 2 + 130);
        assert!(signature.ends_with("1b") || signature.ends_with("1c"), "{signature}");
    }
}
