//! Restores of snapshots at the emulator: a server that was changed or emptied gets back, whichever request the first attempt ends at.

use std::sync::Arc;

use arrakis_iac::live::{LiveResource, LiveServer};
use arrakis_iac::model::{Address, Configuration, Kind};
use arrakis_iac::plan::{Action, Options, Plan, Step, plan};
use arrakis_iac::snapshot::{
    DifferenceKind, Restoration, RestoreInputs, ServerRecord, StateParts, compare_servers, restoration,
};
use arrakis_iac::state::State;
use arrakis_iac_apply::http::{Discord, Reason};
use arrakis_iac_apply::store::{Backend as _, LockHolder, WorkspaceName};
use arrakis_iac_apply::{ApplyError, Executor, ImageFolder};
use http::Method;
use proptest::prelude::*;
use tokio_util::sync::CancellationToken;

use crate::bench::Bench;
use crate::interruptions::small;
use crate::laws::{any_configuration, before, cases, runtime};
use crate::support::{Cut, Strike};

/// A snapshot.
struct Moment {
    record: ServerRecord,
    state: State,
}

impl Moment {
    async fn of(bench: &Bench) -> Self {
        let state = bench.state().await;
        let record = ServerRecord::new(bench.live().await, &state, Vec::new());
        Self {
            record: ServerRecord::from_bytes(&record.to_bytes()).unwrap(),
            state,
        }
    }
}

/// A restore that is ready to be carried out.
struct Restore {
    restoration: Restoration,
    plan: Plan,
    live: LiveServer,
}

impl Restore {
    /// Plans a restore of a server of which `parts` are known.
    async fn of(bench: &Bench, moment: &Moment, parts: &StateParts) -> Self {
        let live = bench.live().await;
        let mut restoration = restoration(&RestoreInputs {
            record: &moment.record,
            recorded_state: Some(&moment.state),
            state: &parts.managed,
            borrowed: Some(&parts.borrowed).filter(|borrowed| !borrowed.is_empty() || !borrowed.pending.is_empty()),
            live: &live,
            now_ms: 0,
        });
        let options = Options {
            drop_missing: true,
            ..Options::default()
        };
        loop {
            let plan = plan(&restoration.configuration, &restoration.state, &live, &options).unwrap();
            let changes = plan.changes.iter();
            let lost = changes.filter(|change| matches!(change.action, Action::Delete | Action::Replace));
            let lost: Vec<Address> = lost.map(|change| change.address.clone()).collect();
            if lost.is_empty() {
                return Self {
                    restoration,
                    plan,
                    live,
                };
            }
            for address in &lost {
                restoration.leave(address, &live, "a restore deletes nothing");
            }
        }
    }

    async fn carry_out(&self, bench: &Bench, discord: &Discord) -> Result<(), ApplyError> {
        let holder = LockHolder {
            who: "stilgar".to_owned(),
            host: "arrakeen".to_owned(),
            operation: "restore".to_owned(),
        };
        let mut working = self.restoration.state.clone();
        let mut guard = bench.store.lock(&WorkspaceName::default(), &holder).await.unwrap();
        guard.write(&working.advance()).await.unwrap();
        let images = ImageFolder(bench.folder.path().to_owned());
        Executor::new(discord, &mut *guard, &images)
            .run(&self.plan, &self.live, &mut working)
            .await?;
        guard.release().await.unwrap();
        Ok(())
    }

    /// The state of the workspace, and the resources that it does not manage, after the attempt.
    async fn parts(&self, bench: &Bench) -> StateParts {
        self.restoration.split(&bench.state().await)
    }
}

/// The state of a workspace before a restore.
async fn managed(bench: &Bench) -> StateParts {
    let state = bench.state().await;
    StateParts {
        borrowed: State::new(&state.lineage),
        managed: state,
    }
}

/// Each resource has a name of its own: those with one name are paired by their order.
fn distinct(mut configuration: Configuration) -> Configuration {
    for (address, resource) in &mut configuration.resources {
        let key = address.key().map(ToString::to_string).unwrap_or_default();
        if let Some(name) = resource.attributes.name_mut() {
            *name = format!("{name}-{key}");
        }
    }
    configuration
}

/// Deletes everything that Discord permits to delete.
async fn empty(bench: &Bench) {
    let (discord, _) = bench.server.client();
    let (live, guild) = (bench.live().await, bench.guild());
    let is_kept = |one: &&LiveResource| one.managed || one.id == guild;
    for one in live.resources().filter(|one| !is_kept(one)) {
        let path = match one.attributes.kind() {
            Kind::Role => format!("/guilds/{guild}/roles/{}", one.id),
            Kind::Category | Kind::Channel => format!("/channels/{}", one.id),
            _ => continue,
        };
        // A role above the bot's own stays.
        let _ = discord
            .write(Method::DELETE, &path, None, &Reason::new("manually"))
            .await;
    }
}

