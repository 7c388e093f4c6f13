//! `/admin-migrate` from the queue to rows, audit entries and roles: from a role of another tool, and from a CSV file.

use arrakis_domain::{RoleId, TierId};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;

use crate::platform::{MANAGE_GUILD, Platform, Worker, assert_description, assert_refusal, embed};

/// A platform whose worker permits admin commands without MFA.
async fn without_mfa() -> (Platform, Worker) {
    let platform = Platform::start().await;
    let mut environment = platform.environment();
    environment.push(("ADMIN_COMMANDS_WITHOUT_MFA", "yes".to_owned()));
    let worker = Worker::start(&environment).await;
    platform.commands_registered().await;
    platform.until_keys("stilgar", |keys| keys.contains(&"usul")).await;
    (platform, worker)
}

/// Calls Discord's API as the bot, outside of the worker.
async fn discord(platform: &Platform, method: reqwest::Method, path: &str, body: Value) -> Value {
    let url = format!("{}{path}", platform.emulator.addresses().rest);
    let response = reqwest::Client::new()
        .request(method, url)
        .header("authorization", format!("Bot {}", platform.emulator.token()))
        .json(&body)
        .send()
        .await
        .unwrap();
    assert!(response.status().is_success(), "{path}: {}", response.status());
    response.json().await.unwrap_or_default()
}

/// Creates the role of another tool, which these members have; returns its id.
async fn foreign_role(platform: &Platform, members: &[&str]) -> String {
    let guild = &platform.community.guild;
    let path = format!("/guilds/{guild}/roles");
    let role = discord(platform, reqwest::Method::POST, &path, json!({"name": "Holder"})).await;
    let role = role["id"].as_str().unwrap().to_owned();
    for member in members {
        let path = format!(
            "/guilds/{guild}/members/{}/roles/{role}",
            platform.community.user(member)
        );
        discord(platform, reqwest::Method::PUT, &path, json!({})).await;
    }
    role
}

/// The custom id of a message's button with this beginning.
fn button(message: &Value, beginning: &str) -> String {
    let buttons = message["components"][0]["components"].as_array().unwrap();
    let ids = buttons.iter().filter_map(|button| button["custom_id"].as_str());
    let mut found = ids.filter(|id| id.starts_with(beginning));
    found
        .next()
        .unwrap_or_else(|| panic!("no {beginning} in {buttons:?}"))
        .to_owned()
}

async fn audited(platform: &Platform) -> Vec<(String, Value)> {
    let mut tx = platform.tenant().await;
    let entries = tx.audit_entries(100).await.unwrap().into_iter().rev();
    let found = entries.filter(|entry| entry.action.starts_with("tiers."));
    found
        .map(|entry| (entry.action, entry.detail["members"].clone()))
        .collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn holders_of_a_role_are_previewed_migrated_and_taken_back() {
    let (platform, _worker) = without_mfa().await;
    // Harah has no wallet; the rules decide about Stilgar, who has one.
    let role = foreign_role(&platform, &["harah", "stilgar"]).await;
    let preview = platform
        .run_as_admin("admin-migrate", json!({"role": role, "tier": "ichwan"}))
        .await;
    assert_description(&preview, "The role Holder: 2 users listed.");
    assert_description(&preview, "1 member would have the tier");
    assert_eq!(
        embed(&preview)["fields"][1]["value"],
        "1 with a verified wallet: the rules decide"
    );
    assert_eq!(audited(&platform).await, []);

    let applied = platform
        .press_as_admin(&preview, &button(&preview, "admin-migrate:apply:"))
        .await;
    assert_description(&applied, "1 member has a tier of this migration");
    let file = applied["attachments"][0]["filename"].as_str().unwrap().to_owned();
    assert!(file.starts_with("migration-") && file.ends_with(".csv"), "{file}");
    platform.until_keys("harah", |keys| keys.contains(&"ichwan")).await;
    platform
        .until_keys("stilgar", |keys| keys.contains(&"usul") && !keys.contains(&"ichwan"))
        .await;
    let mut tx = platform.tenant().await;
    let harah = tx
        .profiles()
        .by_user(platform.community.user_id("harah"))
        .await
        .unwrap();
    assert_eq!(harah.unwrap().tier, TierId::new("ichwan").ok());
    drop(tx);

    let undone = platform
        .press_as_admin(&applied, &button(&applied, "admin-migrate:undo:"))
        .await;
    assert_description(&undone, "taken back");
    platform.until_keys("harah", |keys| !keys.contains(&"ichwan")).await;
    assert_eq!(
        audited(&platform).await,
        [
            ("tiers.import".to_owned(), json!(1)),
            ("tiers.import_undo".to_owned(), json!(1)),
        ]
    );
}

/// A server of one file; returns its address.
async fn serve_file(text: String) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let mut request = [0; 4_096];
            let _ = stream.read(&mut request).await;
            let length = text.len();
            let head = format!("HTTP/1.1 200 OK\r\ncontent-length: {length}\r\nconnection: close\r\n\r\n");
            let _ = stream.write_all(format!("{head}{text}").as_bytes()).await;
        }
    });
    format!("http://{address}/members.csv")
}

