//! What a scenario stands on: a platform of its own, load, the clock of recovery, and what was looked at.

use std::any::Any;
use std::collections::BTreeMap;
use std::fmt::Display;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, bail, ensure};
use arrakis_config::Secret;
use arrakis_test_support::{FaultProxy, TestVhost};
use parking_lot::Mutex;
use serde_json::Value;
use tokio::time::Instant;

use super::cast::{Cast, Place};
use super::load::{Load, Members};
use super::run::Lab;
use super::scenario::{Guard, Invariant};
use super::shape::Shape;
use crate::ledger::{self, Deed, Ledger, Rows, Sent, Tally};
use crate::platform::servers::Rabbit;
use crate::platform::{Emulator, Foundation, Platform, Replica};
use crate::seed::{self, Plan};

/// How often a condition is looked at.
const LOOK: Duration = Duration::from_millis(40);
/// How often a probe is sent while recovery is awaited.
const PROBE: Duration = Duration::from_millis(200);
/// How long a condition may take before it is called missed.
const PATIENCE: Duration = Duration::from_secs(30);
/// How long after its bound a recovery is given up where the guard is away.
const UNGUARDED_SPARE: Duration = Duration::from_secs(3);
/// How long the platform may take to work off what it has. The first two retries are 5 and 25 s.
const SETTLE: Duration = Duration::from_secs(45);
/// The same where the guard is away: some will never have its effect, and what waits for a retry counts as queued.
const SETTLE_UNGUARDED: Duration = Duration::from_secs(8);

/// One thing that was looked at.
#[derive(Debug, Clone)]
pub struct Check {
    /// The invariant it speaks for.
    pub invariant: Invariant,
    /// What should hold.
    pub what: String,
    /// What was found instead, if it did not.
    pub found: Option<String>,
}

/// A scenario's stage.
#[derive(Debug)]
pub struct Stage {
    seed: u64,
    guarded: bool,
    guard: Guard,
    lab: Lab,
    foundation: Option<Foundation>,
    platform: Option<Platform>,
    plan: Plan,
    cast: Option<Arc<Mutex<Cast>>>,
    sent: Sent,
    load: Option<Load>,
    checks: Vec<Check>,
    recovery: Option<Duration>,
    tally: Option<Tally>,
    patience: Duration,
    /// How many deeds there were when the platform was last waited for in vain: it is not waited for again.
    given_up: Option<usize>,
    /// Proxies that must stay until the ledger has judged.
    wires: Vec<Arc<FaultProxy>>,
    /// Servers of the scenario's own: they go after the platform, which takes back what it made in them.
    kept: Vec<Box<dyn Any>>,
}

impl Stage {
    pub(super) fn new(lab: Lab, guard: Guard, guarded: bool, seed: u64) -> Self {
        Self {
            seed,
            guarded,
            guard,
            lab,
            foundation: None,
            platform: None,
            plan: Plan::new(seed),
            cast: None,
            sent: Sent::default(),
            load: None,
            checks: Vec::new(),
            recovery: None,
            tally: None,
            patience: if guarded { SETTLE } else { SETTLE_UNGUARDED },
            given_up: None,
            wires: Vec::new(),
            kept: Vec::new(),
        }
    }

    /// How long the platform may take to work off what it has when the scenario ends, where not everything will have its
    /// effect.
    pub fn patience(&mut self, limit: Duration) {
        self.patience = limit;
    }

    /// The run's seed, for whatever is drawn.
    pub fn seed(&self) -> u64 {
        self.seed
    }

    /// Whether what protects against the fault is in place.
    pub fn guarded(&self) -> bool {
        self.guarded
    }

    /// The members and servers that [`Stage::start`] seeds. May be changed before.
    pub fn plan(&mut self) -> &mut Plan {
        &mut self.plan
    }

