//! [`Chain`]: a local chain with one token, whose holdings decide the ranking of a platform.
//!
//! The token behaves as BGT does: a claim is a transfer from a distributor, a burn a transfer to zero. Every action is final when its
//! function returns, so the next sync reads it. Anyone may claim and burn: there is no account with money.

use std::path::Path;

use anyhow::{Context as _, ensure};
use arrakis_db::{ProfileStandard, TokenProfile, TokenProfileId};
use arrakis_domain::{Address, Balance, U256};
use arrakis_test_support::{Anvil, AnvilOptions, Erc20, tokens};
use serde_json::json;

/// Chain id of Berachain, which the local chain has too.
pub const CHAIN_ID: u64 = 80_094;
/// Blocks after which a block is final.
const FINAL_AFTER: u64 = 2;
/// An address whose code is the digest of the seeded history, so that a chain that was seeded before is recognised.
const MARKER: Address = Address::from_bytes([0xad; 20]);
/// One of so many wallets of the seeded history has burned a token.
const BURNERS: usize = 40;

/// A local chain with a token.
#[derive(Debug, Clone)]
pub struct Chain {
    anvil: Anvil,
    token: Erc20,
    is_new: bool,
}

impl Chain {
    /// Address of the token: that of the first contract of anvil's first account.
    pub const TOKEN: Address = Address::from_bytes([
        0x5f, 0xbd, 0xb2, 0x31, 0x56, 0x78, 0xaf, 0xec, 0xb3, 0x67, 0xf0, 0x32, 0xd9, 0x3f, 0x64, 0x2f, 0x64, 0x18,
        0x0a, 0xa3,
    ]);

    /// Whether anvil is installed: the variable `ANVIL` names it.
    pub fn is_installed() -> bool {
        std::env::var_os("ANVIL").is_some_and(|program| Path::new(&program).is_file())
    }

    /// Starts a chain of its own and creates the token. The process ends when the last clone is dropped.
    ///
    /// # Errors
    /// When anvil is not installed.
    ///
    /// # Panics
    /// When anvil cannot be started.
    pub async fn start() -> anyhow::Result<Self> {
        ensure!(
            Self::is_installed(),
            "ANVIL names no program: there is no local chain; `./dev` installs anvil where npm is installed"
        );
        let options = AnvilOptions {
            chain_id: CHAIN_ID,
            ..AnvilOptions::default()
        };
        Ok(Self::with_token(Anvil::start_with(options).await).await)
    }

    /// The chain of a running anvil, such as that of `./dev up`. Creates the token on an empty chain.
    ///
    /// # Errors
    /// When no anvil responds at this URL, its chain has another id, or it has blocks of another program.
    pub async fn open(url: &str) -> anyhow::Result<Self> {
        let anvil = Anvil::connect(url).await.map_err(anyhow::Error::msg)?;
        let id = anvil.chain_id();
        ensure!(id == CHAIN_ID, "the chain at {url} has the id {id}, not {CHAIN_ID}");
        ensure!(
            anvil.head().await == 0 || has_code(&anvil, Self::TOKEN).await,
            "the chain at {url} has blocks, but not the token at {}: it is the chain of another program",
            Self::TOKEN
        );
        Ok(Self::with_token(anvil).await)
    }

    async fn with_token(anvil: Anvil) -> Self {
        if has_code(&anvil, Self::TOKEN).await {
            let token = anvil.erc20_at(Self::TOKEN);
            let is_new = false;
            // An anvil that was started with a stored state has no balances of earlier blocks: the final block must be a new one.
            anvil.mine(FINAL_AFTER + 1).await;
            return Self { anvil, token, is_new };
        }
        anvil.place_multicall().await;
        let token = anvil.deploy_erc20("Bera Governance Token", "BGT", 18).await;
        anvil.finalize().await;
        let is_new = true;
        Self { anvil, token, is_new }
    }

    /// Replaces the chain by a new one with the token and without holdings.
    pub async fn restart(&self) -> Self {
        self.anvil.restart().await;
        Self::with_token(self.anvil.clone()).await
    }

    /// Whether the token was created by this value: it has no holders but those of what was done since.
    pub fn is_new(&self) -> bool {
        self.is_new
    }

    /// The anvil: reorganisations, suspending, raw requests. Its ledger has what was done with this value.
    pub fn anvil(&self) -> &Anvil {
        &self.anvil
    }

    /// The token.
    pub fn token(&self) -> &Erc20 {
        &self.token
    }

    /// URL of the JSON-RPC endpoint.
    pub fn url(&self) -> &str {
        self.anvil.url()
    }

