//! Servers that the bot has left: their backups pause, and resume by themselves.

use std::time::Duration;

use arrakis_db::BotAbsence;
use arrakis_domain::Plan;
use arrakis_emulator_client::SeedRequest;
use arrakis_test_support::{eventually, eventually_within};
use arrakis_vault::Task;
use arrakis_worker::jobs::backup::RunSummary;
use serde_json::json;

use super::notices::WebhookServer;
use super::setup::{BackupFolder, advance, advance_to, last_run, run, set_plan};
use super::tool::tool;
use crate::platform::{Platform, Worker};

const HOUR: Duration = Duration::from_secs(3_600);
/// How long `/health` may take: each worker reads the runs once a minute.
const HEALTH_LIMIT: Duration = Duration::from_secs(80);

async fn absence(platform: &Platform) -> Option<BotAbsence> {
    platform.tenant().await.bot_presence().absence().await.unwrap()
}

/// The bot is added to the server again.
async fn add_bot(platform: &Platform) {
    let guild = json!({"id": platform.community.guild, "name": "Sietch Tabr", "channels": [{"name": "general"}]});
    platform.control.seed(&SeedRequest::Server { guild }).await.unwrap();
}

fn summary(completed: usize, skipped: usize) -> RunSummary {
    RunSummary {
        completed,
        failed: 0,
        skipped,
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn server_that_the_bot_has_left_is_paused_with_one_notice_until_a_check_finds_it_back() {
    let (platform, folder) = (Platform::start().await, BackupFolder::create());
    let webhook = WebhookServer::start(&[]).await;
    let services = folder.services(&platform, &webhook.variables()).await;
    set_plan(&platform, Plan::Free).await;
    advance_to(&platform, &services, 6, 0).await;
    assert_eq!(run(&services).await, summary(2, 0));
    // No event reports it.
    platform
        .control
        .remove_guild(platform.community.guild.as_str())
        .await
        .unwrap();
    advance(&platform, &services, 24 * HOUR).await;
    // The retention runs as before.
    assert_eq!(run(&services).await, summary(1, 1));
    let backup = last_run(&platform, Task::Backup).await.unwrap();
    assert_eq!((backup.consecutive_failures, backup.last_error), (0, None));
    let since = absence(&platform).await.unwrap().since;
    let (code, text) = tool(&platform, &folder, &["backup", "status"]).await;
    assert_eq!(code, Some(0), "{text}");
    assert!(text.contains("the bot is not in the server since 20"), "{text}");
    advance(&platform, &services, 12 * HOUR).await;
    assert_eq!(run(&services).await, summary(0, 0));
    advance(&platform, &services, 12 * HOUR + Duration::from_secs(600)).await;
    assert_eq!(run(&services).await, summary(1, 1), "one check a day");
    assert_eq!(absence(&platform).await.unwrap().since, since);
    let title = format!("Arrakis: the bot is not in server {}", platform.community.guild);
    let titles = webhook.titles();
    assert_eq!(titles.iter().filter(|found| **found == title).count(), 1, "{titles:?}");
    add_bot(&platform).await;
    advance(&platform, &services, 24 * HOUR + Duration::from_secs(600)).await;
    assert_eq!(run(&services).await, summary(2, 0));
    assert_eq!(absence(&platform).await, None);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn requested_backup_of_a_server_without_the_bot_fails_and_is_no_failed_run() {
    let (platform, folder) = (Platform::start().await, BackupFolder::create());
    let guild = platform.community.guild.clone();
    platform.control.remove_guild(guild.as_str()).await.unwrap();
    let _worker = Worker::start(&folder.environment(&platform)).await;
    let is_absent = || async { absence(&platform).await.is_some() };
    eventually_within(HEALTH_LIMIT, is_absent, "the absence to be found").await;
    let is_ended = || async {
        let (code, text) = tool(&platform, &folder, &["backup", "run", &guild, "--wait"]).await;
        // A scheduled run may have waited or run.
        (!text.contains("waits or runs already")).then_some((code, text))
    };
    let (code, text) = eventually_within(HEALTH_LIMIT, is_ended, "the requested run to end").await;
    assert_eq!(code, Some(1), "{text}");
    assert!(text.contains("failed: the bot is not on server"), "{text}");
    let failed = last_run(&platform, Task::Backup).await;
    assert!(failed.is_none_or(|run| run.consecutive_failures == 0));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn events_begin_and_end_the_pause_and_health_names_it_without_a_problem() {
    let (platform, folder) = (Platform::start().await, BackupFolder::create());
    let guild = platform.community.guild.clone();
    let worker = Worker::start(&folder.environment(&platform)).await;
    platform.control.remove_guild(guild.as_str()).await.unwrap();
    platform.deliver("GUILD_DELETE").await;
    let is_absent = || async { absence(&platform).await.is_some() };
    eventually(is_absent, "the absence to be recorded").await;
    let named = || async {
        let component = worker.runtime.health.document("worker", "0")["components"]["backups"].clone();
        let detail = component["detail"].as_str().unwrap_or_default().to_owned();
        component["status"] == "up"
            && detail.contains(&format!(
                "the bot is not in 1 servers, whose backups pause: server {guild} since 20"
            ))
    };
    eventually_within(HEALTH_LIMIT, named, "health to name the server").await;
    worker.until_metric("arrakis_worker_backup_absent", 1.0).await;
    add_bot(&platform).await;
    platform.deliver_for("GUILD_CREATE", &guild).await;
    let is_back = || async { absence(&platform).await.is_none() };
    eventually(is_back, "the end of the absence").await;
}
