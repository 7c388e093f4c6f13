//! A verification service on a database of its own, keys, and a chain whose contracts answer as the test decides.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use alloy::primitives::eip191_hash_message;
use arrakis_chain::{CallResult, ChainError, ChainId};
use arrakis_config::Secret;
use arrakis_db::registry::{Account as RegistryAccount, Cause, EventSource, Suspension};
use arrakis_db::{Admin, CommunityId, Database, DatabaseOptions, DbError, NewJob, UserId};
use arrakis_domain::Address;
use arrakis_test_support::TestDatabase;
use arrakis_verification::{
    Account, AccountNetwork, Interaction, MoveRequest, NewSession, Progress, ProvenWallet, RecordVerification,
    Recorded, SessionTx, Started, Submission, Verification, VerificationError,
};
use arrakis_wallet::ContractCalls;
use async_trait::async_trait;
use k256::ecdsa::SigningKey;
use serde_json::json;
use sqlx::{AssertSqlSafe, Connection as _, PgConnection};
use time::OffsetDateTime;
use url::Url;
use uuid::Uuid;

pub(crate) const CHAIN: u64 = 80094;

pub(crate) fn now() -> OffsetDateTime {
    OffsetDateTime::now_utc()
}

pub(crate) fn discord(id: u64) -> Account {
    Account {
        network: AccountNetwork::Discord,
        id,
    }
}

/// A wallet with a key.
pub(crate) fn key(number: u8) -> SigningKey {
    SigningKey::from_slice(&[number; 32]).unwrap()
}

pub(crate) fn address_of(key: &SigningKey) -> Address {
    Address::from_bytes(alloy::primitives::Address::from_public_key(key.verifying_key()).0.0)
}

/// A `personal_sign` signature in hexadecimal.
pub(crate) fn sign(key: &SigningKey, text: &str) -> String {
    let (signature, recovery) = key
        .sign_prehash_recoverable(eip191_hash_message(text).as_slice())
        .unwrap();
    format!("0x{}{:02x}", hex::encode(signature.to_bytes()), 27 + recovery.to_byte())
}

/// A chain on which the call of a contract returns what the test has set for its address.
#[derive(Default)]
pub(crate) struct TestChain {
    pub(crate) contracts: Mutex<HashMap<Address, CallResult>>,
    pub(crate) down: Mutex<bool>,
}

/// What a contract returns that accepts a signature.
pub(crate) fn accepting() -> CallResult {
    let mut word = vec![0x16, 0x26, 0xba, 0x7e];
    word.resize(32, 0);
    CallResult::Returned(word)
}

#[async_trait]
impl ContractCalls for TestChain {
    async fn call(&self, to: Option<Address>, _: Vec<u8>) -> Result<CallResult, ChainError> {
        if *self.down.lock().unwrap() {
            return Err(ChainError::Unavailable {
                chain: ChainId(CHAIN),
                method: "eth_call",
                failures: Vec::new(),
            });
        }
        let contracts = self.contracts.lock().unwrap();
        let returned = to.and_then(|to| contracts.get(&to).cloned());
        Ok(returned.unwrap_or(CallResult::Returned(Vec::new())))
    }
}

/// Records wallets in memory and enqueues the jobs in the transaction, as the registry's implementation does.
#[derive(Default)]
pub(crate) struct TestRecord {
    pub(crate) holders: Mutex<HashMap<Address, Account>>,
    pub(crate) requested: Mutex<Vec<MoveRequest>>,
    /// The next write fails once it is done.
    pub(crate) fails: Mutex<bool>,
}

impl TestRecord {
    async fn enqueue(&self, tx: &mut SessionTx, session: Uuid, step: &str) -> Result<(), DbError> {
        let id = format!("verification:{session}:{step}");
        let job = NewJob {
            id: &id,
            kind: "verification",
            payload: json!({"session": session, "step": step}),
            due_at: now(),
        };
        match tx {
            SessionTx::Community(tx) => tx.jobs().enqueue(&job).await?,
            SessionTx::Platform(tx) => tx.jobs().enqueue(&job).await?,
        };
        if std::mem::take(&mut *self.fails.lock().unwrap()) {
            return Err(DbError::Schema("the test's failure".to_owned()));
        }
        Ok(())
    }
}

