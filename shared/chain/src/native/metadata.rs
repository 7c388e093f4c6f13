//! Name, symbol and decimals of a contract.

use alloy::sol_types::{SolCall, SolType as _, sol_data};
use arrakis_domain::Address;

use super::ContractCall;
use super::tokens::contract_error;
use crate::client::ChainClient;
use crate::error::ChainError;
use crate::types::TokenMetadata;

/// Longest name or symbol in characters.
const MAX_TEXT: usize = 64;

mod abi {
    alloy::sol! {
        function name() external view returns (string memory);
        function symbol() external view returns (string memory);
        function decimals() external view returns (uint8);
    }
}

impl ChainClient {
    /// Name, symbol and decimals of a contract, where it has them.
    ///
    /// # Errors
    /// No endpoint gave a usable response, or the address has no code.
    pub async fn metadata(&self, contract: Address) -> Result<TokenMetadata, ChainError> {
        if self.code(contract).await?.is_empty() {
            return Err(contract_error(contract, "the address has no contract"));
        }
        let selectors = [abi::nameCall::SELECTOR, abi::symbolCall::SELECTOR, abi::decimalsCall::SELECTOR];
        let call = |selector: [u8; 4]| ContractCall {
            to: contract,
            data: selector.to_vec(),
        };
        let mut results = self.batch(selectors.map(call).to_vec(), None).await?.into_iter();
        let mut next = || results.next().flatten().unwrap_or_default();
        Ok(TokenMetadata {
            name: text(&next()),
            symbol: text(&next()),
            decimals: abi::decimalsCall::abi_decode_returns(&next()).ok(),
        })
    }
}

/// A text as a string, or as 32 bytes, which old contracts return.
fn text(bytes: &[u8]) -> Option<String> {
    let text = match <[u8; 32]>::try_from(bytes) {
        Ok(word) => String::from_utf8(word.into_iter().take_while(|byte| *byte != 0).collect()).ok()?,
        Err(_) => sol_data::String::abi_decode(bytes).ok()?,
    };
    let printable = text.chars().filter(|c| !c.is_control()).take(MAX_TEXT);
    Some(printable.collect::<String>().trim().to_owned()).filter(|text| !text.is_empty())
}

#[cfg(test)]
mod tests {
    use alloy::sol_types::SolValue as _;

    use super::*;

    #[test]
    fn texts_of_both_forms_are_read_and_bounded() {
        assert_eq!(text(&"Bera".to_owned().abi_encode()).as_deref(), Some("Bera"));
        let mut word = [0; 32];
        word[..3].copy_from_slice(b"MKR");
        assert_eq!(text(&word).as_deref(), Some("MKR"));
        assert_eq!(text(&"a\n\u{7}b".to_owned().abi_encode()).as_deref(), Some("ab"));
        assert_eq!(text(&"x".repeat(5_000).abi_encode()).map(|text| text.len()), Some(MAX_TEXT));
        for bytes in [&[][..], &[0; 32], &[0xff; 32], &[1; 40]] {
            assert_eq!(text(bytes), None, "{bytes:?}");
        }
    }
}
