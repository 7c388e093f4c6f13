//! Token profiles: which token on which chain counts as holding, and by which of its logs.

use std::fmt;
use std::str::FromStr;

use arrakis_domain::Address;
use serde::{Deserialize, Serialize};

use crate::column::Column;
use crate::eligibility::Eligibility;
use crate::{DbError, named_query::named};

/// Name of a token profile: `bgt`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct TokenProfileId(String);

/// A text that is not a name of a token profile.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "`{0}` is not a name of a token profile; use 1 to 50 lower-case letters, digits, `-` and `_`, starting with a letter"
)]
pub struct TokenProfileIdError(String);

impl TokenProfileId {
    /// A checked name.
    ///
    /// # Errors
    /// When the text is not a name.
    pub fn new(text: impl Into<String>) -> Result<Self, TokenProfileIdError> {
        let text = text.into();
        let allowed = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-' || byte == b'_';
        let starts_well = text.bytes().next().is_some_and(|byte| byte.is_ascii_lowercase());
        if starts_well && text.len() <= 50 && text.bytes().all(allowed) {
            return Ok(Self(text));
        }
        Err(TokenProfileIdError(text.chars().take(50).collect()))
    }

    /// The text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for TokenProfileId {
    type Err = TokenProfileIdError;

    fn from_str(text: &str) -> Result<Self, TokenProfileIdError> {
        Self::new(text)
    }
}

impl TryFrom<String> for TokenProfileId {
    type Error = TokenProfileIdError;

    fn try_from(text: String) -> Result<Self, TokenProfileIdError> {
        Self::new(text)
    }
}

impl From<TokenProfileId> for String {
    fn from(id: TokenProfileId) -> Self {
        id.0
    }
}

impl fmt::Display for TokenProfileId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A token profile: the token whose holdings decide the ranking, and how its transfers are counted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TokenProfile {
    /// Its name in configuration and in the database.
    pub id: TokenProfileId,
    /// Its display name.
    pub name: String,
    /// The token's symbol.
    pub symbol: String,
    /// Chain id of EIP-155.
    pub chain_id: u64,
    /// Address of the token's contract.
    pub contract: Address,
    /// Decimals of the token; amounts in the database are scaled to 18.
    pub decimals: u8,
    /// Transfers from this address are claims; `None`: every transfer adds to its receiver.
    pub claims_from: Option<Address>,
    /// Transfers to this address are burns; `None`: every transfer subtracts from its sender.
    pub burns_to: Option<Address>,
    /// The token has no logs before this block.
    pub start_block: u64,
}

impl Eligibility<'_> {
    /// The token profile of this name.
    ///
    /// # Errors
    /// When the database is unavailable or the row is corrupt.
    pub async fn token_profile(&mut self, id: &TokenProfileId) -> Result<Option<TokenProfile>, DbError> {
        let row = named!(
            "token_profile.get",
            sqlx::query!(
                "select name, symbol, chain_id, contract, decimals, claims_from, burns_to, start_block
                   from token_profiles where token_profile_id = $1",
                id.as_str()
            )
            .fetch_optional(&mut *self.connection)
        )?;
        let column = |name| Column("token_profiles", name);
        let Some(row) = row else { return Ok(None) };
        Ok(Some(TokenProfile {
            id: id.clone(),
            name: row.name,
            symbol: row.symbol,
            chain_id: column("chain_id").count(row.chain_id)?,
            contract: column("contract").parse(&row.contract)?,
            decimals: column("decimals").count(i64::from(row.decimals))?,
            claims_from: column("claims_from").parse_some(row.claims_from.as_deref())?,
            burns_to: column("burns_to").parse_some(row.burns_to.as_deref())?,
            start_block: column("start_block").count(row.start_block)?,
        }))
    }

    /// Writes a token profile and replaces one of the same name.
    ///
    /// # Errors
    /// When the database is unavailable, or a number is larger than a `bigint`.
    pub async fn put_token_profile(&mut self, profile: &TokenProfile) -> Result<(), DbError> {
        let column = |name| Column("token_profiles", name);
        let chain_id = i64::try_from(profile.chain_id)
            .map_err(|_| column("chain_id").corrupt(profile.chain_id, "larger than a bigint"))?;
        let start_block = i64::try_from(profile.start_block)
            .map_err(|_| column("start_block").corrupt(profile.start_block, "larger than a bigint"))?;
        named!(
            "token_profile.put",
            sqlx::query!(
                "insert into token_profiles
                        (token_profile_id, name, symbol, chain_id, contract, decimals, claims_from, burns_to, start_block)
                 values ($1, $2, $3, $4, $5, $6, $7, $8, $9)
                 on conflict (token_profile_id) do update
                    set name = excluded.name, symbol = excluded.symbol, chain_id = excluded.chain_id,
                        contract = excluded.contract, decimals = excluded.decimals, claims_from = excluded.claims_from,
                        burns_to = excluded.burns_to, start_block = excluded.start_block",
                profile.id.as_str(),
                profile.name,
                profile.symbol,
                chain_id,
                profile.contract.to_string(),
                i16::from(profile.decimals),
                profile.claims_from.map(|address| address.to_string()),
                profile.burns_to.map(|address| address.to_string()),
                start_block
            )
            .execute(&mut *self.connection)
        )?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_lower_case() {
        assert!(TokenProfileId::new("bgt").is_ok());
        for text in ["", "BGT", "9", "a b", &"x".repeat(51)] {
            assert!(TokenProfileId::new(text).is_err(), "{text}");
        }
    }
}
