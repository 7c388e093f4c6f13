//! `arrakis-worker token-profiles list|put`.

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context as _, anyhow, bail};
use arrakis_chain::{Chains, ChainsConfig};
use arrakis_config::{Reader, Secret};
use arrakis_db::{ProfileStandard, TokenProfile, TokenProfileId};
use arrakis_domain::{Address, U256};
use clap::{Args, Subcommand};
use serde::Deserialize;
use serde_json::{Value, json};

use super::database::{connect, database_url};
use super::output::{print, print_json, printable, report};
use super::with_config;

/// The subcommands of `token-profiles`.
#[derive(Debug, Subcommand)]
pub(super) enum TokenProfilesTask {
    /// Lists the token profiles
    List {
        /// Print one JSON object a line
        #[arg(long)]
        json: bool,
    },
    /// Writes a token profile; replaces one of the same name
    ///
    /// Symbol, name and decimals that are not given are read from the contract, when `CHAIN_RPC_URLS` has an endpoint of its chain. A
    /// change of what is counted deletes the stored events: the next sync reads all logs again.
    Put(Box<Put>),
}

/// The options of `put`.
#[derive(Debug, Args)]
pub(super) struct Put {
    /// Name of the profile, such as `bgt`
    profile: TokenProfileId,
    /// Read the profile from a YAML file with the names of these options, `_` in place of `-`
    #[arg(long, conflicts_with_all = ["standard", "chain_id", "contract"])]
    file: Option<PathBuf>,
    #[command(flatten)]
    fields: Fields,
}

/// A profile as flags and YAML state it.
#[derive(Debug, Default, Args, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Fields {
    /// What counts: `bgt` (claims and burns), `erc20`, `erc721` or `erc1155`
    #[arg(long)]
    standard: Option<ProfileStandard>,
    /// Chain id of EIP-155
    #[arg(long)]
    chain_id: Option<u64>,
    /// Address of the token's contract
    #[arg(long)]
    contract: Option<Address>,
    /// Display name; default: the contract's
    #[arg(long)]
    name: Option<String>,
    /// Symbol; default: the contract's
    #[arg(long)]
    symbol: Option<String>,
    /// Decimals; default: the contract's, 0 for NFTs
    #[arg(long)]
    decimals: Option<u8>,
    /// For `bgt`: the sender of claims
    #[arg(long)]
    claims_from: Option<Address>,
    /// For `bgt`: the receiver of burns; default: the zero address
    #[arg(long)]
    burns_to: Option<Address>,
    /// For NFTs: an id that counts; may be repeated; default: all
    #[arg(long = "token-id")]
    #[serde(deserialize_with = "ids")]
    token_ids: Vec<U256>,
    /// The block of the contract's creation or an earlier one: logs before it are not read
    #[arg(long)]
    start_block: Option<u64>,
}

/// Ids as numbers or texts: YAML has no numbers of 256 bits.
fn ids<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<Vec<U256>, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Id {
        Number(u64),
        Text(String),
    }
    let ids = Vec::<Id>::deserialize(deserializer)?.into_iter();
    ids.map(|id| match id {
        Id::Number(number) => Ok(U256::from(number)),
        Id::Text(text) => text.parse().map_err(serde::de::Error::custom),
    })
    .collect()
}

impl TokenProfilesTask {
    pub(super) fn run(self) -> ExitCode {
        match self {
            Self::List { json } => with_config(database_url, move |url| list(url, json)),
            Self::Put(put) => with_config(database_and_chains, move |(url, chains)| put.run(url, chains)),
        }
    }
}

fn database_and_chains(reader: &mut Reader) -> Option<(Secret, ChainsConfig)> {
    let url = database_url(reader);
    let chains = ChainsConfig::read(reader);
    Some((url?, chains?))
}

async fn list(url: Secret, json: bool) -> anyhow::Result<ExitCode> {
    let database = connect(&url).await?;
    let mut tx = database.global().await?;
    let profiles = tx.eligibility().token_profiles().await?;
    tx.commit().await?;
    for profile in &profiles {
        if json {
            print_json(&as_json(profile))?;
        } else {
            print(format_args!(
                "{}  {}  {}  chain {}  {}  from block {}",
                profile.id,
                profile.standard,
                printable(&profile.symbol),
                profile.chain_id,
                profile.contract,
                profile.start_block
            ))?;
        }
    }
    if profiles.is_empty() {
        report("no token profiles; `arrakis-worker token-profiles put --help` shows how to write one");
    }
    Ok(ExitCode::SUCCESS)
}

fn as_json(profile: &TokenProfile) -> Value {
    let ids: Vec<String> = profile.token_ids.iter().map(ToString::to_string).collect();
    json!({
        "token_profile": profile.id, "name": profile.name, "symbol": profile.symbol, "standard": profile.standard,
        "chain_id": profile.chain_id, "contract": profile.contract, "decimals": profile.decimals,
        "claims_from": profile.claims_from, "burns_to": profile.burns_to, "token_ids": ids,
        "start_block": profile.start_block,
    })
}