/// Runs the command with a CSV file, which this machine serves in place of Discord's content network.
async fn with_file(platform: &Platform, text: String) -> Value {
    platform.delete_cooldowns();
    let file = json!({"file": {"filename": "members.csv", "content_type": "text/csv", "data_base64": ""}});
    let id = platform.send_command("chani", "admin-migrate", file).await;
    let mut dispatch = platform.dispatch_as(&id, MANAGE_GUILD).await;
    let mut body = dispatch.json();
    let url = serve_file(text).await;
    let files = body.pointer_mut("/data/resolved/attachments").unwrap();
    for file in files.as_object_mut().unwrap().values_mut() {
        file["url"] = json!(url);
    }
    dispatch.body = serde_json::to_vec(&body).unwrap();
    platform.publish(&dispatch).await;
    platform.control.answered(&id).await["message"].clone()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn members_of_a_file_are_migrated() {
    let (platform, _worker) = without_mfa().await;
    let harah = platform.community.user("harah");
    let text = format!("user_id,tier\n{harah},Qanat\n80351110224678912,naib\n");
    let preview = with_file(&platform, text).await;
    assert_description(&preview, r"The file members.csv: 2 users listed.");
    assert_eq!(embed(&preview)["fields"][1]["value"], "1 not known as members here");
    platform
        .press_as_admin(&preview, &button(&preview, "admin-migrate:apply:"))
        .await;
    platform.until_keys("harah", |keys| keys.contains(&"qanat")).await;

    let refused = with_file(&platform, format!("{harah},gold\n")).await;
    assert_refusal(&refused, "The file cannot be used: line 1: there is no tier");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_cannot_be_migrated_is_refused() {
    let (platform, _worker) = without_mfa().await;
    let empty = foreign_role(&platform, &[]).await;
    let ours = platform.community.roles["naib"].clone();
    for (options, refusal) in [
        (json!({}), "A migration needs a role with a tier, or a file."),
        (
            json!({"role": empty}),
            "A migration needs a role with a tier, or a file.",
        ),
        (json!({"role": empty, "tier": "ichwan"}), "No member has this role."),
        (
            json!({"role": empty, "tier": "gold"}),
            "There is no tier \"gold\" here.",
        ),
        (
            json!({"role": ours, "tier": "ichwan"}),
            "This role is one of the theme's",
        ),
        (json!({"undo": "12"}), "There is no migration \"12\" here."),
        (json!({"undo": "spice"}), "There is no migration \"spice\" here."),
    ] {
        assert_refusal(&platform.run_as_admin("admin-migrate", options).await, refusal);
    }
    assert_eq!(audited(&platform).await, []);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn command_is_refused_without_mfa() {
    let (platform, _worker) = Platform::with_worker().await;
    let refused = platform.run_as_admin("admin-migrate", json!({})).await;
    assert_refusal(&refused, "`/admin-migrate` needs a second factor");
}

/// A worker that ended between the commit and the acknowledgement leaves the message to another one.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn second_run_of_one_press_changes_nothing_and_replies_the_same() {
    let (platform, _worker) = without_mfa().await;
    let role = foreign_role(&platform, &["harah"]).await;
    let preview = platform
        .run_as_admin("admin-migrate", json!({"role": role, "tier": "ichwan"}))
        .await;
    let (id, dispatch) = platform
        .pressed_by_admin(&preview, &button(&preview, "admin-migrate:apply:"))
        .await;
    platform.publish(&dispatch).await;
    platform.control.answered(&id).await;
    platform.until_messages("arrakis.interactions", 0).await;
    platform.delete_done_markers();
    platform.publish(&dispatch).await;
    platform.until_messages("arrakis.interactions", 0).await;
    let reply = platform.control.interaction(&id).await;
    assert_description(&reply["message"], "1 member has a tier of this migration");
    assert_eq!(audited(&platform).await, [("tiers.import".to_owned(), json!(1))]);
}

/// Binds a role of the theme to a role with the permission Administrator.
async fn bind_to_administrator(platform: &Platform, key: &str) {
    let role = json!({"name": "Boss", "permissions": "8"});
    let role = platform
        .control
        .create_role(&platform.community.guild, &role)
        .await
        .unwrap();
    let role = RoleId(role["id"].as_str().unwrap().parse().unwrap());
    let mut tx = platform.tenant().await;
    tx.communities().bind_role(&key.parse().unwrap(), role).await.unwrap();
    tx.commit().await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn tier_whose_role_has_permissions_that_the_admin_lacks_is_refused() {
    let (platform, _worker) = without_mfa().await;
    let role = foreign_role(&platform, &["harah"]).await;
    let options = json!({"role": role, "tier": "naib"});
    let preview = platform.run_as_admin("admin-migrate", options.clone()).await;
    bind_to_administrator(&platform, "naib").await;
    let refusal = "The role Boss has permissions that you lack: ADMINISTRATOR.";
    assert_refusal(&platform.run_as_admin("admin-migrate", options).await, refusal);
    let harah = platform.community.user("harah");
    assert_refusal(&with_file(&platform, format!("{harah},naib\n")).await, refusal);
    // The preview was made before.
    let (id, dispatch) = platform
        .pressed_by_admin(&preview, &button(&preview, "admin-migrate:apply:"))
        .await;
    platform.publish(&dispatch).await;
    let view = platform.control.answered(&id).await;
    assert_refusal(&view["followups"][0], refusal);
    assert_eq!(audited(&platform).await, []);
    // Other tiers stay possible.
    let preview = platform
        .run_as_admin("admin-migrate", json!({"role": role, "tier": "ichwan"}))
        .await;
    assert_description(&preview, "1 member would have the tier");
}