    /// A broker that nobody else uses, for the platform that starts after this.
    ///
    /// # Errors
    /// When RabbitMQ cannot be started.
    pub async fn private_broker(&mut self) -> anyhow::Result<()> {
        let broker = match self.lab.broker.take() {
            Some(broker) => broker,
            None => Rabbit::start().await?,
        };
        let broker = self.lab.broker.insert(broker);
        let vhost = TestVhost::create_at(&broker.amqp_url(), &broker.management_url()).await;
        self.foundation = Some(Foundation::with_vhost(vhost).await);
        Ok(())
    }

    /// The private broker.
    ///
    /// # Panics
    /// When [`Stage::private_broker`] was not called.
    pub fn broker(&mut self) -> &mut Rabbit {
        match &mut self.lab.broker {
            Some(broker) => broker,
            None => panic!("the scenario has not asked for a private broker"),
        }
    }

    /// The places that the platform will work in, for a scenario that puts some of its own in.
    pub fn build_on(&mut self, foundation: Foundation) {
        self.foundation = Some(foundation);
    }

    /// Keeps a server of the scenario's own for as long as the platform stands on it.
    pub fn keep(&mut self, server: impl Any) {
        self.kept.push(Box::new(server));
    }

    /// Starts a platform of this shape in places of its own, seeds it, and waits until everything is ready.
    ///
    /// # Errors
    /// When a part cannot be started.
    pub async fn start(&mut self, shape: Shape) -> anyhow::Result<()> {
        self.prepare(&shape).await?;
        self.start_services(shape).await
    }

    /// The first half of [`Stage::start`]: emulator and seed, nothing of Arrakis.
    ///
    /// # Errors
    /// When a part cannot be started.
    pub async fn prepare(&mut self, shape: &Shape) -> anyhow::Result<()> {
        let foundation = match self.foundation.take() {
            Some(foundation) => foundation,
            None => Foundation::of_the_environment().await,
        };
        let arguments: Vec<&str> = shape.emulator.iter().map(String::as_str).collect();
        let platform = Platform::prepare_on(foundation, &arguments).await?;
        let admin = Secret::new(platform.database().admin_url());
        seed::write(&platform.discord, &admin, &self.plan).await?;
        self.cast = Some(Arc::new(Mutex::new(Cast::of(&platform.discord, &self.plan).await?)));
        self.platform = Some(platform);
        Ok(())
    }

    /// The second half: proxies, workers, ingestors.
    ///
    /// # Errors
    /// When a part cannot be started.
    pub async fn start_services(&mut self, shape: Shape) -> anyhow::Result<()> {
        let (proxy, worker, ingestor) = (
            self.armed(shape.proxy_env),
            self.armed(shape.worker_env),
            self.armed(shape.ingestor_env),
        );
        let platform = self.platform();
        for _ in 0..shape.proxies {
            platform.spawn_proxy(&proxy)?;
        }
        for _ in 0..shape.workers {
            platform.spawn_worker(&worker)?;
        }
        for _ in 0..shape.ingestors {
            platform.spawn_ingestor(&ingestor)?;
        }
        for replica in platform.replicas() {
            replica.ready().await;
        }
        Ok(())
    }

    /// [`Stage::start`] with a fault proxy between the broker and everything that speaks to it. `query` goes to the end of
    /// `AMQP_URL`, such as `?heartbeat=2`.
    ///
    /// # Errors
    /// When a part cannot be started.
    pub async fn start_behind_proxy(&mut self, shape: Shape, query: &str) -> anyhow::Result<Arc<FaultProxy>> {
        self.prepare(&shape).await?;
        let url = self.platform().vhost().url();
        let proxy = self.proxy_to(&url).await;
        let url = format!("{}{query}", proxy.in_front_of(&url));
        self.start_services(shape.broker_env("AMQP_URL", &url)).await?;
        Ok(proxy)
    }

    /// A fault proxy in front of a server, for as long as the stage stands.
    pub async fn proxy_to(&mut self, url: &str) -> Arc<FaultProxy> {
        let proxy = Arc::new(FaultProxy::start(url).await);
        self.wires.push(proxy.clone());
        proxy
    }

