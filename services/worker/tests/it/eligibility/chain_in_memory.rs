//! A chain in memory: blocks with transfers, reorganisations, lagging and failing endpoints.

use std::collections::BTreeMap;
use std::sync::Arc;

use arrakis_chain::{
    BlockRef, ChainError, ChainId, EndpointBlock, EndpointFailure, FailureKind, Token, TokenStandard, Transfer,
    TransferBatch, TransferFilter,
};
use arrakis_domain::{Address, U256};
use arrakis_worker::jobs::eligibility_sync::{TokenChain, TransferBatches};
use async_trait::async_trait;
use parking_lot::Mutex;
use time::OffsetDateTime;

/// The zero address.
pub const ZERO: Address = Address::from_bytes([0; 20]);
/// Address of the token.
pub const CONTRACT: Address = Address::from_bytes([0xcc; 20]);

/// A transfer as a test plays it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Move {
    pub from: Address,
    pub to: Address,
    pub amount: u64,
}

#[derive(Clone, Debug)]
struct Block {
    fork: u8,
    moves: Vec<Move>,
}

/// A second endpoint of the chain.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SecondEndpoint {
    /// It reports the same blocks.
    Agrees,
    /// It reports the blocks of before the first reorganisation.
    ReportsTheFirstBlocks,
    /// It does not respond.
    IsDown,
}

/// What the endpoint does wrong.
#[derive(Clone, Debug, Default)]
pub struct Faults {
    /// The head is reported as this block.
    pub head: Option<u64>,
    /// No endpoint has this block.
    pub missing_block: Option<u64>,
    /// Requests fail once this number of requests has succeeded.
    pub fails_after: Option<u64>,
    /// Balances that differ from the transfers.
    pub balances: BTreeMap<Address, u64>,
    /// There is no contract.
    pub no_contract: bool,
    /// Whether there is a second endpoint, and what it reports.
    pub second: Option<SecondEndpoint>,
    /// Before the batch of this number (from 1) is returned, the last blocks are replaced.
    pub reorganises_at: Option<(u64, usize)>,
}

#[derive(Debug, Default)]
struct State {
    blocks: Vec<Block>,
    forks: u8,
    faults: Faults,
    requests: u64,
    batches: u64,
    batch_blocks: u64,
}

/// A chain in memory. Its latest block is final. Cloning shares it.
#[derive(Clone, Debug, Default)]
pub struct MemoryChain(Arc<Mutex<State>>);

impl MemoryChain {
    /// A chain whose batches have this number of blocks.
    pub fn with_batches(blocks: u64) -> Self {
        let chain = Self::default();
        chain.0.lock().batch_blocks = blocks;
        chain.block(&[]);
        chain
    }

    /// Appends a block with these transfers.
    pub fn block(&self, moves: &[Move]) {
        let moves = moves.to_vec();
        self.0.lock().blocks.push(Block { fork: 0, moves });
    }

    /// Replaces the last blocks by others with these transfers.
    pub fn reorganise(&self, replaced: usize, with: &[Vec<Move>]) {
        self.0.lock().reorganise(replaced, with);
    }

    pub fn set_faults(&self, faults: Faults) {
        let mut state = self.0.lock();
        state.requests = 0;
        state.batches = 0;
        state.faults = faults;
    }

    /// Number of batches that were read.
    pub fn batches(&self) -> u64 {
        self.0.lock().batches
    }

    pub fn head(&self) -> u64 {
        self.0.lock().head()
    }

    /// What each wallet holds, and the block of its last change: an independent count.
    pub fn ledger(&self) -> BTreeMap<Address, (u64, u64)> {
        let mut held: BTreeMap<Address, (u64, u64)> = BTreeMap::new();
        for (number, block) in (0..).zip(&self.0.lock().blocks) {
            for step in block
                .moves
                .iter()
                .filter(|step| step.amount > 0 && step.from != step.to)
            {
                if step.from != ZERO {
                    let entry = held.entry(step.from).or_default();
                    *entry = (entry.0 - step.amount, number);
                }
                if step.to != ZERO {
                    let entry = held.entry(step.to).or_default();
                    *entry = (entry.0 + step.amount, number);
                }
            }
        }
        held.retain(|_, (amount, _)| *amount > 0);
        held
    }
}

impl State {
    fn head(&self) -> u64 {
        u64::try_from(self.blocks.len()).unwrap() - 1
    }

    fn reported_head(&self) -> u64 {
        self.faults.head.unwrap_or_else(|| self.head())
    }

    fn reorganise(&mut self, replaced: usize, with: &[Vec<Move>]) {
        let kept = self.blocks.len() - replaced;
        self.forks += 1;
        let fork = self.forks;
        self.blocks.truncate(kept);
        self.blocks.extend(with.iter().map(|moves| Block {
            fork,
            moves: moves.clone(),
        }));
    }

    fn request(&mut self) -> Result<(), ChainError> {
        self.requests += 1;
        match self.faults.fails_after {
            Some(limit) if self.requests > limit => Err(unavailable()),
            _ => Ok(()),
        }
    }

