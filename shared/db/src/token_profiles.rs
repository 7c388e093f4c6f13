//! Token profiles: which token on which chain counts as holding, and by which of its logs.

use std::fmt;
use std::str::FromStr;

use arrakis_domain::{Address, U256};
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

/// What a token profile counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ProfileStandard {
    /// Claims and burns of an ERC-20 token: transfers from [`TokenProfile::claims_from`] and to [`TokenProfile::burns_to`].
    Bgt,
    /// Every transfer of an ERC-20 token.
    Erc20,
    /// Every transfer of an ERC-721 token: the number of tokens held.
    Erc721,
    /// Every transfer of an ERC-1155 token: the amounts held, summed over the ids.
    Erc1155,
}

impl ProfileStandard {
    /// Every standard.
    pub const ALL: [Self; 4] = [Self::Bgt, Self::Erc20, Self::Erc721, Self::Erc1155];

    /// The standard as the column stores it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Bgt => "bgt",
            Self::Erc20 => "erc20",
            Self::Erc721 => "erc721",
            Self::Erc1155 => "erc1155",
        }
    }

    /// Whether its tokens have ids.
    #[must_use]
    pub const fn has_ids(self) -> bool {
        matches!(self, Self::Erc721 | Self::Erc1155)
    }
}

impl FromStr for ProfileStandard {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let found = Self::ALL.into_iter().find(|standard| standard.as_str() == text);
        found.ok_or_else(|| format!("`{text}` is not a standard; use bgt, erc20, erc721 or erc1155"))
    }
}

impl fmt::Display for ProfileStandard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A token profile: the token whose holdings decide the ranking, and how its transfers are counted.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TokenProfile {
    /// Its name in configuration and in the database.
    pub id: TokenProfileId,
    /// Its display name.
    pub name: String,
    /// The token's symbol.
    pub symbol: String,
    /// What it counts.
    pub standard: ProfileStandard,
    /// Chain id of EIP-155.
    pub chain_id: u64,
    /// Address of the token's contract.
    pub contract: Address,
    /// Decimals of the token, 0 for NFTs; holdings in the ranking are scaled to 18.
    pub decimals: u8,
    /// Transfers from this address are claims; `None`: every transfer adds to its receiver.
    pub claims_from: Option<Address>,
    /// Transfers to this address are burns; `None`: every transfer subtracts from its sender.
    pub burns_to: Option<Address>,
    /// The ids that count; empty: all.
    pub token_ids: Vec<U256>,
    /// The token has no logs before this block.
    pub start_block: u64,
}

impl TokenProfile {
    /// Why the profile is inconsistent; `None` when it is not.
    #[must_use]
    pub fn problem(&self) -> Option<&'static str> {
        let addresses = (self.claims_from.is_some(), self.burns_to.is_some());
        match self.standard {
            ProfileStandard::Bgt if addresses != (true, true) => {
                Some("the standard bgt needs the sender of claims and the receiver of burns")
            }
            ProfileStandard::Bgt => None,
            _ if addresses != (false, false) => {
                Some("only the standard bgt has a sender of claims and a receiver of burns")
            }
            ProfileStandard::Erc20 => None,
            _ if self.decimals != 0 => Some("NFTs have 0 decimals"),
            _ => None,
        }
        .or_else(|| (!self.standard.has_ids() && !self.token_ids.is_empty()).then_some("only NFTs have token ids"))
    }

    /// Whether both profiles count the same logs, so that the events stored for one are those of the other.
    fn counts_the_same_logs(&self, other: &Self) -> bool {
        let counted = |profile: &Self| {
            (
                profile.standard,
                profile.chain_id,
                profile.contract,
                profile.claims_from,
                profile.burns_to,
                profile.token_ids.clone(),
                profile.start_block,
            )
        };
        counted(self) == counted(other)
    }
}

struct Row {
    token_profile_id: String,
    name: String,
    symbol: String,
    standard: Option<String>,
    chain_id: i64,
    contract: String,
    decimals: i16,
    claims_from: Option<String>,
    burns_to: Option<String>,
    token_ids: Option<Vec<String>>,
    start_block: i64,
}

impl TryFrom<Row> for TokenProfile {
    type Error = DbError;

