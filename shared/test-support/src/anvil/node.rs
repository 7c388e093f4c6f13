//! The anvil process and its JSON-RPC.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use arrakis_domain::{Address, U256};
use parking_lot::Mutex;
use serde_json::{Value, json};

use super::contracts::{MULTICALL3, compiled};
use super::ledger::{Ledger, Movement};
use crate::process::Process;
use crate::wait::eventually;

/// Blocks behind the latest one at which a block is final in an anvil of these options.
const FINAL_DEPTH: u64 = 2;
/// Gas limit of a transaction.
const GAS: &str = "0x1c9c380";

/// Options of [`Anvil::start_with`].
#[derive(Debug, Clone)]
pub struct AnvilOptions {
    /// EIP-155 chain id.
    pub chain_id: u64,
    /// Whether Multicall3 has code at its address.
    pub multicall: bool,
    /// Further arguments of anvil.
    pub arguments: Vec<String>,
}

impl Default for AnvilOptions {
    fn default() -> Self {
        Self {
            chain_id: 80094,
            multicall: true,
            arguments: Vec::new(),
        }
    }
}

/// A chain of its own: an anvil process, killed when the last clone is dropped, or one that another program runs
/// ([`Anvil::connect`]). Each transaction makes a block at once, unless in [`Anvil::in_one_block`]. The finalised block is two blocks
/// behind the latest one.
#[derive(Debug, Clone)]
pub struct Anvil {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    /// `None`: another program runs it.
    process: Option<Process>,
    url: String,
    chain_id: u64,
    client: reqwest::Client,
    sender: String,
    one_block: AtomicBool,
    ledger: Mutex<Ledger>,
}

impl Anvil {
    /// Starts a chain with id 80094 and Multicall3.
    ///
    /// # Panics
    /// When the variable `ANVIL` is not set or anvil cannot be started.
    pub async fn start() -> Self {
        Self::start_with(AnvilOptions::default()).await
    }

    /// Starts a chain.
    ///
    /// # Panics
    /// As [`Anvil::start`].
    pub async fn start_with(options: AnvilOptions) -> Self {
        let chain_id = options.chain_id.to_string();
        let mut arguments = vec!["--port", "0", "--chain-id", &chain_id, "--accounts", "1"];
        arguments.extend(["--slots-in-an-epoch", "1", "--gas-limit", "3000000000"]);
        arguments.extend(options.arguments.iter().map(String::as_str));
        let none = std::iter::empty::<(&str, &str)>();
        let process = Process::start_at(Path::new(&program()), &arguments, none);
        let line = process.line("Listening on ").await;
        let address = line.rsplit(' ').next().unwrap_or_default();
        let client = client();
        let url = format!("http://{address}");
        let accounts = request(&client, &url, "eth_accounts", &json!([])).await;
        let anvil = Self::new(Some(process), url, options.chain_id, client, text(&accounts[0]));
        if options.multicall {
            anvil.set_code(MULTICALL3, &compiled("TestMulticall").runtime).await;
        }
        anvil
    }

    /// The chain of an anvil that another program runs, with options as in [`Anvil::start`]. Its ledger has only what is done with this
    /// value.
    ///
    /// # Errors
    /// When nothing responds at this URL, or something else than an anvil.
    pub async fn connect(url: &str) -> Result<Self, String> {
        let client = client();
        let chain_id = try_request(&client, url, "eth_chainId", &json!([])).await?;
        let accounts = try_request(&client, url, "eth_accounts", &json!([])).await?;
        // Only anvil has this method.
        try_request(&client, url, "anvil_nodeInfo", &json!([])).await?;
        let sender = text(&accounts[0]);
        Ok(Self::new(None, url.to_owned(), number(&chain_id), client, sender))
    }

    fn new(process: Option<Process>, url: String, chain_id: u64, client: reqwest::Client, sender: String) -> Self {
        let inner = Inner {
            process,
            url,
            chain_id,
            client,
            sender,
            one_block: AtomicBool::new(false),
            ledger: Mutex::default(),
        };
        Self { inner: Arc::new(inner) }
    }

    /// URL of the JSON-RPC endpoint.
    #[must_use]
    pub fn url(&self) -> &str {
        &self.inner.url
    }

    /// Chain id.
    #[must_use]
    pub fn chain_id(&self) -> u64 {
        self.inner.chain_id
    }

    /// The process, to suspend or kill it.
    ///
    /// # Panics
    /// When another program runs it.
    #[must_use]
    pub fn process(&self) -> &Process {
        let process = self.inner.process.as_ref();
        process.unwrap_or_else(|| panic!("the anvil at {} is not a process of this program", self.inner.url))
    }

    /// What the test did with its tokens. Movements in blocks that [`Anvil::reorg`] or [`Anvil::rollback`] removed are not in it.
    #[must_use]
    pub fn ledger(&self) -> Ledger {
        self.inner.ledger.lock().clone()
    }

    /// Number of the latest block.
    pub async fn head(&self) -> u64 {
        number(&self.rpc("eth_blockNumber", json!([])).await)
    }

    /// Number of the finalised block.
    pub async fn finalized(&self) -> u64 {
        self.head().await.saturating_sub(FINAL_DEPTH)
    }

    /// Makes this number of blocks. The first one has the transactions that wait.
    pub async fn mine(&self, blocks: u64) {
        if blocks == 0 {
            return;
        }
        let next = self.head().await + 1;
        self.rpc("anvil_mine", json!([format!("0x{blocks:x}")])).await;
        let mut ledger = self.inner.ledger.lock();
        for movement in ledger.0.iter_mut().filter(|movement| movement.block.is_none()) {
            movement.block = Some(next);
        }
    }

