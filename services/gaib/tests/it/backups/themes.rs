//! The theme registry: deployments, their snapshots, and rollbacks.

use super::*;
use crate::session::exists;

const FIRST: &str = "theme: basic\nroles:\n  usul: { name: Usul, color: \"#111111\" }\n";
const SECOND: &str = "theme: basic\nroles:\n  usul: { name: Usul, color: \"#222222\" }\n  jamis: { name: Jamis }\n";

/// The second one without a role, and with an attribute that a new role has without it.
const SECOND_REFRESHED: &str = "theme: basic\nroles:\n  usul: { name: Usul, color: \"#222222\", mentionable: false }\n";

/// Two deployments, each with snapshots. The second one changes a role and adds another one.
async fn deployed_twice() -> Session {
    let mut session = unmanaged().await;
    for (text, message) in [(FIRST, "first"), (SECOND, "second")] {
        session.write("discord-server.yaml", text);
        let applied = session
            .gaib(&format!("server apply --snapshot -m {message} --auto-approve"))
            .await;
        printed(
            &applied,
            &["before the deployment of basic", "after the deployment of basic"],
        );
        assert!(!exists(&session, DEPLOYMENT));
    }
    session
}

/// The deployments of the registry, newest first.
async fn deployments(session: &mut Session) -> Vec<Value> {
    let history = session.gaib("server theme history --json").await;
    done(&history);
    of_type(&history, "deployment")
}

