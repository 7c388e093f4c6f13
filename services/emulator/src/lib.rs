//! A Discord emulator for one machine: gateway, REST API, control API, and a web page to act as a member.
//!
//! It shares no code with the services that are tested against it: every rule here is written from Discord's own documents, so
//! that tests show where the two differ. Only the types of the control API are shared, with its clients
//! (`arrakis-emulator-client`). [`Emulator::start`] runs an emulator in process; the binary is a thin wrapper around it.

pub mod cli;
pub mod clock;
pub mod faults;
pub mod gateway;
pub mod load;
pub mod model;
#[cfg(feature = "openapi")]
pub mod openapi;
pub mod page;
pub mod rest;
pub mod seed;
pub mod traffic;
pub mod world;

mod connection_slots;
mod connections;
mod control;
mod http_server;
mod interactions_endpoint;
mod options;
mod web_guard;

use std::{io, net::SocketAddr, sync::Arc};

use tokio::{net::TcpListener, sync::mpsc};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

pub use arrakis_emulator_client::{Addresses, StatsReport};
pub use interactions_endpoint::InteractionsWebhook;
pub use options::{Options, default_token};

use crate::{
    clock::Clock,
    connections::ConnectionLimits,
    faults::Faults,
    gateway::Hub,
    load::Load,
    traffic::Traffic,
    world::{Application, HttpInteraction, World},
};

/// Shared state of all handlers. Cheap to clone.
#[derive(Clone, Debug)]
pub struct AppState {
    /// Servers, users, messages and everything else that Discord stores.
    pub world: Arc<World>,
    /// The sessions of the gateway.
    pub hub: Arc<Hub>,
    /// Armed faults.
    pub faults: Arc<Faults>,
    /// Records and counts of REST calls and gateway frames.
    pub traffic: Arc<Traffic>,
    /// The load run, if any.
    pub load: Arc<Load>,
    /// Signs and sends interactions to the application's endpoint, if it has one.
    pub interactions: Arc<InteractionsWebhook>,
    /// The clock for all comparisons of times.
    pub clock: Clock,
    /// Options of the start.
    pub options: Arc<Options>,
    /// URLs of the listeners.
    pub addresses: Arc<Addresses>,
}

impl AppState {
    /// The shard count that `GET /gateway/bot` recommends: that of the options, else one for each 1,000 servers.
    #[must_use]
    pub fn recommended_shards(&self) -> u64 {
        self.options.shards.unwrap_or_else(|| {
            let guilds = self.world.read(|state| state.guilds.len());
            u64::try_from(guilds.div_ceil(1_000)).unwrap_or(1).max(1)
        })
    }
}

/// A running emulator. Dropping it stops it without waiting; [`Emulator::shutdown`] waits.
#[derive(Debug)]
pub struct Emulator {
    app: AppState,
    stop: CancellationToken,
    tasks: TaskTracker,
}

impl Emulator {
    /// Binds the listeners and serves. All addresses accept connections when it returns.
    ///
    /// # Errors
    /// An address that cannot be bound; the message names it.
    pub async fn start(options: Options) -> io::Result<Self> {
        let rest = bind(options.rest_addr, "REST").await?;
        let gateway = bind(options.gateway_addr, "gateway").await?;
        let resume = bind(options.resume_addr, "resume").await?;
        let control = bind(options.control_addr, "control").await?;
        let control_address = control.local_addr()?;
        let addresses = Addresses {
            rest: format!("http://{}/api/v10", rest.local_addr()?),
            gateway: format!("ws://{}", gateway.local_addr()?),
            resume: format!("ws://{}", resume.local_addr()?),
            control: format!("http://{control_address}"),
            page: format!("http://{control_address}/"),
        };
        let (app, deliveries) = assemble(options, addresses)?;
        let (stop, tasks) = (CancellationToken::new(), TaskTracker::new());
        tasks.spawn(interactions_endpoint::deliver(app.clone(), deliveries, stop.clone()));
        let limits = ConnectionLimits::of_process();
        http_server::serve(&tasks, rest, rest::router(app.clone()), limits.rest, &stop);
        for (listener, role) in [(gateway, gateway::Role::Gateway), (resume, gateway::Role::Resume)] {
            gateway::serve(app.clone(), listener, role, limits.gateway, &tasks, &stop);
        }
        let allowed_hosts: Arc<[String]> = app.options.control_hosts.clone().into();
        let outside = control::router(app.clone())
            .merge(page::router(app.clone()))
            .layer(axum::middleware::from_fn_with_state(allowed_hosts, web_guard::check));
        http_server::serve(&tasks, control, outside, limits.control, &stop);
        tasks.close();
        Ok(Self { app, stop, tasks })
    }

    /// URLs of the listeners.
    #[must_use]
    pub fn addresses(&self) -> &Addresses {
        &self.app.addresses
    }

    /// The bot token that is valid now.
    #[must_use]
    pub fn token(&self) -> String {
        self.app.world.read(|state| state.token.clone())
    }

    /// State, clock, faults and traffic, for tests in the same process.
    #[must_use]
    pub const fn app(&self) -> &AppState {
        &self.app
    }

    /// Stops all listeners and connections and waits for them.
    pub async fn shutdown(self) {
        self.app.load.stop();
        self.stop.cancel();
        self.tasks.wait().await;
    }
}

impl Drop for Emulator {
    fn drop(&mut self) {
        self.app.load.stop();
        self.stop.cancel();
    }
}

fn assemble(
    options: Options,
    addresses: Addresses,
) -> io::Result<(AppState, mpsc::UnboundedReceiver<HttpInteraction>)> {
    let clock = Clock::default();
    let traffic = Arc::new(Traffic::new(options.traffic_kept, options.ledger_bodies));
    let (starts, concurrency) = (options.session_start_limit, options.max_concurrency);
    let hub = Arc::new(Hub::new(clock.clone(), Arc::clone(&traffic), starts, concurrency));
    let faults = Arc::new(Faults::new(options.seed));
    let interactions = Arc::new(InteractionsWebhook::new(options.application_id)?);
    let application = Application {
        id: options.application_id,
        name: options.application_name.clone(),
        description: "Runs on the emulator.".to_owned(),
        verify_key: interactions.public_key(),
        privileged_intents: options.privileged_intents,
        settings: std::collections::BTreeMap::new(),
    };
    let token = options
        .token
        .clone()
        .unwrap_or_else(|| default_token(options.application_id));
    let sessions = Arc::clone(&hub);
    let (to_endpoint, deliveries) = mpsc::unbounded_channel();
    let world = Arc::new(World::new(application, token, clock.clone(), sessions, to_endpoint));
    let app = AppState {
        world,
        hub,
        faults,
        traffic,
        load: Arc::default(),
        interactions,
        clock,
        options: Arc::new(options),
        addresses: Arc::new(addresses),
    };
    Ok((app, deliveries))
}

async fn bind(address: SocketAddr, what: &str) -> io::Result<TcpListener> {
    TcpListener::bind(address).await.map_err(|error| {
        let why = format!(
            "cannot listen on {address} for {what}: {error}; choose another address (port 0 selects a free port)"
        );
        io::Error::new(error.kind(), why)
    })
}
