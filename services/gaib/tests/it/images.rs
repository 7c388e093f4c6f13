//! Images of an export, of an import and of a plan.

use arrakis_emulator_client::Fault;
use discord_emulator::seed::{self, spec::GuildSpec};
use discord_emulator::traffic::Record;
use reqwest::Method;
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use crate::session::{GUILD, Outcome, Session, exists};

const OTHER: &str = "1200000000000000999";
const PIXEL: &str = "data:image/png;base64,iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg==";
const GIF: &str = "data:image/gif;base64,R0lGODlhAQABAAAAACw=";
const PNG: &[u8] = b"\x89PNG\r\n\x1a\n";

async fn by_api(session: &Session, method: Method, path: &str, body: Value) -> Value {
    let url = format!("{}{path}", session.emulator.addresses().rest);
    let client = reqwest::Client::builder().no_proxy().build().unwrap();
    let request = client
        .request(method, url)
        .header("Authorization", format!("Bot {}", session.emulator.token()));
    let response = request.json(&body).send().await.unwrap();
    let status = response.status();
    let text = response.text().await.unwrap();
    assert!(status.is_success(), "{text}");
    serde_json::from_str(&text).unwrap_or(Value::Null)
}

/// A server with two emoji, a webhook with an avatar and an event with an image; and an empty server.
async fn two_servers() -> Session {
    let channel = "1200000000000000780";
    let spec = json!({ "name": "Carthag", "channels": [{ "id": channel, "name": "spice" }] });
    let session = Session::with(spec).await;
    let other: GuildSpec = serde_json::from_value(json!({ "id": OTHER, "name": "Copy" })).unwrap();
    session
        .emulator
        .app()
        .world
        .write(|state| seed::build(state, &other))
        .unwrap();
    let emojis = format!("/guilds/{GUILD}/emojis");
    by_api(
        &session,
        Method::POST,
        &emojis,
        json!({ "name": "worm", "image": PIXEL }),
    )
    .await;
    by_api(
        &session,
        Method::POST,
        &emojis,
        json!({ "name": "storm", "image": GIF }),
    )
    .await;
    let webhook = json!({ "name": "Thumper", "avatar": PIXEL });
    by_api(
        &session,
        Method::POST,
        &format!("/channels/{channel}/webhooks"),
        webhook,
    )
    .await;
    let event = json!({
        "name": "Gathering", "privacy_level": 2, "entity_type": 3, "entity_metadata": { "location": "Sietch" },
        "scheduled_start_time": "2099-01-01T00:00:00Z", "scheduled_end_time": "2099-01-02T00:00:00Z", "image": PIXEL,
    });
    by_api(
        &session,
        Method::POST,
        &format!("/guilds/{GUILD}/scheduled-events"),
        event,
    )
    .await;
    session
}

/// The number of requests other than GET that the emulator received for a server.
fn writes(session: &Session, guild: &str) -> usize {
    let entries = session.emulator.app().traffic.since(0);
    let of_guild = entries.iter().filter(|entry| match &entry.record {
        Record::Rest(call) => call.method != "GET" && call.path.contains(guild),
        Record::Gateway(_) => false,
    });
    of_guild.count()
}

async fn emoji_of(session: &Session, guild: &str) -> Vec<Value> {
    let all = by_api(session, Method::GET, &format!("/guilds/{guild}/emojis"), Value::Null).await;
    all.as_array().unwrap().clone()
}

/// The image that the content network returns for an emoji.
async fn image_of(session: &Session, emoji: &Value) -> Vec<u8> {
    let base = session.emulator.addresses().rest.replace("/api/v10", "");
    let url = format!("{base}/emojis/{}.png", emoji["id"].as_str().unwrap());
    let client = reqwest::Client::builder().no_proxy().build().unwrap();
    let response = client.get(url).send().await.unwrap();
    assert!(response.status().is_success());
    response.bytes().await.unwrap().to_vec()
}