#[async_trait]
impl RecordVerification for TestRecord {
    async fn record(&self, tx: &mut SessionTx, wallet: &ProvenWallet) -> Result<Recorded, VerificationError> {
        let held = self.holders.lock().unwrap().get(&wallet.address).copied();
        if let Some(holder) = held.filter(|holder| *holder != wallet.account) {
            return Ok(Recorded::HeldBy(holder));
        }
        self.enqueue(tx, wallet.session, "record").await?;
        self.holders.lock().unwrap().insert(wallet.address, wallet.account);
        Ok(Recorded::Written)
    }

    async fn record_move(
        &self,
        tx: &mut SessionTx,
        wallet: &ProvenWallet,
        from: Account,
    ) -> Result<Recorded, VerificationError> {
        let held = self.holders.lock().unwrap().get(&wallet.address).copied();
        if held != Some(from) {
            return Ok(Recorded::HeldBy(held.unwrap_or(from)));
        }
        self.enqueue(tx, wallet.session, "record").await?;
        self.holders.lock().unwrap().insert(wallet.address, wallet.account);
        Ok(Recorded::Written)
    }

    async fn request_consent(&self, tx: &mut SessionTx, request: &MoveRequest) -> Result<(), VerificationError> {
        self.requested.lock().unwrap().push(request.clone());
        Ok(self.enqueue(tx, request.session, "consent").await?)
    }
}

pub(crate) struct TestService {
    pub(crate) verification: Verification,
    pub(crate) chain: Arc<TestChain>,
    pub(crate) record: Arc<TestRecord>,
    pub(crate) community: CommunityId,
    pub(crate) database: Database,
    test: TestDatabase,
}

impl TestService {
    pub(crate) async fn start(base: &str) -> Self {
        let test = TestDatabase::create().await;
        let database = test.database().await;
        let community = onboard(&test).await;
        let chain = Arc::new(TestChain::default());
        let record = Arc::new(TestRecord::default());
        let calls: Arc<dyn ContractCalls> = chain.clone();
        let verification = Verification::with_chains(
            database.clone(),
            move |chain_id| (chain_id == CHAIN).then(|| calls.clone()),
            &Url::parse(base).unwrap(),
            record.clone(),
        );
        Self {
            verification: verification.unwrap(),
            chain,
            record,
            community,
            database,
            test,
        }
    }

    /// Suspends the identity of a Discord user, which is created if there is none.
    pub(crate) async fn suspend(&self, user: u64, until: Option<OffsetDateTime>) {
        let url = Secret::new(self.test.admin_url());
        let admin = Admin::connect(&url, DatabaseOptions::default()).await.unwrap();
        let mut tx = admin.database().global().await.unwrap();
        let mut registry = tx.registry();
        let by = Cause {
            source: EventSource::Admin,
            at: now(),
        };
        let account = RegistryAccount::Discord(UserId::new(user).unwrap());
        let identity = match registry.by_account(account).await.unwrap() {
            Some(record) => record.identity.id,
            None => registry.create(account, "Chani", by).await.unwrap().id,
        };
        let suspension = Suspension {
            reason: "two accounts",
            by: "stilgar",
            until,
        };
        registry.suspend(identity, &suspension, by).await.unwrap();
        tx.commit().await.unwrap();
    }

    /// Records in the registry instead of in memory.
    pub(crate) fn use_record(&mut self, base: &str, record: Arc<dyn RecordVerification>) {
        let calls: Arc<dyn ContractCalls> = self.chain.clone();
        let chains = move |chain_id| (chain_id == CHAIN).then(|| calls.clone());
        let base = Url::parse(base).unwrap();
        self.verification = Verification::with_chains(self.database.clone(), chains, &base, record).unwrap();
    }

