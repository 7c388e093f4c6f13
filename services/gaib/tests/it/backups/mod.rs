//! Backups, snapshots and the theme registry, with the real binary against the emulator.

pub(crate) mod bucket;
mod damage;
mod encryption;
mod exports;
mod killed;
mod killed_store;
mod limits;
mod servers;
mod states;
mod themes;

use std::path::{Path, PathBuf};

use discord_emulator::traffic::Record;
use reqwest::Method;
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use crate::session::{GUILD, Outcome, Session};

/// A member with an unmanaged role.
const STILGAR: &str = "1200000000000000801";
/// A member without roles.
const JAMIS: &str = "1200000000000000802";
const PIXEL: &str = "data:image/png;base64,iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg==";

/// What the workspace manages.
const CONFIGURATION: &str = "\
roles:
  naib: { name: Naib, color: \"#FFD700\", permissions: [MANAGE_MESSAGES] }
  fedaykin: { name: Fedaykin }
categories:
  rock: { name: Rock }
channels:
  council:
    name: council
    category: rock
    topic: Naib only
    overwrites: { everyone: { deny: [VIEW_CHANNEL] }, naib: { allow: [VIEW_CHANNEL] } }
  spice: { name: spice, topic: The harvest }
";

/// The same with another colour and topic.
const CHANGED: &str = "\
roles:
  naib: { name: Naib, color: \"#112233\", permissions: [MANAGE_MESSAGES] }
  fedaykin: { name: Fedaykin }
categories:
  rock: { name: Rock }
channels:
  council:
    name: council
    category: rock
    topic: Everyone
    overwrites: { everyone: { deny: [VIEW_CHANNEL] }, naib: { allow: [VIEW_CHANNEL] } }
  spice: { name: spice, topic: The harvest }
";

/// A server with resources and members of its own, and a workspace that manages nothing yet.
async fn unmanaged() -> Session {
    let mut session = Session::with(json!({
        "name": "Sietch Tabr", "community": true,
        "roles": [
            { "name": "Old Guard", "color": "#445566", "hoist": true }, { "name": "Counting Bot", "managed": true },
        ],
        "channels": [{ "name": "hall", "topic": "Welcome" }, { "name": "voices", "kind": "voice", "user_limit": 7 }],
        "members": [
            { "id": STILGAR, "name": "stilgar", "roles": ["Old Guard"] }, { "id": JAMIS, "name": "jamis" },
        ],
    }))
    .await;
    let emoji = json!({ "name": "worm", "image": PIXEL });
    by_bot(&session, Method::POST, &format!("/guilds/{GUILD}/emojis"), emoji).await;
    done(&session.gaib(&format!("server init --guild {GUILD}")).await);
    session
}

/// The same, with the configuration applied.
async fn managed() -> Session {
    let mut session = unmanaged().await;
    session.write("discord-server.yaml", CONFIGURATION);
    done(&session.gaib("server apply --auto-approve").await);
    session
}

/// Chooses the channels that each community server of Discord has; without them its configuration is invalid.
async fn choose_channels(session: &Session) {
    let guild = session.control().guild(GUILD).await.unwrap();
    let hall = id_of(&guild, "channels", "hall").unwrap();
    let channels = json!({ "rules_channel_id": hall, "public_updates_channel_id": hall });
    by_bot(session, Method::PATCH, &format!("/guilds/{GUILD}"), channels).await;
}

/// Deletes a managed and an unmanaged role, channels and the emoji, and changes the topic of another channel.
async fn wreck(session: &Session) {
    let guild = session.control().guild(GUILD).await.unwrap();
    for name in ["Naib", "Old Guard"] {
        if let Some(id) = id_of(&guild, "roles", name) {
            by_bot(
                session,
                Method::DELETE,
                &format!("/guilds/{GUILD}/roles/{id}"),
                Value::Null,
            )
            .await;
        }
    }
    for name in ["Rock", "spice", "hall"] {
        if let Some(id) = id_of(&guild, "channels", name) {
            by_bot(session, Method::DELETE, &format!("/channels/{id}"), Value::Null).await;
        }
    }
    if let Some(id) = id_of(&guild, "channels", "council") {
        let topic = json!({ "topic": "Everyone" });
        by_bot(session, Method::PATCH, &format!("/channels/{id}"), topic).await;
    }
    for emoji in emoji(session).await {
        let path = format!("/guilds/{GUILD}/emojis/{}", emoji["id"].as_str().unwrap());
        by_bot(session, Method::DELETE, &path, Value::Null).await;
    }
}

/// A request of the bot.
async fn by_bot(session: &Session, method: Method, path: &str, body: Value) -> Value {
    let url = format!("{}{path}", session.emulator.addresses().rest);
    let client = reqwest::Client::builder().no_proxy().build().unwrap();
    let token = format!("Bot {}", session.emulator.token());
    let mut request = client.request(method, url).header("Authorization", token);
    if !body.is_null() {
        request = request.json(&body);
    }
    let response = request.send().await.unwrap();
    let status = response.status();
    let text = response.text().await.unwrap();
    assert!(status.is_success(), "{path}: {text}");
    serde_json::from_str(&text).unwrap_or(Value::Null)
}

async fn emoji(session: &Session) -> Vec<Value> {
    let path = format!("/guilds/{GUILD}/emojis");
    let all = by_bot(session, Method::GET, &path, Value::Null).await;
    all.as_array().unwrap().clone()
}

/// The id of a role or channel; `None` where there is none of this name.
fn id_of(guild: &Value, kind: &str, name: &str) -> Option<String> {
    let list = guild[kind].as_array().unwrap();
    let found = list.iter().find(|one| one["name"] == name)?;
    Some(found["id"].as_str().unwrap().to_owned())
}

/// The role or channel of this name.
async fn one(session: &Session, kind: &str, name: &str) -> Value {
    let guild = session.control().guild(GUILD).await.unwrap();
    let list = guild[kind].as_array().unwrap();
    let found = list.iter().find(|one| one["name"] == name);
    found.unwrap_or_else(|| panic!("no {name} in {list:?}")).clone()
}

/// The sorted names of all roles, channels and emoji. A resource that was created twice appears twice.
async fn names(session: &Session) -> Vec<String> {
    let guild = session.control().guild(GUILD).await.unwrap();
    let of = |kind: &str| guild[kind].as_array().unwrap().clone().into_iter();
    let all = of("roles").chain(of("channels")).chain(emoji(session).await);
    let mut names: Vec<String> = all.map(|one| one["name"].as_str().unwrap().to_owned()).collect();
    names.sort();
    names
}

/// The names of the roles of a member, sorted.
async fn roles_of(session: &Session, member: &str) -> Vec<String> {
    let member = session.control().member(GUILD, member).await.unwrap();
    let guild = session.control().guild(GUILD).await.unwrap();
    let held: Vec<&str> = member["roles"]
        .as_array()
        .unwrap()
        .iter()
        .filter_map(Value::as_str)
        .collect();
    let roles = guild["roles"].as_array().unwrap().iter();
    let roles = roles.filter(|role| held.contains(&role["id"].as_str().unwrap()));
    let mut names: Vec<String> = roles.map(|role| role["name"].as_str().unwrap().to_owned()).collect();
    names.sort();
    names
}

/// Number of requests that the emulator received, other than GET.
fn writes(session: &Session) -> usize {
    let entries = session.emulator.app().traffic.since(0);
    let writes = entries.iter().filter(|entry| match &entry.record {
        Record::Rest(call) => call.method != "GET",
        Record::Gateway(_) => false,
    });
    writes.count()
}

#[track_caller]
fn done(outcome: &Outcome) {
    assert_eq!(outcome.code, 0, "{}{}", outcome.stdout, outcome.stderr);
}

/// The command failed with exit code 1, and with these texts.
#[track_caller]
fn refused(outcome: &Outcome, parts: &[&str]) {
    assert_eq!(outcome.code, 1, "{}{}", outcome.stdout, outcome.stderr);
    for part in parts {
        assert!(outcome.stderr.contains(part), "no {part:?} in {}", outcome.stderr);
    }
}

/// The command printed these texts.
#[track_caller]
fn printed(outcome: &Outcome, parts: &[&str]) {
    done(outcome);
    let text = format!("{}{}", outcome.stdout, outcome.stderr);
    for part in parts {
        assert!(text.contains(part), "no {part:?} in {text}");
    }
}

/// The id in `Created backup ID …`.
#[track_caller]
fn created(outcome: &Outcome) -> String {
    done(outcome);
    let words: Vec<&str> = outcome.stdout.split_whitespace().collect();
    assert_eq!(words[0], "Created", "{}", outcome.stdout);
    words[2].to_owned()
}

/// The messages of `--json`, after the one with the version.
#[track_caller]
fn messages(outcome: &Outcome) -> Vec<Value> {
    let lines = outcome.stdout.lines();
    let mut all: Vec<Value> = lines
        .map(|line| serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}")))
        .collect();
    let first = all.remove(0);
    assert_eq!(first["type"], "version", "{first}");
    all
}

/// The messages of a type.
#[track_caller]
fn of_type(outcome: &Outcome, kind: &str) -> Vec<Value> {
    let all = messages(outcome).into_iter();
    all.filter(|message| message["type"] == kind).collect()
}

/// Changes the content of a document of the store, with its checksum, as one who can write to the store does.
fn forge(path: &Path, change: impl FnOnce(&mut Value)) {
    let mut document: Value = serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap();
    change(&mut document["content"]);
    let content = document["content"].to_string();
    let checksum = hex::encode(Sha256::digest(content.as_bytes()));
    std::fs::write(path, format!("{{\"checksum\":\"{checksum}\",\"content\":{content}}}")).unwrap();
}

/// Removes the signature of a record or of a deployment.
fn unsign(signed: &mut Value) {
    assert!(
        signed.as_object_mut().unwrap().remove("signature").is_some(),
        "{signed}"
    );
}

/// The state of the workspace.
fn state(session: &Session) -> Value {
    serde_json::from_str(&session.read(STATE)).unwrap()
}

const STATE: &str = ".gaib/workspaces/default/state.json";
const JOURNAL: &str = ".gaib/workspaces/default/restore.json";
const DEPLOYMENT: &str = ".gaib/workspaces/default/deployment.json";

/// The objects in the store, as paths from its folder, sorted.
fn objects(session: &Session) -> Vec<String> {
    let root = session.folder.path().join(".gaib/backups");
    let mut found = Vec::new();
    let mut folders = vec![root.clone()];
    while let Some(folder) = folders.pop() {
        for path in visible(&folder) {
            match path.is_dir() {
                true => folders.push(path),
                false => found.push(path.strip_prefix(&root).unwrap().to_str().unwrap().to_owned()),
            }
        }
    }
    found.sort();
    found
}

/// The entries of a folder that are no files of the store itself.
fn visible(folder: &Path) -> Vec<PathBuf> {
    let Ok(entries) = std::fs::read_dir(folder) else {
        return Vec::new();
    };
    let entries = entries.map(|entry| entry.unwrap());
    let entries = entries.filter(|entry| !entry.file_name().to_string_lossy().starts_with('.'));
    entries.map(|entry| entry.path()).collect()
}
