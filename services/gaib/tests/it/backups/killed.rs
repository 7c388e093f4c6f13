//! SIGKILL at each request to Discord of a restore, a snapshot, a rollback and an apply with snapshots: the same command completes it, and
//! nothing is doubled. `killed_store.rs` has the requests to the store. The tests of `arrakis-iac-apply` interrupt a restore in process, before
//! and after each request.

use std::time::Duration;

use discord_emulator::faults::{Condition, DeadHost, FaultKind};

use super::*;
use crate::gate::{Gate, Part, Place, Strike, places};
use crate::session::exists;

/// Runs a command and kills it at its request number `at` of a route, from 1, which has no effect (even numbers) or takes effect without a
/// response.
async fn killed_at(session: &Session, line: &str, at: u64, route: &str) {
    let condition = |count| Condition {
        count: Some(count),
        route: Some(route.to_owned()),
        ..Condition::default()
    };
    let faults = &session.emulator.app().faults;
    faults.clear();
    if at > 1 {
        faults.arm(FaultKind::RestSlowBody { ms: 0 }, condition(at - 1));
    }
    let strike = match at % 2 {
        0 => FaultKind::RestNoAnswer { mode: DeadHost::Hang },
        _ => FaultKind::RestLostAnswer { mode: DeadHost::Hang },
    };
    let id = faults.arm(strike, condition(1));
    let has_struck = || faults.list().iter().any(|fault| fault.id == id && fault.struck > 0);
    let mut child = session.command(line).spawn().unwrap();
    while !has_struck() {
        if let Some(status) = child.try_wait().unwrap() {
            panic!("{line}: request {at} of {route} was never made: {status}");
        }
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
    child.kill().await.unwrap();
    faults.clear();
}

/// Restores the same snapshot again and again, each time after [`wreck`]. Each run is killed one place further, and the same command completes
/// it.
async fn restores_killed(strike: Strike, part: Part) {
    let mut session = managed().await;
    let (expected, addresses) = (names(&session).await, session.gaib("server state ls").await.stdout);
    let id = created(&session.gaib("server snapshot create").await);
    let restore = format!("server snapshot restore {id} --apply -f");
    let gate = Gate::before_discord(&mut session).await;
    wreck(&session).await;
    done(&session.gaib(&restore).await);
    let run = gate.seen();
    let effects = run.iter().filter(|seen| seen.may_have_effect()).count();
    assert!(run.len() > 15 && effects > 5, "{run:?}");
    for place in part.of(places(strike, &run)) {
        wreck(&session).await;
        let killed = gate.kill(&session, &restore, "", place).await;
        if let Some(seen) = &killed {
            let second = session.gaib(&restore).await;
            assert_eq!(second.code, 0, "{place} ({seen}): {}{}", second.stdout, second.stderr);
        }
        assert_eq!(names(&session).await, expected, "{place}");
        assert_eq!(roles_of(&session, STILGAR).await, ["Old Guard"], "{place}");
        assert_eq!(session.gaib("server state ls").await.stdout, addresses, "{place}");
        assert!(!exists(&session, JOURNAL), "{place}");
        if killed.is_none() {
            assert_reached(place, run.len());
            break;
        }
    }
    done(&session.gaib("server plan --detailed-exitcode").await);
    printed(&session.gaib(&restore).await, &["nothing was changed"]);
    done(&session.gaib("server backup verify --all").await);
}

/// The place that was not reached is after the last request: the runs before were killed at each.
#[track_caller]
pub(super) fn assert_reached(place: Place, requests: usize) {
    // A later run has fewer requests where less is to be sorted.
    assert!(place.at + 3 > requests, "{place} was not reached, of {requests}");
}

#[tokio::test(flavor = "multi_thread")]
async fn restore_killed_before_any_odd_request_is_completed_by_the_same_command() {
    restores_killed(Strike::Before, Part::Odd).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn restore_killed_before_any_even_request_is_completed_by_the_same_command() {
    restores_killed(Strike::Before, Part::Even).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn restore_killed_after_any_effect_is_completed_by_the_same_command() {
    restores_killed(Strike::After, Part::All).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn restore_of_another_snapshot_is_refused_until_the_interrupted_one_is_complete() {
    let mut session = managed().await;
    let first = created(&session.gaib("server snapshot create").await);
    let second = created(&session.gaib("server snapshot create").await);
    let restore = format!("server snapshot restore {first} --apply -f");
    wreck(&session).await;
    killed_at(&session, &restore, 1, "/guilds/{guild_id}/channels").await;
    // The first request of this route is the read: the journal is written before the first creation.
    assert!(!exists(&session, JOURNAL));
    killed_at(&session, &restore, 2, "/guilds/{guild_id}/channels").await;
    assert!(exists(&session, JOURNAL));
    let other = session
        .gaib(&format!("server snapshot restore {second} --apply -f"))
        .await;
    refused(&other, &["was interrupted", &first, "complete it first"]);
    refused(
        &session.gaib("server theme rollback -f").await,
        &["no theme was deployed"],
    );
    let continued = session.gaib(&restore).await;
    printed(&continued, &["Continuing the restore", "Restored server"]);
    // The state before the restore was backed up once.
    assert_eq!(session.gaib("server backup list").await.stdout.lines().count(), 2);
    let next = format!("server snapshot restore {second} --apply -f");
    printed(&session.gaib(&next).await, &["nothing was changed"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn snapshot_killed_at_any_request_is_in_no_list() {
    let mut session = managed().await;
    let gate = Gate::before_discord(&mut session).await;
    let mut requests = 0;
    // None of them has an effect.
    for place in places(Strike::Before, &[]) {
        if gate.kill(&session, "server snapshot create", "", place).await.is_none() {
            break;
        }
        requests = place.at;
        let listed = session.gaib("server snapshot list --json").await;
        assert!(of_type(&listed, "snapshot").is_empty(), "{place}");
    }
    assert!(requests > 10, "{requests}");
    let listed = session.gaib("server snapshot list --json").await;
    assert_eq!(of_type(&listed, "snapshot").len(), 1);
    done(&session.gaib("server backup verify --all").await);
}

#[tokio::test(flavor = "multi_thread")]
async fn apply_killed_before_its_record_is_recorded_by_the_next_with_both_snapshots() {
    let mut session = unmanaged().await;
    session.write("discord-server.yaml", "theme: basic\n");
    let apply = "server apply --snapshot -m first --auto-approve";
    // In the snapshot before the first change, at a creation, and in the snapshot after the last change.
    killed_at(&session, apply, 1, "/guilds/{guild_id}/members").await;
    assert!(!exists(&session, STATE) && !exists(&session, DEPLOYMENT));
    killed_at(&session, apply, 2, "/guilds/{guild_id}/roles").await;
    assert!(exists(&session, DEPLOYMENT));
    killed_at(&session, apply, 1, "/guilds/{guild_id}/members").await;
    let next = session.gaib("server apply --auto-approve").await;
    printed(&next, &["after the deployment of basic"]);
    assert!(!exists(&session, DEPLOYMENT));
    let shown = session.gaib("server theme registry --json").await;
    let recorded = of_type(&shown, "deployment");
    assert_eq!(recorded.len(), 1);
    assert_eq!(recorded[0]["message"], "first");
    let listed = session.gaib("server snapshot list --json").await;
    let snapshots = of_type(&listed, "snapshot");
    let ids: Vec<&Value> = snapshots.iter().map(|one| &one["id"]).collect();
    assert_eq!(ids, [&recorded[0]["snapshot"], &recorded[0]["snapshot_before"]]);
    done(&session.gaib("server plan --detailed-exitcode").await);
}

/// Rolls back to the first of two deployments, each time after a manual change, and is killed at each place of a part.
async fn rollbacks_killed(strike: Strike, part: Part) {
    let mut session = unmanaged().await;
    for colour in ["#111111", "#222222"] {
        let text = format!("theme: basic\nroles:\n  usul: {{ name: Usul, color: \"{colour}\" }}\n");
        session.write("discord-server.yaml", &text);
        done(&session.gaib("server apply --snapshot --auto-approve").await);
    }
    let shown = session.gaib("server theme registry --json").await;
    let target = of_type(&shown, "deployment").remove(1);
    let rollback = format!("server theme rollback --to {} -f", target["id"].as_str().unwrap());
    let gate = Gate::before_discord(&mut session).await;
    done(&session.gaib(&rollback).await);
    let (run, mut recorded) = (gate.seen(), 3);
    for place in part.of(places(strike, &run)) {
        session
            .by_hand(Method::PATCH, "roles/Usul", json!({ "color": "#333333" }))
            .await;
        let killed = gate.kill(&session, &rollback, "", place).await;
        if let Some(seen) = &killed {
            let second = session.gaib(&rollback).await;
            assert_eq!(second.code, 0, "{place} ({seen}): {}{}", second.stdout, second.stderr);
        }
        recorded += 1;
        assert_eq!(one(&session, "roles", "Usul").await["color"], 0x0011_1111, "{place}");
        let history = session.gaib("server theme history --json --limit 1000").await;
        assert_eq!(of_type(&history, "deployment").len(), recorded, "{place}");
        assert!(!exists(&session, JOURNAL), "{place}");
        if killed.is_none() {
            assert_reached(place, run.len());
            break;
        }
    }
    assert!(recorded > 3, "{recorded}");
    done(&session.gaib("server backup verify --all").await);
    printed(
        &session.gaib("server theme registry --rebuild --yes").await,
        &[&format!("{recorded} deployments")],
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn rollback_killed_before_any_odd_request_is_recorded_once() {
    rollbacks_killed(Strike::Before, Part::Odd).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn rollback_killed_before_any_even_request_is_recorded_once() {
    rollbacks_killed(Strike::Before, Part::Even).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn rollback_killed_after_any_effect_is_recorded_once() {
    rollbacks_killed(Strike::After, Part::All).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn creation_waits_for_a_process_that_holds_the_lock_of_the_folder_and_names_it() {
    use tokio::io::{AsyncBufReadExt as _, BufReader};

    let mut session = managed().await;
    created(&session.gaib("server backup create").await);
    // As a process that is stopped during a write.
    let path = session.folder.path().join(".gaib/backups/.lock");
    let mut holder = std::fs::File::options().write(true).open(path).unwrap();
    holder.lock().unwrap();
    std::io::Write::write_all(&mut holder, b"process 7 (gaib) on arrakeen").unwrap();
    holder.set_len(28).unwrap();
    let mut child = session.command("server backup create").spawn().unwrap();
    let mut lines = BufReader::new(child.stderr.take().unwrap()).lines();
    let note = lines.next_line().await.unwrap().unwrap();
    assert!(
        note.starts_with("Waiting for the lock") && note.ends_with("which process 7 (gaib) on arrakeen holds."),
        "{note}"
    );
    drop(holder);
    assert!(child.wait().await.unwrap().success());
    assert_eq!(session.gaib("server backup list").await.stdout.lines().count(), 3);
}
