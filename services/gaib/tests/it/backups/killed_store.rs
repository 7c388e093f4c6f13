//! SIGKILL at each request to the store and the catalogue (S3 and DynamoDB) of a backup, a restore, a snapshot and a rollback: the same command
//! completes it, on the free plan, where each is counted once. Everything that is listed is whole.

use std::collections::BTreeSet;

use arrakis_db::ApiKeyScope::{PlansWrite, ServersRead, ServersWrite};
use arrakis_test_support::Moto;

use super::bucket::{create_bucket, forget_uses, share_as, uses};
use super::killed::assert_reached;
use super::*;
use crate::gate::{Gate, Part, Place, Seen, Strike, places};
use crate::platform::Platform;
use crate::session::exists;

const TIERS: &str = "production-tiers";

/// A session whose backups are in a bucket.
struct Stored {
    session: Session,
    moto: Moto,
    /// In front of the bucket and its tables.
    gate: Gate,
    /// What the command creates: `backup` or `snapshot`.
    kind: &'static str,
    /// The ids of those that are listed.
    listed: BTreeSet<String>,
}

impl Stored {
    async fn new(kind: &'static str, mut session: Session) -> Self {
        let moto = Moto::start(1_000).await;
        create_bucket(&moto).await;
        let gate = Gate::in_front_of(moto.url()).await;
        share_as(&mut session, &moto, gate.url(), "production").await;
        Self {
            session,
            moto,
            gate,
            kind,
            listed: BTreeSet::new(),
        }
    }

    /// Runs a command that succeeds; returns its requests to the store.
    async fn run(&mut self, line: &str) -> Vec<Seen> {
        self.gate.watch(None);
        done(&self.session.gaib(line).await);
        self.gate.seen()
    }

    /// Kills a command at a place, and runs it again. Returns the request; `None` where the place was not reached.
    async fn kill(&mut self, line: &str, place: Place) -> Option<Seen> {
        let killed = self.gate.kill(&self.session, line, "", place).await;
        if let Some(seen) = &killed {
            let second = self.session.gaib(line).await;
            assert_eq!(second.code, 0, "{place} ({seen}): {}{}", second.stdout, second.stderr);
        }
        killed
    }

    async fn forget_uses(&self) {
        forget_uses(&self.moto, TIERS).await;
    }

    /// Exactly one use is counted, and no file of one is left.
    async fn assert_counted_once(&self, operation: &str, context: &str) {
        assert_eq!(uses(&self.moto, TIERS).await, 1, "{context}");
        let file = format!(".gaib/workspaces/default/use-{operation}");
        assert!(!exists(&self.session, &file), "{context}");
    }

    /// Checks what was listed since the last call. Returns how many that are.
    async fn check_listed(&mut self, context: &str) -> usize {
        let kind = self.kind;
        let list = self
            .session
            .gaib(&format!("server {kind} list --json --limit 1000"))
            .await;
        let records = of_type(&list, kind).into_iter();
        let ids: BTreeSet<String> = records.map(|one| one["id"].as_str().unwrap().to_owned()).collect();
        assert!(ids.is_superset(&self.listed), "{context}");
        let mut new = 0;
        for id in ids.difference(&self.listed) {
            let checked = self.session.gaib(&format!("server {kind} verify {id}")).await;
            assert_eq!(checked.code, 0, "{context}: {}{}", checked.stdout, checked.stderr);
            new += 1;
        }
        self.listed = ids;
        new
    }
}

/// A run that was killed may have listed what it created before: only after its last effect.
#[track_caller]
fn assert_created(created: usize, strike: Strike, killed: Option<&Seen>, place: Place) {
    let most = 1 + usize::from(strike == Strike::After && killed.is_some());
    assert!((1..=most).contains(&created), "{place}: {created} are listed");
}

