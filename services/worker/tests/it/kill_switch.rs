//! `arrakis-worker kill-switch` at a real proxy, with a worker that runs, and while PostgreSQL or Redis is unavailable; and the drill.

use std::process::Output;
use std::sync::Arc;
use std::time::Duration;

use arrakis_cache::{Cache, CacheOptions, SessionName, Ttl};
use arrakis_config::{Reader, Secret, Service, Source};
use arrakis_db::mfa::{self, MfaOutcome};
use arrakis_db::{Actor, GuildId, KillSwitchStep, NewAuditEntry, StepState, StoredStep, UserId};
use arrakis_kill_switch::{DrillError, KillSwitchControl, KillSwitchSettings};
use arrakis_security::kill_switch::{EndKey, KillSwitch, KillSwitchScope, KillSwitchState, PROXY_PATH, REDIS_KEY};
use arrakis_security::mfa::{BackupCode, SecretCipher, Totp};
use arrakis_security::signing::{self, SignError};
use arrakis_telemetry::Metrics;
use arrakis_test_support::{OpenBao, eventually};
use arrakis_worker::jobs;
use serde_json::{Value, json};
use time::OffsetDateTime;

use crate::platform::{KILL_SWITCH_CREDENTIAL, Platform, Worker};

/// An address without a listener.
const NO_POSTGRES: &str = "postgres://arrakis_app:x@127.0.0.1:1/arrakis";
const NO_REDIS: &str = "redis://127.0.0.1:1/0";
/// Longer than any test.
const LONG: Duration = Duration::from_secs(3600);

/// The environment of a worker and of the command.
pub fn environment(platform: &Platform) -> Vec<(&'static str, String)> {
    let mut environment = platform.environment();
    environment.push(("KILL_SWITCH_CREDENTIAL", KILL_SWITCH_CREDENTIAL.to_owned()));
    environment
}

