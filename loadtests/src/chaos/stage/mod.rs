//! What a scenario stands on: a platform of its own, load, the clock of recovery, and what was looked at.

mod end;
mod look;
pub(super) mod waits;

use std::any::Any;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use arrakis_config::Secret;
use arrakis_test_support::{FaultProxy, TestVhost};
use parking_lot::Mutex;

use super::cast::{Cast, Place};
use super::load::{Kind, Load, Members};
use super::run::{Lab, Terms};
use super::scenario::{Guard, Invariant};
use super::shape::Shape;
use crate::ledger::{Deed, Sent, Tally};
use crate::platform::servers::Rabbit;
use crate::platform::{Emulator, Foundation, Platform};
use crate::seed::{self, Plan};

/// How often a condition is looked at.
const LOOK: Duration = Duration::from_millis(40);
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
    soak: Option<Duration>,
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
    notes: Vec<String>,
    recovery: Option<Duration>,
    tally: Option<Tally>,
    patience: Duration,
    /// How many deeds there were when the platform was last waited for in vain: it is not waited for again.
    given_up: Option<usize>,
    /// Whether everything that was to start has.
    stands: bool,
    /// Proxies that must stay until the ledger has judged.
    wires: Vec<Arc<FaultProxy>>,
    /// Servers of the scenario's own: they go after the platform, which takes back what it made in them.
    kept: Vec<Box<dyn Any>>,
}

impl Stage {
    pub(super) fn new(lab: Lab, guard: Guard, terms: &Terms) -> Self {
        let Terms { guarded, seed, soak } = *terms;
        Self {
            seed,
            soak,
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
            notes: Vec::new(),
            recovery: None,
            tally: None,
            patience: if guarded { SETTLE } else { SETTLE_UNGUARDED },
            given_up: None,
            stands: false,
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

    /// How long the scenario goes on, if somebody has said so.
    pub fn soak(&self) -> Option<Duration> {
        self.soak
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
        self.stands = true;
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
        self.stands = false;
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
        self.stands = true;
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
        let url = format!("{}{query}", proxy.proxied_url(&url));
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

    fn members(&mut self) -> anyhow::Result<Members> {
        let cast = self.cast.clone().context("the platform has not been started")?;
        Ok(Members::new(self.discord(), cast, self.sent.clone()))
    }

    /// Begins a load of commands, joins and leaves, this many a second, until the scenario ends or [`Stage::quiet`].
    ///
    /// # Errors
    /// When the platform has not been started.
    pub async fn load(&mut self, rate: u32) -> anyhow::Result<()> {
        self.load_of(Kind::Mixed, rate).await
    }

    /// As [`Stage::load`], of joins and leaves alone: for a scenario whose own commands are what is struck.
    ///
    /// # Errors
    /// As there.
    pub async fn load_of_members(&mut self, rate: u32) -> anyhow::Result<()> {
        self.load_of(Kind::Members, rate).await
    }

    /// As [`Stage::load`], of commands alone: for a scenario whose own joins are what is struck.
    ///
    /// # Errors
    /// As there.
    pub async fn load_of_commands(&mut self, rate: u32) -> anyhow::Result<()> {
        self.load_of(Kind::Commands, rate).await
    }

    async fn load_of(&mut self, kind: Kind, rate: u32) -> anyhow::Result<()> {
        self.quiet().await?;
        self.load = Some(self.members()?.begin(kind, rate, self.seed));
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

    /// This many leaves, one after the other: of all deeds the ones that show best when they are done twice.
    ///
    /// # Errors
    /// When the emulator does not take them.
    pub async fn leaves(&mut self, count: usize) -> anyhow::Result<()> {
        for _ in 0..count {
            self.one_leave().await?;
        }
        Ok(())
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
}
