//! The drill: the steps of the kill switch for one test server, with their times.
//!
//! The community of the server is frozen as in an emergency, and the drill sends a real write of the server through each replica until the replica
//! refuses it. Then it ends the freeze, and checks that the write passes again. The write changes nothing: it moves no role.

use std::time::Duration;

use arrakis_cache::{SessionName, Ttl};
use arrakis_config::Secret;
use arrakis_contracts::proxy::{PROXY_ERROR, ProxyError, TENANT};
use arrakis_db::{Actor, CommunityId, Database, DbError, GuildId, NewAuditEntry};
use arrakis_security::kill_switch::{KillSwitch, KillSwitchScope};
use futures_util::FutureExt as _;
use futures_util::future::{BoxFuture, join_all};
use serde_json::json;
use tokio::time::sleep;

use crate::control::{KillSwitchControl, NO_SIGNING, SIGNING, written};
use crate::report::{Clock, Report, Step, StepDone, StepOutcome};
use crate::webhook::Notice;

/// A step that takes effect later than this after the freeze counts as failed.
const LIMIT: Duration = Duration::from_secs(5);
/// Longest wait for one replica, or for PostgreSQL, Redis or the signing service.
const STEP_LIMIT: Duration = Duration::from_secs(15);
/// Pause between two attempts at the write.
const PROBE_PAUSE: Duration = Duration::from_millis(100);
/// Reason of the freeze.
const REASON: &str = "a drill of the kill switch";