#[tokio::test(flavor = "multi_thread")]
async fn deployments_are_recorded_with_their_snapshots() {
    let mut session = deployed_twice().await;
    let recorded = deployments(&mut session).await;
    assert_eq!(recorded.len(), 2);
    let (second, first) = (&recorded[0], &recorded[1]);
    assert_eq!(
        (&first["message"], &first["action"]),
        (&"first".into(), &"apply".into())
    );
    assert_eq!((&second["current"], &first["current"]), (&json!(true), &json!(false)));
    assert_eq!(second["theme"]["name"], "basic");
    assert_eq!(second["serial"], state(&session)["serial"]);
    let mut kept = Vec::new();
    for deployment in &recorded {
        for which in ["snapshot_before", "snapshot"] {
            kept.push(deployment[which].as_str().unwrap().to_owned());
        }
    }
    kept.sort();
    let listed = session.gaib("server snapshot list --json").await;
    let mut snapshots: Vec<String> = of_type(&listed, "snapshot")
        .iter()
        .map(|one| one["id"].as_str().unwrap().to_owned())
        .collect();
    snapshots.sort();
    assert_eq!(snapshots, kept);
    let messages: Vec<Value> = of_type(&listed, "snapshot")
        .iter()
        .map(|one| one["message"].clone())
        .collect();
    let version = second["theme"]["version"].as_str().unwrap();
    for message in ["first", "second"] {
        for when in ["before", "after"] {
            let expected = format!("{when} basic {version}: {message}");
            assert!(messages.contains(&expected.clone().into()), "{expected}: {messages:?}");
        }
    }
    let shown = session.gaib("server theme registry").await;
    printed(
        &shown,
        &[
            "Theme of server",
            "basic",
            "(2 deployments)",
            "first",
            "second",
            "DEPLOYMENT",
            second["id"].as_str().unwrap(),
        ],
    );
    assert_eq!(second["snapshot_available"], true);
    assert_eq!(shown.stdout.matches(" kept ").count(), 2, "{}", shown.stdout);
    let mut lines = shown.stdout.lines();
    assert!(lines.all(|line| line.chars().count() <= 140), "{}", shown.stdout);

    // An apply without changes is no deployment, and neither is one without a theme.
    let unchanged = session.gaib("server apply --snapshot --auto-approve").await;
    printed(&unchanged, &["No changes", "No snapshot was stored"]);
    assert_eq!(deployments(&mut session).await.len(), 2);
    // Neither is one that only updates the state: it refreshes a role, whose new attribute is the server's already, and forgets another
    // one, which was deleted manually.
    session.control().delete_role(GUILD, "Jamis").await.unwrap();
    session.write("discord-server.yaml", SECOND_REFRESHED);
    let serial = state(&session)["serial"].clone();
    let refreshed = session
        .gaib("server apply --snapshot -m refreshed --auto-approve")
        .await;
    printed(&refreshed, &["No snapshot was stored"]);
    assert_ne!(state(&session)["serial"], serial, "the state was not refreshed");
    assert_eq!(deployments(&mut session).await.len(), 2);
    let listed = session.gaib("server snapshot list --json").await;
    assert_eq!(of_type(&listed, "snapshot").len(), kept.len());
    let destroyed = session.gaib("server destroy --auto-approve").await;
    done(&destroyed);
    let recorded = deployments(&mut session).await;
    assert_eq!((&recorded[0]["action"], recorded.len()), (&"destroy".into(), 3));
    printed(
        &session.gaib("server theme registry").await,
        &["has no theme", "destroy", "(3 deployments)"],
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn registry_shows_the_last_five_and_history_all() {
    let mut session = unmanaged().await;
    printed(&session.gaib("server theme registry").await, &["No theme was deployed"]);
    for number in 1..=6 {
        session.write(
            "discord-server.yaml",
            &format!("theme: basic\nroles:\n  usul: {{ name: Usul {number} }}\n"),
        );
        done(
            &session
                .gaib(&format!("server apply -m number-{number} --auto-approve"))
                .await,
        );
    }
    let shown = session.gaib("server theme registry").await;
    printed(&shown, &["number-6", "number-2", "(6 deployments)"]);
    assert!(!shown.stdout.contains("number-1"), "{}", shown.stdout);
    let history = session.gaib("server theme history").await;
    printed(&history, &["number-6", "number-1"]);
    let limited = session.gaib("server theme history --limit 1").await;
    printed(&limited, &["number-6", "There are 6"]);
    assert!(!limited.stdout.contains("number-5"), "{}", limited.stdout);
    assert_eq!(
        objects(&session)
            .iter()
            .filter(|object| object.starts_with("snapshots/"))
            .count(),
        0
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn rollback_restores_the_earlier_deployment_and_is_a_deployment() {
    let mut session = deployed_twice().await;
    let recorded = deployments(&mut session).await;
    let first = recorded[1]["id"].as_str().unwrap().to_owned();
    let sent = writes(&session);
    let dry = session.gaib("server theme rollback --dry-run").await;
    printed(
        &dry,
        &[
            "Rollback to the deployment",
            "1 deployment before the last one",
            "role.usul",
            "Dry run",
        ],
    );
    refused(
        &session.answering("server theme rollback", Some("no\n")).await,
        &["Cancelled"],
    );
    refused(
        &session.gaib("server theme rollback --input=false").await,
        &[
            "roll server",
            "of basic",
            "\"first\"",
            "0 to add, 1 to change, 0 role assignments to give back to members?",
            "--auto-approve",
        ],
    );
    assert_eq!(writes(&session), sent);
    let done_back = session.gaib("server theme rollback -m \"too loud\" -f").await;
    printed(&done_back, &["Restored server", "Recorded the rollback to basic"]);
    assert_eq!(one(&session, "roles", "Usul").await["color"], 0x0011_1111);
    // Nothing is deleted.
    one(&session, "roles", "Jamis").await;
    assert!(!exists(&session, JOURNAL));
    let recorded = deployments(&mut session).await;
    let (rollback, target) = (&recorded[0], &recorded[2]);
    assert_eq!(
        (
            &rollback["action"],
            &rollback["restored"],
            &rollback["message"],
            &rollback["snapshot"]
        ),
        (
            &"rollback".into(),
            &Value::from(first.as_str()),
            &"too loud".into(),
            &target["snapshot"]
        )
    );
    // The rollback itself can be undone: it is one step back from there.
    done(&session.gaib("server theme rollback --steps 1 -f").await);
    assert_eq!(one(&session, "roles", "Usul").await["color"], 0x0022_2222);
    done(
        &session
            .gaib(&format!("server theme rollback --to {} -f", &first[..8]))
            .await,
    );
    assert_eq!(one(&session, "roles", "Usul").await["color"], 0x0011_1111);
    assert_eq!(deployments(&mut session).await.len(), 5);
}

#[tokio::test(flavor = "multi_thread")]
async fn rollback_without_a_target_or_its_snapshot_is_refused_with_the_reason() {
    let mut session = unmanaged().await;
    refused(
        &session.gaib("server theme rollback -f").await,
        &["no theme was deployed"],
    );
    session.write("discord-server.yaml", FIRST);
    done(&session.gaib("server apply --auto-approve").await);
    refused(
        &session.gaib("server theme rollback -f").await,
        &["a rollback by 1 deployment has no target"],
    );
    refused(
        &session.gaib("server theme rollback --steps 0 -f").await,
        &["changes nothing"],
    );
    let unknown = "server theme rollback --to 00000000-0000-4000-8000-000000000000 -f";
    refused(&session.gaib(unknown).await, &["no deployment has the id", "history"]);
    session.write("discord-server.yaml", SECOND);
    done(&session.gaib("server apply --snapshot --auto-approve").await);
    // The first deployment has no snapshot, and the second one has one from before it.
    let second = deployments(&mut session).await.remove(0);
    let before = second["snapshot_before"].as_str().unwrap();
    let way_back = format!("server snapshot restore {before} --apply");
    let rolled = session.gaib("server theme rollback -f").await;
    refused(&rolled, &["has no snapshot", &format!("`gaib {way_back}`")]);
    assert!(!rolled.stderr.contains("rollback --to"), "{}", rolled.stderr);
    printed(&session.gaib(&format!("{way_back} --dry-run")).await, &["role.usul"]);
    let steps_and_id = format!("{unknown} --steps 1");
    refused(&session.gaib(&steps_and_id).await, &["cannot be used with"]);
    // The snapshot of the target was deleted.
    let newest = deployments(&mut session).await.remove(0);
    let (id, snapshot) = (newest["id"].as_str().unwrap(), newest["snapshot"].as_str().unwrap());
    done(&session.gaib(&format!("server snapshot delete {snapshot} -f")).await);
    let history = session.gaib("server theme history").await;
    printed(&history, &[" deleted"]);
    assert_eq!(deployments(&mut session).await[0]["snapshot_available"], false);
    let sent = writes(&session);
    let rolled = session.gaib(&format!("server theme rollback --to {id} -f")).await;
    refused(&rolled, &["cannot be restored", "there is no snapshot"]);
    assert_eq!(writes(&session), sent);
    done(&session.gaib("server destroy --auto-approve").await);
    let destroyed = deployments(&mut session).await.remove(0);
    let line = format!("server theme rollback --to {} -f", destroyed["id"].as_str().unwrap());
    refused(
        &session.gaib(&line).await,
        &["is a destroy", "gaib server theme history"],
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn refused_rollback_names_the_newest_deployment_that_can_be_restored() {
    let mut session = deployed_twice().await;
    let recorded = deployments(&mut session).await;
    let (second, first) = (recorded[0]["id"].as_str().unwrap(), recorded[1]["id"].as_str().unwrap());
    for color in ["#333333", "#444444"] {
        session.write("discord-server.yaml", &SECOND.replace("#222222", color));
        done(&session.gaib("server apply --auto-approve").await);
    }
    let way_back = format!("server theme rollback --to {second}");
    let rolled = session.gaib("server theme rollback -f").await;
    refused(&rolled, &["has no snapshot", &format!("`gaib {way_back}`"), "of basic"]);
    // A deployment whose snapshot was deleted is not named.
    let snapshot = recorded[0]["snapshot"].as_str().unwrap();
    done(&session.gaib(&format!("server snapshot delete {snapshot} -f")).await);
    let way_back = format!("server theme rollback --to {first}");
    let rolled = session.gaib("server theme rollback -f").await;
    refused(&rolled, &[&format!("`gaib {way_back}`")]);
    assert!(!rolled.stderr.contains(second), "{}", rolled.stderr);
    done(&session.gaib(&format!("{way_back} -f")).await);
    assert_eq!(one(&session, "roles", "Usul").await["color"], 0x0011_1111);
}

#[tokio::test(flavor = "multi_thread")]
async fn snapshot_without_a_theme_is_kept_and_recorded_nowhere() {
    let mut session = unmanaged().await;
    session.write("discord-server.yaml", CONFIGURATION);
    printed(
        &session.gaib("server apply --snapshot --auto-approve").await,
        &["before an apply", "after an apply"],
    );
    let listed = session.gaib("server snapshot list --json").await;
    assert_eq!(of_type(&listed, "snapshot").len(), 2);
    assert!(deployments(&mut session).await.is_empty());
    assert!(!exists(&session, DEPLOYMENT));
}

#[tokio::test(flavor = "multi_thread")]
async fn snapshot_that_cannot_be_stored_stops_the_apply_before_its_first_change() {
    let mut session = unmanaged().await;
    session.write("discord-server.yaml", FIRST);
    let file = session.folder.path().canonicalize().unwrap().join("file");
    std::fs::write(&file, "").unwrap();
    session.environment("BACKUP_STORE", Some(&format!("file://{}", file.display())));
    let requests = session.emulator.app().traffic.since(0).len();
    for line in [
        "server apply --snapshot --auto-approve",
        "server snapshot create",
        "server export --backup",
    ] {
        let outcome = session.gaib(line).await;
        refused(
            &outcome,
            &[file.to_str().unwrap(), "nothing was changed", "check the path"],
        );
    }
    let sent = session.emulator.app().traffic.since(0).len();
    assert_eq!(sent, requests, "the server was read");
    // A teardown does not request a confirmation of its first stage.
    let teardown = "server teardown --confirm-teardown --no-checkpoint \"a test\"";
    let torn = session.answering(teardown, Some("yes\n")).await;
    refused(&torn, &["nothing was changed"]);
    assert!(!torn.stderr.contains("Stage 1 of 4"), "{}", torn.stderr);
    // Without snapshots the deployment is recorded later.
    let applied = session.gaib("server apply --auto-approve").await;
    printed(&applied, &["warning", "its deployment is not recorded yet"]);
    assert!(exists(&session, DEPLOYMENT));
    session.environment("BACKUP_STORE", None);
    done(&session.gaib("server apply --auto-approve").await);
    assert_eq!(deployments(&mut session).await.len(), 1);
    assert!(!exists(&session, DEPLOYMENT));
}

#[tokio::test(flavor = "multi_thread")]
async fn changed_registry_is_damaged_and_a_snapshot_of_another_deployment_is_not_restored() {
    let mut session = deployed_twice().await;
    let path = format!(".gaib/backups/themes/{GUILD}/registry.json");
    let registry = session.folder.path().join(path);
    let whole = std::fs::read(&registry).unwrap();
    let sent = writes(&session);
    // The rollback would restore the server before the deployment.
    let swap = |deployment: &mut Value| {
        let before = deployment["snapshot_before"].take();
        deployment["snapshot_before"] = deployment["snapshot"].take();
        deployment["snapshot"] = before;
    };
    forge(&registry, |content| swap(&mut content["deployments"][0]));
    for line in ["server theme history", "server theme rollback -f"] {
        refused(
            &session.gaib(line).await,
            &["registry.json", "is not as the key", "--rebuild"],
        );
    }
    std::fs::write(&registry, &whole).unwrap();
    forge(&registry, |content| {
        let deployment = &mut content["deployments"][0];
        swap(deployment);
        unsign(deployment);
    });
    printed(
        &session.gaib("server theme history").await,
        &["1 deployment without a signature"],
    );
    printed(
        &session.gaib("server backup verify --all").await,
        &["0 backups and 1 deployment"],
    );
    refused(
        &session.gaib("server theme rollback -f").await,
        &["has no signature", "--allow-unsigned"],
    );
    refused(
        &session.gaib("server theme rollback --allow-unsigned -f").await,
        &["is not that of the deployment", "nothing was changed"],
    );
    assert_eq!(writes(&session), sent);
    // As an earlier gaib recorded it.
    std::fs::write(&registry, &whole).unwrap();
    forge(&registry, |content| unsign(&mut content["deployments"][0]));
    printed(
        &session.gaib("server theme rollback --dry-run").await,
        &["has no signature"],
    );
    done(&session.gaib("server theme rollback --allow-unsigned -f").await);
    assert_eq!(one(&session, "roles", "Usul").await["color"], 0x0011_1111);
}
