//! [`KillSwitchControl`]: reads and writes the kill switch at each place. `turn_on.rs`, `turn_off.rs`, `status.rs` and `drill.rs` are its commands.

use std::sync::Arc;
use std::time::Duration;

use arrakis_cache::Cache;
use arrakis_db::{Actor, Database, DbError, EndProof, KillSwitchStep, NewAuditEntry, StepState, StoredStep};
use arrakis_security::kill_switch::{EndKey, KillSwitch, KillSwitchScope, KillSwitchState, RevokeSigning};
use futures_util::future::join_all;
use serde_json::json;
use time::OffsetDateTime;

use crate::proxies::{ProxySwitches, ReplicaState};
use crate::report::{Clock, Report, Step, StepDone, StepOutcome, within};
use crate::settings::KillSwitchSettings;
use crate::webhook::{Notice, Webhook};

/// Time limit of reading the present version from PostgreSQL, Redis and the replicas. One that hangs delays the kill switch by no more than this.
const VERSION_LIMIT: Duration = Duration::from_millis(700);
/// Time limit of each step. With [`VERSION_LIMIT`] it is within the five seconds in which the kill switch takes effect.
pub(crate) const STEP_LIMIT: Duration = Duration::from_secs(4);
/// Time limit of storing which steps are done: a worker repeats them otherwise.
const MARK_LIMIT: Duration = Duration::from_secs(1);
/// Name of the step that ends the sessions.
pub(crate) const SESSIONS: &str = "sessions";
/// Name of the step that revokes or restores the permissions to sign.
pub(crate) const SIGNING: &str = "permissions to sign";
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
    pub(crate) operators: Vec<u64>,
    /// Proves an end in PostgreSQL, and checks the proofs.
    pub(crate) key: Option<EndKey>,
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

    /// Stores which steps of the report are done. The workers repeat the others.
    pub(crate) async fn mark_done(&self, report: &Report, state: StepState) {
        for (name, step) in [(SESSIONS, KillSwitchStep::Sessions), (SIGNING, KillSwitchStep::Signing)] {
            let mut steps = report.steps.iter();
            if steps.any(|done| done.name == name && done.outcome == StepOutcome::Done) {
                self.mark(step, report.version, state, MARK_LIMIT).await;
            }
        }
    }

    /// Stores in PostgreSQL whether a step is pending or done. A failure is logged, and the workers repeat the step.
    pub(crate) async fn mark(&self, step: KillSwitchStep, version: u64, state: StepState, limit: Duration) {
        let Some(database) = &self.database else { return };
        let mark = async {
            let mut tx = database.global().await?;
            tx.kill_switches()
                .set_step(step, version, state, self.key.as_ref())
                .await?;
            tx.commit().await
        };
        if let Err(error) = within(limit, mark).await {
            tracing::warn!(?step, error, "a step that is done cannot be stored; it is repeated");
        }
    }

    /// The steps in PostgreSQL.
    pub(crate) async fn read_steps(&self, limit: Duration) -> Result<Vec<StoredStep>, String> {
        let Some(database) = &self.database else {
            return Err("PostgreSQL is unavailable".to_owned());
        };
        let read = async {
            let mut tx = database.global().await?;
            let steps = tx.kill_switches().steps(self.key.as_ref()).await?;
            tx.commit().await?;
            Ok::<_, DbError>(steps)
        };
        within(limit, read).await
    }

    /// The newest entry of the platform in PostgreSQL, in Redis and at the replicas, of those that respond within [`VERSION_LIMIT`].
    pub(crate) async fn present(&self) -> Option<KillSwitch> {
        let (database, redis, replicas) = tokio::join!(
            self.read_database(VERSION_LIMIT),
            self.read_redis(VERSION_LIMIT),
            self.read_proxies(VERSION_LIMIT)
        );
        let merged = merged(&database, &redis, &replicas);
        merged.get(KillSwitchScope::Platform).cloned()
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
        within(limit, read).await
    }

    /// Which credential proves the end in PostgreSQL; `None` without PostgreSQL or `KILL_SWITCH_CREDENTIAL`.
    pub(crate) async fn read_end_proof(&self, limit: Duration) -> Option<EndProof> {
        let (database, key) = (self.database.as_ref()?, self.key.as_ref()?);
        let read = async {
            let mut tx = database.global().await?;
            let proof = tx.kill_switches().end_proof(key).await?;
            tx.commit().await?;
            Ok::<_, DbError>(proof)
        };
        within(limit, read).await.ok()
    }

    pub(crate) async fn read_redis(&self, limit: Duration) -> Result<KillSwitchState, String> {
        within(limit, self.cache.kill_switches()).await
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

    /// When the end with this version was stored in PostgreSQL; `None` without it.
    pub(crate) async fn ended_at(&self, version: u64, limit: Duration) -> Option<OffsetDateTime> {
        let (database, key) = (self.database.as_ref()?, self.key.as_ref()?);
        let read = async {
            let mut tx = database.global().await?;
            let at = tx.kill_switches().ended_at(version, key).await?;
            tx.commit().await?;
            Ok::<_, DbError>(at)
        };
        within(limit, read).await.ok()?
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
        report.add([clock.step("notice to operators", sent)]);
    }
}

/// The newest entries of these places. An end in Redis does not count, as at every other place.
pub(crate) fn merged(
    database: &Result<KillSwitchState, String>,
    redis: &Result<KillSwitchState, String>,
    replicas: &[ReplicaState],
) -> KillSwitchState {
    let replicas = replicas.iter().map(|replica| &replica.state);
    let mut merged = KillSwitchState::merged(replicas.chain([database]).flatten());
    for switch in redis.iter().flat_map(KillSwitchState::switches) {
        merged.apply_if_on(switch.clone());
    }
    merged
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

pub(crate) fn entry<'a>(actor: Actor, action: &'a str, reason: Option<&'a str>) -> NewAuditEntry<'a> {
    NewAuditEntry {
        actor,
        action,
        subject: SUBJECT,
        reason,
        detail: json!({}),
    }
}