async fn creations_killed(kind: &'static str, strike: Strike, part: Part) {
    let mut stored = Stored::new(kind, managed().await).await;
    let create = format!("server {kind} create");
    let run = stored.run(&create).await;
    assert!(run.len() > 8, "{run:?}");
    stored.check_listed("the first").await;
    for place in part.of(places(strike, &run)) {
        stored.forget_uses().await;
        let killed = stored.kill(&create, place).await;
        let context = place.to_string();
        stored.assert_counted_once(kind, &context).await;
        let made = stored.check_listed(&context).await;
        assert_created(made, strike, killed.as_ref(), place);
        if killed.is_none() {
            return assert_reached(place, run.len());
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn backup_killed_before_any_request_to_the_store_is_created_by_the_next_run() {
    creations_killed("backup", Strike::Before, Part::All).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn backup_killed_after_any_effect_on_the_store_is_created_by_the_next_run() {
    creations_killed("backup", Strike::After, Part::All).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn snapshot_killed_before_any_odd_request_to_the_store_is_created_by_the_next_run() {
    creations_killed("snapshot", Strike::Before, Part::Odd).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn snapshot_killed_before_any_even_request_to_the_store_is_created_by_the_next_run() {
    creations_killed("snapshot", Strike::Before, Part::Even).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn snapshot_killed_after_any_effect_on_the_store_is_created_by_the_next_run() {
    creations_killed("snapshot", Strike::After, Part::All).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn snapshot_of_a_killed_command_is_finished_and_a_fresh_one_created_where_the_server_changed() {
    let mut stored = Stored::new("snapshot", managed().await).await;
    done(&stored.session.gaib("server snapshot create").await);
    // The second one sends the requests that the following ones send, too: it reads the objects of the one before.
    let run = stored.run("server snapshot create").await;
    stored.check_listed("the first two").await;
    stored.forget_uses().await;
    let is_manifest = |seen: &Seen| seen.may_have_effect() && seen.to_string().contains("manifest.json");
    let place = Place {
        at: 1 + run.iter().position(is_manifest).unwrap(),
        strike: Strike::After,
    };
    let killed = stored
        .gate
        .kill(&stored.session, "server snapshot create", "", place)
        .await;
    assert!(killed.as_ref().is_some_and(is_manifest), "{killed:?}");
    delete_spice(&stored.session).await;
    let again = stored.session.gaib("server snapshot create -m second").await;
    printed(&again, &["Finished the interrupted snapshot", "it is listed now"]);
    let id = created(&again);
    assert_eq!(stored.check_listed("again").await, 2);
    let download = format!("server snapshot download {id} -o second");
    done(&stored.session.gaib(&download).await);
    assert!(!stored.session.read("second/config.yaml").contains("The harvest"));
}

async fn deletions_killed(kind: &'static str) {
    let mut stored = Stored::new(kind, managed().await).await;
    let create = format!("server {kind} create");
    let delete_of = |id: &str| format!("server {kind} delete {id} --force");
    let id = created(&stored.session.gaib(&create).await);
    let run = stored.run(&delete_of(&id)).await;
    assert!(run.len() > 5, "{run:?}");
    for place in places(Strike::Before, &run) {
        stored.forget_uses().await;
        let id = created(&stored.session.gaib(&create).await);
        let delete = delete_of(&id);
        // The second run succeeds.
        let killed = stored.kill(&delete, place).await;
        let list = stored.session.gaib(&format!("server {kind} list --json")).await;
        let listed = of_type(&list, kind);
        assert!(listed.iter().all(|one| one["id"] != id.as_str()), "{place}");
        let left = stored.session.gaib(&delete).await;
        refused(&left, &[&format!("there is no {kind} {id}")]);
        if killed.is_none() {
            return assert_reached(place, run.len());
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn deletion_of_a_backup_killed_before_any_request_to_the_store_is_completed_by_the_next_run() {
    deletions_killed("backup").await;
}

/// Restores of a state that an address was removed from.
async fn restores_of_a_state_killed(strike: Strike) {
    let mut stored = Stored::new("backup", managed().await).await;
    let id = created(&stored.session.gaib("server backup create").await);
    let addresses = stored.session.gaib("server state ls").await.stdout;
    let (change, restore) = (
        "server state rm channel.spice",
        format!("server backup restore {id} -f"),
    );
    done(&stored.session.gaib(change).await);
    let run = stored.run(&restore).await;
    assert!(run.len() > 8, "{run:?}");
    stored.check_listed("the first").await;
    for place in places(strike, &run) {
        done(&stored.session.gaib(change).await);
        stored.forget_uses().await;
        let killed = stored.kill(&restore, place).await;
        let context = place.to_string();
        assert_eq!(
            stored.session.gaib("server state ls").await.stdout,
            addresses,
            "{place}"
        );
        stored.assert_counted_once("restore", &context).await;
        // The state before the restore.
        let backups = stored.check_listed(&context).await;
        assert_created(backups, strike, killed.as_ref(), place);
        if killed.is_none() {
            assert_reached(place, run.len());
            break;
        }
    }
    done(&stored.session.gaib("server plan --detailed-exitcode").await);
}

#[tokio::test(flavor = "multi_thread")]
async fn restore_of_a_state_killed_before_any_request_to_the_store_is_completed() {
    restores_of_a_state_killed(Strike::Before).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn restore_of_a_state_killed_after_any_effect_on_the_store_is_completed() {
    restores_of_a_state_killed(Strike::After).await;
}

async fn delete_spice(session: &Session) {
    let guild = session.control().guild(GUILD).await.unwrap();
    let id = id_of(&guild, "channels", "spice").unwrap();
    by_bot(session, Method::DELETE, &format!("/channels/{id}"), Value::Null).await;
}

/// Restores of a server whose channel was deleted.
async fn restores_of_a_server_killed(strike: Strike, part: Part) {
    let mut stored = Stored::new("backup", managed().await).await;
    let id = created(&stored.session.gaib("server snapshot create").await);
    let restore = format!("server snapshot restore {id} --apply -f");
    let expected = names(&stored.session).await;
    delete_spice(&stored.session).await;
    let run = stored.run(&restore).await;
    assert!(run.len() > 15, "{run:?}");
    stored.check_listed("the first").await;
    for place in part.of(places(strike, &run)) {
        delete_spice(&stored.session).await;
        stored.forget_uses().await;
        let killed = stored.kill(&restore, place).await;
        let context = place.to_string();
        assert_eq!(names(&stored.session).await, expected, "{place}");
        assert!(!exists(&stored.session, JOURNAL), "{place}");
        stored.assert_counted_once("snapshot-restore", &context).await;
        let backups = stored.check_listed(&context).await;
        assert_created(backups, strike, killed.as_ref(), place);
        if killed.is_none() {
            assert_reached(place, run.len());
            break;
        }
    }
    done(&stored.session.gaib("server plan --detailed-exitcode").await);
}

#[tokio::test(flavor = "multi_thread")]
async fn restore_of_a_server_killed_before_any_odd_request_to_the_store_is_completed() {
    restores_of_a_server_killed(Strike::Before, Part::Odd).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn restore_of_a_server_killed_before_any_even_request_to_the_store_is_completed() {
    restores_of_a_server_killed(Strike::Before, Part::Even).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn restore_of_a_server_killed_after_any_effect_on_the_store_is_completed() {
    restores_of_a_server_killed(Strike::After, Part::All).await;
}

/// Rollbacks to the first of two deployments, after a manual change.
async fn rollbacks_killed(strike: Strike, part: Part) {
    let mut stored = Stored::new("backup", unmanaged().await).await;
    for colour in ["#111111", "#222222"] {
        let text = format!("theme: basic\nroles:\n  usul: {{ name: Usul, color: \"{colour}\" }}\n");
        stored.session.write("discord-server.yaml", &text);
        done(&stored.session.gaib("server apply --snapshot --auto-approve").await);
    }
    // A rollback of the free plan reaches the last five deployments.
    let plan = json!({"PK": {"S": format!("SERVER#{GUILD}")}, "SK": {"S": "PLAN"}, "plan": {"S": "premium"}});
    stored
        .moto
        .dynamo("PutItem", &json!({"TableName": TIERS, "Item": plan}))
        .await;
    let shown = stored.session.gaib("server theme registry --json").await;
    let target = of_type(&shown, "deployment").remove(1);
    let rollback = format!("server theme rollback --to {} -f", target["id"].as_str().unwrap());
    let run = stored.run(&rollback).await;
    assert!(run.len() > 20, "{run:?}");
    stored.check_listed("the first").await;
    let mut recorded = 3;
    for place in part.of(places(strike, &run)) {
        let grey = json!({ "color": "#333333" });
        stored.session.by_hand(Method::PATCH, "roles/Usul", grey).await;
        let killed = stored.kill(&rollback, place).await;
        recorded += 1;
        assert_eq!(
            one(&stored.session, "roles", "Usul").await["color"],
            0x0011_1111,
            "{place}"
        );
        let history = stored.session.gaib("server theme history --json --limit 1000").await;
        assert_eq!(of_type(&history, "deployment").len(), recorded, "{place}");
        assert!(!exists(&stored.session, JOURNAL), "{place}");
        let backups = stored.check_listed(&place.to_string()).await;
        assert_created(backups, strike, killed.as_ref(), place);
        if killed.is_none() {
            assert_reached(place, run.len());
            break;
        }
    }
    printed(
        &stored.session.gaib("server theme registry --rebuild --yes").await,
        &[&format!("{recorded} deployments")],
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn rollback_killed_before_any_odd_request_to_the_store_is_recorded_once() {
    rollbacks_killed(Strike::Before, Part::Odd).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn rollback_killed_before_any_even_request_to_the_store_is_recorded_once() {
    rollbacks_killed(Strike::Before, Part::Even).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn rollback_killed_after_any_effect_on_the_store_is_recorded_once() {
    rollbacks_killed(Strike::After, Part::All).await;
}

/// Applies with snapshots, each of another colour. Every snapshot that is listed belongs to a deployment.
async fn applies_killed(part: Part) {
    let mut stored = Stored::new("snapshot", unmanaged().await).await;
    let plan = json!({"PK": {"S": format!("SERVER#{GUILD}")}, "SK": {"S": "PLAN"}, "plan": {"S": "premium"}});
    stored
        .moto
        .dynamo("PutItem", &json!({"TableName": TIERS, "Item": plan}))
        .await;
    let apply = "server apply --snapshot --auto-approve";
    let text = |number: usize| format!("theme: basic\nroles:\n  usul: {{ name: Usul, color: \"#{number:06X}\" }}\n");
    stored.session.write("discord-server.yaml", &text(1));
    let run = stored.run(apply).await;
    assert!(run.len() > 20, "{run:?}");
    for place in part.of(places(Strike::After, &run)) {
        stored.session.write("discord-server.yaml", &text(place.at + 1));
        let killed = stored.kill(apply, place).await;
        stored.check_listed(&place.to_string()).await;
        let history = stored.session.gaib("server theme history --json --limit 1000").await;
        let mut kept = BTreeSet::new();
        for deployment in of_type(&history, "deployment") {
            for which in ["snapshot_before", "snapshot"] {
                kept.insert(deployment[which].as_str().unwrap().to_owned());
            }
        }
        assert_eq!(stored.listed, kept, "{place}");
        if killed.is_none() {
            assert_reached(place, run.len());
            break;
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn apply_killed_after_any_effect_of_the_first_quarter_leaves_no_snapshot_without_a_deployment() {
    applies_killed(Part::Quarter(0)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn apply_killed_after_any_effect_of_the_second_quarter_leaves_no_snapshot_without_a_deployment() {
    applies_killed(Part::Quarter(1)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn apply_killed_after_any_effect_of_the_third_quarter_leaves_no_snapshot_without_a_deployment() {
    applies_killed(Part::Quarter(2)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn apply_killed_after_any_effect_of_the_fourth_quarter_leaves_no_snapshot_without_a_deployment() {
    applies_killed(Part::Quarter(3)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn use_that_the_platform_counted_for_a_killed_command_is_not_counted_again() {
    let platform = Platform::start().await;
    let mut stored = Stored::new("backup", managed().await).await;
    let session = &mut stored.session;
    platform
        .connect(session, &[ServersRead, ServersWrite, PlansWrite])
        .await;
    done(
        &session
            .gaib(&format!("server tier set free --guild {GUILD} --auto-approve"))
            .await,
    );
    let gate = Gate::in_front_of(&platform.url).await;
    session.environment("ARRAKIS_API_URL", Some(gate.url()));
    let snapshot = created(&session.gaib("server snapshot create").await);
    let restore = format!("server snapshot restore {snapshot} --apply -f");
    for (line, strike) in [
        ("server backup create", Strike::Before),
        (restore.as_str(), Strike::After),
    ] {
        delete_spice_if_any(session).await;
        let killed = gate.kill(session, line, "", Place { at: 1, strike }).await;
        assert!(killed.is_some(), "{line}");
        done(&session.gaib(line).await);
        delete_spice_if_any(session).await;
        // One a day.
        refused(&session.gaib(line).await, &["works again at"]);
    }
}

async fn delete_spice_if_any(session: &Session) {
    let guild = session.control().guild(GUILD).await.unwrap();
    if id_of(&guild, "channels", "spice").is_some() {
        delete_spice(session).await;
    }
}