/// Arms a fault for downloads of an emoji.
async fn arm_download_fault(session: &Session, emoji: &Value, fault: Fault) {
    let id = emoji["id"].as_str().unwrap();
    let fault = fault.method("GET").route("/emojis/{name}").path(id);
    session.control().fault(&fault).await.unwrap();
}

#[track_caller]
fn assert_failed(outcome: &Outcome, parts: &[&str]) {
    assert_eq!(outcome.code, 1, "{}{}", outcome.stdout, outcome.stderr);
    for part in parts {
        assert!(outcome.stderr.contains(part), "no {part:?} in {}", outcome.stderr);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn export_with_images_is_applied_to_another_server() {
    let mut session = two_servers().await;
    session.gaib(&format!("server init --guild {GUILD}")).await;
    let exported = session.gaib("server export -o copy.yaml").await;
    assert_eq!(
        (exported.code, exported.stderr.contains("warning")),
        (0, false),
        "{}",
        exported.stderr
    );
    for file in [
        "emoji.worm.png",
        "emoji.storm.gif",
        "webhook.thumper.png",
        "event.gathering.png",
    ] {
        assert!(exists(&session, &format!("copy-images/{file}")), "{file}");
        assert!(
            session.read("copy.yaml").contains(&format!("copy-images/{file}")),
            "{file}"
        );
    }
    let valid = session.gaib("server validate --file copy.yaml").await;
    assert_eq!((valid.code, valid.stderr.as_str()), (0, ""));
    let applied = session
        .gaib(&format!("apply copy.yaml --guild {OTHER} --auto-approve"))
        .await;
    assert_eq!(applied.code, 0, "{}", applied.stderr);
    let (from, to) = (emoji_of(&session, GUILD).await, emoji_of(&session, OTHER).await);
    assert_eq!(to.len(), 2);
    for emoji in &from {
        let copy = to.iter().find(|copy| copy["name"] == emoji["name"]).unwrap();
        assert_eq!(image_of(&session, emoji).await, image_of(&session, copy).await);
        assert_eq!(emoji["animated"], copy["animated"]);
    }
    // An existing file with another image is replaced only with --force.
    std::fs::write(session.folder.path().join("copy-images/emoji.worm.png"), b"mine").unwrap();
    std::fs::remove_file(session.folder.path().join("copy.yaml")).unwrap();
    let refused = session.gaib("server export -o copy.yaml").await;
    assert_failed(&refused, &["emoji.worm.png already exists", "--force"]);
    assert_eq!(session.gaib("server export -o copy.yaml --force").await.code, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn imported_images_plan_to_no_change_also_without_their_files() {
    let mut session = two_servers().await;
    session.gaib(&format!("server init --guild {GUILD}")).await;
    assert_eq!(session.gaib("server import --all").await.code, 0);
    assert!(
        session
            .read("discord-server.yaml")
            .contains("discord-server-images/emoji.worm.png")
    );
    let same = session.gaib("server plan --detailed-exitcode").await;
    assert_eq!(same.code, 0, "{}{}", same.stdout, same.stderr);
    // An export of what is managed has the same images.
    assert_eq!(session.gaib("server export -o again.yaml").await.code, 0);
    let same = session.gaib("server plan --detailed-exitcode --file again.yaml").await;
    assert_eq!(same.code, 0, "{}{}", same.stdout, same.stderr);
    // An existing emoji needs neither an image file nor a line in the configuration.
    std::fs::remove_dir_all(session.folder.path().join("discord-server-images")).unwrap();
    let same = session.gaib("server plan --detailed-exitcode").await;
    assert_eq!(same.code, 0, "{}{}", same.stdout, same.stderr);
    let mut text = session.read("discord-server.yaml");
    for line in [
        "image: discord-server-images/emoji.worm.png",
        "image: discord-server-images/emoji.storm.gif",
        "avatar: discord-server-images/webhook.thumper.png",
        "image: discord-server-images/event.gathering.png",
    ] {
        assert!(text.contains(line), "{text}");
        text = text
            .replace(&format!(", {line}"), "")
            .replace(&format!("{line}, "), "")
            .replace(line, "");
    }
    session.write("discord-server.yaml", &text);
    let same = session.gaib("server plan --detailed-exitcode").await;
    assert_eq!(same.code, 0, "{}{}", same.stdout, same.stderr);
}

#[tokio::test(flavor = "multi_thread")]
async fn image_that_cannot_be_downloaded_is_reported_and_a_copy_is_refused() {
    let mut session = two_servers().await;
    let worm = emoji_of(&session, GUILD)
        .await
        .into_iter()
        .find(|one| one["name"] == "worm")
        .unwrap();
    arm_download_fault(&session, &worm, Fault::rest_status(404)).await;
    session.gaib(&format!("server init --guild {GUILD}")).await;
    let exported = session.gaib("server export -o copy.yaml").await;
    assert_eq!(exported.code, 0);
    let message = &exported.stderr;
    assert!(
        message.contains("the image of emoji.worm was not exported") && message.contains("404"),
        "{message}"
    );
    let text = session.read("copy.yaml");
    assert!(
        text.contains("#   emoji.worm: ") && text.contains("write `image: FILE`"),
        "{text}"
    );
    let valid = session.gaib("server validate --file copy.yaml").await;
    assert_eq!(valid.code, 0);
    assert!(
        valid.stderr.contains("warning") && valid.stderr.contains("emoji.worm"),
        "{}",
        valid.stderr
    );
    let refused = session
        .gaib(&format!("apply copy.yaml --guild {OTHER} --auto-approve"))
        .await;
    assert_failed(
        &refused,
        &[
            "emoji.worm",
            "requires an image",
            "write `image: FILE`",
            "nothing was changed",
        ],
    );
    assert_eq!(writes(&session, OTHER), 0);
    // On its own server nothing is missing.
    assert_eq!(session.gaib("server import --all --file copy.yaml").await.code, 0);
    let same = session.gaib("server plan --detailed-exitcode --file copy.yaml").await;
    assert_eq!(same.code, 0, "{}{}", same.stdout, same.stderr);
    let shown = session.gaib("server export").await;
    assert!(
        shown.stderr.contains("--output FILE downloads images"),
        "{}",
        shown.stderr
    );
    assert!(shown.stdout.contains("#   emoji.worm"), "{}", shown.stdout);
}

#[tokio::test(flavor = "multi_thread")]
async fn failed_download_is_retried_and_invalid_image_is_omitted() {
    let mut session = two_servers().await;
    session.gaib(&format!("server init --guild {GUILD}")).await;
    let emoji = emoji_of(&session, GUILD).await;
    let of = |name: &str| emoji.iter().find(|one| one["name"] == name).unwrap();
    arm_download_fault(&session, of("worm"), Fault::rest_status(503).count(2)).await;
    arm_download_fault(&session, of("storm"), Fault::of_kind("rest_garbage")).await;
    let exported = session.gaib("server export -o copy.yaml").await;
    assert_eq!(exported.code, 0);
    assert!(exists(&session, "copy-images/emoji.worm.png"), "{}", exported.stderr);
    assert!(!exists(&session, "copy-images/emoji.storm.gif"));
    assert!(
        exported.stderr.contains("the image of emoji.storm was not exported"),
        "{}",
        exported.stderr
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn image_that_discord_would_refuse_is_refused_before_the_first_write() {
    let mut session = Session::start().await;
    session.gaib(&format!("server init --guild {GUILD}")).await;
    let folder = session.folder.path().to_owned();
    let large = [PNG, &vec![0; 256 * 1_024]].concat();
    std::fs::write(folder.join("large.png"), large).unwrap();
    std::fs::write(folder.join("drawing.svg"), "<svg/>").unwrap();
    std::fs::write(folder.join("empty.png"), "").unwrap();
    std::fs::create_dir(folder.join("folder.png")).unwrap();
    for (file, reason) in [
        ("absent.png", "cannot read"),
        ("folder.png", "cannot read"),
        ("empty.png", "the file is empty"),
        ("drawing.svg", "not an image"),
        ("large.png", "262152 bytes, and Discord accepts at most 262144"),
    ] {
        session.write(
            "discord-server.yaml",
            &format!("roles:\n  guard: {{}}\nemoji:\n  worm:\n    image: {file}\n"),
        );
        let place = "discord-server.yaml:4:3: the image of emoji.worm";
        assert_failed(&session.gaib("server validate").await, &[place, file, reason]);
        assert_failed(
            &session.gaib("server plan").await,
            &["the image of emoji.worm", file, reason],
        );
        let applied = session.gaib("server apply --auto-approve").await;
        assert_failed(
            &applied,
            &["the image of emoji.worm", file, reason, "nothing was changed"],
        );
    }
    session.write("discord-server.yaml", "emoji:\n  worm: {}\n");
    let valid = session.gaib("server validate").await;
    assert_eq!(valid.code, 0);
    assert!(
        valid.stderr.contains("warning: 1 emoji without an image"),
        "{}",
        valid.stderr
    );
    assert_failed(&session.gaib("server plan").await, &["emoji.worm", "requires an image"]);
    assert_eq!(writes(&session, GUILD), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn image_that_changed_after_the_plan_stops_the_apply() {
    let mut session = Session::start().await;
    session.gaib(&format!("server init --guild {GUILD}")).await;
    std::fs::write(session.folder.path().join("worm.png"), PNG).unwrap();
    session.write(
        "discord-server.yaml",
        "roles:\n  guard: {}\nemoji:\n  worm:\n    image: worm.png\n",
    );
    assert_eq!(session.gaib("server plan --out kept").await.code, 0);
    std::fs::write(session.folder.path().join("worm.png"), [PNG, b"more"].concat()).unwrap();
    let refused = session.gaib("server apply kept").await;
    assert_failed(&refused, &["emoji.worm", "was changed after the plan was created"]);
    std::fs::remove_file(session.folder.path().join("worm.png")).unwrap();
    assert_failed(&session.gaib("server apply kept").await, &["emoji.worm", "cannot read"]);
    assert_eq!(writes(&session, GUILD), 0);
    std::fs::write(session.folder.path().join("worm.png"), PNG).unwrap();
    assert_eq!(session.gaib("server apply kept").await.code, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn saved_plan_reads_images_from_the_folder_of_the_planned_file() {
    let mut session = Session::start().await;
    session.gaib(&format!("server init --guild {GUILD}")).await;
    std::fs::create_dir(session.folder.path().join("other")).unwrap();
    std::fs::write(session.folder.path().join("other/worm.png"), PNG).unwrap();
    session.write("other/server.yaml", "emoji:\n  worm:\n    image: worm.png\n");
    let planned = session.gaib("server plan --file other/server.yaml --out kept").await;
    assert_eq!(planned.code, 0, "{}", planned.stderr);
    let applied = session.gaib("server apply kept").await;
    assert_eq!(applied.code, 0, "{}", applied.stderr);
    assert_eq!(emoji_of(&session, GUILD).await.len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn backup_contains_images() {
    let mut session = two_servers().await;
    session.gaib(&format!("server init --guild {GUILD}")).await;
    assert_eq!(session.gaib("server export --backup -o copy.yaml").await.code, 0);
    let folder = format!(".gaib/backups/exports/{GUILD}");
    let text = session.read(&format!("{folder}/config.latest.yaml"));
    let images = std::fs::read_dir(session.folder.path().join(folder).join("images")).unwrap();
    let mut count = 0;
    for image in images {
        let path = image.unwrap().path();
        let name = path.file_name().unwrap().to_str().unwrap();
        let digest = hex::encode(Sha256::digest(std::fs::read(&path).unwrap()));
        assert!(name.starts_with(&digest), "{name}");
        assert!(text.contains(&format!("images/{name}")), "{name}: {text}");
        count += 1;
    }
    // Three of the four images are the same.
    assert_eq!(count, 2);
}
