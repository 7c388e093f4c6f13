//! `/mfa`, and the guard of the commands that need a second factor, from the queue to the audit entries.

use std::fs;
use std::path::{Path, PathBuf};

use arrakis_db::mfa::{MfaOutcome, confirm};
use arrakis_db::{AuditEntry, TierImportState};
use arrakis_security::mfa::{BackupCode, ProtectedOperation, SecretCipher, Totp};
use arrakis_test_support::{Process, eventually};
use arrakis_worker::commands::Commands;
use serde_json::{Value, json};
use time::{Duration, OffsetDateTime};

use crate::platform::{
    Dispatch, Platform, Worker, assert_description, assert_refusal, embed, follow_ups, is_ephemeral,
};

/// Manage Server.
const MANAGE_GUILD: &str = "32";
/// How long a command takes at most.
const LIMIT: std::time::Duration = std::time::Duration::from_secs(30);
/// A key that encrypts the secrets.
const KEY: &str = "test:MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY=";

/// A platform whose worker checks codes.
async fn with_mfa() -> (Platform, Worker) {
    let platform = Platform::start().await;
    let mut environment = platform.environment();
    environment.push(("MFA_ENCRYPTION_KEY", KEY.to_owned()));
    let worker = Worker::start(&environment).await;
    platform.commands_registered().await;
    (platform, worker)
}

/// Gives Chani a second factor whose codes of this minute were not used, and these backup codes.
async fn enrol_chani(platform: &Platform) -> (Totp, [BackupCode; 10]) {
    let cipher: SecretCipher = KEY.parse().unwrap();
    let chani = platform.community.user_id("chani");
    let (totp, codes) = (Totp::generate(), BackupCode::generate_all());
    let before = OffsetDateTime::now_utc() - Duration::minutes(5);
    let sealed = cipher.seal(chani.get(), totp.secret()).unwrap();
    let mut tx = platform.tenant().await;
    assert!(tx.mfa().begin(chani, &sealed, before).await.unwrap());
    let confirmed = confirm(&mut tx, &cipher, chani, &totp.code_at(before), before)
        .await
        .unwrap();
    assert_eq!(confirmed, MfaOutcome::Accepted);
    assert!(tx.mfa().replace_backup_codes(&cipher, chani, &codes).await.unwrap());
    tx.commit().await.unwrap();
    (totp, codes)
}

fn code_now(totp: &Totp) -> String {
    totp.code_at(OffsetDateTime::now_utc())
}

/// A code that is none of the three steps around now.
fn wrong_code(totp: &Totp) -> String {
    let now = OffsetDateTime::now_utc();
    let valid: Vec<String> = (-3..=3)
        .map(|step| totp.code_at(now + Duration::seconds(30 * step)))
        .collect();
    let mut others = (0..).map(|number| format!("{number:06}"));
    others.find(|code| !valid.contains(code)).unwrap()
}

/// Runs a command as Chani; returns its record once it is answered.
async fn command(platform: &Platform, name: &str, options: Value) -> Value {
    platform.delete_cooldowns();
    let id = platform.send_command("chani", name, options).await;
    platform.publish(&platform.dispatch_as(&id, MANAGE_GUILD).await).await;
    platform.control.answered(&id).await
}

/// Presses a button of a message as Chani, which must open a modal.
async fn open_modal(platform: &Platform, message: &Value, custom_id: &str) -> Value {
    let message = message["id"].as_str().unwrap();
    let id = platform
        .control
        .press(&platform.community, "chani", message, custom_id)
        .await;
    platform.publish(&platform.dispatch_as(&id, MANAGE_GUILD).await).await;
    platform.until(&id, |view| view["callback_type"] == 9).await
}

/// A modal that Chani has submitted; returns the interaction's id and its dispatch, unpublished.
async fn submitted(platform: &Platform, custom_id: &str, code: &str) -> (String, Dispatch) {
    let request = json!({
        "kind": "modal", "custom_id": custom_id, "fields": {"mfa-code": code}, "guild_id": platform.community.guild,
        "channel_id": platform.community.channel, "user_id": "chani", "force": true,
    });
    let id = platform.control.interact(request).await;
    let dispatch = platform.dispatch_as(&id, MANAGE_GUILD).await;
    (id, dispatch)
}