    /// Makes as many empty blocks as it takes for every present block to be final.
    pub async fn finalize(&self) {
        self.mine(FINAL_DEPTH).await;
    }

    /// Runs actions whose transactions go into one block, in their order.
    pub async fn in_one_block<T>(&self, actions: impl Future<Output = T>) -> T {
        self.rpc("evm_setAutomine", json!([false])).await;
        self.inner.one_block.store(true, Ordering::Relaxed);
        let result = actions.await;
        self.mine(1).await;
        self.inner.one_block.store(false, Ordering::Relaxed);
        self.rpc("evm_setAutomine", json!([true])).await;
        result
    }

    /// Replaces the latest `depth` blocks by empty blocks with other hashes: the height stays, their transactions are gone.
    pub async fn reorg(&self, depth: u64) {
        let head = self.head().await;
        self.rpc("anvil_reorg", json!([depth, []])).await;
        self.forget_after(head.saturating_sub(depth));
    }

    /// Removes the latest `depth` blocks.
    pub async fn rollback(&self, depth: u64) {
        let head = self.head().await;
        self.rpc("anvil_rollback", json!([depth])).await;
        self.forget_after(head.saturating_sub(depth));
    }

    /// Places code at an address, in hexadecimal digits.
    pub async fn set_code(&self, address: Address, code: &str) {
        let code = format!("0x{}", code.trim_start_matches("0x"));
        self.rpc("anvil_setCode", json!([address, code])).await;
    }

    /// Sends a transaction from anvil's account. Returns the hash.
    ///
    /// # Panics
    /// When it reverts. In [`Anvil::in_one_block`] the result is not known yet, so nothing is checked.
    pub async fn send(&self, to: Address, data: &[u8]) -> String {
        self.transact(Some(to), data).await
    }

    /// Creates a contract from this code. Makes a block.
    ///
    /// # Panics
    /// When the creation reverts.
    pub async fn deploy(&self, code: &[u8]) -> Address {
        let hash = self.transact(None, code).await;
        let receipt = self.rpc("eth_getTransactionReceipt", json!([hash])).await;
        let address = receipt["contractAddress"]
            .as_str()
            .and_then(|address| address.parse().ok());
        address.unwrap_or_else(|| panic!("the transaction created no contract: {receipt}"))
    }

    /// Sends any JSON-RPC request.
    ///
    /// # Panics
    /// When the response is an error.
    pub async fn rpc(&self, method: &str, params: Value) -> Value {
        request(&self.inner.client, &self.inner.url, method, &params).await
    }

    /// Records movements; their block is the latest one, or the next in [`Anvil::in_one_block`].
    pub(super) async fn record(&self, movements: impl IntoIterator<Item = Movement>) {
        let waits = self.inner.one_block.load(Ordering::Relaxed);
        let block = if waits { None } else { Some(self.head().await) };
        let movements = movements.into_iter().map(|movement| Movement { block, ..movement });
        self.inner.ledger.lock().0.extend(movements);
    }

    async fn transact(&self, to: Option<Address>, data: &[u8]) -> String {
        let mut transaction = json!({"from": self.inner.sender, "data": hex(data), "gas": GAS});
        if let Some(to) = to {
            transaction["to"] = json!(to);
        }
        let hash = text(&self.rpc("eth_sendTransaction", json!([transaction])).await);
        if !self.inner.one_block.load(Ordering::Relaxed) {
            let receipt = eventually(|| self.receipt(&hash), "the receipt of a transaction").await;
            assert_eq!(receipt["status"], "0x1", "the transaction reverted: {receipt}");
        }
        hash
    }

    async fn receipt(&self, hash: &str) -> Option<Value> {
        let receipt = self.rpc("eth_getTransactionReceipt", json!([hash])).await;
        (!receipt.is_null()).then_some(receipt)
    }

    fn forget_after(&self, last: u64) {
        let mut ledger = self.inner.ledger.lock();
        ledger
            .0
            .retain(|movement| movement.block.is_none_or(|block| block <= last));
    }
}

/// Path of anvil.
fn program() -> String {
    match std::env::var("ANVIL") {
        Ok(path) if !path.is_empty() => path,
        _ => panic!(
            "ANVIL is not set: this test needs anvil, a local chain. Run `./dev test`, which installs it by npm, or `./dev services` once \
             and then `eval \"$(./dev env)\"` in this shell"
        ),
    }
}

fn client() -> reqwest::Client {
    reqwest::Client::builder().no_proxy().build().unwrap_or_default()
}

async fn request(client: &reqwest::Client, url: &str, method: &str, params: &Value) -> Value {
    let result = try_request(client, url, method, params).await;
    result.unwrap_or_else(|why| panic!("{why}"))
}

async fn try_request(client: &reqwest::Client, url: &str, method: &str, params: &Value) -> Result<Value, String> {
    let body = json!({"jsonrpc": "2.0", "id": 1, "method": method, "params": params});
    let sent = client
        .post(url)
        .json(&body)
        .timeout(Duration::from_secs(60))
        .send()
        .await;
    let failed = |why: &dyn std::fmt::Display| format!("{method} to anvil at {url}: {why}");
    let response = sent.map_err(|why| failed(&why))?;
    let mut response: Value = response.json().await.map_err(|why| failed(&why))?;
    match response.get("error") {
        Some(error) => Err(failed(error)),
        None => Ok(response["result"].take()),
    }
}

pub(super) fn hex(bytes: &[u8]) -> String {
    alloy::hex::encode_prefixed(bytes)
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}

fn number(value: &Value) -> u64 {
    let number = value.as_str().and_then(|text| text.parse::<U256>().ok());
    number.map_or(0, |number| number.saturating_to())
}
