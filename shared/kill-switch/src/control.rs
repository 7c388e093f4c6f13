//! Turns the kill switch on and off, and reads its state everywhere.
//!
//! Turning it on: the steps run at the same time, each within its own limit, so that a place that hangs delays no other one. Turning it off: the
//! second factor is checked and the entry stored in one transaction of PostgreSQL, and only then the places receive it.

use std::sync::Arc;
use std::time::Duration;

use arrakis_cache::Cache;
use arrakis_db::mfa::{self, MfaOutcome};
use arrakis_db::{Actor, Database, DbError, KillSwitchStep, NewAuditEntry, StepState, StoredStep, UserId};
use arrakis_security::kill_switch::{EndKey, KillSwitch, KillSwitchScope, KillSwitchState, RevokeSigning};
use arrakis_security::mfa::{ProtectedOperation, SecretCipher};
use futures_util::FutureExt as _;
use futures_util::future::{BoxFuture, join_all};
use serde_json::json;
use time::OffsetDateTime;

use crate::proxies::{ProxySwitches, ReplicaState};
use crate::report::{Clock, Report, Step, StepDone, StepOutcome};
use crate::settings::KillSwitchSettings;
use crate::webhook::{Notice, Webhook};

/// How long the present version is read: a place that hangs delays the kill switch no longer.
const VERSION_LIMIT: Duration = Duration::from_millis(700);
/// Time limit of each step. With [`VERSION_LIMIT`] it is within the five seconds in which the kill switch takes effect.
const STEP_LIMIT: Duration = Duration::from_secs(4);
/// Time limit of storing which steps are done: a worker repeats them otherwise.
const MARK_LIMIT: Duration = Duration::from_secs(1);
/// Name of the step that ends the sessions.
const SESSIONS: &str = "sessions";
/// Name of the step that revokes or restores the permissions to sign.
const SIGNING: &str = "permissions to sign";
/// Why no permission to sign is revoked.
pub(crate) const NO_SIGNING: &str = "VAULT_SIGNING_POLICIES is not set";
/// Subject of audit entries about the kill switch of the platform.
const SUBJECT: &str = "platform";

/// The kill switch, as a service or a command uses it.
#[derive(Debug)]
pub struct KillSwitchControl {
    pub(crate) database: Option<Database>,
    pub(crate) cache: Cache,
    pub(crate) proxies: Option<ProxySwitches>,
    pub(crate) signing: Option<Arc<dyn RevokeSigning>>,
    pub(crate) webhook: Option<Webhook>,
    operators: Vec<u64>,
    /// Proves an end in PostgreSQL, and checks the proofs.
    pub(crate) key: Option<EndKey>,
}

/// A request to turn the kill switch off.
#[derive(Debug, Clone, Copy)]
pub struct TurnOff<'a> {
    /// The Discord user who turns it off.
    pub user: UserId,
    /// A code of the user's second factor.
    pub code: &'a str,
    /// Why.
    pub reason: &'a str,
}