/// Why the drill was not begun.
#[derive(Debug, thiserror::Error)]
pub enum DrillError {
    /// `KILL_SWITCH_CREDENTIAL` is not set: the replicas of the discord-proxy cannot be written.
    #[error("KILL_SWITCH_CREDENTIAL is not set")]
    NoCredential,
    /// `PostgreSQL` is unavailable, or the community's row cannot be changed.
    #[error(transparent)]
    Database(#[from] DbError),
    /// There is no connection to `PostgreSQL`.
    #[error("PostgreSQL is unavailable")]
    NoDatabase,
    /// The community is frozen already, by what the text states: the end of the drill would end that freeze.
    #[error("the community is frozen already ({0}): the drill would end that freeze")]
    Frozen(String),
    /// No server belongs to the community, so the proxies could refuse no call of it.
    #[error("the community has no server")]
    NoServer,
    /// The kill switch of the platform is on: every write is refused already, so the drill could not measure when the freeze takes effect.
    #[error("the kill switch of the platform is on")]
    KillSwitchIsOn,
    /// The HTTP client for the write of the drill cannot be built.
    #[error("the HTTP client cannot be built")]
    NoClient(#[source] reqwest::Error),
}

impl KillSwitchControl {
    /// Freezes the community of a test server, checks that each replica refuses a write, and ends the freeze. Needs no second factor. `credential` is
    /// the worker's at the discord-proxy, for the write of the drill. The times of the report are from the freeze. Where the process dies, the freeze
    /// stays until `arrakis-worker unfreeze` ends it.
    ///
    /// # Errors
    /// As the variants of [`DrillError`]: no step was run and nothing is frozen. A step that fails during the drill is no error: the report has it.
    pub async fn drill(
        &self,
        community: CommunityId,
        server: GuildId,
        credential: &Secret,
        by: &str,
    ) -> Result<Report, DrillError> {
        let database = self.database.as_ref().ok_or(DrillError::NoDatabase)?;
        if self.proxies.is_none() {
            return Err(DrillError::NoCredential);
        }
        let probe = Probe::new(server, credential).map_err(DrillError::NoClient)?;
        let name = SessionName::new(community, "drill", "operator");
        // Without Redis the step of the sessions fails, and states the reason.
        let _ = self.cache.begin_session(name, 1, Ttl::seconds(300)).await;
        let clock = Clock::start();
        let switch = self.freeze(database, community, server, by).await?;
        let frozen = clock.step("freeze in PostgreSQL, and audit log", StepDone::done("stored"));
        let mut report = Report::new(switch.version, [frozen]);
        report.add(Box::pin(self.stop(clock, community, &switch, &probe)).await);
        for step in &mut report.steps {
            if step.outcome == StepOutcome::Done && Duration::from_millis(step.ended_ms) > LIMIT {
                step.outcome = StepOutcome::Failed;
                step.detail.push_str("; it took longer than 5 s");
            }
        }
        let notice = Notice {
            title: "Arrakis: a drill of the kill switch",
            is_alarm: false,
            by,
            reason: REASON,
        };
        self.notify(clock, notice, &mut report).await;
        let ended = Box::pin(self.end(clock, database, (community, server), &probe)).await;
        report.add(ended);
        Ok(report)
    }

    /// Freezes the community, unless an emergency did.
    async fn freeze(
        &self,
        database: &Database,
        community: CommunityId,
        server: GuildId,
        by: &str,
    ) -> Result<KillSwitch, DrillError> {
        let mut tx = database.tenant(community).await?;
        tx.communities().lock().await?;
        let record = tx.communities().get().await?;
        if let Some(frozen) = record.and_then(|record| record.frozen) {
            return Err(DrillError::Frozen(frozen.reason));
        }
        if tx
            .kill_switches()
            .list(self.key.as_ref())
            .await?
            .is_on(KillSwitchScope::Platform)
        {
            return Err(DrillError::KillSwitchIsOn);
        }
        tx.communities().set_frozen(Some(REASON)).await?;
        tx.audit(&NewAuditEntry {
            actor: Actor::Operator(by.to_owned()),
            action: "kill_switch.drill",
            subject: &server.to_string(),
            reason: Some(REASON),
            detail: json!({}),
        })
        .await?;
        let switch = tx.kill_switches().list(None).await?.get(scope(server)).cloned();
        // Without an entry no replica could be checked: the freeze is rolled back.
        let switch = switch.ok_or(DrillError::NoServer)?;
        tx.commit().await?;
        Ok(switch)
    }

    /// The steps that stop the server, at the same time.
    async fn stop(&self, clock: Clock, community: CommunityId, switch: &KillSwitch, probe: &Probe) -> Vec<Step> {
        let sessions = async {
            match self.cache.revoke_sessions_of(community).await {
                Ok(0) => Err("the session of the drill was not found".to_owned()),
                Ok(keys) => StepDone::done(format!("{keys} keys deleted")),
                Err(error) => Err(error.to_string()),
            }
        };
        let signing = async {
            let Some(signing) = &self.signing else {
                return StepDone::skipped(NO_SIGNING);
            };
            match signing.drill().await {
                Ok(Some(revoked)) => StepDone::done(format!("tokens of the drill revoked: {}", revoked.accessors)),
                Ok(None) => StepDone::skipped("the signing service has no permission for drills"),
                Err(error) => Err(error.to_string()),
            }
        };
        let steps: Vec<BoxFuture<'_, Vec<Step>>> = vec![
            clock.boxed("Redis", STEP_LIMIT, self.write_redis(switch)),
            clock.boxed("sessions of the community", STEP_LIMIT, sessions),
            clock.boxed(SIGNING, STEP_LIMIT, signing),
            self.set_replicas(clock, switch, probe).boxed(),
        ];
        join_all(steps).await.into_iter().flatten().collect()
    }

    /// Writes the entry at each replica, and sends the write until the replica refuses it, or passes it.
    async fn set_replicas(&self, clock: Clock, switch: &KillSwitch, probe: &Probe) -> Vec<Step> {
        let Some(proxies) = &self.proxies else {
            return Vec::new();
        };
        let addresses = self.replica_addresses();
        let mut steps = Vec::new();
        for address in &addresses {
            steps.push(async move {
                let set = async {
                    let entries = vec![switch.clone()].into();
                    let replica = proxies.write_at(address, &entries).await;
                    written(&replica, switch)?;
                    probe.until(address, switch.is_on).await
                };
                let name = match switch.is_on {
                    true => format!("discord-proxy {address} refuses writes"),
                    false => format!("discord-proxy {address} passes writes again"),
                };
                clock.run(&name, STEP_LIMIT, set).await
            });
        }
        join_all(steps).await
    }

    /// Ends the freeze, whatever failed before.
    async fn end(
        &self,
        clock: Clock,
        database: &Database,
        (community, server): (CommunityId, GuildId),
        probe: &Probe,
    ) -> Vec<Step> {
        let switch = match unfreeze(database, community, server).await {
            Ok(switch) => switch,
            Err(error) => {
                let failed = Err(format!("{error}; `arrakis-worker unfreeze {server}` ends it"));
                return vec![clock.step("end of the freeze", failed)];
            }
        };
        let mut steps = vec![clock.step("end of the freeze", StepDone::done("stored"))];
        steps.extend(self.set_replicas(clock, &switch, probe).await);
        // Redis may only turn a switch on. This entry replaces the one of the drill, for a replica that starts now.
        if let Err(error) = self.cache.put_kill_switches(std::iter::once(&switch)).await {
            tracing::warn!(%error, "Redis still has the freeze of the drill; a worker replaces it");
        }
        steps
    }
}

async fn unfreeze(database: &Database, community: CommunityId, server: GuildId) -> Result<KillSwitch, DrillError> {
    let mut tx = database.tenant(community).await?;
    tx.communities().lock().await?;
    let record = tx.communities().get().await?;
    // An emergency may have begun meanwhile, and its freeze stays.
    if let Some(frozen) = record.and_then(|record| record.frozen)
        && frozen.reason != REASON
    {
        return Err(DrillError::Frozen(frozen.reason));
    }
    tx.communities().set_frozen(None).await?;
    let switch = tx.kill_switches().list(None).await?.get(scope(server)).cloned();
    tx.commit().await?;
    switch.ok_or(DrillError::NoServer)
}

fn scope(server: GuildId) -> KillSwitchScope {
    KillSwitchScope::Community(server.get())
}

/// The write of the drill: new positions of no role.
#[derive(Debug)]
struct Probe {
    client: reqwest::Client,
    server: GuildId,
    credential: Secret,
}

impl Probe {
    fn new(server: GuildId, credential: &Secret) -> Result<Self, reqwest::Error> {
        let client = reqwest::Client::builder().no_proxy().timeout(LIMIT).build()?;
        Ok(Self {
            client,
            server,
            credential: credential.clone(),
        })
    }