    /// The variables of a process, with the guard's fail points among them where the guard is taken away.
    pub fn armed(&self, mut variables: Vec<(String, String)>) -> Vec<(String, String)> {
        let Guard::FailPoint(points) = self.guard else {
            return variables;
        };
        if self.guarded {
            return variables;
        }
        match variables
            .iter_mut()
            .find(|(name, _)| name == arrakis_fail_point::VARIABLE)
        {
            Some((_, spec)) => *spec = format!("{spec};{points}"),
            None => variables.push((arrakis_fail_point::VARIABLE.to_owned(), points.to_owned())),
        }
        variables
    }

    /// The platform.
    ///
    /// # Panics
    /// Before [`Stage::start`].
    pub fn platform(&mut self) -> &mut Platform {
        match &mut self.platform {
            Some(platform) => platform,
            None => panic!("the scenario has not started a platform"),
        }
    }

    /// The emulator.
    ///
    /// # Panics
    /// Before [`Stage::start`].
    pub fn discord(&mut self) -> Emulator {
        self.platform().discord.clone()
    }

    // ---- load -------------------------------------------------------------------------------------------------------------

    fn members(&mut self) -> anyhow::Result<Members> {
        let cast = self.cast.clone().context("the platform has not been started")?;
        Ok(Members::new(self.discord(), cast, self.sent.clone()))
    }

    /// Begins a load of commands, joins and leaves, this many a second, until the scenario ends or [`Stage::quiet`].
    ///
    /// # Errors
    /// When the platform has not been started.
    pub async fn load(&mut self, rate: u32) -> anyhow::Result<()> {
        self.quiet().await?;
        self.load = Some(self.members()?.begin(rate, self.seed));
        Ok(())
    }

    /// Ends the load.
    ///
    /// # Errors
    /// When the emulator did not take what members did.
    pub async fn quiet(&mut self) -> anyhow::Result<()> {
        match self.load.take() {
            Some(load) => load.end().await,
            None => Ok(()),
        }
    }

    /// This many joins at once.
    ///
    /// # Errors
    /// When the emulator does not take them.
    pub async fn burst(&mut self, joins: usize) -> anyhow::Result<()> {
        self.members()?.burst(joins).await
    }

    /// This many joins of a server that is not onboarded: a flood that costs workers little and is in no ledger.
    ///
    /// # Errors
    /// When the emulator does not take them.
    pub async fn flood(&mut self, joins: u64) -> anyhow::Result<()> {
        let stranger = self.plan.servers.iter().find(|server| server.community.is_none());
        let guild = stranger.context("every server is onboarded")?.guild;
        self.members()?.flood(guild, joins).await
    }

    /// Somebody runs a command.
    ///
    /// # Errors
    /// When the emulator does not take it.
    pub async fn one_command(&mut self, name: &str) -> anyhow::Result<Deed> {
        self.members()?.command(name).await
    }

    /// This member runs a command.
    ///
    /// # Errors
    /// When the emulator does not take it.
    pub async fn command_by(&mut self, place: Place, user: u64, name: &str) -> anyhow::Result<Deed> {
        self.members()?.command_by(place, user, name).await
    }

    /// Somebody joins.
    ///
    /// # Errors
    /// When the emulator does not take it.
    pub async fn one_join(&mut self) -> anyhow::Result<Deed> {
        self.members()?.join().await
    }

    /// Somebody leaves.
    ///
    /// # Errors
    /// When the emulator does not take it.
    pub async fn one_leave(&mut self) -> anyhow::Result<Deed> {
        self.members()?.leave().await
    }

    // ---- looking ----------------------------------------------------------------------------------------------------------

    /// The ledger of what was done so far.
    pub fn ledger(&mut self) -> Ledger {
        Ledger::new(self.discord(), self.rows(), self.sent.clone())
    }

    /// Waits until this many deeds more than now have their effect: what follows strikes a system at work.
    ///
    /// # Errors
    /// When they do not.
    pub async fn flows(&mut self, more: usize) -> anyhow::Result<()> {
        let mut ledger = self.ledger();
        let before = self.sent.len() - ledger.open().await?.len();
        let wanted = before + more;
        let deadline = Instant::now() + PATIENCE;
        loop {
            let done = self.sent.len() - ledger.open().await?.len();
            if done >= wanted {
                return Ok(());
            }
            ensure!(
                Instant::now() < deadline,
                "{done} deeds of {wanted} have their effect: nothing flows"
            );
            tokio::time::sleep(LOOK).await;
        }
    }

