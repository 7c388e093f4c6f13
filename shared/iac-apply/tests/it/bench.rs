//! A workspace beside a server, and the steps from a configuration to an applied plan, as `gaib server apply` takes them.

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;

use arrakis_iac::live::LiveServer;
use arrakis_iac::model::{Address, Attributes, Configuration, Kind, Resource, Snowflake};
use arrakis_iac::plan::{Mode, Options, Plan, plan};
use arrakis_iac::state::State;
use arrakis_iac_apply::http::{Discord, Transport};
use arrakis_iac_apply::store::{Backend, LocalStore, LockHolder, WorkspaceName};
use arrakis_iac_apply::{ApplyError, Executor, ImageFolder, read};
use serde_json::Value;
use tempfile::TempDir;
use tokio_util::sync::CancellationToken;

use crate::support::{Server, Watched};

/// A server and a workspace that manages it.
#[derive(Debug)]
pub(crate) struct Bench {
    pub(crate) server: Server,
    pub(crate) store: LocalStore,
    pub(crate) folder: TempDir,
    /// Further kinds to read.
    pub(crate) kinds: BTreeSet<Kind>,
}

/// A configuration from addresses and attributes as JSON, in order.
pub(crate) fn configuration(resources: &[(&str, Value)]) -> Configuration {
    let mut configuration = Configuration::default();
    for (address, attributes) in resources {
        let address: Address = address.parse().unwrap();
        let mut attributes = attributes.clone();
        attributes["resource"] = Value::from(address.kind().name());
        let attributes: Attributes =
            serde_json::from_value(attributes).unwrap_or_else(|error| panic!("{address}: {error}"));
        let resource = Resource {
            attributes,
            origin: None,
        };
        configuration.resources.insert(address, resource);
    }
    configuration
}

impl Bench {
    pub(crate) async fn start(spec: Value) -> Self {
        Self::over(Server::start(spec).await)
    }

    pub(crate) fn over(server: Server) -> Self {
        // Where there is memory to write to, hundreds of states need no disk.
        let memory = Path::new("/dev/shm");
        let folder = if memory.is_dir() {
            tempfile::tempdir_in(memory)
        } else {
            tempfile::tempdir()
        };
        let folder = folder.unwrap();
        let store = LocalStore::new(folder.path().join(".gaib"), "arrakeen");
        Self {
            server,
            store,
            folder,
            kinds: BTreeSet::new(),
        }
    }

    pub(crate) fn guild(&self) -> Snowflake {
        Snowflake::new(self.server.made.guild_id.0).unwrap()
    }

    /// The state that is written.
    pub(crate) async fn state(&self) -> State {
        match self.store.read(&WorkspaceName::default()).await.unwrap() {
            Some(bytes) => State::from_bytes(&bytes).unwrap(),
            None => State::new("lineage"),
        }
    }

    /// The server as it is, read with a client of its own.
    pub(crate) async fn live(&self) -> LiveServer {
        let (discord, _) = self.server.client();
        self.live_by(&discord).await
    }

    async fn live_by(&self, discord: &Discord) -> LiveServer {
        read(discord, self.guild(), &self.kinds).await.unwrap()
    }

    /// What is to be done now.
    pub(crate) async fn plan(&self, configuration: &Configuration, mode: Mode) -> Plan {
        let options = Options {
            mode,
            ..Options::default()
        };
        plan(configuration, &self.state().await, &self.live().await, &options).unwrap()
    }

    /// Plans and applies, by a client of its own.
    pub(crate) async fn apply(&self, configuration: &Configuration) -> Result<(Plan, Arc<Watched>), ApplyError> {
        self.run(configuration, Mode::Apply).await
    }

    pub(crate) async fn destroy(&self) -> Result<(Plan, Arc<Watched>), ApplyError> {
        self.run(&Configuration::default(), Mode::Destroy).await
    }

    async fn run(&self, configuration: &Configuration, mode: Mode) -> Result<(Plan, Arc<Watched>), ApplyError> {
        let (discord, watched) = self.server.client();
        let plan = self.run_by(&discord, configuration, mode).await?;
        Ok((plan, watched))
    }

    /// The same over a transport that is cut somewhere.
    pub(crate) async fn apply_over(
        &self,
        transport: Arc<dyn Transport>,
        configuration: &Configuration,
    ) -> Result<Plan, ApplyError> {
        let (discord, _) = self.server.client_over(transport, CancellationToken::new());
        self.run_by(&discord, configuration, Mode::Apply).await
    }

    pub(crate) async fn run_by(
        &self,
        discord: &Discord,
        configuration: &Configuration,
        mode: Mode,
    ) -> Result<Plan, ApplyError> {
        let live = self.live_by(discord).await;
        let options = Options {
            mode,
            allow_replace: true,
            ..Options::default()
        };
        let plan = plan(configuration, &self.state().await, &live, &options).unwrap();
        self.carry_out(discord, &plan, &live).await?;
        Ok(plan)
    }

    /// Carries a plan out, stale or not.
    pub(crate) async fn carry_out(&self, discord: &Discord, plan: &Plan, live: &LiveServer) -> Result<(), ApplyError> {
        let holder = LockHolder {
            who: "stilgar".to_owned(),
            host: "arrakeen".to_owned(),
            operation: "apply".to_owned(),
        };
        let mut state = self.state().await;
        let mut guard = self.store.lock(&WorkspaceName::default(), &holder).await.unwrap();
        let images = ImageFolder(self.folder.path().to_owned());
        Executor::new(discord, &mut *guard, &images)
            .run(plan, live, &mut state)
            .await?;
        guard.release().await.unwrap();
        Ok(())
    }

    /// Nothing is left to do, and what the state names is there.
    #[track_caller]
    pub(crate) fn assert_settled(&self, plan: &Plan, state: &State, live: &LiveServer) {
        assert!(
            plan.is_empty() && plan.steps.iter().all(|step| !step.is_request()),
            "not settled: {:#?} {:#?}",
            plan.changes,
            plan.steps
        );
        assert!(state.pending.is_empty(), "{:?}", state.pending);
        for (address, entry) in &state.resources {
            assert!(live.get(address.kind(), entry.id).is_some(), "{address} is not there");
        }
    }

    /// Applied: a plan is empty, and of each kind there is nothing but what is managed and what was there before.
    pub(crate) async fn assert_applied(&self, configuration: &Configuration, before: &LiveServer) {
        let (plan, state, live) = (
            self.plan(configuration, Mode::Apply).await,
            self.state().await,
            self.live().await,
        );
        self.assert_settled(&plan, &state, &live);
        let managed: BTreeSet<(Kind, Snowflake)> = state
            .resources
            .iter()
            .map(|(address, entry)| (address.kind(), entry.id))
            .collect();
        for resource in live.resources() {
            let kind = resource.attributes.kind();
            let known = managed.contains(&(kind, resource.id)) || before.get(kind, resource.id).is_some();
            assert!(known, "orphaned or doubled: {resource:?}");
        }
        for address in configuration.resources.keys() {
            assert!(state.resources.contains_key(address), "{address} is not managed");
        }
    }
}
