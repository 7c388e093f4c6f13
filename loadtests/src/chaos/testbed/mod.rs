//! The environment of a scenario: a platform of its own, load, recovery times, and recorded checks.

mod alerts;
mod chain;
mod observe;
pub(super) mod timed_joins;
mod verdict;

use std::any::Any;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use arrakis_config::Secret;
use arrakis_test_support::{FaultProxy, TestVhost};
use parking_lot::Mutex;
use tokio::time::Instant;

use super::deployment::Deployment;
use super::load::{ActionMix, LoadGenerator, RunningLoad};
use super::member_pool::{GuildChannel, MemberPool};
use super::run::{ReusableServers, RunOptions};
use super::scenario::{Guard, Invariant, Scenario};
use crate::ledger::{ActionLog, MemberAction, Tally};
use crate::platform::servers::RabbitServer;
use crate::platform::{Emulator, Platform, PlatformServices};
use crate::seed::{self, Plan};

/// Polling interval of conditions.
const POLL_INTERVAL: Duration = Duration::from_millis(40);
/// Time limit for outstanding effects. The first two retries are after 5 and 25 s.
const SETTLE: Duration = Duration::from_secs(45);
/// The same without the guard: some actions never have their effect, and a message that waits for a retry counts as queued.
const SETTLE_UNGUARDED: Duration = Duration::from_secs(8);

/// A recorded check.
#[derive(Debug, Clone)]
pub struct Check {
    /// The invariant that the check belongs to.
    pub invariant: Invariant,
    /// The condition.
    pub what: String,
    /// What was found instead, if the condition did not hold.
    pub found: Option<String>,
}

/// The environment of a scenario.
#[derive(Debug)]
pub struct Testbed {
    seed: u64,
    soak: Option<Duration>,
    guarded: bool,
    guard: Guard,
    /// Alerts that must fire.
    alerts: &'static [&'static str],
    /// Alerts that fired before this are those of processes that start.
    alerts_from: Instant,
    reusable: ReusableServers,
    services: Option<PlatformServices>,
    platform: Option<Platform>,
    plan: Plan,
    pool: Option<Arc<Mutex<MemberPool>>>,
    sent: ActionLog,
    load: Option<RunningLoad>,
    checks: Vec<Check>,
    notes: Vec<String>,
    recovery: Option<Duration>,
    tally: Option<Tally>,
    settle_limit: Duration,
    /// Number of actions when waiting for outstanding effects last timed out: the wait is not repeated for the same number.
    given_up: Option<usize>,
    /// Whether everything that the scenario starts has started.
    was_set_up: bool,
    /// Fault proxies that stay until the ledger is checked.
    fault_proxies: Vec<Arc<FaultProxy>>,
    /// Private servers of the scenario. They are dropped after the platform, which removes its data from them.
    private_servers: Vec<Box<dyn Any>>,
}

impl Testbed {
    pub(super) fn new(reusable: ReusableServers, scenario: &Scenario, options: &RunOptions) -> Self {
        let RunOptions { guarded, seed, soak } = *options;
        Self {
            seed,
            soak,
            guarded,
            guard: scenario.guard,
            alerts: scenario.alerts,
            alerts_from: Instant::now(),
            reusable,
            services: None,
            platform: None,
            plan: Plan::new(seed),
            pool: None,
            sent: ActionLog::default(),
            load: None,
            checks: Vec::new(),
            notes: Vec::new(),
            recovery: None,
            tally: None,
            settle_limit: if guarded { SETTLE } else { SETTLE_UNGUARDED },
            given_up: None,
            was_set_up: false,
            fault_proxies: Vec::new(),
            private_servers: Vec::new(),
        }
    }

    /// Sets the time limit for outstanding effects at the end of the scenario, where not every action will have its effect.
    pub fn settle_limit(&mut self, limit: Duration) {
        self.settle_limit = limit;
    }

    /// The run's seed, for random choices.
    pub fn seed(&self) -> u64 {
        self.seed
    }

    /// Length of the scenario, where `--minutes` gives one.
    pub fn soak(&self) -> Option<Duration> {
        self.soak
    }

    /// Whether the guard is active.
    pub fn guarded(&self) -> bool {
        self.guarded
    }

    /// The members and servers that [`Testbed::start`] seeds. A scenario may change them before.
    pub fn plan(&mut self) -> &mut Plan {
        &mut self.plan
    }