impl Put {
    async fn run(self: Box<Self>, url: Secret, chains: ChainsConfig) -> anyhow::Result<ExitCode> {
        let fields = match &self.file {
            None => self.fields,
            Some(path) => {
                let text = std::fs::read_to_string(path).with_context(|| path.display().to_string())?;
                // Without its sources, which have the same text in another layout.
                serde_saphyr::from_str(&text).map_err(|error| anyhow!("{}: {error}", path.display()))?
            }
        };
        let profile = complete(self.profile, fields, &Chains::new(&chains)).await?;
        let database = connect(&url).await?;
        let mut tx = database.global().await?;
        tx.eligibility().put_token_profile(&profile).await?;
        tx.commit().await?;
        report(format_args!("the token profile {} is stored", profile.id));
        print_json(&as_json(&profile))?;
        Ok(ExitCode::SUCCESS)
    }
}

/// The profile of these fields; what they lack is read from the contract.
async fn complete(id: TokenProfileId, fields: Fields, chains: &Chains) -> anyhow::Result<TokenProfile> {
    let (Some(standard), Some(chain_id), Some(contract)) = (fields.standard, fields.chain_id, fields.contract) else {
        bail!("missing: {}", missing_fields(&fields).join(", "));
    };
    let default_decimals = standard.has_ids().then_some(0);
    let mut decimals = fields.decimals.or(default_decimals);
    let (mut name, mut symbol) = (fields.name, fields.symbol);
    if name.is_none() || symbol.is_none() || decimals.is_none() {
        let chain = chains.get(chain_id).with_context(|| {
            format!("CHAIN_RPC_URLS has no endpoint of chain {chain_id}: give --name, --symbol and --decimals")
        })?;
        let found = chain.metadata(contract).await?;
        symbol = symbol.or(found.symbol);
        name = name.or(found.name).or_else(|| symbol.clone());
        decimals = decimals.or(found.decimals);
    }
    let is_bgt = standard == ProfileStandard::Bgt;
    let profile = TokenProfile {
        id,
        name: name.context("the contract has no name: give --name")?,
        symbol: symbol.context("the contract has no symbol: give --symbol")?,
        standard,
        chain_id,
        contract,
        decimals: decimals.context("the contract has no decimals: give --decimals")?,
        claims_from: fields.claims_from,
        burns_to: fields.burns_to.or(is_bgt.then_some(Address::from_bytes([0; 20]))),
        token_ids: fields.token_ids,
        start_block: fields.start_block.unwrap_or_default(),
    };
    if profile.decimals > 36 {
        bail!("decimals must be from 0 to 36");
    }
    match profile.problem() {
        Some(problem) => bail!("{problem}"),
        None => Ok(profile),
    }
}

/// The options without which there is no profile, of those that `fields` lacks.
fn missing_fields(fields: &Fields) -> Vec<&'static str> {
    [
        ("--standard", fields.standard.is_none()),
        ("--chain-id", fields.chain_id.is_none()),
        ("--contract", fields.contract.is_none()),
    ]
    .into_iter()
    .filter_map(|(option, is_missing)| is_missing.then_some(option))
    .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn of(yaml: &str) -> Result<TokenProfile, String> {
        let fields: Fields = serde_saphyr::from_str(yaml).map_err(|error| error.to_string())?;
        let profile = complete("token".parse().unwrap(), fields, &Chains::default()).await;
        profile.map_err(|error| error.to_string())
    }

    const CONTRACT: &str =
        "contract: '0x656b95E550C07a9ffe548bd4085c72418Ceb1dba'\nchain_id: 80094\nname: T\nsymbol: T\n";

    #[tokio::test]
    async fn profile_is_read_from_yaml() {
        let bgt = of(&format!(
            "{CONTRACT}standard: bgt\ndecimals: 18\nclaims_from: '0xD2f19a79b026Fb636A7c300bF5947df113940761'\n"
        ))
        .await
        .unwrap();
        assert_eq!(bgt.burns_to, Some(Address::from_bytes([0; 20])));
        let nft = of(&format!("{CONTRACT}standard: erc721\ntoken_ids: [7, '115792089237316195423570985008687907853269984665640564039457584007913129639935']\n"))
            .await
            .unwrap();
        assert_eq!((nft.decimals, nft.token_ids), (0, vec![U256::from(7), U256::MAX]));
    }

    #[tokio::test]
    async fn inconsistent_profile_is_refused_with_the_reason() {
        for (yaml, reason) in [
            ("standard: bgt\ndecimals: 18\n", "sender of claims"),
            ("standard: erc20\n", "CHAIN_RPC_URLS has no endpoint of chain 80094"),
            ("standard: erc20\ndecimals: 18\ntoken_ids: [1]\n", "only NFTs"),
            ("standard: erc721\ndecimals: 18\n", "0 decimals"),
            ("standard: erc20\ndecimals: 37\n", "from 0 to 36"),
            ("standard: erc404\n", "erc404"),
            ("standard: erc20\ncolour: red\n", "colour"),
        ] {
            let error = of(&format!("{CONTRACT}{yaml}")).await.unwrap_err();
            assert!(error.contains(reason), "{yaml}: {error}");
        }
    }

    #[tokio::test]
    async fn every_missing_option_is_named() {
        assert_eq!(
            of("name: T\n").await.unwrap_err(),
            "missing: --standard, --chain-id, --contract"
        );
        assert_eq!(
            of("standard: erc20\nchain_id: 1\n").await.unwrap_err(),
            "missing: --contract"
        );
    }
}