/// Why the kill switch was not turned off.
#[derive(Debug, thiserror::Error)]
pub enum TurnOffError {
    /// The user is not one of `KILL_SWITCH_OPERATORS`.
    #[error("the user {0} may not turn the kill switch off: KILL_SWITCH_OPERATORS does not contain the id")]
    NotPermitted(UserId),
    /// Codes cannot be checked.
    #[error("MFA_ENCRYPTION_KEY is not set: no code can be checked, so the kill switch stays on")]
    NoSecondFactors,
    /// The end cannot be proven.
    #[error("KILL_SWITCH_CREDENTIAL is not set: without it no end counts, so the kill switch stays on")]
    NoCredential,
    /// Another command turned it on at the same time.
    #[error("the kill switch was turned on again meanwhile, by {by} ({reason}): it stays on")]
    TurnedOnAgain {
        /// Who turned it on.
        by: String,
        /// Why.
        reason: String,
    },
    /// The code was not accepted.
    #[error("{}", describe(.0))]
    Refused(MfaOutcome),
    /// `PostgreSQL` is unavailable.
    #[error("PostgreSQL is unavailable, so no code can be checked, and the kill switch stays on")]
    NoDatabase,
    /// `PostgreSQL` failed.
    #[error("the kill switch stays on: {0}")]
    Database(#[from] DbError),
}

fn describe(outcome: &MfaOutcome) -> String {
    match outcome {
        MfaOutcome::Accepted => "the code was accepted".to_owned(),
        MfaOutcome::NotEnrolled => "the user has no second factor; the kill switch stays on".to_owned(),
        MfaOutcome::Wrong { attempts_left } => {
            format!("the code is wrong ({attempts_left} attempts are left); the kill switch stays on")
        }
        MfaOutcome::Replayed => "the code was used before; wait for the next one; the kill switch stays on".to_owned(),
        MfaOutcome::Throttled { until } => {
            format!("too many codes were wrong: none is checked before {until}; the kill switch stays on")
        }
    }
}

/// The state at every place, or why a place has none.
#[derive(Debug)]
pub struct KillSwitchStatus {
    /// In `PostgreSQL`.
    pub database: Result<KillSwitchState, String>,
    /// In Redis.
    pub redis: Result<KillSwitchState, String>,
    /// At each replica of the discord-proxy.
    pub replicas: Vec<ReplicaState>,
    /// What follows from the kill switch or its end and has not succeeded. The workers repeat it.
    pub pending: Vec<&'static str>,
}

impl KillSwitchStatus {
    /// Whether the kill switch of the platform is on: the entry with the highest version counts.
    #[must_use]
    pub fn is_on(&self) -> bool {
        let mut merged = KillSwitchState::default();
        let states = self.replicas.iter().map(|replica| &replica.state);
        let states = states.chain([&self.database, &self.redis]).flatten();
        for switch in states.filter_map(|state| state.get(KillSwitchScope::Platform)) {
            merged.apply(switch.clone());
        }
        merged.is_on(KillSwitchScope::Platform)
    }

    /// Whether every replica responds and agrees.
    #[must_use]
    pub fn is_consistent(&self) -> bool {
        let is_on = self.is_on();
        let agrees = |replica: &ReplicaState| {
            let state = replica.state.as_ref();
            state.is_ok_and(|state| state.is_on(KillSwitchScope::Platform) == is_on)
        };
        self.replicas.iter().all(agrees)
    }
}

impl KillSwitchControl {
    /// The kill switch with these settings and clients. Without a database it can be turned on and not off.
    ///
    /// # Errors
    /// An HTTP client cannot be built.
    pub fn new(
        settings: &KillSwitchSettings,
        database: Option<Database>,
        cache: Cache,
        signing: Option<Arc<dyn RevokeSigning>>,
    ) -> Result<Self, String> {
        let proxies = settings.proxies.as_ref();
        let proxies = proxies.map(|(addresses, credential)| ProxySwitches::new(addresses, credential));
        let webhook = settings.webhook.as_ref().map(Webhook::new);
        // The text of the error may contain the URL, which is a secret.
        let failed = |_| "the HTTP client cannot be built".to_owned();
        Ok(Self {
            database,
            cache,
            proxies: proxies.transpose().map_err(failed)?,
            signing,
            webhook: webhook.transpose().map_err(failed)?,
            operators: settings.operators.clone(),
            key: settings.end_key(),
        })
    }

    /// Turns the kill switch on everywhere. The report states what failed; a worker repeats that until it succeeds.
    pub async fn turn_on(&self, actor: Actor, reason: &str) -> Report {
        let clock = Clock::start();
        let by = name_of(&actor);
        let present = self.present_version().await;
        let switch = KillSwitch::changed(KillSwitchScope::Platform, true, present, &by, reason);
        tracing::warn!(by, reason, version = switch.version, "the kill switch is turned on");
        let steps: Vec<BoxFuture<'_, Vec<Step>>> = vec![
            self.write_proxies(clock, &switch).boxed(),
            clock
                .run("Redis", STEP_LIMIT, self.write_redis(&switch))
                .map(|step| vec![step])
                .boxed(),
            clock
                .run("PostgreSQL and audit log", STEP_LIMIT, self.store(&switch, actor))
                .map(|step| vec![step])
                .boxed(),
            clock
                .run(SESSIONS, STEP_LIMIT, self.revoke_sessions())
                .map(|step| vec![step])
                .boxed(),
            clock
                .run(SIGNING, STEP_LIMIT, self.revoke_signing())
                .map(|step| vec![step])
                .boxed(),
        ];
        let mut report = Report {
            version: switch.version,
            steps: join_all(steps).await.into_iter().flatten().collect(),
        };
        report.steps.sort_by_key(|step| step.ended_ms);
        self.mark_done(&report, StepState::Revoked).await;
        let notice = Notice {
            title: "Arrakis: the kill switch is on",
            is_alarm: true,
            by: &by,
            reason,
        };
        self.notify(clock, notice, &mut report).await;
        report
    }