    /// Waits for a condition; says what was waited for when it does not come true.
    ///
    /// # Errors
    /// What `met` answers, or that it did not come true in half a minute.
    pub async fn until(
        &mut self,
        what: &str,
        mut met: impl AsyncFnMut(&mut Self) -> anyhow::Result<bool>,
    ) -> anyhow::Result<()> {
        let deadline = Instant::now() + PATIENCE;
        while !met(self).await? {
            if Instant::now() >= deadline {
                bail!("waited {} s in vain for {what}", PATIENCE.as_secs());
            }
            tokio::time::sleep(LOOK).await;
        }
        Ok(())
    }

    /// Notes whether something comes to hold within `limit`, and says so.
    ///
    /// # Errors
    /// What `met` answers.
    pub async fn sees(
        &mut self,
        invariant: Invariant,
        what: &str,
        limit: Duration,
        mut met: impl AsyncFnMut(&mut Self) -> anyhow::Result<bool>,
    ) -> anyhow::Result<bool> {
        let deadline = Instant::now() + limit;
        let mut holds = met(self).await?;
        while !holds && Instant::now() < deadline {
            tokio::time::sleep(LOOK).await;
            holds = met(self).await?;
        }
        let found = format!("not so within {} s", limit.as_secs_f32());
        self.expect(invariant, what, holds, found);
        Ok(holds)
    }

    /// Notes whether something holds.
    pub fn expect(&mut self, invariant: Invariant, what: impl Display, holds: bool, found: impl Display) {
        self.checks.push(Check {
            invariant,
            what: what.to_string(),
            found: (!holds).then(|| found.to_string()),
        });
    }

    /// The clock of recovery: from now until a command given and a join made after now both have their effect. Notes it
    /// under I5 against `bound`.
    ///
    /// # Errors
    /// When there is no recovery within half a minute; without the guard, soon after the bound.
    pub async fn recovers(&mut self, bound: Duration) -> anyhow::Result<Duration> {
        let members = self.members()?;
        let mut probes = Ledger::new(self.discord(), self.rows(), Sent::default());
        let begun = Instant::now();
        // How much too late it would be matters only to who looks for the reason.
        let patience = if self.guarded {
            PATIENCE
        } else {
            bound + UNGUARDED_SPARE
        };
        let (mut next, mut answered, mut written) = (begun, None, None);
        while answered.is_none() || written.is_none() {
            if Instant::now() >= next {
                next += PROBE;
                for deed in [members.command("help").await?, members.join().await?] {
                    probes.sent().note(deed);
                }
            }
            // Postgres itself may be what is away.
            let open = probes.open().await.unwrap_or_else(|_| probes.sent().all());
            for deed in probes.sent().all().iter().filter(|deed| !open.contains(deed)) {
                match deed {
                    Deed::Command { id, .. } if answered.is_none() && probes.was_answered(*id) => {
                        answered = Some(begun.elapsed());
                    }
                    Deed::Join { .. } if written.is_none() => written = Some(begun.elapsed()),
                    _ => {}
                }
            }
            ensure!(
                begun.elapsed() < patience,
                "no recovery within {} s: command {answered:?}, join {written:?}",
                patience.as_secs()
            );
            tokio::time::sleep(LOOK).await;
        }
        let took = begun.elapsed();
        self.recovered(took, bound);
        Ok(took)
    }

    /// Notes a recovery that the scenario has measured itself.
    pub fn recovered(&mut self, took: Duration, bound: Duration) {
        self.recovery = self.recovery.max(Some(took));
        self.expect(
            Invariant::I5,
            format!("recovery within {} s", bound.as_secs_f32()),
            took <= bound,
            format!("{:.1} s", took.as_secs_f32()),
        );
    }