    pub(crate) fn new_session(&self, account: Account, name: &str) -> NewSession {
        let is_discord = account.network == AccountNetwork::Discord;
        NewSession {
            account,
            account_name: name.to_owned(),
            community: is_discord.then_some(self.community),
            interaction: is_discord.then(|| Interaction {
                token: Secret::new("aW50ZXJhY3Rpb24"),
                created_at: now(),
            }),
            chain_id: CHAIN,
        }
    }

    /// Begins a session; returns its id and token.
    pub(crate) async fn begin(&self, account: Account, name: &str) -> (Uuid, String) {
        let started = self
            .verification
            .start(&self.new_session(account, name), now())
            .await
            .unwrap();
        let Started::Session { id, link, .. } = started else {
            panic!("{started:?}");
        };
        (id, link.expose().rsplit('/').next().unwrap().to_owned())
    }

    pub(crate) async fn message(&self, token: &str, address: Address) -> String {
        let message = self
            .verification
            .message(token, &address.to_string(), CHAIN, now())
            .await;
        message.unwrap().message
    }

    /// Signs the session's message with a key and presents it.
    pub(crate) async fn sign_and_submit(&self, token: &str, key: &SigningKey) -> Result<Progress, VerificationError> {
        let address = address_of(key);
        let message = self.message(token, address).await;
        let submission = submission(address, Some(&message), &sign(key, &message));
        self.verification.submit(token, &submission, now()).await
    }

    pub(crate) async fn state(&self, token: &str) -> &'static str {
        self.verification.session(token, now()).await.unwrap().state
    }

    /// Ids of the community's jobs.
    pub(crate) async fn jobs(&self) -> Vec<String> {
        self.rows("select job_id from jobs union all select job_id from platform_jobs order by 1")
            .await
    }

    /// The row of a session as JSON, read with the application's login.
    pub(crate) async fn stored_session(&self, session: Uuid) -> String {
        let mut app = PgConnection::connect(&self.test.app_url()).await.unwrap();
        let key = format!("set app.verification_key = 'session:{session}'");
        sqlx::raw_sql(AssertSqlSafe(key)).execute(&mut app).await.unwrap();
        let sql = "select to_jsonb(s)::text from verification_sessions s";
        sqlx::query_scalar(sql).fetch_one(&mut app).await.unwrap()
    }

    /// As [`TestService::rows`], with the application's login.
    pub(crate) async fn app_rows(&self, sql: &str) -> Vec<String> {
        let mut app = PgConnection::connect(&self.test.app_url()).await.unwrap();
        sqlx::query_scalar(AssertSqlSafe(sql.to_owned()))
            .fetch_all(&mut app)
            .await
            .unwrap()
    }

    pub(crate) async fn rows(&self, sql: &str) -> Vec<String> {
        let mut admin = PgConnection::connect(&self.test.admin_url()).await.unwrap();
        sqlx::query_scalar(AssertSqlSafe(sql.to_owned()))
            .fetch_all(&mut admin)
            .await
            .unwrap()
    }
}

pub(crate) fn submission(address: Address, message: Option<&str>, signature: &str) -> Submission {
    Submission {
        address: address.to_string(),
        message: message.map(str::to_owned),
        signature: signature.to_owned(),
    }
}

/// The code of a refusal.
pub(crate) fn code<T: std::fmt::Debug>(result: Result<T, VerificationError>) -> &'static str {
    result.unwrap_err().shown().code()
}

async fn onboard(test: &TestDatabase) -> CommunityId {
    let community = CommunityId::new();
    let mut admin = PgConnection::connect(&test.admin_url()).await.unwrap();
    let sql = format!(
        "insert into token_profiles (token_profile_id, name, symbol, chain_id, contract, decimals)
         values ('bgt', 'Bera Governance Token', 'BGT', {CHAIN}, '0x656b95e550c07a9ffe548bd4085c72418ceb1dba', 18);
         insert into communities (community_id, guild_id, name, theme, rule_set, plan, token_profile_id)
         values ('{community}', 100, 'Sietch Tabr', 'sietch', 'balance', 'premium', 'bgt')"
    );
    sqlx::raw_sql(AssertSqlSafe(sql)).execute(&mut admin).await.unwrap();
    community
}