    /// Turns the kill switch off, with a code of the second factor of someone who may.
    ///
    /// # Errors
    /// Why it stays on.
    pub async fn turn_off(&self, cipher: Option<&SecretCipher>, request: TurnOff<'_>) -> Result<Report, TurnOffError> {
        let clock = Clock::start();
        let database = self.database.as_ref().ok_or(TurnOffError::NoDatabase)?;
        let cipher = cipher.ok_or(TurnOffError::NoSecondFactors)?;
        let key = self.key.as_ref().ok_or(TurnOffError::NoCredential)?;
        let (present, stored) = tokio::join!(self.present_version(), self.read_database(STEP_LIMIT));
        // A database that responds slowly has the version, too.
        let stored = stored.map_or(0, |state| state.version(KillSwitchScope::Platform));
        let present = present.max(stored);
        let switch = Box::pin(self.store_end(database, (cipher, key), present, request)).await?;
        tracing::warn!(
            by = switch.by,
            reason = switch.reason,
            version = switch.version,
            "the kill switch is turned off"
        );
        let mut steps = vec![clock.step("PostgreSQL and audit log", StepDone::done("stored"))];
        let rest: Vec<BoxFuture<'_, Vec<Step>>> = vec![
            self.write_proxies(clock, &switch).boxed(),
            clock
                .run("Redis", STEP_LIMIT, self.write_redis(&switch))
                .map(|step| vec![step])
                .boxed(),
            clock
                .run(SIGNING, STEP_LIMIT, self.restore_signing())
                .map(|step| vec![step])
                .boxed(),
        ];
        steps.extend(join_all(rest).await.into_iter().flatten());
        let mut report = Report {
            version: switch.version,
            steps,
        };
        self.mark_done(&report, StepState::Restored).await;
        let notice = Notice {
            title: "Arrakis: the kill switch is off",
            is_alarm: false,
            by: &switch.by,
            reason: request.reason,
        };
        self.notify(clock, notice, &mut report).await;
        Ok(report)
    }

    /// Stores which steps of the report are done. The workers repeat the others.
    async fn mark_done(&self, report: &Report, state: StepState) {
        for (name, step) in [(SESSIONS, KillSwitchStep::Sessions), (SIGNING, KillSwitchStep::Signing)] {
            let mut steps = report.steps.iter();
            if steps.any(|done| done.name == name && done.outcome == StepOutcome::Done) {
                self.mark(step, report.version, state, MARK_LIMIT).await;
            }
        }
    }

    /// Stores how far a step is. A failure is logged: the step is repeated then.
    pub(crate) async fn mark(&self, step: KillSwitchStep, version: u64, state: StepState, limit: Duration) {
        let Some(database) = &self.database else { return };
        let mark = async {
            let mut tx = database.global().await?;
            tx.kill_switches().set_step(step, version, state).await?;
            tx.commit().await
        };
        match tokio::time::timeout(limit, mark).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => tracing::warn!(?step, %error, "a step that is done cannot be stored; it is repeated"),
            Err(_) => tracing::warn!(?step, "a step that is done cannot be stored in time; it is repeated"),
        }
    }

    /// The steps in PostgreSQL.
    pub(crate) async fn read_steps(&self, limit: Duration) -> Result<Vec<StoredStep>, String> {
        let Some(database) = &self.database else {
            return Err("PostgreSQL is unavailable".to_owned());
        };
        let read = async {
            let mut tx = database.global().await?;
            let steps = tx.kill_switches().steps().await?;
            tx.commit().await?;
            Ok::<_, DbError>(steps)
        };
        match tokio::time::timeout(limit, read).await {
            Ok(read) => read.map_err(|error| error.to_string()),
            Err(_) => Err(format!("no response within {} ms", limit.as_millis())),
        }
    }

    /// Which steps have not succeeded, while the kill switch is on or after its end.
    fn pending(&self, steps: &[StoredStep], is_on: bool) -> Vec<&'static str> {
        let is_pending = |step: &&StoredStep| match (step.step, is_on) {
            (KillSwitchStep::Sessions, is_on) => is_on && step.state == StepState::Pending,
            (KillSwitchStep::Signing, _) if self.signing.is_none() => false,
            (KillSwitchStep::Signing, true) => step.state != StepState::Revoked,
            (KillSwitchStep::Signing, false) => step.state != StepState::Restored,
        };
        let pending = steps.iter().filter(is_pending);
        pending.map(|step| pending_text(step.step, is_on)).collect()
    }

    /// Checks the code and stores the entry, in one transaction.
    async fn store_end(
        &self,
        database: &Database,
        (cipher, key): (&SecretCipher, &EndKey),
        present: u64,
        request: TurnOff<'_>,
    ) -> Result<KillSwitch, TurnOffError> {
        let TurnOff { user, code, reason } = request;
        let mut tx = database.global().await?;
        if !self.operators.contains(&user.get()) {
            tx.audit(&entry(Actor::Member(user), "kill_switch.off_refused", Some(reason)))
                .await?;
            tx.commit().await?;
            return Err(TurnOffError::NotPermitted(user));
        }
        let stored = tx.kill_switches().list(Some(key)).await?;
        if let Some(newer) = stored
            .get(KillSwitchScope::Platform)
            .filter(|entry| entry.version > present)
        {
            return Err(TurnOffError::TurnedOnAgain {
                by: newer.by.clone(),
                reason: newer.reason.clone(),
            });
        }
        let operation = ProtectedOperation::KillSwitchOff;
        let outcome = mfa::verify(&mut tx, cipher, user, code, operation, OffsetDateTime::now_utc()).await?;
        if outcome != MfaOutcome::Accepted {
            // A failure that is rolled back would not be counted.
            tx.commit().await?;
            return Err(TurnOffError::Refused(outcome));
        }
        // One more than what was on when the request began: a kill switch that is turned on meanwhile has a higher version, and stays on.
        let switch = KillSwitch::ended(KillSwitchScope::Platform, present, &user.to_string(), reason);
        tx.kill_switches().append(&switch, Some(key)).await?;
        tx.audit(&entry(Actor::Member(user), "kill_switch.off", Some(reason)))
            .await?;
        tx.commit().await?;
        Ok(switch)
    }

    /// The state everywhere.
    pub async fn status(&self) -> KillSwitchStatus {
        let limit = STEP_LIMIT;
        let (database, steps, redis, unreadable, replicas) = tokio::join!(
            self.read_database(limit),
            self.read_steps(limit),
            self.read_redis(limit),
            tokio::time::timeout(limit, self.cache.unreadable_kill_switches()),
            self.read_proxies(limit)
        );
        let redis = match unreadable {
            Ok(Ok(scopes)) if !scopes.is_empty() => Err(format!(
                "the entries of {} cannot be read, or their versions are far in the future",
                scopes.join(", ")
            )),
            _ => redis,
        };
        let mut status = KillSwitchStatus {
            database,
            redis,
            replicas,
            pending: Vec::new(),
        };
        status.pending = self.pending(&steps.unwrap_or_default(), status.is_on());
        status
    }

    /// The highest version of the platform's entry at the places that respond soon.
    async fn present_version(&self) -> u64 {
        let (database, redis, replicas) = tokio::join!(
            self.read_database(VERSION_LIMIT),
            self.read_redis(VERSION_LIMIT),
            self.read_proxies(VERSION_LIMIT)
        );
        let states = replicas.into_iter().map(|replica| replica.state);
        let versions = states
            .chain([database, redis])
            .flatten()
            .map(|state| state.version(KillSwitchScope::Platform));
        versions.max().unwrap_or(0)
    }

    pub(crate) async fn read_database(&self, limit: Duration) -> Result<KillSwitchState, String> {
        let Some(database) = &self.database else {
            return Err("PostgreSQL is unavailable".to_owned());
        };
        let read = async {
            let mut tx = database.global().await?;
            let state = tx.kill_switches().list(self.key.as_ref()).await?;
            tx.commit().await?;
            Ok::<_, DbError>(state)
        };
        match tokio::time::timeout(limit, read).await {
            Ok(read) => read.map_err(|error| error.to_string()),
            Err(_) => Err(format!("no response within {} ms", limit.as_millis())),
        }
    }

    pub(crate) async fn read_redis(&self, limit: Duration) -> Result<KillSwitchState, String> {
        match tokio::time::timeout(limit, self.cache.kill_switches()).await {
            Ok(read) => read.map_err(|error| error.to_string()),
            Err(_) => Err(format!("no response within {} ms", limit.as_millis())),
        }
    }

    pub(crate) async fn read_proxies(&self, limit: Duration) -> Vec<ReplicaState> {
        match &self.proxies {
            Some(proxies) => proxies.read(limit).await,
            None => Vec::new(),
        }
    }

    /// Writes an entry at every replica, one step each.
    pub(crate) async fn write_proxies(&self, clock: Clock, switch: &KillSwitch) -> Vec<Step> {
        let Some(proxies) = &self.proxies else {
            let detail = "KILL_SWITCH_CREDENTIAL is not set; the replicas read Redis";
            return vec![clock.step("discord-proxy", StepDone::skipped(detail))];
        };
        let entries = KillSwitchState::from(vec![switch.clone()]);
        let addresses = self.replica_addresses();
        let mut writes = Vec::new();
        for address in &addresses {
            let entries = &entries;
            writes.push(async move {
                let replica = proxies.write_at(address, entries).await;
                clock.step(format!("discord-proxy {address}"), written(&replica, switch))
            });
        }
        join_all(writes).await
    }

    pub(crate) fn replica_addresses(&self) -> Vec<String> {
        let proxies = self.proxies.as_ref();
        proxies.map_or_else(Vec::new, |proxies| proxies.addresses().to_vec())
    }

    pub(crate) async fn write_redis(&self, switch: &KillSwitch) -> Result<StepDone, String> {
        let failed = |error: arrakis_cache::CacheUnavailable| error.to_string();
        let stored = self
            .cache
            .put_kill_switches(std::iter::once(switch))
            .await
            .map_err(failed)?;
        if stored > 0 {
            return StepDone::done("stored");
        }
        // A worker may have stored it, or Redis has a newer entry.
        let present = self.cache.kill_switches().await.map_err(failed)?;
        match present.is_on(switch.scope) == switch.is_on {
            true => StepDone::done("stored by a worker"),
            false => Err(format!(
                "Redis has another entry, of version {}; run the command again",
                present.version(switch.scope)
            )),
        }
    }

    async fn store(&self, switch: &KillSwitch, actor: Actor) -> Result<StepDone, String> {
        let Some(database) = &self.database else {
            return Err("PostgreSQL is unavailable; a worker stores the entry later".to_owned());
        };
        let store = async {
            let mut tx = database.global().await?;
            tx.kill_switches().append(switch, None).await?;
            tx.audit(&entry(actor, "kill_switch.on", Some(&switch.reason))).await?;
            tx.commit().await
        };
        match store.await {
            Ok(()) => StepDone::done("stored"),
            Err(error) => Err(error.to_string()),
        }
    }

    /// When the end with this version was stored in PostgreSQL; `None` without it.
    pub(crate) async fn ended_at(&self, version: u64, limit: Duration) -> Option<OffsetDateTime> {
        let (database, key) = (self.database.as_ref()?, self.key.as_ref()?);
        let read = async {
            let mut tx = database.global().await?;
            let at = tx.kill_switches().ended_at(version, key).await?;
            tx.commit().await?;
            Ok::<_, DbError>(at)
        };
        tokio::time::timeout(limit, read).await.ok()?.ok()?
    }

    /// The key that checks whether an end in PostgreSQL counts; `None` without `KILL_SWITCH_CREDENTIAL`.
    #[must_use]
    pub fn end_key(&self) -> Option<&EndKey> {
        self.key.as_ref()
    }

    /// Stores an entry that another place has, with an audit entry of the platform.
    pub(crate) async fn store_found(&self, switch: &KillSwitch) -> Result<(), String> {
        let Some(database) = &self.database else {
            return Err("PostgreSQL is unavailable".to_owned());
        };
        let store = async {
            let mut tx = database.global().await?;
            // Another worker may have stored it meanwhile.
            if tx.kill_switches().append(switch, self.key.as_ref()).await? {
                let action = if switch.is_on {
                    "kill_switch.on"
                } else {
                    "kill_switch.off"
                };
                let mut found = entry(Actor::System("kill-switch".to_owned()), action, Some(&switch.reason));
                found.detail = json!({"by": switch.by, "version": switch.version});
                tx.audit(&found).await?;
            }
            tx.commit().await
        };
        store.await.map_err(|error: DbError| error.to_string())
    }

    pub(crate) async fn revoke_sessions(&self) -> Result<StepDone, String> {
        match self.cache.revoke_all_sessions().await {
            Ok(keys) => StepDone::done(format!("{keys} keys deleted")),
            Err(error) => Err(error.to_string()),
        }
    }

    pub(crate) async fn revoke_signing(&self) -> Result<StepDone, String> {
        let Some(signing) = &self.signing else {
            return StepDone::skipped(NO_SIGNING);
        };
        match signing.revoke_all().await {
            Ok(revoked) => StepDone::done(format!(
                "{} policies and {} accessors of tokens revoked",
                revoked.policies.len(),
                revoked.accessors
            )),
            Err(error) => Err(error.to_string()),
        }
    }

    pub(crate) async fn restore_signing(&self) -> Result<StepDone, String> {
        let Some(signing) = &self.signing else {
            return StepDone::skipped(NO_SIGNING);
        };
        match signing.restore().await {
            Ok(()) => StepDone::done("restored"),
            Err(error) => Err(error.to_string()),
        }
    }

    pub(crate) async fn notify(&self, clock: Clock, notice: Notice<'_>, report: &mut Report) {
        let sent = match &self.webhook {
            Some(webhook) => match webhook.send(notice, report).await {
                Ok(()) => StepDone::done("sent"),
                Err(error) => Err(error),
            },
            None => StepDone::skipped("NOTIFY_WEBHOOK_URL is not set"),
        };
        report.steps.push(clock.step("notice to operators", sent));
    }
}