    fn hash(&self, number: u64) -> [u8; 32] {
        let mut hash = [0; 32];
        hash[..8].copy_from_slice(&number.to_be_bytes());
        // A block's hash covers those before it.
        let forks = self.blocks.iter().take(usize::try_from(number).unwrap() + 1);
        hash[8] = forks.map(|block| block.fork).max().unwrap();
        hash
    }

    fn reference(&self, number: u64) -> BlockRef {
        BlockRef {
            number,
            hash: self.hash(number),
            timestamp: OffsetDateTime::UNIX_EPOCH,
        }
    }

    fn transfers(&self, number: u64, filter: &TransferFilter) -> Vec<Transfer> {
        let moves = &self.blocks[usize::try_from(number).unwrap()].moves;
        let transfer = |(index, step): (u64, &Move)| Transfer {
            block_number: number,
            block_hash: self.hash(number),
            log_index: index,
            transaction_hash: [7; 32],
            from: step.from,
            to: step.to,
            token_id: None,
            amount: U256::from(step.amount),
        };
        let all = (0..).zip(moves).map(transfer);
        let matches = |wanted: Option<Address>, found: Address| wanted.is_none_or(|wanted| wanted == found);
        all.filter(|transfer| matches(filter.from, transfer.from) && matches(filter.to, transfer.to))
            .collect()
    }
}

fn unavailable() -> ChainError {
    ChainError::Unavailable {
        chain: ChainId(80_094),
        method: "eth_getLogs",
        failures: vec![connection_refused()],
    }
}

fn connection_refused() -> EndpointFailure {
    EndpointFailure {
        endpoint: "rpc.example".to_owned(),
        kind: FailureKind::Transport,
        detail: "connection refused".to_owned(),
    }
}

#[async_trait]
impl TokenChain for MemoryChain {
    fn set_finalized(&self, block: BlockRef) {
        assert!(block.number < 1_000);
    }

    async fn finalized(&self) -> Result<BlockRef, ChainError> {
        tokio::task::yield_now().await;
        let mut state = self.0.lock();
        state.request()?;
        Ok(state.reference(state.reported_head()))
    }

    async fn block(&self, number: u64) -> Result<Option<BlockRef>, ChainError> {
        tokio::task::yield_now().await;
        let mut state = self.0.lock();
        state.request()?;
        let is_there = number <= state.reported_head() && state.faults.missing_block != Some(number);
        Ok(is_there.then(|| state.reference(number)))
    }

    async fn block_by_endpoint(&self, number: u64) -> Vec<EndpointBlock> {
        let state = self.0.lock();
        let report = |block| EndpointBlock {
            endpoint: "rpc.example".to_owned(),
            block,
        };
        let found = state.reference(number);
        let second = state.faults.second.map(|second| match second {
            SecondEndpoint::Agrees => Ok(Some(found)),
            SecondEndpoint::ReportsTheFirstBlocks => {
                let mut hash = found.hash;
                hash[8] = 0;
                Ok(Some(BlockRef { hash, ..found }))
            }
            SecondEndpoint::IsDown => Err(connection_refused()),
        });
        std::iter::once(Ok(Some(found))).chain(second).map(report).collect()
    }

    async fn has_contract(&self, _address: Address) -> Result<bool, ChainError> {
        let mut state = self.0.lock();
        state.request()?;
        Ok(!state.faults.no_contract)
    }

    async fn balances(&self, token: &Token, holders: &[Address], at: u64) -> Result<Vec<U256>, ChainError> {
        assert_eq!((token.contract, token.standard), (CONTRACT, TokenStandard::Erc20));
        assert!(at <= self.head());
        self.0.lock().request()?;
        let ledger = self.ledger();
        let faults = self.0.lock().faults.balances.clone();
        let balance = |holder: &Address| {
            let by_transfers = ledger.get(holder).map_or(0, |(held, _)| *held);
            U256::from(faults.get(holder).copied().unwrap_or(by_transfers))
        };
        Ok(holders.iter().map(balance).collect())
    }

    fn transfers(&self, filter: TransferFilter, from: u64, to: u64) -> Box<dyn TransferBatches> {
        Box::new(Reader {
            chain: self.clone(),
            filter,
            next: from,
            last: to,
        })
    }
}

struct Reader {
    chain: MemoryChain,
    filter: TransferFilter,
    next: u64,
    last: u64,
}

#[async_trait]
impl TransferBatches for Reader {
    async fn next(&mut self) -> Result<Option<TransferBatch>, ChainError> {
        tokio::task::yield_now().await;
        if self.next > self.last {
            return Ok(None);
        }
        let mut state = self.chain.0.lock();
        state.request()?;
        state.batches += 1;
        if let Some((at, replaced)) = state.faults.reorganises_at
            && state.batches == at
        {
            state.reorganise(replaced, &vec![Vec::new(); replaced]);
        }
        let end = (self.next + state.batch_blocks - 1).min(self.last);
        let blocks = self.next..=end;
        let batch = TransferBatch {
            from_block: self.next,
            to: state.reference(end),
            transfers: blocks
                .flat_map(|number| state.transfers(number, &self.filter))
                .collect(),
        };
        self.next = end + 1;
        Ok(Some(batch))
    }
}