    /// Value of `CHAIN_RPC_URLS` with this chain alone.
    pub fn rpc_urls(&self) -> String {
        rpc_urls(&[self.url()])
    }

    /// The profile that ranks the holders of the token.
    ///
    /// # Errors
    /// When `id` is not a name of a token profile.
    pub fn token_profile(&self, id: &str) -> anyhow::Result<TokenProfile> {
        let id: TokenProfileId = id.parse()?;
        Ok(TokenProfile {
            id,
            name: "Bera Governance Token".to_owned(),
            symbol: "BGT".to_owned(),
            standard: ProfileStandard::Bgt,
            chain_id: CHAIN_ID,
            contract: self.token.address(),
            decimals: 18,
            claims_from: Some(self.token.distributor()),
            burns_to: Some(Address::from_bytes([0; 20])),
            token_ids: Vec::new(),
            start_block: 0,
        })
    }

    /// Gives these wallets these holdings, in a few blocks: claims in two parts, with some burns between them. Of equal holdings, that of
    /// the wallet which comes first is the older one, so the order of the list is the order of rank.
    pub async fn seed_history(&self, holdings: &[(Address, Balance)]) {
        let half = |held: Balance| held.units() / U256::from(2);
        let burned = |index: usize| {
            if index.is_multiple_of(BURNERS) {
                tokens(1)
            } else {
                U256::ZERO
            }
        };
        let first = holdings.iter().enumerate();
        let first = first.map(|(index, (wallet, held))| (*wallet, half(*held) + burned(index)));
        self.token.claim_many(&first.collect::<Vec<_>>()).await;
        for (index, (wallet, _)) in holdings.iter().enumerate().step_by(BURNERS) {
            self.token.burn(*wallet, burned(index)).await;
        }
        // Last, since a holding is as old as the log that changed it last.
        let second = holdings
            .iter()
            .map(|(wallet, held)| (*wallet, held.units() - half(*held)));
        self.token.claim_many(&second.collect::<Vec<_>>()).await;
        // Last of all: a history that was interrupted has no marker.
        self.anvil.set_code(MARKER, &digest(holdings)).await;
        self.anvil.finalize().await;
    }

    /// Whether [`Chain::seed_history`] has seeded these holdings, completely. They may have changed since.
    pub async fn has_history(&self, holdings: &[(Address, Balance)]) -> bool {
        code(&self.anvil, MARKER).await.trim_start_matches("0x") == digest(holdings)
    }

    /// A wallet claims tokens.
    pub async fn claim(&self, to: Address, amount: Balance) {
        self.token.claim(to, amount.units()).await;
        self.anvil.finalize().await;
    }

    /// A wallet burns tokens.
    ///
    /// # Panics
    /// When it holds less.
    pub async fn burn(&self, from: Address, amount: Balance) {
        self.token.burn(from, amount.units()).await;
        self.anvil.finalize().await;
    }

    /// What a wallet holds at the latest block.
    pub async fn holding(&self, wallet: Address) -> Balance {
        Balance::from_units(self.token.balance_of(wallet).await)
    }

    /// Hash of the block with this number; `None` where the chain is shorter.
    ///
    /// # Errors
    /// When the chain's response has no hash.
    pub async fn block_hash(&self, number: u64) -> anyhow::Result<Option<String>> {
        let block = self
            .anvil
            .rpc("eth_getBlockByNumber", json!([format!("0x{number:x}"), false]))
            .await;
        if block.is_null() {
            return Ok(None);
        }
        Ok(Some(
            block["hash"].as_str().context("a block without a hash")?.to_owned(),
        ))
    }
}

async fn code(anvil: &Anvil, address: Address) -> String {
    let code = anvil.rpc("eth_getCode", json!([address, "latest"])).await;
    code.as_str().unwrap_or_default().to_owned()
}

async fn has_code(anvil: &Anvil, address: Address) -> bool {
    code(anvil, address).await.len() > "0x".len()
}

/// Digits of the hash of a list of holdings.
fn digest(holdings: &[(Address, Balance)]) -> String {
    let lines = holdings
        .iter()
        .map(|(wallet, held)| format!("{wallet} {}\n", held.units_text()));
    alloy::hex::encode(alloy::primitives::keccak256(lines.collect::<String>()))
}

/// Value of `CHAIN_RPC_URLS` for the local chain's id with these endpoints, in the order of preference.
pub fn rpc_urls(endpoints: &[&str]) -> String {
    format!("{CHAIN_ID}={}", endpoints.join(","))
}