async fn command(platform: &Platform, arguments: &[&str], changed: &[(&'static str, &str)]) -> Output {
    let mut command = tokio::process::Command::new(env!("CARGO_BIN_EXE_arrakis-worker"));
    command
        .arg("kill-switch")
        .args(arguments)
        .kill_on_drop(true)
        .env_clear()
        .envs(environment(platform))
        .envs(changed.iter().copied());
    command.output().await.unwrap()
}

async fn turn_on(platform: &Platform, changed: &[(&'static str, &str)]) -> (Option<i32>, Value) {
    let arguments = ["on", "--reason", "a leaked token", "--by", "stilgar", "--json"];
    let output = command(platform, &arguments, changed).await;
    let report = serde_json::from_slice(&output.stdout);
    (output.status.code(), report.unwrap_or_else(|_| panic!("{output:?}")))
}

/// Exit code and output of `status`.
async fn status(platform: &Platform, changed: &[(&'static str, &str)]) -> (Option<i32>, String) {
    let output = command(platform, &["status"], changed).await;
    (output.status.code(), String::from_utf8(output.stdout).unwrap())
}

/// The outcomes of the steps whose names begin so.
fn outcomes(report: &Value, name: &str) -> Vec<String> {
    let steps = report["steps"].as_array().unwrap();
    let found = steps
        .iter()
        .filter(|step| step["name"].as_str().unwrap().starts_with(name));
    found.map(|step| step["outcome"].as_str().unwrap().to_owned()).collect()
}

/// The error of the proxy to a write of the worker; `None` when the write passes.
async fn write_error(platform: &Platform) -> Option<String> {
    let config = platform.discord_config(platform.proxy);
    let url = format!(
        "http://{}/api/v10/guilds/{}/roles",
        platform.proxy, platform.community.guild
    );
    let request = reqwest::Client::new()
        .patch(url)
        .bearer_auth(config.credential.expose());
    let response = request.json(&json!([])).send().await.unwrap();
    let error = response.headers().get("x-arrakis-proxy-error");
    error.map(|error| error.to_str().unwrap().to_owned())
}

pub fn cache(platform: &Platform) -> Cache {
    Cache::new(&Secret::new(platform.redis.url()), CacheOptions::default()).unwrap()
}

/// The switches of the proxy.
async fn switches(platform: &Platform) -> KillSwitchState {
    let url = format!("http://{}{PROXY_PATH}", platform.proxy);
    let request = reqwest::Client::new().get(url).bearer_auth(KILL_SWITCH_CREDENTIAL);
    let state: Value = request.send().await.unwrap().json().await.unwrap();
    serde_json::from_value(state["switches"].clone()).unwrap()
}

/// How many communities are frozen at the proxy.
async fn frozen_communities(platform: &Platform) -> usize {
    switches(platform).await.frozen()
}

/// Waits until a write of the worker meets this error of the proxy, or passes.
async fn until_write_error(platform: &Platform, wanted: Option<&str>, what: &str) {
    let has_it = async || write_error(platform).await.as_deref() == wanted;
    eventually(has_it, what).await;
}

fn end_key() -> EndKey {
    EndKey::new(KILL_SWITCH_CREDENTIAL)
}

/// What PostgreSQL has.
async fn stored(platform: &Platform) -> KillSwitchState {
    let mut tx = platform.database.global().await.unwrap();
    tx.kill_switches().list(Some(&end_key())).await.unwrap()
}

/// Appends an end in PostgreSQL, with its entry in the audit log.
async fn append_end(platform: &Platform, end: &KillSwitch, key: &EndKey) {
    append(platform, end, "kill_switch.off", key).await;
}

async fn append(platform: &Platform, entry: &KillSwitch, action: &str, key: &EndKey) {
    let mut tx = platform.database.global().await.unwrap();
    assert!(tx.kill_switches().append(entry, Some(key)).await.unwrap());
    let entry = NewAuditEntry {
        actor: Actor::System("test".to_owned()),
        action,
        subject: "platform",
        reason: None,
        detail: json!({}),
    };
    tx.audit(&entry).await.unwrap();
    tx.commit().await.unwrap();
}

/// Turns the kill switch off in PostgreSQL, in place of `off`, which needs a second factor. Returns the version of the entry.
async fn end(platform: &Platform) -> u64 {
    let version = stored(platform).await.version(KillSwitchScope::Platform);
    let off = KillSwitch::ended(KillSwitchScope::Platform, version, "test", "the end");
    append_end(platform, &off, &end_key()).await;
    off.version
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn kill_switch_stops_writes_and_jobs_and_its_end_continues_them() {
    let platform = Platform::start().await;
    let worker = Worker::start(&environment(&platform)).await;
    platform.commands_registered().await;
    let (code, report) = turn_on(&platform, &[]).await;
    assert_eq!(code, Some(0), "{report:#}");
    for name in ["discord-proxy", "Redis", "PostgreSQL", "sessions"] {
        assert_eq!(outcomes(&report, name), ["done"], "{name}: {report:#}");
    }
    assert_eq!(outcomes(&report, "permissions to sign"), ["skipped"], "{report:#}");
    assert_eq!(write_error(&platform).await.as_deref(), Some("kill-switch"));
    let status = command(&platform, &["status"], &[]).await;
    let text = String::from_utf8(status.stdout).unwrap();
    assert!(
        status.status.code() == Some(1) && text.contains("stilgar (a leaked token)"),
        "{text}"
    );
    assert!(
        text.contains("discord-proxy")
            && text.contains(": on since 20")
            && text.contains("permissions to sign: not changed"),
        "{text}"
    );
    // The audit entry is in the log of the platform.
    let mut tx = platform.database.global().await.unwrap();
    let entries = tx.platform_audit_entries(5).await.unwrap();
    tx.commit().await.unwrap();
    let entry = entries.iter().find(|entry| entry.action == "kill_switch.on");
    assert_eq!(entry.unwrap().reason.as_deref(), Some("a leaked token"));
    // A job waits, and does not fail.
    worker.until_metric("arrakis_worker_kill_switch_on", 1.0).await;
    let id = "reconcile:test";
    let request = jobs::reconcile::request(id);
    let services = platform.services(&Metrics::new());
    assert!(jobs::enqueue(&services, platform.community.id, &request).await.unwrap());
    let is_postponed = async || {
        let mut tx = platform.tenant().await;
        let row = tx.jobs().get(id).await.unwrap().unwrap();
        row.due_at > OffsetDateTime::now_utc() + time::Duration::seconds(20) && row.attempts == 0
    };
    eventually(is_postponed, "the job to be postponed").await;
    let version = end(&platform).await;
    let passes = async || write_error(&platform).await.is_none();
    eventually(passes, "the worker to turn the kill switch off at the proxy").await;
    let reconcile = format!("reconcile:kill-switch:{version}");
    let is_enqueued = async || {
        let mut tx = platform.tenant().await;
        tx.jobs().get(&reconcile).await.unwrap().is_some()
    };
    eventually(is_enqueued, "the reconcile after the kill switch").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn kill_switch_works_without_postgres_and_a_worker_stores_it_later() {
    let platform = Platform::start().await;
    let (code, report) = turn_on(&platform, &[("DATABASE_URL", NO_POSTGRES)]).await;
    assert_eq!(code, Some(1), "{report:#}");
    assert_eq!(outcomes(&report, "PostgreSQL"), ["failed"]);
    assert_eq!(outcomes(&report, "discord-proxy"), ["done"]);
    assert_eq!(write_error(&platform).await.as_deref(), Some("kill-switch"));
    let off = ["off", "--user", "7", "--reason", "test", "--mfa", "123456"];
    let key = SecretCipher::generate_key("test").unwrap();
    let changed = [("DATABASE_URL", NO_POSTGRES), ("MFA_ENCRYPTION_KEY", key.as_str())];
    let refused = command(&platform, &off, &changed).await;
    assert_eq!(refused.status.code(), Some(1), "{refused:?}");
    assert_eq!(write_error(&platform).await.as_deref(), Some("kill-switch"));
    let _worker = Worker::start(&environment(&platform)).await;
    let is_stored = async || stored(&platform).await.is_on(KillSwitchScope::Platform);
    eventually(is_stored, "the entry in PostgreSQL").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn kill_switch_works_without_redis_and_a_worker_revokes_the_sessions_later() {
    let platform = Platform::start().await;
    let cache = cache(&platform);
    let name = || SessionName::new(platform.community.id, "wizard", 7);
    cache.begin_session(name(), 1, Ttl::seconds(600)).await.unwrap();
    let (code, report) = turn_on(&platform, &[("REDIS_URL", NO_REDIS)]).await;
    assert_eq!(code, Some(1), "{report:#}");
    for name in ["Redis", "sessions"] {
        assert_eq!(outcomes(&report, name), ["failed"], "{name}");
    }
    assert_eq!(outcomes(&report, "discord-proxy"), ["done"]);
    assert_eq!(write_error(&platform).await.as_deref(), Some("kill-switch"));
    assert!(cache.session::<u32>(name()).await.unwrap().is_some());
    let _worker = Worker::start(&environment(&platform)).await;
    let is_revoked = async || cache.session::<u32>(name()).await.unwrap().is_none();
    eventually(is_revoked, "the sessions to be revoked").await;
    assert!(cache.kill_switches().await.unwrap().is_on(KillSwitchScope::Platform));
}

/// What the application's login can do without `KILL_SWITCH_CREDENTIAL`: append an end whose proof is not valid.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn end_without_a_valid_proof_in_postgres_ends_nothing() {
    let platform = Platform::start().await;
    let worker = Worker::start(&environment(&platform)).await;
    let (code, report) = turn_on(&platform, &[]).await;
    assert_eq!(code, Some(0), "{report:#}");
    worker.until_metric("arrakis_worker_kill_switch_on", 1.0).await;
    let version = stored(&platform).await.version(KillSwitchScope::Platform);
    let forged = KillSwitch::ended(KillSwitchScope::Platform, version, "stilgar", "the end");
    append_end(&platform, &forged, &EndKey::new("another-credential-of-someone")).await;
    assert!(stored(&platform).await.is_on(KillSwitchScope::Platform));
    // A freeze that reaches the proxy shows that the worker has read PostgreSQL after the forged end.
    let mut tx = platform.tenant().await;
    tx.communities().set_frozen(Some("a stolen account")).await.unwrap();
    tx.commit().await.unwrap();
    let has_read = async || frozen_communities(&platform).await == 1;
    eventually(has_read, "the freeze at the proxy").await;
    assert_eq!(write_error(&platform).await.as_deref(), Some("kill-switch"));
    // The end with a proof counts.
    end(&platform).await;
    let is_off = async || write_error(&platform).await.as_deref() == Some("frozen");
    eventually(is_off, "the end of the kill switch at the proxy").await;
}

/// The kill switch was turned off before `KILL_SWITCH_CREDENTIAL` was changed.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn change_of_the_credential_leaves_the_kill_switch_off() {
    let platform = Platform::start().await;
    let previous = "the-credential-before-the-change";
    let scope = KillSwitchScope::Platform;
    let on = KillSwitch::changed(scope, true, 0, "stilgar", "a leaked token");
    append(&platform, &on, "kill_switch.on", &end_key()).await;
    let off = KillSwitch::ended(scope, on.version, "stilgar", "the end");
    append_end(&platform, &off, &EndKey::new(previous)).await;
    let (code, printed) = status(&platform, &[]).await;
    assert!(code == Some(1) && printed.contains("problem: "), "{printed}");
    let changed = [("KILL_SWITCH_CREDENTIAL_PREVIOUS", previous)];
    let (code, printed) = status(&platform, &changed).await;
    assert!(
        code == Some(1) && printed.contains("the kill switch is off") && printed.contains("no proof by the present"),
        "{printed}"
    );
    let mut of_worker = environment(&platform);
    of_worker.push(("KILL_SWITCH_CREDENTIAL_PREVIOUS", previous.to_owned()));
    let worker = Worker::start(&of_worker).await;
    let is_proven = async || !stored(&platform).await.is_on(scope);
    eventually(is_proven, "the proof by the present credential").await;
    assert_eq!(write_error(&platform).await, None);
    drop(worker);
    // Without the previous credential it is still off.
    let _worker = Worker::start(&environment(&platform)).await;
    let is_settled = async || status(&platform, &[]).await.0 == Some(0);
    eventually(is_settled, "the status without a problem").await;
    assert_eq!(write_error(&platform).await, None);
}

/// With such an entry Redis confirms the state at no proxy.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn entry_of_redis_that_cannot_be_read_is_reported_and_removed_by_a_worker() {
    let platform = Platform::start().await;
    let stored: i64 = deadpool_redis::redis::cmd("HSET")
        .arg(REDIS_KEY)
        .arg("zzz")
        .arg("y")
        .query(&mut platform.redis.connection())
        .unwrap();
    assert_eq!(stored, 1);
    let (code, printed) = status(&platform, &[]).await;
    assert!(code == Some(1) && printed.contains("zzz"), "{printed}");
    let _worker = Worker::start(&environment(&platform)).await;
    let cache = cache(&platform);
    let is_removed = async || cache.unreadable_kill_switches().await.unwrap().is_empty();
    eventually(is_removed, "the entry to be removed").await;
    assert_eq!(status(&platform, &[]).await.0, Some(0));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn second_command_reports_that_the_kill_switch_was_on_already() {
    let platform = Platform::start().await;
    let (_, first) = turn_on(&platform, &[]).await;
    assert_eq!(outcomes(&first, "kill switch"), [""; 0], "{first:#}");
    let (code, second) = turn_on(&platform, &[]).await;
    assert_eq!(code, Some(0), "{second:#}");
    let before = &second["steps"][0];
    let detail = before["detail"].as_str().unwrap();
    assert!(
        before["name"] == "kill switch"
            && detail.contains("was on already")
            && detail.contains("`stilgar`: `a leaked token`"),
        "{second:#}"
    );
    assert_eq!(outcomes(&second, "discord-proxy"), ["done"], "{second:#}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn kill_switch_is_not_turned_off_by_someone_who_may_not() {
    let platform = Platform::start().await;
    turn_on(&platform, &[]).await;
    let key = SecretCipher::generate_key("test").unwrap();
    let off = ["off", "--user", "7", "--reason", "test", "--mfa", "123456"];
    for (operators, reason) in [
        ("8", "may not turn the kill switch off"),
        ("7,8", "has no second factor"),
    ] {
        let changed = [
            ("KILL_SWITCH_OPERATORS", operators),
            ("MFA_ENCRYPTION_KEY", key.as_str()),
        ];
        let refused = command(&platform, &off, &changed).await;
        let text = String::from_utf8(refused.stderr).unwrap();
        assert!(refused.status.code() == Some(1) && text.contains(reason), "{text}");
    }
    for (changed, missing) in [
        (("KILL_SWITCH_OPERATORS", "7"), "MFA_ENCRYPTION_KEY is not set"),
        (("DATABASE_URL", ""), "DATABASE_URL is not set"),
        (("KILL_SWITCH_CREDENTIAL", ""), "KILL_SWITCH_CREDENTIAL is not set"),
    ] {
        let refused = command(&platform, &off, &[changed]).await;
        let text = String::from_utf8(refused.stderr).unwrap();
        assert!(refused.status.code() == Some(78) && text.contains(missing), "{text}");
    }
    assert_eq!(write_error(&platform).await.as_deref(), Some("kill-switch"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn invalid_variable_does_not_stop_the_kill_switch() {
    let platform = Platform::start().await;
    let on = ["on", "--reason", "a leaked token", "--by", "stilgar"];
    // A variable that is left over from another signer, and PostgreSQL without an address.
    let changed = [
        ("VAULT_ADDR", "http://127.0.0.1:1"),
        ("VAULT_SIGNING_POLICIES", "arrakis-worker"),
        ("DATABASE_URL", ""),
    ];
    let output = command(&platform, &on, &changed).await;
    let printed = String::from_utf8(output.stdout).unwrap();
    let errors = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(1), "{printed}{errors}");
    assert_eq!(write_error(&platform).await.as_deref(), Some("kill-switch"));
    for step in [
        "PostgreSQL and audit log: this command has no DATABASE_URL",
        "permissions to sign: a variable of the signing service has a problem",
    ] {
        assert!(printed.contains(step), "{printed}");
    }
    for text in ["VAULT_ADDR", "a step FAILED", "next: "] {
        assert!(errors.contains(text), "{errors}");
    }
    let status = command(&platform, &["status"], &changed[..1]).await;
    let text = String::from_utf8(status.stdout).unwrap();
    assert!(text.contains("the kill switch is ON"), "{text}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn off_counts_no_text_that_is_no_code_and_needs_none_while_it_is_off() {
    let platform = Platform::start().await;
    turn_on(&platform, &[]).await;
    let key = SecretCipher::generate_key("test").unwrap();
    let code = enrol(&platform, &key, UserId::new(7).unwrap()).await;
    let changed = [("KILL_SWITCH_OPERATORS", "7"), ("MFA_ENCRYPTION_KEY", key.as_str())];
    let off = async |code: &str| {
        let arguments = ["off", "--user", "7", "--reason", "the end", "--mfa", code];
        let output = command(&platform, &arguments, &changed).await;
        (output.status.code(), String::from_utf8(output.stderr).unwrap())
    };
    let actions = async |action: &str| {
        let mut tx = platform.database.global().await.unwrap();
        let entries = tx.platform_audit_entries(100).await.unwrap();
        entries.iter().filter(|entry| entry.action == action).count()
    };
    for text in ["12345", ""] {
        let (status, errors) = off(text).await;
        assert!(status == Some(1) && errors.contains("was not counted"), "{errors}");
    }
    assert_eq!(actions("mfa.refused").await, 0);
    let (status, errors) = off(&code).await;
    assert!(status == Some(0) && errors.contains("next: "), "{errors}");
    assert_eq!(write_error(&platform).await, None);
    let (status, errors) = off(&code).await;
    assert!(status == Some(0) && errors.contains("off already"), "{errors}");
    assert_eq!(actions("kill_switch.off").await, 1);
}

/// A user with a second factor, and a code of it.
pub async fn enrol(platform: &Platform, key: &str, user: UserId) -> String {
    let cipher: SecretCipher = key.parse().unwrap();
    let now = OffsetDateTime::now_utc();
    let (totp, code) = (Totp::generate(), BackupCode::generate());
    let sealed = cipher.seal(user.get(), totp.secret()).unwrap();
    let mut tx = platform.database.global().await.unwrap();
    assert!(tx.mfa().begin(user, &sealed, now).await.unwrap());
    let outcome = mfa::confirm(&mut tx, &cipher, user, &totp.code_at(now), now).await;
    assert_eq!(outcome.unwrap(), MfaOutcome::Accepted);
    let codes = std::slice::from_ref(&code);
    assert!(tx.mfa().replace_backup_codes(&cipher, user, codes).await.unwrap());
    tx.commit().await.unwrap();
    code.expose().to_owned()
}

/// The entry is everywhere, and the command could not end the sessions.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sessions_that_the_command_could_not_end_are_ended_by_a_worker() {
    let platform = Platform::start().await;
    let cache = cache(&platform);
    let name = || SessionName::new(platform.community.id, "wizard", 7);
    let (_, report) = turn_on(&platform, &[]).await;
    assert_eq!(outcomes(&report, "sessions"), ["done"]);
    let version = report["version"].as_u64().unwrap();
    let set_step = async |state| {
        let mut tx = platform.database.global().await.unwrap();
        let step = KillSwitchStep::Sessions;
        let key = end_key();
        tx.kill_switches()
            .set_step(step, version, state, Some(&key))
            .await
            .unwrap();
        tx.commit().await.unwrap();
    };
    let begin = async || {
        let ttl = Ttl::seconds(600);
        cache.begin_session(name(), 1, ttl).await.unwrap();
    };
    begin().await;
    set_step(StepState::Pending).await;
    let status = command(&platform, &["status"], &[]).await;
    let text = String::from_utf8(status.stdout).unwrap();
    assert!(text.contains("pending: the sessions have not ended"), "{text}");
    let worker = Worker::start(&environment(&platform)).await;
    let is_ended = async || cache.session::<u32>(name()).await.unwrap().is_none();
    eventually(is_ended, "the end of the sessions").await;
    let is_stored = async || {
        let mut tx = platform.database.global().await.unwrap();
        let steps = tx.kill_switches().steps(Some(&end_key())).await.unwrap();
        let is_done = |step: &StoredStep| step.step == KillSwitchStep::Sessions && step.state == StepState::Revoked;
        steps.iter().any(is_done)
    };
    eventually(is_stored, "the step to be stored").await;
    drop(worker);
    // A worker that starts later does not end the sessions once more.
    begin().await;
    let worker = Worker::start(&environment(&platform)).await;
    worker.until_metric("arrakis_worker_kill_switch_on", 1.0).await;
    assert!(cache.session::<u32>(name()).await.unwrap().is_some());
}

/// The permission to sign of a process that has a token, on a real OpenBao.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn kill_switch_revokes_the_permission_to_sign_and_its_end_restores_it() {
    let platform = Platform::start().await;
    let bao = OpenBao::start().await;
    bao.create_key("arrakis").await;
    let role = bao.create_role("signer", "arrakis", LONG, LONG).await;
    let revoker = bao.create_revoker("revoker", &["signer"]).await;
    let mfa_key = SecretCipher::generate_key("test").unwrap();
    let code = enrol(&platform, &mfa_key, UserId::new(7).unwrap()).await;
    let secret_id_file = role.secret_id_file.display().to_string();
    let revoker_file = revoker.secret_id_file.display().to_string();
    let variables = [
        ("SIGNER", "transit"),
        ("VAULT_ADDR", bao.url()),
        ("VAULT_ROLE_ID", role.role_id.as_str()),
        ("VAULT_SECRET_ID_FILE", secret_id_file.as_str()),
        ("VAULT_SIGNING_POLICIES", "signer"),
        ("VAULT_REVOKER_ROLE_ID", revoker.role_id.as_str()),
        ("VAULT_REVOKER_SECRET_ID_FILE", revoker_file.as_str()),
        ("KILL_SWITCH_OPERATORS", "7"),
        ("MFA_ENCRYPTION_KEY", mfa_key.as_str()),
    ];
    let settings = Reader::load(Service::Worker, Source::pairs(variables), Reader::signing);
    let signer = signing::open(&settings.unwrap().unwrap(), "test", Arc::new(())).unwrap();
    signer.sign(b"message").await.unwrap();
    let arguments = ["drill", &platform.community.guild, "--by", "stilgar", "--json"];
    let drilled = command(&platform, &arguments, &variables).await;
    let report: Value = serde_json::from_slice(&drilled.stdout).unwrap_or_else(|_| panic!("{drilled:?}"));
    assert_eq!(outcomes(&report, "permissions to sign"), ["done"], "{report:#}");
    signer.sign(b"message").await.unwrap();
    let (code_of_exit, report) = turn_on(&platform, &variables).await;
    assert_eq!(code_of_exit, Some(0), "{report:#}");
    assert_eq!(outcomes(&report, "permissions to sign"), ["done"], "{report:#}");
    let refused = signer.sign(b"message").await.unwrap_err();
    assert!(matches!(refused, SignError::Refused { .. }), "{refused}");
    let off = ["off", "--user", "7", "--reason", "the end", "--mfa", &code, "--json"];
    let ended = command(&platform, &off, &variables).await;
    let report: Value = serde_json::from_slice(&ended.stdout).unwrap_or_else(|_| panic!("{ended:?}"));
    assert_eq!(outcomes(&report, "permissions to sign"), ["done"], "{report:#}");
    let is_signed = async || signer.sign(b"message").await.is_ok();
    eventually(is_signed, "the permission to sign").await;
    // The signing service does not respond to the next `off`, and no worker runs: one that starts later restores the permission.
    let (_, report) = turn_on(&platform, &variables).await;
    assert_eq!(outcomes(&report, "permissions to sign"), ["done"], "{report:#}");
    let code = enrol(&platform, &mfa_key, UserId::new(8).unwrap()).await;
    let away = [
        variables.as_slice(),
        &[("VAULT_ADDR", "http://127.0.0.1:1"), ("KILL_SWITCH_OPERATORS", "8")],
    ]
    .concat();
    let off = ["off", "--user", "8", "--reason", "the end", "--mfa", &code, "--json"];
    let ended = command(&platform, &off, &away).await;
    let report: Value = serde_json::from_slice(&ended.stdout).unwrap_or_else(|_| panic!("{ended:?}"));
    assert_eq!(outcomes(&report, "permissions to sign"), ["failed"], "{report:#}");
    let status = command(&platform, &["status"], &variables).await;
    let text = String::from_utf8(status.stdout).unwrap();
    assert!(
        status.status.code() == Some(1) && text.contains("pending: the permissions to sign are not restored"),
        "{text}"
    );
    let mut of_worker = environment(&platform);
    of_worker.extend(variables.map(|(name, value)| (name, value.to_owned())));
    let _worker = Worker::spawn(&of_worker);
    let is_signed = async || signer.sign(b"message").await.is_ok();
    eventually(is_signed, "the permission to sign, restored by a worker").await;
    let is_complete = async || command(&platform, &["status"], &variables).await.status.success();
    eventually(is_complete, "the status without a pending step").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn freeze_reaches_the_proxy_and_its_end_does() {
    let platform = Platform::start().await;
    let _worker = Worker::start(&environment(&platform)).await;
    let freeze = async |reason: Option<&str>| {
        let mut tx = platform.tenant().await;
        tx.communities().set_frozen(reason).await.unwrap();
        tx.commit().await.unwrap();
    };
    freeze(Some("a stolen account")).await;
    let is_frozen = async || write_error(&platform).await.as_deref() == Some("frozen");
    eventually(is_frozen, "the freeze at the proxy").await;
    freeze(None).await;
    let passes = async || write_error(&platform).await.is_none();
    eventually(passes, "the end of the freeze at the proxy").await;
}

/// A freeze that somebody wrote to Redis reaches the proxy, and a worker ends it since PostgreSQL does not have it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn freeze_of_redis_alone_is_ended_by_a_worker_and_a_real_one_is_enforced_after_it() {
    let platform = Platform::start().await;
    let scope: KillSwitchScope = format!("community:{}", platform.community.guild).parse().unwrap();
    let hour_ahead = u64::try_from(OffsetDateTime::now_utc().unix_timestamp() + 3600).unwrap() * 1_000;
    let forged = KillSwitch {
        scope,
        is_on: true,
        version: hour_ahead,
        by: String::new(),
        reason: String::new(),
    };
    let cache = cache(&platform);
    cache.put_kill_switches([&forged].into_iter()).await.unwrap();
    until_write_error(&platform, Some("frozen"), "the forged freeze at the proxy").await;
    let _worker = Worker::start(&environment(&platform)).await;
    until_write_error(&platform, None, "the end of the forged freeze").await;
    let freeze = async |reason: Option<&str>| {
        let mut tx = platform.tenant().await;
        tx.communities().set_frozen(reason).await.unwrap();
        tx.commit().await.unwrap();
    };
    freeze(Some("a stolen account")).await;
    until_write_error(
        &platform,
        Some("frozen"),
        "the real freeze at the proxy, whose version is lower",
    )
    .await;
    freeze(None).await;
    until_write_error(&platform, None, "its end at the proxy").await;
}

/// The drill of docs/runbooks/incident.md.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn drill_freezes_a_test_server_measures_each_step_and_ends_the_freeze() {
    let platform = Platform::start().await;
    let arguments = ["drill", &platform.community.guild, "--by", "stilgar", "--json"];
    let output = command(&platform, &arguments, &[]).await;
    let report: Value = serde_json::from_slice(&output.stdout).unwrap_or_else(|_| panic!("{output:?}"));
    assert_eq!(output.status.code(), Some(0), "{report:#}");
    assert_eq!(outcomes(&report, "discord-proxy"), ["done", "done"], "{report:#}");
    for name in ["freeze in PostgreSQL", "Redis", "sessions", "end of the freeze"] {
        assert_eq!(outcomes(&report, name), ["done"], "{name}: {report:#}");
    }
    // Each time is from the freeze, that of the end included.
    let steps = report["steps"].as_array().unwrap();
    let times: Vec<u64> = steps.iter().map(|step| step["ended_ms"].as_u64().unwrap()).collect();
    assert!(times.is_sorted(), "{report:#}");
    let of = |name: &str| {
        steps
            .iter()
            .position(|step| step["name"].as_str().unwrap().starts_with(name))
    };
    assert!(of("end of the freeze") > of("notice to operators"), "{report:#}");
    let mut tx = platform.tenant().await;
    assert_eq!(tx.communities().get().await.unwrap().unwrap().frozen, None);
    let entries = tx.audit_entries(5).await.unwrap();
    assert!(entries.iter().any(|entry| entry.action == "kill_switch.drill"));
    // A real freeze is not ended by a drill.
    tx.communities().set_frozen(Some("a stolen account")).await.unwrap();
    tx.commit().await.unwrap();
    let refused = command(&platform, &arguments, &[]).await;
    let text = String::from_utf8(refused.stderr).unwrap();
    assert!(
        refused.status.code() == Some(1) && text.contains("a stolen account"),
        "{text}"
    );
    let mut tx = platform.tenant().await;
    assert!(tx.communities().get().await.unwrap().unwrap().frozen.is_some());
}

/// The server is none of the community: no replica has an entry that could be checked.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn drill_without_an_entry_of_the_server_leaves_no_freeze() {
    let platform = Platform::start().await;
    let proxy = format!("http://{}", platform.proxy).parse().unwrap();
    let settings = KillSwitchSettings {
        proxies: Some((vec![proxy], Secret::new(KILL_SWITCH_CREDENTIAL))),
        ..KillSwitchSettings::default()
    };
    let database = Some(platform.database.clone());
    let control = KillSwitchControl::new(&settings, database, cache(&platform), None).unwrap();
    let credential = platform.discord_config(platform.proxy).credential;
    let other = GuildId::new(4).unwrap();
    let drilled = Box::pin(control.drill(platform.community.id, other, &credential, "stilgar")).await;
    assert!(matches!(drilled, Err(DrillError::NoServer)), "{drilled:?}");
    let mut tx = platform.tenant().await;
    assert_eq!(tx.communities().get().await.unwrap().unwrap().frozen, None);
}