    /// Sends the write until the replica refuses it since the community is frozen, or until it does not.
    async fn until(&self, address: &str, refused: bool) -> Result<StepDone, String> {
        loop {
            let is_refused = self.is_refused(address).await?;
            if is_refused == refused {
                return StepDone::done(if refused { "refused" } else { "passed" });
            }
            sleep(PROBE_PAUSE).await;
        }
    }

    async fn is_refused(&self, address: &str) -> Result<bool, String> {
        let request = self
            .client
            .patch(format!("{address}/api/v10/guilds/{}/roles", self.server))
            .bearer_auth(self.credential.expose())
            .header(TENANT, self.server.to_string())
            .json(&json!([]));
        let response = request
            .send()
            .await
            .map_err(|error| arrakis_causes::causes_below(&error).unwrap_or_else(|| "the request failed".to_owned()))?;
        let error = response.headers().get(PROXY_ERROR).and_then(|name| name.to_str().ok());
        match error.and_then(ProxyError::from_name) {
            Some(ProxyError::Frozen) => Ok(true),
            Some(error @ (ProxyError::UnknownCaller | ProxyError::NotAllowed | ProxyError::KillSwitch)) => {
                Err(format!("the replica refuses the write of the drill: {error}"))
            }
            // Whether Discord accepts it does not matter: the replica passed it.
            _ => Ok(false),
        }
    }
}
