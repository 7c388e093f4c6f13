//! Notices at a webhook and a topic: a local HTTP server in place of Discord's, and a local SNS.

use std::net;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use arrakis_test_support::{Moto, Process, eventually};
use arrakis_worker::configuration::ShadowStore;
use arrakis_worker::leader::{ConfigurationTasks, send_notices};
use parking_lot::Mutex;
use serde_json::{Value, json};
use time::OffsetDateTime;
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::{TcpListener, TcpStream};

use super::setup::{BackupFolder, advance, now, run, vault};
use crate::platform::Platform;

/// In place of a status: the response is lost.
const LOST: u16 = 0;

/// A server that accepts messages, and refuses the first ones.
pub struct WebhookServer {
    url: String,
    received: Arc<Mutex<Vec<Value>>>,
}

impl WebhookServer {
    /// A server whose first responses have these statuses; all further ones are 204. With [`LOST`], the message is accepted, and the connection closed
    /// without a response.
    pub async fn start(first: &[u16]) -> Self {
        Self::serve(TcpListener::bind("127.0.0.1:0").await.unwrap(), first)
    }

    fn serve(listener: TcpListener, first: &[u16]) -> Self {
        let url = format!("http://{}/api/webhooks/1/a-token", listener.local_addr().unwrap());
        let received: Arc<Mutex<Vec<Value>>> = Arc::default();
        let statuses = Arc::new(Mutex::new(first.to_vec()));
        let all = received.clone();
        tokio::spawn(async move {
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                tokio::spawn(respond(stream, all.clone(), statuses.clone()));
            }
        });
        Self { url, received }
    }

    pub fn variables(&self) -> Vec<(&'static str, String)> {
        vec![
            ("GAIB_NOTIFICATIONS_ENABLED", "yes".to_owned()),
            ("NOTIFY_WEBHOOK_URL", self.url.clone()),
        ]
    }

    /// Titles of the embeds of the accepted messages.
    pub fn titles(&self) -> Vec<String> {
        let received = self.received.lock();
        let embeds = received
            .iter()
            .flat_map(|message| message["embeds"].as_array().unwrap());
        embeds
            .map(|embed| embed["title"].as_str().unwrap().to_owned())
            .collect()
    }

    /// Number of the accepted messages.
    fn messages(&self) -> usize {
        self.received.lock().len()
    }
}

