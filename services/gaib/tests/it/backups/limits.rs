//! Limits of the free plan: counted by the catalogue of a shared store, or by the platform.

use arrakis_db::ApiKeyScope::{PlansWrite, ServersRead, ServersWrite};
use arrakis_test_support::Moto;

use super::bucket::share;
use super::*;
use crate::platform::Platform;

#[tokio::test(flavor = "multi_thread")]
async fn shared_store_limits_the_free_plan_and_states_when_it_ends() {
    let moto = Moto::start(1_000).await;
    let mut session = managed().await;
    share(&mut session, &moto).await;
    let backup = created(&session.gaib("server backup create").await);
    let refusal = session.gaib("server backup create").await;
    refused(
        &refusal,
        &[
            "the limit of the free plan is reached",
            "a day",
            "permitted again from",
            "UTC",
        ],
    );
    assert_eq!(session.gaib("server backup list").await.stdout.lines().count(), 2);
    printed(
        &session.gaib(&format!("server backup show {backup}")).await,
        &["s3://", "Plan", "free"],
    );
    done(&session.gaib("server backup verify --all").await);

    let mut snapshots = Vec::new();
    for _ in 0..3 {
        snapshots.push(created(&session.gaib("server snapshot create").await));
    }
    refused(
        &session.gaib("server snapshot create").await,
        &["a week", "permitted again from"],
    );
    session.write("discord-server.yaml", CHANGED);
    let sent = writes(&session);
    let apply = session.gaib("server apply --snapshot --auto-approve").await;
    refused(&apply, &["a week"]);
    assert_eq!(writes(&session), sent, "refused before the first change");

    // A dry run and a cancelled restore are no uses. A restore that is refused for another reason is given back.
    let restore = format!("server snapshot restore {} --apply", snapshots[0]);
    wreck(&session).await;
    done(&session.gaib(&format!("{restore} --dry-run")).await);
    refused(&session.answering(&restore, Some("no\n")).await, &["Cancelled"]);
    done(&session.gaib(&format!("{restore} -f")).await);
    wreck(&session).await;
    refused(
        &session.gaib(&format!("{restore} -f")).await,
        &["a day", "permitted again from"],
    );
    assert!(!crate::session::exists(&session, JOURNAL));
}

#[tokio::test(flavor = "multi_thread")]
async fn platform_counts_for_a_shared_store_and_not_for_a_folder() {
    let platform = Platform::start().await;
    let moto = Moto::start(1_000).await;
    let mut session = managed().await;
    platform
        .connect(&mut session, &[ServersRead, ServersWrite, PlansWrite])
        .await;
    done(
        &session
            .gaib(&format!("server tier set free --guild {GUILD} --auto-approve"))
            .await,
    );
    for _ in 0..3 {
        created(&session.gaib("server backup create").await);
    }
    share(&mut session, &moto).await;
    let catalogue = session.folder.path().canonicalize().unwrap().join("catalogue");
    session.environment("BACKUP_CATALOGUE", Some(&format!("file://{}", catalogue.display())));
    created(&session.gaib("server backup create").await);
    let refusal = session.gaib("server backup create").await;
    refused(
        &refusal,
        &["count the backup", "works again at", "gaib server tier show"],
    );
    assert_eq!(session.gaib("server backup list").await.stdout.lines().count(), 2);
    // Without the platform nothing is stored.
    session.environment("ARRAKIS_API_URL", Some("http://127.0.0.1:9"));
    refused(
        &session.gaib("server snapshot create").await,
        &["count the snapshot", "nothing was changed"],
    );
    printed(&session.gaib("server snapshot list").await, &["has no snapshots"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn value_that_is_kept_counts_for_the_same_operation_alone() {
    const VALUE: &str = "7b0e3c55-5f6c-4a59-9d0e-0f6a4e1d2c3b";
    let moto = Moto::start(1_000).await;
    let mut session = managed().await;
    share(&mut session, &moto).await;
    // As a user who copies the file of a command, and puts it back.
    session.write(".gaib/workspaces/default/use-backup", VALUE);
    created(&session.gaib("server backup create").await);
    done(&session.gaib("server state rm channel.spice").await);
    session.write(".gaib/workspaces/default/use-backup", VALUE);
    refused(
        &session.gaib("server backup create").await,
        &["the limit of the free plan is reached"],
    );
    session.write(".gaib/workspaces/default/use-snapshot", VALUE);
    let snapshot = created(&session.gaib("server snapshot create").await);
    session.write(".gaib/workspaces/default/use-snapshot", VALUE);
    let again = session.gaib("server snapshot create").await;
    printed(&again, &["Finished the interrupted snapshot", &snapshot]);
    printed(&session.gaib("server snapshot list").await, &[&snapshot]);
    assert_eq!(session.gaib("server snapshot list").await.stdout.lines().count(), 2);
    for _ in 0..2 {
        let other = created(&session.gaib("server snapshot create").await);
        assert_ne!(other, snapshot);
    }
    refused(&session.gaib("server snapshot create").await, &["a week"]);
}