/// What a step has not done yet.
pub(crate) fn pending_text(step: KillSwitchStep, is_on: bool) -> &'static str {
    match (step, is_on) {
        (KillSwitchStep::Sessions, _) => "the sessions have not ended",
        (KillSwitchStep::Signing, true) => "the permissions to sign are not revoked",
        (KillSwitchStep::Signing, false) => "the permissions to sign are not restored",
    }
}

/// Whether a replica has the entry after it was written.
pub(crate) fn written(replica: &ReplicaState, switch: &KillSwitch) -> Result<StepDone, String> {
    let state = replica.state.as_ref().map_err(Clone::clone)?;
    if state.is_on(switch.scope) != switch.is_on {
        return Err(format!(
            "the replica has a newer entry, of version {}; run the command again",
            state.version(switch.scope)
        ));
    }
    match replica.is_stored {
        true => StepDone::done(if switch.is_on { "on" } else { "off" }),
        false => Err("in effect, but KILL_SWITCH_FILE cannot be written: a restart may lose it".to_owned()),
    }
}

fn name_of(actor: &Actor) -> String {
    match actor {
        Actor::Member(user) => user.to_string(),
        Actor::Operator(name) | Actor::System(name) => name.clone(),
    }
}

pub(crate) fn entry<'a>(actor: Actor, action: &'a str, reason: Option<&'a str>) -> NewAuditEntry<'a> {
    NewAuditEntry {
        actor,
        action,
        subject: SUBJECT,
        reason,
        detail: json!({}),
    }
}