async fn respond(stream: TcpStream, received: Arc<Mutex<Vec<Value>>>, statuses: Arc<Mutex<Vec<u16>>>) {
    let mut stream = BufReader::new(stream);
    loop {
        let mut length = 0;
        loop {
            let mut line = String::new();
            if stream.read_line(&mut line).await.unwrap_or(0) == 0 {
                return;
            }
            let line = line.trim().to_ascii_lowercase();
            if line.is_empty() {
                break;
            }
            if let Some(value) = line.strip_prefix("content-length:") {
                length = value.trim().parse().unwrap();
            }
        }
        let mut body = vec![0; length];
        stream.read_exact(&mut body).await.unwrap();
        let status = {
            let mut statuses = statuses.lock();
            if statuses.is_empty() { 204 } else { statuses.remove(0) }
        };
        if matches!(status, 204 | LOST) {
            received.lock().push(serde_json::from_slice(&body).unwrap());
        }
        if status == LOST {
            return;
        }
        let response = format!("HTTP/1.1 {status} x\r\ncontent-length: 0\r\n\r\n");
        if stream.write_all(response.as_bytes()).await.is_err() {
            return;
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn completed_and_failed_runs_are_notified() {
    let (platform, folder) = (Platform::start().await, BackupFolder::create());
    let webhook = WebhookServer::start(&[]).await;
    let services = folder.services(&platform, &webhook.variables()).await;
    assert_eq!(run(&services).await.completed, 3);
    let guild = platform.community.guild.clone();
    let expected: Vec<String> = ["backup", "snapshot", "retention"]
        .iter()
        .map(|task| format!("Arrakis: {task} of server {guild} completed"))
        .collect();
    assert_eq!((webhook.titles(), webhook.messages()), (expected, 1));
    // A file is where the store is to be.
    std::fs::remove_dir_all(folder.store()).unwrap();
    std::fs::write(folder.store(), "").unwrap();
    advance(&platform, &services, Duration::from_secs(3_600)).await;
    let failed = run(&services).await.failed;
    assert!(failed >= 1);
    let title = format!("Arrakis: backup of server {guild} failed");
    assert!(webhook.titles().contains(&title), "{:?}", webhook.titles());
    let received = webhook.received.lock().clone();
    assert_eq!(received.len(), 2);
    let embeds = received[1]["embeds"].as_array().unwrap();
    let embed = embeds.iter().find(|embed| embed["title"] == title.as_str()).unwrap();
    assert!(!embed["description"].as_str().unwrap().is_empty(), "{embed}");
    assert_eq!(embed["fields"][1]["value"], "premium");
    assert_eq!(received[1]["allowed_mentions"]["parse"], json!([]));
}

/// The number of stored notices.
async fn stored(platform: &Platform) -> usize {
    let later = OffsetDateTime::now_utc() + time::Duration::weeks(52);
    let mut tx = platform.tenant().await;
    // Not committed.
    tx.operator_notices()
        .prune("webhook", later, later)
        .await
        .unwrap()
        .len()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn notices_that_are_refused_for_a_while_are_sent_later_in_one_message() {
    let (platform, folder) = (Platform::start().await, BackupFolder::create());
    let webhook = WebhookServer::start(&[429, 503, 429]).await;
    let services = folder.services(&platform, &webhook.variables()).await;
    assert_eq!(run(&services).await.completed, 3);
    assert_eq!((webhook.messages(), stored(&platform).await), (0, 3));
    send_notices(&services, now(&services)).await.unwrap();
    assert_eq!((webhook.titles().len(), webhook.messages()), (3, 1));
    send_notices(&services, now(&services)).await.unwrap();
    assert_eq!((webhook.messages(), stored(&platform).await), (1, 0));
}

/// A process that was killed after it has taken notices, and before or after it has sent them.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn notice_of_a_killed_process_is_not_sent_a_second_time() {
    let (platform, folder) = (Platform::start().await, BackupFolder::create());
    let webhook = WebhookServer::start(&[]).await;
    let services = folder.services(&platform, &webhook.variables()).await;
    let began = now(&services);
    let mut tx = platform.tenant().await;
    let mut notices = tx.operator_notices();
    notices.put("a", "webhook", &json!({}), began).await.unwrap();
    assert_eq!(notices.take("webhook", 10, began).await.unwrap().len(), 1);
    tx.commit().await.unwrap();
    send_notices(&services, now(&services)).await.unwrap();
    assert_eq!((webhook.messages(), stored(&platform).await), (0, 1));
    advance(&platform, &services, Duration::from_secs(3_700)).await;
    send_notices(&services, now(&services)).await.unwrap();
    assert_eq!((webhook.messages(), stored(&platform).await), (0, 0));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn notice_whose_response_is_lost_is_not_sent_a_second_time() {
    let (platform, folder) = (Platform::start().await, BackupFolder::create());
    for first in [LOST, 502] {
        let webhook = WebhookServer::start(&[first]).await;
        let services = folder.services(&platform, &webhook.variables()).await;
        advance(&platform, &services, Duration::ZERO).await;
        assert!(run(&services).await.completed >= 1);
        let accepted = usize::from(first == LOST);
        assert_eq!(webhook.messages(), accepted, "{first}");
        assert!(stored(&platform).await >= 1, "{first}");
        send_notices(&services, now(&services)).await.unwrap();
        assert_eq!(webhook.messages(), accepted, "{first}");
        advance(&platform, &services, Duration::from_secs(3_700)).await;
        send_notices(&services, now(&services)).await.unwrap();
        assert_eq!((webhook.messages(), stored(&platform).await), (accepted, 0), "{first}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn notice_is_sent_again_after_a_refused_connection() {
    let (platform, folder) = (Platform::start().await, BackupFolder::create());
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    drop(listener);
    let url = format!("http://{address}/api/webhooks/1/a-token");
    let variables = [
        ("GAIB_NOTIFICATIONS_ENABLED", "yes".to_owned()),
        ("NOTIFY_WEBHOOK_URL", url),
    ];
    let services = folder.services(&platform, &variables).await;
    assert_eq!(run(&services).await.completed, 3);
    assert_eq!(stored(&platform).await, 3);
    let webhook = WebhookServer::serve(TcpListener::bind(address).await.unwrap(), &[]);
    send_notices(&services, now(&services)).await.unwrap();
    assert_eq!((webhook.titles().len(), stored(&platform).await), (3, 0));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn refused_notice_is_sent_again_and_a_deleted_webhook_fails_no_backup() {
    let (platform, folder) = (Platform::start().await, BackupFolder::create());
    let webhook = WebhookServer::start(&[503]).await;
    let services = folder.services(&platform, &webhook.variables()).await;
    assert_eq!(run(&services).await.completed, 3);
    assert_eq!(webhook.titles().len(), 3);
    let deleted = WebhookServer::start(&[404, 404, 404]).await;
    let services = folder.services(&platform, &deleted.variables()).await;
    advance(&platform, &services, Duration::from_secs(3_600)).await;
    assert!(run(&services).await.completed >= 1);
    assert_eq!(deleted.titles(), Vec::<String>::new());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn notices_are_off_unless_they_are_switched_on() {
    let (platform, folder) = (Platform::start().await, BackupFolder::create());
    let webhook = WebhookServer::start(&[]).await;
    let url = ("NOTIFY_WEBHOOK_URL", webhook.url.clone());
    let services = folder.services(&platform, &[url]).await;
    assert_eq!(run(&services).await.completed, 3);
    assert_eq!(webhook.titles(), Vec::<String>::new());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn damaged_shadow_of_a_configuration_is_notified_once() {
    let (platform, folder) = (Platform::start().await, BackupFolder::create());
    let webhook = WebhookServer::start(&[]).await;
    let mut services = folder.services(&platform, &webhook.variables()).await;
    let store = vault(&services).store().clone();
    services.shadows = Some(ShadowStore::new(store));
    let lead = async || {
        let mut tasks = ConfigurationTasks::default();
        tasks.run(&services, OffsetDateTime::now_utc()).await.unwrap();
        send_notices(&services, OffsetDateTime::now_utc()).await.unwrap();
    };
    lead().await;
    assert_eq!(webhook.titles(), Vec::<String>::new());
    let guild = &platform.community.guild;
    let shadow = folder.store().join("manifests").join(guild).join("1.json.gz");
    std::fs::write(shadow, "nothing").unwrap();
    lead().await;
    lead().await;
    let expected = format!("Arrakis: shadow of the configuration of server {guild} is damaged or differs");
    assert_eq!(webhook.titles(), [expected]);
}

/// Sends a request to the local SNS, which does not check signatures; returns the response.
async fn sns(moto: &Moto, action: &str, parameters: &[(&str, &str)]) -> String {
    let mut form = url::form_urlencoded::Serializer::new(String::new());
    form.append_pair("Action", action).append_pair("Version", "2010-03-31");
    for (name, value) in parameters {
        form.append_pair(name, value);
    }
    let authorization =
        "AWS4-HMAC-SHA256 Credential=test/20261201/us-east-1/sns/aws4_request, SignedHeaders=host, Signature=0";
    let response = reqwest::Client::new()
        .post(moto.url())
        .header("authorization", authorization)
        .header("content-type", "application/x-www-form-urlencoded")
        .body(form.finish())
        .send()
        .await
        .unwrap();
    assert!(response.status().is_success(), "{action}: {response:?}");
    response.text().await.unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn topic_has_attributes_by_which_a_subscription_filters() {
    let (platform, folder) = (Platform::start().await, BackupFolder::create());
    let moto = Moto::start(1_000).await;
    let created = sns(&moto, "CreateTopic", &[("Name", "gaib-backup-notifications")]).await;
    let arn = created
        .split("<TopicArn>")
        .nth(1)
        .unwrap()
        .split('<')
        .next()
        .unwrap()
        .to_owned();
    let guild = &platform.community.guild;
    // moto's messages to a webhook lack their attributes, but it filters by them.
    let of_backup = json!({"outcome": ["success"], "task": ["backup"], "plan": ["premium"], "server": [guild]});
    let filters = [None, Some(of_backup), Some(json!({"outcome": ["failure"]}))]
        .map(|filter| filter.map(|filter| filter.to_string()));
    let mut servers = Vec::new();
    for filter in &filters {
        let server = WebhookServer::start(&[]).await;
        let mut subscription = vec![
            ("TopicArn", arn.as_str()),
            ("Protocol", "http"),
            ("Endpoint", server.url.as_str()),
        ];
        if let Some(filter) = filter {
            subscription.push(("Attributes.entry.1.key", "FilterPolicy"));
            subscription.push(("Attributes.entry.1.value", filter.as_str()));
        }
        sns(&moto, "Subscribe", &subscription).await;
        servers.push(server);
    }
    let [all, backups, failures] = &*servers else {
        unreachable!("one for each filter");
    };
    let health = net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let mut environment = folder.environment(&platform);
    environment.extend([
        ("HEALTH_ADDR", health.to_string()),
        ("GAIB_NOTIFICATIONS_ENABLED", "yes".to_owned()),
        ("BACKUP_NOTIFICATION_TOPIC", arn.clone()),
        ("AWS_ENDPOINT_URL", moto.url().to_owned()),
        ("AWS_ACCESS_KEY_ID", "test".to_owned()),
        ("AWS_SECRET_ACCESS_KEY", "test".to_owned()),
    ]);
    let program = Path::new(env!("CARGO_BIN_EXE_arrakis-worker"));
    let process = Process::start_at(program, &["backup", "run-due"], environment);
    let (status, text) = process.output(Duration::from_secs(60)).await;
    assert_eq!(status.code(), Some(0), "{text}");
    let is_received = || async { all.received.lock().len() == 3 };
    eventually(is_received, "three notifications").await;
    let received = backups.received.lock().clone();
    let subjects: Vec<&Value> = received.iter().map(|message| &message["Subject"]).collect();
    assert_eq!(
        subjects,
        [&json!(format!("Arrakis: backup of server {guild} completed"))]
    );
    assert_eq!(failures.received.lock().len(), 0, "the filter policy");
}
