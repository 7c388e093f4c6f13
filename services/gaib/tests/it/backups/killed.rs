//! SIGKILL at each request of a restore, a snapshot and an apply with snapshots: the same command completes it, and nothing is doubled.
//! The tests of `arrakis-iac-apply` interrupt a restore in process, before and after each request.

use std::time::Duration;

use discord_emulator::faults::{Condition, DeadHost, FaultKind};

use super::*;
use crate::session::exists;

/// Runs a command and kills it at its request number `at`, from 1, which has no effect (even numbers) or takes effect without a
/// response. `route` limits the requests that are counted. False when there are fewer requests: then the command succeeded.
async fn killed_at(session: &Session, line: &str, at: u64, route: Option<&str>) -> bool {
    let condition = |count| Condition {
        count: Some(count),
        route: route.map(str::to_owned),
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
    loop {
        if has_struck() {
            child.kill().await.unwrap();
            faults.clear();
            return true;
        }
        if let Some(status) = child.try_wait().unwrap() {
            faults.clear();
            assert!(status.success(), "{line}: {status}");
            return false;
        }
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn restore_killed_at_any_request_is_completed_by_the_same_command() {
    let mut session = managed().await;
    let (expected, addresses) = (names(&session).await, session.gaib("server state ls").await.stdout);
    let id = created(&session.gaib("server snapshot create").await);
    let restore = format!("server snapshot restore {id} --apply -f");
    let mut requests = 0;
    for at in 1.. {
        wreck(&session).await;
        let is_killed = killed_at(&session, &restore, at, None).await;
        if is_killed {
            let second = session.gaib(&restore).await;
            assert_eq!(second.code, 0, "request {at}: {}{}", second.stdout, second.stderr);
        }
        assert_eq!(names(&session).await, expected, "request {at}");
        assert_eq!(roles_of(&session, STILGAR).await, ["Old Guard"], "request {at}");
        assert_eq!(session.gaib("server state ls").await.stdout, addresses, "request {at}");
        assert!(!exists(&session, JOURNAL), "request {at}");
        if !is_killed {
            requests = at;
            break;
        }
    }
    assert!(requests > 15, "{requests}");
    done(&session.gaib("server plan --detailed-exitcode").await);
    printed(&session.gaib(&restore).await, &["nothing was changed"]);
    done(&session.gaib("server backup verify --all").await);
}

#[tokio::test(flavor = "multi_thread")]
async fn restore_of_another_snapshot_is_refused_until_the_interrupted_one_is_complete() {
    let mut session = managed().await;
    let first = created(&session.gaib("server snapshot create").await);
    let second = created(&session.gaib("server snapshot create").await);
    let restore = format!("server snapshot restore {first} --apply -f");
    wreck(&session).await;
    assert!(killed_at(&session, &restore, 1, Some("/guilds/{guild_id}/channels")).await);
    // The first request of this route is the read: the journal is written before the first creation.
    assert!(!exists(&session, JOURNAL));
    assert!(killed_at(&session, &restore, 2, Some("/guilds/{guild_id}/channels")).await);
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
    for at in (1..).step_by(3) {
        if !killed_at(&session, "server snapshot create", at, None).await {
            break;
        }
        let listed = session.gaib("server snapshot list --json").await;
        assert!(of_type(&listed, "snapshot").is_empty(), "request {at}");
    }
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
    assert!(killed_at(&session, apply, 1, Some("/guilds/{guild_id}/members")).await);
    assert!(!exists(&session, STATE) && !exists(&session, DEPLOYMENT));
    assert!(killed_at(&session, apply, 2, Some("/guilds/{guild_id}/roles")).await);
    assert!(exists(&session, DEPLOYMENT));
    assert!(killed_at(&session, apply, 1, Some("/guilds/{guild_id}/members")).await);
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

#[tokio::test(flavor = "multi_thread")]
async fn rollback_killed_at_any_request_is_recorded_once() {
    let mut session = unmanaged().await;
    for colour in ["#111111", "#222222"] {
        let text = format!("theme: basic\nroles:\n  usul: {{ name: Usul, color: \"{colour}\" }}\n");
        session.write("discord-server.yaml", &text);
        done(&session.gaib("server apply --snapshot --auto-approve").await);
    }
    let shown = session.gaib("server theme registry --json").await;
    let target = of_type(&shown, "deployment").remove(1);
    let rollback = format!("server theme rollback --to {} -f", target["id"].as_str().unwrap());
    let mut recorded = 2;
    for at in (1..).step_by(4) {
        session
            .by_hand(Method::PATCH, "roles/Usul", json!({ "color": "#333333" }))
            .await;
        let is_killed = killed_at(&session, &rollback, at, None).await;
        if is_killed {
            let second = session.gaib(&rollback).await;
            assert_eq!(second.code, 0, "request {at}: {}{}", second.stdout, second.stderr);
        }
        recorded += 1;
        assert_eq!(
            one(&session, "roles", "Usul").await["color"],
            0x0011_1111,
            "request {at}"
        );
        let history = session.gaib("server theme history --json --limit 1000").await;
        assert_eq!(of_type(&history, "deployment").len(), recorded, "request {at}");
        assert!(!exists(&session, JOURNAL), "request {at}");
        if !is_killed {
            break;
        }
    }
    assert!(recorded > 5, "{recorded}");
}