    fn rows(&mut self) -> Rows {
        let communities = self.plan.servers.iter();
        let communities = communities
            .filter_map(|server| Some((server.community.as_ref()?.id, server.guild)))
            .collect();
        Rows::new(self.platform().database().app_url(), communities)
    }

    /// What the emulator counted: `/control/stats`.
    ///
    /// # Errors
    /// When it does not answer.
    pub async fn stats(&mut self) -> anyhow::Result<Value> {
        self.discord().get("/control/stats").await
    }

    /// 429s that the emulator has answered, but for `GET /gateway/bot`, which an ingestor asks when it starts.
    ///
    /// # Errors
    /// When it does not answer.
    pub async fn limited(&mut self) -> anyhow::Result<u64> {
        let stats = self.stats().await?;
        let routes = stats["rest"].as_object().into_iter().flatten();
        let others = routes.filter(|(route, _)| *route != "GET /gateway/bot");
        Ok(others.filter_map(|(_, statuses)| statuses["429"].as_u64()).sum())
    }

    /// A metric of all workers together.
    ///
    /// # Errors
    /// When one does not answer.
    pub async fn worker_metric(&mut self, name: &str, labels: &[(&str, &str)]) -> anyhow::Result<f64> {
        let mut sum = 0.0;
        for worker in &self.platform().workers {
            sum += worker.metric(name, labels).await?;
        }
        Ok(sum)
    }

    /// Largest resident memory of an ingestor now, in megabytes.
    pub fn ingestor_megabytes(&mut self) -> u64 {
        let ingestors = self.platform().ingestors.iter();
        ingestors.map(Replica::resident_bytes).max().unwrap_or(0) >> 20
    }

    /// Messages that ingestors hold unconfirmed.
    ///
    /// # Errors
    /// When one does not answer.
    pub async fn unconfirmed(&mut self) -> anyhow::Result<u64> {
        let mut most = 0;
        for ingestor in &self.platform().ingestors {
            let health = ingestor.health().await?;
            let shards = health["shards"].as_array().into_iter().flatten();
            most += shards
                .filter_map(|shard| shard["unconfirmed_messages"].as_u64())
                .sum::<u64>();
        }
        Ok(most)
    }

    /// Waits until ingestors have received everything that the emulator has sent, and the broker has confirmed it.
    ///
    /// # Errors
    /// When they do not come to that.
    pub async fn drained_ingestor(&mut self) -> anyhow::Result<()> {
        self.until("the broker to have confirmed everything", async |stage| {
            let (confirmed, sent) = stage.confirmed().await?;
            Ok(confirmed >= sent)
        })
        .await
    }

    /// Sequence numbers that the broker has confirmed, and that the emulator has sent, over all shards.
    ///
    /// # Errors
    /// When an ingestor or the emulator does not answer.
    pub async fn confirmed(&mut self) -> anyhow::Result<(u64, u64)> {
        let sent = self.last_seq().await?;
        let mut confirmed = 0;
        for ingestor in &self.platform().ingestors {
            let health = ingestor.health().await?;
            let shards = health["shards"].as_array().into_iter().flatten();
            confirmed += shards.filter_map(|shard| shard["confirmed_seq"].as_u64()).sum::<u64>();
        }
        Ok((confirmed, sent))
    }

    /// Sum of the sequence numbers that the emulator's sessions have reached.
    async fn last_seq(&mut self) -> anyhow::Result<u64> {
        let gateway: Value = self.discord().get("/control/gateway").await?;
        let sessions = gateway["sessions"].as_array().into_iter().flatten();
        Ok(sessions.filter_map(|session| session["seq"].as_u64()).sum())
    }

    /// How many deeds there are so far.
    pub fn sent(&self) -> usize {
        self.sent.len()
    }

    /// How many of the first so many deeds have their effect.
    ///
    /// # Errors
    /// When the emulator or Postgres does not answer.
    pub async fn done_of_first(&mut self, count: usize) -> anyhow::Result<usize> {
        let open = self.ledger().open().await?;
        let first = self.sent.all().into_iter().take(count);
        Ok(first.filter(|deed| !open.contains(deed)).count())
    }