/// The server is as it was, except for ids and for later resources, and another restore has nothing to do.
async fn assert_back(bench: &Bench, moment: &Moment, parts: &StateParts) {
    let now = ServerRecord::new(bench.live().await, &parts.managed, Vec::new());
    let comparison = compare_servers(("then", &moment.record), ("now", &now));
    for one in &comparison.differences {
        let is_same = one.kind() == DifferenceKind::Added || (one.fields.is_empty() && one.is_created_again());
        assert!(is_same, "{one:#?}");
    }
    assert!(comparison.reorders.is_empty(), "{:#?}", comparison.reorders);
    let again = Restore::of(bench, moment, parts).await;
    let requests = again.plan.steps.iter().filter(|step| step.is_request());
    let requests: Vec<&Step> = requests.collect();
    assert!(requests.is_empty(), "{requests:#?} of {:#?}", again.plan.changes);
    for (address, entry) in &moment.state.resources {
        let id = again.restoration.id(&again.restoration.state, address.kind(), entry.id);
        let is_managed = parts.managed.resources.values().any(|managed| Some(managed.id) == id);
        assert!(is_managed, "{address} is not managed");
    }
}

fn count(live: &LiveServer) -> usize {
    live.resources().count()
}

/// From a later configuration, or from an emptied server, with the state or without it, back to the snapshot.
async fn law(first: Configuration, later: Option<Configuration>, keeps_state: bool) {
    let bench = Bench::start(before()).await;
    bench.apply(&distinct(first)).await.unwrap();
    let moment = Moment::of(&bench).await;
    let there = match later {
        Some(later) => {
            bench.apply(&distinct(later)).await.unwrap();
            None
        }
        None => {
            let there = count(&bench.live().await);
            empty(&bench).await;
            Some(there)
        }
    };
    let mut parts = managed(&bench).await;
    if !keeps_state {
        parts.managed = State::new(&moment.state.lineage);
    }
    let restore = Restore::of(&bench, &moment, &parts).await;
    let (discord, _) = bench.server.client();
    restore.carry_out(&bench, &discord).await.unwrap();
    let parts = restore.parts(&bench).await;
    assert_back(&bench, &moment, &parts).await;
    if let Some(there) = there {
        assert_eq!(count(&bench.live().await), there);
    }
}

proptest! {
    #![proptest_config(cases(8))]

    #[test]
    fn server_gets_back_to_a_snapshot_from_any_later_one(first in any_configuration(), later in any_configuration()) {
        runtime().block_on(law(first, Some(later), true));
    }

    #[test]
    fn emptied_server_gets_back_to_a_snapshot(first in any_configuration(), keeps_state in any::<bool>()) {
        runtime().block_on(law(first, None, keeps_state));
    }
}

/// An emptied server and a snapshot of it.
async fn emptied() -> (Bench, Moment, usize) {
    let bench = Bench::start(before()).await;
    bench.apply(&distinct(small())).await.unwrap();
    let (moment, there) = (Moment::of(&bench).await, count(&bench.live().await));
    empty(&bench).await;
    (bench, moment, there)
}

/// A restore that ends at request `at`, then a whole one.
async fn killed_at(at: usize, strike: Strike) {
    let (bench, moment, there) = emptied().await;
    let restore = Restore::of(&bench, &moment, &managed(&bench).await).await;
    let stop = CancellationToken::new();
    let cut = Cut::new(Arc::new(bench.server.https()), at, strike, stop.clone());
    let (discord, _) = bench.server.client_over(Arc::new(cut), CancellationToken::new());
    tokio::select! {
        biased;
        ended = restore.carry_out(&bench, &discord) => panic!("request {at} was never made: {ended:?}"),
        () = stop.cancelled() => {}
    }
    let again = Restore::of(&bench, &moment, &restore.parts(&bench).await).await;
    let (discord, _) = bench.server.client();
    if let Err(error) = again.carry_out(&bench, &discord).await {
        panic!("{strike:?} request {at}: the second restore failed: {error}");
    }
    assert_back(&bench, &moment, &again.parts(&bench).await).await;
    assert_eq!(count(&bench.live().await), there, "{strike:?} request {at}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn restore_killed_at_any_request_is_completed_by_the_next() {
    let (bench, moment, there) = emptied().await;
    let restore = Restore::of(&bench, &moment, &managed(&bench).await).await;
    let (discord, watched) = bench.server.client();
    restore.carry_out(&bench, &discord).await.unwrap();
    assert_back(&bench, &moment, &restore.parts(&bench).await).await;
    assert_eq!(count(&bench.live().await), there);
    let requests = watched.sent();
    assert!(requests.len() > 10, "{requests:?}");
    for (at, request) in requests.iter().enumerate() {
        for cell in [Strike::Before, Strike::After].map(|strike| tokio::spawn(killed_at(at, strike))) {
            cell.await.unwrap_or_else(|error| panic!("{request}: {error}"));
        }
    }
}