/// Submits a modal as Chani; returns the record once there is a reply: an edited message or a follow-up.
async fn submit(platform: &Platform, custom_id: &str, code: &str) -> Value {
    let (id, dispatch) = submitted(platform, custom_id, code).await;
    platform.publish(&dispatch).await;
    platform.until(&id, is_replied_to).await
}

fn is_replied_to(view: &Value) -> bool {
    view["state"] == "answered" || !follow_ups(view).is_empty()
}

/// The audit entries about second factors, oldest first.
async fn audited(platform: &Platform) -> Vec<AuditEntry> {
    let mut tx = platform.tenant().await;
    let entries = tx.audit_entries(100).await.unwrap().into_iter().rev();
    entries.filter(|entry| entry.action.starts_with("mfa.")).collect()
}

fn actions(entries: &[AuditEntry]) -> Vec<(&str, &str)> {
    let pairs = entries.iter();
    pairs
        .map(|entry| (entry.action.as_str(), entry.subject.as_str()))
        .collect()
}

/// The preview of a migration by a role that Harah has, and the custom id of its button.
async fn previewed(platform: &Platform) -> (Value, String) {
    let guild = platform.community.guild.as_str();
    let holder = json!({"name": "Holder"});
    platform.control.create_role(guild, &holder).await.unwrap();
    let edit = arrakis_emulator_client::MemberEdit {
        add_roles: vec!["Holder".to_owned()],
        ..arrakis_emulator_client::MemberEdit::default()
    };
    platform
        .control
        .edit_member(guild, platform.community.user("harah"), &edit)
        .await
        .unwrap();
    let record = command(platform, "admin-migrate", json!({"role": "Holder", "tier": "ichwan"})).await;
    let message = record["message"].clone();
    let buttons = message["components"][0]["components"].as_array().unwrap();
    let ids = buttons.iter().filter_map(|button| button["custom_id"].as_str());
    let apply = ids.clone().find(|id| id.starts_with("admin-migrate:apply:"));
    let apply = apply.unwrap_or_else(|| panic!("{message:#}")).to_owned();
    (message, apply)
}

async fn import_state(platform: &Platform, apply: &str) -> TierImportState {
    let id = apply.rsplit(':').next().unwrap().parse().unwrap();
    let import = platform.tenant().await.tier_imports().get(id).await.unwrap();
    import.unwrap().state
}