    /// Sets a policy of the platform's vhost, as an operator would.
    ///
    /// # Errors
    /// When the broker refuses.
    pub async fn policy(&mut self, name: &str, policy: Value) -> anyhow::Result<()> {
        let vhost = self.platform().vhost();
        vhost.policy(name, policy).await.map_err(anyhow::Error::msg)
    }

    /// A metric of all ingestors together.
    ///
    /// # Errors
    /// When one does not answer.
    pub async fn ingestor_metric(&mut self, name: &str, labels: &[(&str, &str)]) -> anyhow::Result<f64> {
        let mut sum = 0.0;
        for ingestor in &self.platform().ingestors {
            sum += ingestor.metric(name, labels).await?;
        }
        Ok(sum)
    }

    // ---- the end ----------------------------------------------------------------------------------------------------------

    /// Waits until every deed has its effect, or for as long as retries may take. Answers what is open then.
    ///
    /// # Errors
    /// When the emulator or Postgres does not answer.
    pub async fn settle(&mut self) -> anyhow::Result<Vec<Deed>> {
        self.settle_within(self.patience).await
    }

    /// [`Stage::settle`] for no longer than this.
    ///
    /// # Errors
    /// As there.
    pub async fn settle_within(&mut self, limit: Duration) -> anyhow::Result<Vec<Deed>> {
        self.quiet().await?;
        let mut ledger = self.ledger();
        let deadline = Instant::now() + limit;
        loop {
            // Postgres may be just coming back.
            let open = match ledger.open().await {
                Ok(open) => open,
                Err(_) if Instant::now() < deadline => self.sent.all(),
                Err(error) => return Err(error),
            };
            if open.is_empty() || Instant::now() >= deadline {
                self.given_up = (!open.is_empty()).then_some(self.sent.len());
                return Ok(open);
            }
            tokio::time::sleep(LOOK).await;
        }
    }

    /// Ends the load, lets the platform settle, stops it where something is missing, and has the ledger judge. The runner
    /// calls it when the scenario returns; a scenario that wants to look at the verdict calls it itself.
    ///
    /// # Errors
    /// When the emulator, Postgres or the broker does not answer.
    pub async fn judge(&mut self) -> anyhow::Result<Tally> {
        if self.platform.is_none() {
            return Ok(Tally::default());
        }
        self.quiet().await?;
        let limit = if self.given_up == Some(self.sent.len()) {
            Duration::ZERO
        } else {
            self.patience
        };
        let open = self.settle_within(limit).await?;
        let mut held = Vec::new();
        if !open.is_empty() {
            // What a worker holds is in no queue that can be read.
            for replica in self.platform().replicas() {
                replica.kill().await;
            }
            // The broker gives back what a dead consumer held once it has noticed; a busy one takes a moment.
            tokio::time::sleep(Duration::from_secs(1)).await;
            let url = self.platform().vhost().url();
            held = ledger::held(&url).await?;
        }
        let tally = self.ledger().judge(&held).await?;
        self.tally = Some(tally.clone());
        Ok(tally)
    }

    /// What was looked at.
    pub(super) fn checks(&self) -> &[Check] {
        &self.checks
    }

    pub(super) fn recovery(&self) -> Option<Duration> {
        self.recovery
    }

    pub(super) fn tally(&self) -> Option<&Tally> {
        self.tally.as_ref()
    }

    /// What the processes printed, by name.
    pub(super) fn logs(&mut self) -> BTreeMap<String, Vec<String>> {
        let mut logs = BTreeMap::new();
        if let Some(platform) = &mut self.platform {
            logs.insert("emulator".to_owned(), platform.emulator().lines());
            for replica in platform.replicas() {
                logs.insert(replica.name().to_owned(), replica.log());
            }
        }
        if let Some(broker) = &self.lab.broker {
            logs.insert("broker".to_owned(), broker.log());
        }
        logs
    }

    /// Takes everything down and gives the lab back.
    pub(super) fn close(self) -> Lab {
        self.lab
    }
}