    /// Starts a private broker for the platform of this scenario.
    ///
    /// # Errors
    /// When RabbitMQ cannot be started.
    pub async fn private_broker(&mut self) -> anyhow::Result<()> {
        let broker = match self.reusable.broker.take() {
            Some(broker) => broker,
            None => RabbitServer::start().await?,
        };
        let broker = self.reusable.broker.insert(broker);
        let vhost = TestVhost::create_at(&broker.amqp_url(), &broker.management_url()).await;
        self.services = Some(PlatformServices::with_vhost(vhost).await);
        Ok(())
    }

    /// The private broker.
    ///
    /// # Panics
    /// When [`Testbed::private_broker`] was not called.
    pub fn broker(&mut self) -> &mut RabbitServer {
        match &mut self.reusable.broker {
            Some(broker) => broker,
            None => panic!("the scenario has no private broker"),
        }
    }

    /// Uses this database, vhost and Redis database for the platform, for a scenario that has private servers.
    pub fn use_services(&mut self, services: PlatformServices) {
        self.services = Some(services);
    }

    /// Keeps a private server running for as long as the platform uses it.
    pub fn keep_running(&mut self, server: impl Any) {
        self.private_servers.push(Box::new(server));
    }

    /// Starts and seeds a platform of this deployment, and waits until everything is ready.
    ///
    /// # Errors
    /// When a part cannot be started.
    pub async fn start(&mut self, deployment: Deployment) -> anyhow::Result<()> {
        self.prepare(&deployment).await?;
        self.start_services(deployment).await
    }

    /// The first half of [`Testbed::start`]: emulator and seed, no services.
    ///
    /// # Errors
    /// When a part cannot be started.
    pub async fn prepare(&mut self, deployment: &Deployment) -> anyhow::Result<()> {
        let services = match self.services.take() {
            Some(services) => services,
            None => PlatformServices::of_the_environment().await,
        };
        let arguments: Vec<&str> = deployment.emulator.iter().map(String::as_str).collect();
        let mut platform = Platform::prepare_on(services, &arguments).await?;
        if self.expects_alerts() {
            platform.watch().await?;
        }
        let admin = Secret::new(platform.database().admin_url());
        seed::write(&platform.discord, &admin, &self.plan).await?;
        self.pool = Some(Arc::new(Mutex::new(
            MemberPool::of(&platform.discord, &self.plan).await?,
        )));
        self.platform = Some(platform);
        self.was_set_up = true;
        Ok(())
    }

    /// The second half of [`Testbed::start`]: proxies, workers, ingestors, endpoints of interactions by HTTP, the api.
    ///
    /// # Errors
    /// When a part cannot be started.
    pub async fn start_services(&mut self, deployment: Deployment) -> anyhow::Result<()> {
        let (proxy, worker, ingestor, api) = (
            self.with_guard_points(deployment.proxy_env),
            self.with_guard_points(deployment.worker_env),
            self.with_guard_points(deployment.ingestor_env),
            self.with_guard_points(deployment.api_env),
        );
        let interactions = self.with_guard_points(Vec::new());
        self.was_set_up = false;
        let platform = self.platform();
        for _ in 0..deployment.proxies {
            platform.spawn_proxy(&proxy)?;
        }
        for _ in 0..deployment.workers {
            platform.spawn_worker(&worker)?;
        }
        for _ in 0..deployment.ingestors {
            platform.spawn_ingestor(&ingestor)?;
        }
        for _ in 0..deployment.interactions {
            platform.spawn_interactions(&interactions).await?;
        }
        if deployment.api {
            platform.spawn_api(&api)?;
        }
        for replica in platform.replicas() {
            replica.ready().await;
        }
        self.was_set_up = true;
        self.expect_no_alerts().await
    }

    /// [`Testbed::start`] with a fault proxy between the broker and every process that connects to it. `query` is appended to
    /// `AMQP_URL`, for example `?heartbeat=2`.
    ///
    /// # Errors
    /// When a part cannot be started.
    pub async fn start_behind_proxy(&mut self, deployment: Deployment, query: &str) -> anyhow::Result<Arc<FaultProxy>> {
        self.prepare(&deployment).await?;
        let url = self.platform().vhost().url();
        let proxy = self.proxy_to(&url).await;
        let url = format!("{}{query}", proxy.proxied_url(&url));
        self.start_services(deployment.broker_env("AMQP_URL", &url)).await?;
        Ok(proxy)
    }