    fn try_from(row: Row) -> Result<Self, DbError> {
        let column = |name| Column("token_profiles", name);
        let standard = match row.standard.as_deref() {
            Some(standard) => column("standard").parse(standard)?,
            // A row of the build before the column.
            None if row.claims_from.is_some() && row.burns_to.is_some() => ProfileStandard::Bgt,
            None => ProfileStandard::Erc20,
        };
        let ids = row.token_ids.unwrap_or_default();
        let ids = ids.iter().map(|id| column("token_ids").parse(id));
        Ok(Self {
            id: column("token_profile_id").parse(&row.token_profile_id)?,
            name: row.name,
            symbol: row.symbol,
            standard,
            chain_id: column("chain_id").count(row.chain_id)?,
            contract: column("contract").parse(&row.contract)?,
            decimals: column("decimals").count(i64::from(row.decimals))?,
            claims_from: column("claims_from").parse_some(row.claims_from.as_deref())?,
            burns_to: column("burns_to").parse_some(row.burns_to.as_deref())?,
            token_ids: ids.collect::<Result<_, _>>()?,
            start_block: column("start_block").count(row.start_block)?,
        })
    }
}

impl Eligibility<'_> {
    /// The token profile of this name.
    ///
    /// # Errors
    /// When the database is unavailable or the row is corrupt.
    pub async fn token_profile(&mut self, id: &TokenProfileId) -> Result<Option<TokenProfile>, DbError> {
        let row = named!(
            "token_profile.get",
            sqlx::query_as!(
                Row,
                r#"select token_profile_id, name, symbol, standard, chain_id, contract, decimals, claims_from, burns_to,
                          token_ids::text[] as "token_ids: Vec<String>", start_block
                     from token_profiles where token_profile_id = $1"#,
                id.as_str()
            )
            .fetch_optional(&mut *self.connection)
        )?;
        row.map(TokenProfile::try_from).transpose()
    }

    /// All token profiles, ordered by name.
    ///
    /// # Errors
    /// When the database is unavailable or a row is corrupt.
    pub async fn token_profiles(&mut self) -> Result<Vec<TokenProfile>, DbError> {
        let rows = named!(
            "token_profile.list",
            sqlx::query_as!(
                Row,
                r#"select token_profile_id, name, symbol, standard, chain_id, contract, decimals, claims_from, burns_to,
                          token_ids::text[] as "token_ids: Vec<String>", start_block
                     from token_profiles order by token_profile_id"#
            )
            .fetch_all(&mut *self.connection)
        )?;
        rows.into_iter().map(TokenProfile::try_from).collect()
    }

    /// Writes a token profile and replaces one of the same name. When the new one counts other logs, the next sync deletes the stored
    /// events of the old one and reads its logs from the first block; the ranking stays until then. So does one that replaces a
    /// corrupt row.
    ///
    /// # Errors
    /// When the database is unavailable, or a number is larger than a `bigint`.
    pub async fn put_token_profile(&mut self, profile: &TokenProfile) -> Result<(), DbError> {
        let counts_the_same_logs = match self.token_profile(&profile.id).await {
            Ok(stored) => stored.is_none_or(|stored| stored.counts_the_same_logs(profile)),
            Err(DbError::Corrupt { .. }) => false,
            Err(error) => return Err(error),
        };
        self.write_token_profile(profile).await?;
        if !counts_the_same_logs {
            self.discard_synced(profile).await?;
        }
        Ok(())
    }

    async fn write_token_profile(&mut self, profile: &TokenProfile) -> Result<(), DbError> {
        let column = |name| Column("token_profiles", name);
        let ids: Vec<String> = profile.token_ids.iter().map(ToString::to_string).collect();
        let ids = (!ids.is_empty()).then_some(ids);
        named!(
            "token_profile.put",
            sqlx::query!(
                "insert into token_profiles
                        (token_profile_id, name, symbol, chain_id, contract, decimals, claims_from, burns_to, start_block,
                         standard, token_ids)
                 values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11::text[]::numeric[])
                 on conflict (token_profile_id) do update
                    set name = excluded.name, symbol = excluded.symbol, chain_id = excluded.chain_id,
                        contract = excluded.contract, decimals = excluded.decimals, claims_from = excluded.claims_from,
                        burns_to = excluded.burns_to, start_block = excluded.start_block, standard = excluded.standard,
                        token_ids = excluded.token_ids",
                profile.id.as_str(),
                profile.name,
                profile.symbol,
                column("chain_id").bigint(profile.chain_id)?,
                profile.contract.to_string(),
                i16::from(profile.decimals),
                profile.claims_from.map(|address| address.to_string()),
                profile.burns_to.map(|address| address.to_string()),
                column("start_block").bigint(profile.start_block)?,
                profile.standard.as_str(),
                ids.as_deref()
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
    fn standards_round_trip() {
        for standard in ProfileStandard::ALL {
            assert_eq!(standard.as_str().parse(), Ok(standard));
        }
        assert!("erc-20".parse::<ProfileStandard>().is_err());
    }

    #[test]
    fn names_are_lower_case() {
        assert!(TokenProfileId::new("bgt").is_ok());
        for text in ["", "BGT", "9", "a b", &"x".repeat(51)] {
            assert!(TokenProfileId::new(text).is_err(), "{text}");
        }
    }
}