/// The bytes of a text in base32, as an app reads the secret.
fn base32(text: &str) -> Vec<u8> {
    let alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";
    let (mut bits, mut number, mut bytes) = (0, 0_u32, Vec::new());
    for letter in text.chars() {
        number = ((number << 5) | u32::try_from(alphabet.find(letter).unwrap()).unwrap()) & 0xFFFF;
        bits += 5;
        if bits >= 8 {
            bits -= 8;
            bytes.push(u8::try_from((number >> bits) & 0xFF).unwrap());
        }
    }
    bytes
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn member_enrols_by_a_qr_code_and_gets_backup_codes() {
    let (platform, _worker) = with_mfa().await;
    let record = command(&platform, "mfa enrol", json!({})).await;
    let message = record["message"].clone();
    assert!(is_ephemeral(&message), "{message:#}");
    // The image is in the embed, so it is no attachment beside it.
    let image = embed(&message)["image"]["url"].as_str().unwrap();
    assert!(image.contains("mfa.png"), "{image}");
    let typed = embed(&message)["fields"][0]["value"].as_str().unwrap().to_owned();
    let secret = typed.split('`').nth(1).unwrap();
    let totp = Totp::from_secret(&base32(secret)).unwrap();

    let modal = open_modal(&platform, &message, "mfa:enter").await;
    assert_eq!(modal["modal"]["custom_id"], "mfa:confirm");
    let refused = submit(&platform, "mfa:confirm", &wrong_code(&totp)).await;
    let text = format!("{refused}");
    assert!(text.contains("The code is wrong"), "{refused:#}");
    open_modal(&platform, &message, "mfa:enter").await;
    let code = code_now(&totp);
    let confirmed = submit(&platform, "mfa:confirm", &code).await;
    assert_description(&confirmed["message"], "Your second factor is set up.");
    let codes = embed(&confirmed["message"])["fields"][0]["value"].as_str().unwrap();
    assert_eq!(codes.lines().count(), 10, "{codes}");

    // The same code again has nothing to confirm, and a second enrolment is refused.
    let again = submit(&platform, "mfa:confirm", &code).await;
    assert!(format!("{again}").contains("There is no code to confirm"), "{again:#}");
    let second = command(&platform, "mfa enrol", json!({})).await;
    assert_refusal(&second["message"], "You have a second factor already.");
    let status = command(&platform, "mfa status", json!({})).await;
    assert_description(&status["message"], "You have a second factor since");
    let chani = platform.community.user("chani").to_owned();
    let entries = audited(&platform).await;
    let chani = chani.as_str();
    assert_eq!(actions(&entries), [("mfa.refused", chani), ("mfa.enrol", chani)]);
    assert!(entries.iter().all(|entry| !entry.detail.to_string().contains(secret)));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn migration_is_applied_with_a_code_that_is_accepted_once() {
    let (platform, _worker) = with_mfa().await;
    let refused = command(&platform, "admin-migrate", json!({"undo": "12"})).await;
    assert_refusal(&refused["message"], "you have none");
    let (totp, codes) = enrol_chani(&platform).await;
    let (message, apply) = previewed(&platform).await;
    let modal = open_modal(&platform, &message, &apply).await;
    let guarded = apply.replace("admin-migrate:", "admin-migrate:mfa:");
    assert_eq!(modal["modal"]["custom_id"], json!(guarded));
    assert_eq!(import_state(&platform, &apply).await, TierImportState::Previewed);

    let wrong = submit(&platform, &guarded, &wrong_code(&totp)).await;
    assert!(format!("{wrong}").contains("4 attempts are left"), "{wrong:#}");
    assert_eq!(import_state(&platform, &apply).await, TierImportState::Previewed);

    // Delivered twice, as after a worker that was killed: one acceptance, one effect.
    let code = code_now(&totp);
    let (id, dispatch) = submitted(&platform, &guarded, &code).await;
    platform.publish(&dispatch).await;
    let applied = platform.until(&id, is_replied_to).await;
    assert_description(&applied["message"], "of this migration");
    platform.delete_done_markers();
    platform.publish(&dispatch).await;
    platform.until_messages("arrakis.interactions", 0).await;
    assert_eq!(import_state(&platform, &apply).await, TierImportState::Applied);

    // The code was used; a backup code works once.
    let undo = guarded.replace(":apply:", ":undo:");
    open_modal(&platform, &message, &apply.replace(":apply:", ":undo:")).await;
    let replayed = submit(&platform, &undo, &code).await;
    assert!(format!("{replayed}").contains("used already"), "{replayed:#}");
    let undone = submit(&platform, &undo, codes[0].expose()).await;
    assert_description(&undone["message"], "taken back");
    let again = submit(&platform, &undo, codes[0].expose()).await;
    assert!(format!("{again}").contains("used already"), "{again:#}");

    let entries = audited(&platform).await;
    let of_migration: Vec<(&str, &str)> = actions(&entries)
        .into_iter()
        .filter(|(_, subject)| *subject == ProtectedOperation::AdminMigrate.as_str())
        .collect();
    let operation = ProtectedOperation::AdminMigrate.as_str();
    let expected = [
        "mfa.refused",
        "mfa.accepted",
        "mfa.refused",
        "mfa.accepted",
        "mfa.refused",
    ];
    assert_eq!(of_migration, expected.map(|action| (action, operation)));
    let mut tx = platform.tenant().await;
    let all = tx.audit_entries(100).await.unwrap();
    let imports: Vec<_> = all
        .iter()
        .filter(|entry| entry.action.starts_with("tiers.import"))
        .collect();
    assert_eq!(imports.len(), 2, "{imports:?}");
    assert!(
        imports.iter().all(|entry| entry.detail["mfa"] == json!(true)),
        "{imports:?}"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn five_wrong_codes_throttle_also_the_right_one() {
    let (platform, _worker) = with_mfa().await;
    let (totp, codes) = enrol_chani(&platform).await;
    let status = command(&platform, "mfa status", json!({})).await;
    open_modal(&platform, &status["message"], "mfa:remove").await;
    for _ in 0..4 {
        let refused = submit(&platform, "mfa:mfa:remove", &wrong_code(&totp)).await;
        assert!(
            format!("{refused}").contains("The code is wrong, so nothing"),
            "{refused:#}"
        );
    }
    let last = submit(&platform, "mfa:mfa:remove", &wrong_code(&totp)).await;
    assert!(format!("{last}").contains("for a while now"), "{last:#}");
    for code in [code_now(&totp).as_str(), codes[0].expose()] {
        let throttled = submit(&platform, "mfa:mfa:remove", code).await;
        assert!(
            format!("{throttled}").contains("Too many codes were wrong"),
            "{throttled:#}"
        );
    }
    let chani = platform.community.user_id("chani");
    let status = platform.tenant().await.mfa().status(chani).await.unwrap().unwrap();
    assert!(status.is_enrolled() && status.backup_codes == 10);
    assert!(status.throttled_until.is_some());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn second_factor_is_removed_with_a_code() {
    let (platform, _worker) = with_mfa().await;
    let (totp, codes) = enrol_chani(&platform).await;
    let status = command(&platform, "mfa status", json!({})).await;
    open_modal(&platform, &status["message"], "mfa:remove").await;
    open_modal(&platform, &status["message"], "mfa:codes").await;
    let replaced = submit(&platform, "mfa:mfa:codes", &code_now(&totp)).await;
    assert_description(&replaced["message"], "You have new backup codes");
    let new = embed(&replaced["message"])["fields"][0]["value"]
        .as_str()
        .unwrap()
        .to_owned();
    let new = new.lines().next().unwrap().trim_matches('`').to_owned();
    let old = submit(&platform, "mfa:mfa:remove", codes[1].expose()).await;
    assert!(format!("{old}").contains("The code is wrong"), "{old:#}");
    let removed = submit(&platform, "mfa:mfa:remove", &new).await;
    assert_description(&removed["message"], "You have no second factor any more.");
    let chani = platform.community.user_id("chani");
    let is_gone = async || platform.tenant().await.mfa().status(chani).await.unwrap().is_none();
    eventually(is_gone, "the second factor to be removed").await;
    let audited = audited(&platform).await;
    let found: Vec<&str> = audited.iter().map(|entry| entry.action.as_str()).collect();
    let expected = [
        "mfa.enrol",
        "mfa.accepted",
        "mfa.backup_codes",
        "mfa.refused",
        "mfa.accepted",
        "mfa.remove",
    ];
    assert_eq!(found, expected);
}

/// Modals that Discord's client would not send, as a changed client sends them.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn forged_modal_without_a_code_changes_nothing() {
    let (platform, _worker) = with_mfa().await;
    enrol_chani(&platform).await;
    let (message, apply) = previewed(&platform).await;
    let guarded = apply.replace("admin-migrate:", "admin-migrate:mfa:");
    open_modal(&platform, &message, &apply).await;
    for custom_id in [&apply, &guarded] {
        let (id, mut dispatch) = submitted(&platform, &guarded, "000000").await;
        let mut body = dispatch.json();
        body["data"]["custom_id"] = json!(custom_id);
        body["data"]["components"] = json!([]);
        dispatch.body = serde_json::to_vec(&body).unwrap();
        platform.publish(&dispatch).await;
        let reply = platform.until(&id, is_replied_to).await;
        assert!(format!("{reply}").contains("The code is wrong"), "{reply:#}");
    }
    assert_eq!(import_state(&platform, &apply).await, TierImportState::Previewed);
}

/// The text of all source files of services and shared crates, but of the crate that declares the operations.
fn sources() -> String {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let mut folders: Vec<PathBuf> = Vec::new();
    for group in ["services", "shared"] {
        let crates = fs::read_dir(root.join(group))
            .unwrap()
            .map(|entry| entry.unwrap().path());
        folders.extend(
            crates
                .filter(|path| !path.ends_with("security"))
                .map(|path| path.join("src")),
        );
    }
    let mut text = String::new();
    while let Some(folder) = folders.pop() {
        let Ok(entries) = fs::read_dir(&folder) else {
            continue;
        };
        for path in entries.map(|entry| entry.unwrap().path()) {
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                text.push_str(&fs::read_to_string(&path).unwrap());
            }
        }
    }
    text
}

#[test]
fn every_protected_operation_has_a_guard() {
    let sources = sources();
    for operation in ProtectedOperation::ALL {
        let is_used = sources.contains(&format!("ProtectedOperation::{operation:?}"));
        assert!(is_used, "{operation} has no guard");
    }
}

#[test]
fn protected_operations_of_commands_are_in_their_definitions() {
    let commands = Commands::default();
    let mut guarded: Vec<ProtectedOperation> = commands
        .definitions()
        .filter_map(|definition| Some(definition.requires_mfa?.operation))
        .collect();
    guarded.sort_unstable();
    let of_commands = [
        ProtectedOperation::AdminMigrate,
        ProtectedOperation::AdminTakeover,
        ProtectedOperation::MfaReset,
    ];
    assert_eq!(guarded, of_commands);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn takeover_is_begun_and_ended_with_codes() {
    let (platform, _worker) = with_mfa().await;
    let (totp, codes) = enrol_chani(&platform).await;
    let chani = platform.community.user("chani").to_owned();
    let submit_as_admin = async |custom_id: &str, fields: Value| {
        let request = json!({
            "kind": "modal", "custom_id": custom_id, "fields": fields, "guild_id": platform.community.guild,
            "channel_id": platform.community.channel, "user_id": "chani", "force": true,
        });
        let id = platform.control.interact(request).await;
        platform.publish(&platform.dispatch_as(&id, "8").await).await;
        platform.control.answered(&id).await["message"].clone()
    };
    let open = async |options: Value| {
        platform.delete_cooldowns();
        let id = platform.send_command("chani", "admin-takeover", options).await;
        let mut dispatch = platform.dispatch_as(&id, "8").await;
        let mut body = dispatch.json();
        if let Some(members) = body
            .pointer_mut("/data/resolved/members")
            .and_then(Value::as_object_mut)
        {
            members
                .values_mut()
                .for_each(|member| member["permissions"] = json!("8"));
        }
        dispatch.body = serde_json::to_vec(&body).unwrap();
        platform.publish(&dispatch).await;
        platform.until(&id, |view| view["callback_type"] == 9).await
    };
    let modal = open(json!({"admin": chani})).await;
    assert!(modal["modal"].to_string().contains("mfa-code"), "{modal:#}");
    let begin = format!("admin-takeover:begin:{chani}");
    let fields = |code: &str| json!({"name": "Sietch Tabr", "reason": "a stolen account", "mfa-code": code});
    let refused = submit_as_admin(&begin, fields(&wrong_code(&totp))).await;
    assert_refusal(&refused, "The code is wrong");
    let is_frozen = async || {
        platform
            .tenant()
            .await
            .communities()
            .get()
            .await
            .unwrap()
            .unwrap()
            .frozen
            .is_some()
    };
    assert!(!is_frozen().await);
    let begun = submit_as_admin(&begin, fields(&code_now(&totp))).await;
    assert_description(&begun, "alone controls it");
    assert!(is_frozen().await);
    open(json!({})).await;
    let fields = json!({"name": "Sietch Tabr", "mfa-code": codes[0].expose()});
    let ended = submit_as_admin("admin-takeover:end", fields).await;
    assert_description(&ended, "The freeze has ended");
    assert!(!is_frozen().await);
    let entries = platform.tenant().await.audit_entries(100).await.unwrap();
    let of_takeover = entries
        .iter()
        .filter(|entry| entry.action.starts_with("community.takeover"));
    let details: Vec<&Value> = of_takeover.map(|entry| &entry.detail).collect();
    assert_eq!(details, [&json!({"mfa": true}), &json!({"mfa": true})]);
}

/// The tools of operators: status, rotation of the key, reset, sessions.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn operator_rotates_the_key_resets_a_second_factor_and_revokes_sessions() {
    let platform = Platform::start().await;
    let (totp, _) = enrol_chani(&platform).await;
    let chani = platform.community.user("chani").to_owned();
    let run = async |arguments: &[&str], keys: &str| {
        let variables = [
            ("DATABASE_URL", platform.app_url()),
            ("DATABASE_ADMIN_URL", platform.admin_url()),
            ("REDIS_URL", platform.redis.url()),
            ("MFA_ENCRYPTION_KEY", keys.to_owned()),
        ];
        let program = Path::new(env!("CARGO_BIN_EXE_arrakis-worker"));
        let (status, text) = Process::start_at(program, arguments, variables).output(LIMIT).await;
        (status.code().unwrap(), text)
    };
    let (code, status) = run(&["mfa", "status", &chani], KEY).await;
    assert!(code == 0 && status.contains("10 backup codes"), "{status}");
    let (code, key) = run(&["mfa", "new-key", "2027"], KEY).await;
    assert!(code == 0 && key.starts_with("2027:"), "{key}");
    let both = format!("{},{KEY}", key.trim());
    for secrets in [
        "1 secret encrypted again",
        "every secret is encrypted by the key 2027 already",
    ] {
        let (code, text) = run(&["mfa", "rotate-key", "--by", "stilgar"], &both).await;
        assert!(code == 0 && text.contains(secrets), "{text}");
    }
    let new: SecretCipher = key.trim().parse().unwrap();
    let user = platform.community.user_id("chani");
    let now = OffsetDateTime::now_utc();
    let mut tx = platform.tenant().await;
    let operation = ProtectedOperation::Teardown;
    let outcome = arrakis_db::mfa::verify(&mut tx, &new, user, &totp.code_at(now), operation, now).await;
    assert_eq!(outcome.unwrap(), MfaOutcome::Accepted);
    tx.commit().await.unwrap();

    let (code, text) = run(&["sessions", "list", &chani], KEY).await;
    assert!(code == 0 && text.contains("has no sessions"), "{text}");
    let guild = platform.community.guild.to_string();
    let create = [
        "api-key",
        "create",
        "--name",
        "gaib",
        "--by",
        "stilgar",
        "--scope",
        "servers:write",
        "--guild",
        &guild,
        "--user",
        &chani,
    ];
    assert_eq!(run(&create, KEY).await.0, 0);
    let (code, text) = run(&["sessions", "list", &chani, "--json"], KEY).await;
    assert!(code == 0 && text.contains("\"kind\":\"api-key\""), "{text}");
    let revoke = [
        "sessions",
        "revoke",
        &chani,
        "--by",
        "stilgar",
        "--reason",
        "stolen account",
    ];
    let (code, text) = run(&revoke, KEY).await;
    assert!(
        code == 0 && text.contains("revoked 1 API key, 0 verifications"),
        "{text}"
    );
    let (_, text) = run(&["sessions", "list", &chani], KEY).await;
    assert!(text.contains("has no sessions"), "{text}");

    let mistyped = [
        "sessions",
        "revoke",
        "99",
        "--by",
        "stilgar",
        "--reason",
        "stolen account",
    ];
    let (code, text) = run(&mistyped, KEY).await;
    assert!(code == 1 && text.contains("check the id"), "{text}");

    let reset = ["mfa", "reset", &chani, "--by", "stilgar", "--reason", "lost phone"];
    assert_eq!(run(&reset, KEY).await.0, 0);
    assert_eq!(run(&reset, KEY).await.0, 1, "there is none any more");
    assert_eq!(run(&["mfa", "status", &chani], KEY).await.0, 1);
    // Standard output is a pipe: no colour codes. Standard input is closed.
    let (code, text) = run(&["mfa", "enrol", &chani, "--by", "stilgar"], KEY).await;
    assert!(
        code == 1 && text.contains("type this into the app") && text.contains("standard input is closed"),
        "{text}"
    );
    assert!(!text.contains('\u{1b}'), "{text}");
}
