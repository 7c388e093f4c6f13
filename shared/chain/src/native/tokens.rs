//! Balances and owners of ERC-20, ERC-721 and ERC-1155 tokens.

use alloy::primitives::Address as WireAddress;
use alloy::sol_types::SolCall;
use arrakis_domain::{Address, U256};

use super::ContractCall;
use crate::client::ChainClient;
use crate::error::ChainError;
use crate::types::{Token, TokenStandard};

/// Pairs of holder and id in one `balanceOfBatch`.
const PAIRS: usize = 200;

mod abi {
    alloy::sol! {
        function balanceOf(address owner) external view returns (uint256 balance);
        function ownerOf(uint256 id) external view returns (address owner);
        function balanceOfBatch(address[] calldata owners, uint256[] calldata ids) external view returns (uint256[] memory balances);
    }
}

impl ChainClient {
    /// Balances of several holders, in their order, at this block or at the latest one. ERC-20: in the smallest unit. ERC-721: tokens
    /// held, of all or of the token's ids. ERC-1155: the sum over the token's ids. Without `at`, a large batch may span several blocks.
    ///
    /// # Errors
    /// No endpoint gave a usable response, or the contract does not behave as its standard requires.
    pub async fn balances(&self, token: &Token, holders: &[Address], at: Option<u64>) -> Result<Vec<U256>, ChainError> {
        match token.standard {
            TokenStandard::Erc20 => self.plain_balances(token, holders, at).await,
            TokenStandard::Erc721 if token.ids.is_empty() => self.plain_balances(token, holders, at).await,
            TokenStandard::Erc721 => {
                let owners = self.owners(token.contract, &token.ids, at).await?;
                let held = |holder: &Address| owners.iter().filter(|owner| **owner == Some(*holder)).count();
                Ok(holders.iter().map(|holder| U256::from(held(holder))).collect())
            }
            TokenStandard::Erc1155 => self.sums_of_ids(token.contract, holders, &token.ids, at).await,
        }
    }

    /// Balance of one holder at the latest block.
    ///
    /// # Errors
    /// As [`ChainClient::balances`].
    pub async fn get_balance(&self, token: &Token, holder: Address) -> Result<U256, ChainError> {
        let balances = self.balances(token, &[holder], None).await?;
        Ok(balances.first().copied().unwrap_or_default())
    }

    /// Whether a holder has at least this balance at the latest block.
    ///
    /// # Errors
    /// As [`ChainClient::balances`].
    pub async fn has_balance(&self, token: &Token, holder: Address, least: U256) -> Result<bool, ChainError> {
        Ok(self.get_balance(token, holder).await? >= least)
    }

    /// Whether a holder owns one of these ids at the latest block. Without ids: one of the token's ids, or any where it has none.
    ///
    /// # Errors
    /// As [`ChainClient::balances`]; also for an ERC-20 token.
    pub async fn owns_nft(&self, token: &Token, holder: Address, ids: &[U256]) -> Result<bool, ChainError> {
        if token.standard == TokenStandard::Erc20 {
            return Err(contract_error(token.contract, "an ERC-20 token has no ids"));
        }
        let ids = if ids.is_empty() { &token.ids } else { ids };
        let wanted = Token {
            ids: ids.to_vec(),
            ..token.clone()
        };
        Ok(self.get_balance(&wanted, holder).await? > U256::ZERO)
    }

    async fn plain_balances(
        &self,
        token: &Token,
        holders: &[Address],
        at: Option<u64>,
    ) -> Result<Vec<U256>, ChainError> {
        let call = |holder: &Address| ContractCall {
            to: token.contract,
            data: abi::balanceOfCall { owner: wire(*holder) }.abi_encode(),
        };
        let results = self.batch(holders.iter().map(call).collect(), 1, at).await?;
        let balances = results.into_iter().zip(holders).map(|(result, holder)| {
            let result =
                result.ok_or_else(|| contract_error(token.contract, format!("balanceOf({holder}) reverted")))?;
            decode::<abi::balanceOfCall>(token.contract, &result)
        });
        balances.collect()
    }

    /// The owner of each id; `None` for an id that does not exist.
    async fn owners(
        &self,
        contract: Address,
        ids: &[U256],
        at: Option<u64>,
    ) -> Result<Vec<Option<Address>>, ChainError> {
        let call = |id: &U256| ContractCall {
            to: contract,
            data: abi::ownerOfCall { id: *id }.abi_encode(),
        };
        let results = self.batch(ids.iter().map(call).collect(), 1, at).await?;
        let owner = |result: Option<Vec<u8>>| {
            let owner = result
                .map(|bytes| decode::<abi::ownerOfCall>(contract, &bytes))
                .transpose()?;
            Ok(owner.map(|owner| Address::from_bytes(owner.into_array())))
        };
        results.into_iter().map(owner).collect()
    }

    /// Each holder's balance, summed over the ids.
    async fn sums_of_ids(
        &self,
        contract: Address,
        holders: &[Address],
        ids: &[U256],
        at: Option<u64>,
    ) -> Result<Vec<U256>, ChainError> {
        if ids.is_empty() {
            return Err(contract_error(
                contract,
                "an ERC-1155 token needs ids: the standard has no balance over all ids",
            ));
        }
        let pairs: Vec<(Address, U256)> = holders
            .iter()
            .flat_map(|holder| ids.iter().map(|id| (*holder, *id)))
            .collect();
        let call = |pairs: &[(Address, U256)]| ContractCall {
            to: contract,
            data: abi::balanceOfBatchCall {
                owners: pairs.iter().map(|(holder, _)| wire(*holder)).collect(),
                ids: pairs.iter().map(|(_, id)| *id).collect(),
            }
            .abi_encode(),
        };
        let results = self.batch(pairs.chunks(PAIRS).map(call).collect(), PAIRS, at).await?;
        let mut balances = Vec::with_capacity(pairs.len());
        for (result, pairs) in results.into_iter().zip(pairs.chunks(PAIRS)) {
            let result = result.ok_or_else(|| contract_error(contract, "balanceOfBatch reverted"))?;
            let part = decode::<abi::balanceOfBatchCall>(contract, &result)?;
            if part.len() != pairs.len() {
                let reason = format!(
                    "balanceOfBatch returned {} balances for {} pairs",
                    part.len(),
                    pairs.len()
                );
                return Err(contract_error(contract, reason));
            }
            balances.extend(part);
        }
        let sum = |of_holder: &[U256]| {
            of_holder
                .iter()
                .fold(U256::ZERO, |sum, balance| sum.saturating_add(*balance))
        };
        Ok(balances.chunks(ids.len()).map(sum).collect())
    }
}

/// The result of a call; an error when it is empty (no code at the address) or malformed.
fn decode<C: SolCall>(contract: Address, bytes: &[u8]) -> Result<C::Return, ChainError> {
    C::abi_decode_returns(bytes).map_err(|why| {
        let reason = if bytes.is_empty() {
            format!(
                "{} returned nothing; the address has no contract with this function",
                C::SIGNATURE
            )
        } else {
            format!("{} returned a malformed result: {why}", C::SIGNATURE)
        };
        contract_error(contract, reason)
    })
}

/// [`ChainError::Contract`] with this reason, which a later attempt does not change.
pub(super) fn contract_error(contract: Address, reason: impl Into<String>) -> ChainError {
    ChainError::Contract {
        contract,
        reason: reason.into(),
    }
}

fn wire(address: Address) -> WireAddress {
    WireAddress::from(*address.as_bytes())
}