    /// A fault proxy in front of a server, for as long as the testbed exists.
    pub async fn proxy_to(&mut self, url: &str) -> Arc<FaultProxy> {
        let proxy = Arc::new(FaultProxy::start(url).await);
        self.fault_proxies.push(proxy.clone());
        proxy
    }

    /// The variables of a process, with the fail points of the disabled guard where it is disabled.
    pub fn with_guard_points(&self, mut variables: Vec<(String, String)>) -> Vec<(String, String)> {
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
    /// Before [`Testbed::start`].
    pub fn platform(&mut self) -> &mut Platform {
        match &mut self.platform {
            Some(platform) => platform,
            None => panic!("the scenario has not started a platform"),
        }
    }

    /// The emulator.
    ///
    /// # Panics
    /// Before [`Testbed::start`].
    pub fn discord(&mut self) -> Emulator {
        self.platform().discord.clone()
    }

    fn generator(&mut self) -> anyhow::Result<LoadGenerator> {
        let pool = self.pool.clone().context("the platform has not been started")?;
        Ok(LoadGenerator::new(self.discord(), pool, self.sent.clone()))
    }

    /// Starts a load of commands, joins and leaves with this rate per second, until the scenario ends or [`Testbed::stop_load`].
    ///
    /// # Errors
    /// When the platform has not been started.
    pub async fn load(&mut self, rate: u32) -> anyhow::Result<()> {
        self.load_of(ActionMix::Mixed, rate).await
    }

    /// As [`Testbed::load`], with joins and leaves only: for a scenario whose own commands meet the fault.
    ///
    /// # Errors
    /// As [`Testbed::load`].
    pub async fn load_of_joins_and_leaves(&mut self, rate: u32) -> anyhow::Result<()> {
        self.load_of(ActionMix::JoinsAndLeaves, rate).await
    }

    /// As [`Testbed::load`], with commands only: for a scenario whose own joins meet the fault.
    ///
    /// # Errors
    /// As [`Testbed::load`].
    pub async fn load_of_commands(&mut self, rate: u32) -> anyhow::Result<()> {
        self.load_of(ActionMix::Commands, rate).await
    }

    async fn load_of(&mut self, mix: ActionMix, rate: u32) -> anyhow::Result<()> {
        self.stop_load().await?;
        self.load = Some(self.generator()?.begin(mix, rate, self.seed));
        Ok(())
    }

    /// Ends the load.
    ///
    /// # Errors
    /// When the emulator rejected an action.
    pub async fn stop_load(&mut self) -> anyhow::Result<()> {
        match self.load.take() {
            Some(load) => load.end().await,
            None => Ok(()),
        }
    }

    /// This many concurrent joins.
    ///
    /// # Errors
    /// When the emulator rejects one.
    pub async fn burst(&mut self, joins: usize) -> anyhow::Result<()> {
        self.generator()?.burst(joins).await
    }

    /// This many leaves, one after the other: a leave that is handled twice has two audit entries.
    ///
    /// # Errors
    /// When the emulator rejects one.
    pub async fn leaves(&mut self, count: usize) -> anyhow::Result<()> {
        for _ in 0..count {
            self.one_leave().await?;
        }
        Ok(())
    }

    /// This many joins of a server that is not onboarded: cheap for workers, and not in the ledger.
    ///
    /// # Errors
    /// When the emulator rejects one.
    pub async fn flood(&mut self, joins: u64) -> anyhow::Result<()> {
        let stranger = self.plan.servers.iter().find(|server| server.community.is_none());
        let guild = stranger.context("every server is onboarded")?.guild;
        self.generator()?.flood(guild, joins).await
    }

    /// The next member runs a command.
    ///
    /// # Errors
    /// When the emulator rejects it.
    pub async fn one_command(&mut self, name: &str) -> anyhow::Result<MemberAction> {
        self.generator()?.command(name).await
    }

    /// This member runs a command.
    ///
    /// # Errors
    /// When the emulator rejects it.
    pub async fn command_by(&mut self, target: GuildChannel, user: u64, name: &str) -> anyhow::Result<MemberAction> {
        self.generator()?.command_by(target, user, name).await
    }

    /// The next user joins.
    ///
    /// # Errors
    /// When the emulator rejects it.
    pub async fn one_join(&mut self) -> anyhow::Result<MemberAction> {
        self.generator()?.join().await
    }

    /// The next member leaves.
    ///
    /// # Errors
    /// When the emulator rejects it.
    pub async fn one_leave(&mut self) -> anyhow::Result<MemberAction> {
        self.generator()?.leave().await
    }
}
