//! `gaib server teardown`, and the recovery with `gaib server apply` and `gaib restore`.

mod killed;

use std::process::Stdio;
use std::time::Duration;

use arrakis_db::ApiKeyScope::{ServersRead, ServersWrite};
use arrakis_db::{JobState, UserId};
use arrakis_domain::{RoleId, RoleKey};
use arrakis_emulator_client::GatewayChange;
use discord_emulator::faults::{Condition, DeadHost, FaultKind};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader, Lines};
use tokio::process::ChildStderr;

use crate::platform::Platform;
use crate::session::{GUILD, Outcome, Session, exists};

/// A member with the role Usul.
const STILGAR: &str = "1200000000000000801";

/// A community server with what Discord keeps: a role above the bot's, a managed one, the channels that a community server must have.
async fn start() -> Session {
    let session = Session::with(json!({
        "name": "Sietch Tabr", "community": true, "bot": {"below": "Founders"},
        "roles": [
            {"name": "Founders"}, {"name": "Naib", "color": "#123456", "hoist": true}, {"name": "Booster", "managed": true},
            {"name": "Usul", "permissions": ["VIEW_CHANNEL"]},
        ],
        "channels": [
            {"name": "rules"}, {"name": "moderators", "visible_to": []},
            {"name": "Commons", "kind": "category", "channels": [
                {"name": "general", "topic": "Everything"}, {"name": "voices", "kind": "voice"},
                {"name": "naibs", "visible_to": ["Naib"]},
            ]},
        ],
        "members": [{"id": STILGAR, "name": "stilgar", "roles": ["Usul"]}],
    }))
    .await;
    let guild = session.control().guild(GUILD).await.unwrap();
    let body = json!({"rules_channel_id": id(&guild, "channels", "rules"), "public_updates_channel_id": id(&guild, "channels", "moderators")});
    let url = format!("{}/guilds/{GUILD}", session.emulator.addresses().rest);
    let request = reqwest::Client::builder().no_proxy().build().unwrap().patch(url);
    let token = format!("Bot {}", session.emulator.token().trim_start_matches("Bot "));
    let answer = request.header("authorization", token).json(&body).send().await.unwrap();
    assert_eq!(answer.status(), 200, "{}", answer.text().await.unwrap());
    session
}

/// The id of a role or channel.
fn id(guild: &Value, kind: &str, name: &str) -> String {
    let list = guild[kind].as_array().unwrap();
    let found = list.iter().find(|one| one["name"] == name);
    let found = found.unwrap_or_else(|| panic!("no {name} in {list:?}"));
    found["id"].as_str().unwrap().to_owned()
}

/// The sorted names of all roles and channels.
async fn names(session: &Session) -> Vec<String> {
    let guild = session.control().guild(GUILD).await.unwrap();
    let of = |kind: &str| guild[kind].as_array().unwrap().clone().into_iter();
    let mut names: Vec<String> = of("roles")
        .chain(of("channels"))
        .map(|one| one["name"].as_str().unwrap().to_owned())
        .collect();
    names.sort();
    names
}

/// The names that stay: those of the session without what Discord permits to delete.
fn kept(names: &[String]) -> Vec<String> {
    let gone = ["Naib", "Usul", "Commons", "general", "voices", "naibs"];
    names
        .iter()
        .filter(|name| !gone.contains(&name.as_str()))
        .cloned()
        .collect()
}

/// Roles and channels without their ids and positions, for a comparison.
async fn without_ids(session: &Session) -> Vec<String> {
    let guild = session.control().guild(GUILD).await.unwrap();
    let names: Vec<(String, String)> = ["roles", "channels"]
        .into_iter()
        .flat_map(|kind| guild[kind].as_array().unwrap())
        .map(|one| {
            (
                one["id"].as_str().unwrap().to_owned(),
                one["name"].as_str().unwrap().to_owned(),
            )
        })
        .collect();
    let mut lines: Vec<String> = ["roles", "channels"]
        .into_iter()
        .flat_map(|kind| guild[kind].as_array().unwrap())
        .map(|one| {
            let mut one = one.clone();
            for field in ["id", "position", "last_message_id", "version"] {
                one.as_object_mut().unwrap().remove(field);
            }
            // Omitted, they have these values.
            for (field, default) in [("default_thread_rate_limit_per_user", 0), ("video_quality_mode", 1)] {
                if one[field] == default {
                    one.as_object_mut().unwrap().remove(field);
                }
            }
            // Ids within it become names.
            let named = names
                .iter()
                .fold(one.to_string(), |line, (id, name)| line.replace(id.as_str(), name));
            let mut one: Value = serde_json::from_str(&named).unwrap();
            if let Some(overwrites) = one["permission_overwrites"].as_array_mut() {
                overwrites.sort_by_key(Value::to_string);
            }
            one.to_string()
        })
        .collect();
    lines.sort();
    lines
}

const WITHOUT: &str = "--no-checkpoint \"a test server\"";

fn line() -> String {
    format!("server teardown --confirm-teardown {WITHOUT} --guild {GUILD}")
}

/// The answers to the four questions.
fn answers() -> String {
    format!("yes\nyes\nSietch Tabr\n{GUILD}\n")
}

/// The export that the output names, after `apply -f`.
fn export(outcome: &Outcome) -> String {
    let (_, rest) = outcome.stdout.split_once("apply -f ").unwrap();
    rest.split_whitespace().next().unwrap().to_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn teardown_needs_its_option_a_checkpoint_or_a_reason_and_each_confirmation() {
    let mut session = start().await;
    let before = names(&session).await;
    let without_reason = format!("server teardown --confirm-teardown --guild {GUILD}");
    for (line, answer, expected) in [
        (
            format!("server teardown --guild {GUILD}"),
            None,
            "--confirm-teardown is not given",
        ),
        (without_reason.clone(), None, "no checkpoint can be stored"),
        (format!("{without_reason} --no-checkpoint \"\""), None, "has no reason"),
        (line(), None, "No answer was read"),
        (format!("{} --input=false", line()), None, "confirmed by a person"),
        (format!("--json {}", line()), None, "confirmed by a person"),
        (line(), Some("no\n"), "Cancelled before stage 1 of 4"),
        (line(), Some("yes\nYES\n"), "Cancelled before stage 2 of 4"),
        (
            line(),
            Some("yes\nyes\nyes\n"),
            "Cancelled before stage 3 of 4: nothing was deleted.",
        ),
    ] {
        let refused = session.answering(&line, answer).await;
        assert_eq!(refused.code, 1, "{line}: {}", refused.stdout);
        assert!(refused.stderr.contains(expected), "{line}: {}", refused.stderr);
        // Nothing was deleted, so that the server is exported anew.
        let is_cancelled = expected.starts_with("Cancelled");
        let begins_again = refused.stderr.contains("begins again with stage 1");
        assert_eq!(begins_again, is_cancelled, "{line}: {}", refused.stderr);
        assert_eq!(names(&session).await, before, "{line}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn cancelled_deletion_continues_and_a_snapshot_without_roles_of_members_is_named() {
    let mut session = start().await;
    let change = GatewayChange {
        privileged_intents: Some(Vec::new()),
        ..GatewayChange::default()
    };
    session.control().change_gateway(&change).await.unwrap();
    let cancelled = session.answering(&line(), Some("yes\nyes\nSietch Tabr\nno\n")).await;
    assert_eq!(cancelled.code, 1, "{}", cancelled.stdout);
    for expected in ["Cancelled before stage 4 of 4", "the same command continues there"] {
        assert!(cancelled.stderr.contains(expected), "{expected}: {}", cancelled.stderr);
    }
    let done = session.answering(&line(), Some(&format!("{GUILD}\n"))).await;
    assert_eq!(done.code, 0, "{}", done.stderr);
    assert!(done.stdout.contains("has no roles of members"), "{}", done.stdout);
}

#[tokio::test(flavor = "multi_thread")]
async fn dry_run_shows_what_is_deleted_and_what_stays() {
    let mut session = start().await;
    let before = names(&session).await;
    let dry = session
        .gaib(&format!("server teardown --dry-run --guild {GUILD}"))
        .await;
    assert_eq!(dry.code, 0, "{}", dry.stderr);
    for expected in [
        "2 roles",
        "1 category, 3 channels",
        "role `Founders`",
        "it is not below the bot's highest role",
        "a community server must have it",
        // A teardown would be refused.
        "no checkpoint can be stored",
    ] {
        assert!(dry.stderr.contains(expected), "{expected}: {}", dry.stderr);
    }
    assert!(
        dry.stdout.contains("role.naib") && dry.stdout.contains("channel.general"),
        "{}",
        dry.stdout
    );
    assert_eq!(names(&session).await, before);
    assert!(!exists(&session, ".gaib"));
}

#[tokio::test(flavor = "multi_thread")]
async fn server_is_emptied_but_for_what_discord_keeps_and_recovered_from_the_export() {
    let mut session = start().await;
    let (before, compared) = (names(&session).await, without_ids(&session).await);
    let done = session.answering(&line(), Some(&answers())).await;
    assert_eq!(done.code, 0, "{}", done.stderr);
    assert_eq!(names(&session).await, kept(&before));
    // The questions have the resources above them, and not their attributes.
    for expected in ["  - channel.general \"general\" (id ", "  - role.usul \"Usul\" (id "] {
        assert!(done.stdout.contains(expected), "{expected}: {}", done.stdout);
    }
    assert!(!done.stdout.contains("VIEW_CHANNEL"), "{}", done.stdout);
    for expected in [
        "`@everyone`",
        "every server has it",
        "it is the bot's own role",
        "it belongs to an application",
        "role `Founders`",
        "channel `rules`",
    ] {
        assert!(done.stdout.contains(expected), "{expected}: {}", done.stdout);
    }
    let again = session.gaib(&line()).await;
    assert_eq!(again.code, 0, "{}", again.stderr);
    assert!(again.stderr.contains("empty already"), "{}", again.stderr);
    let listed = session.gaib(&format!("server snapshot list --guild {GUILD}")).await;
    assert!(listed.stdout.contains("before the teardown"), "{}", listed.stdout);
    let file = export(&done);
    let applied = session
        .gaib(&format!("server apply -f {file} --guild {GUILD} --auto-approve"))
        .await;
    assert_eq!(applied.code, 0, "{}", applied.stderr);
    assert_eq!(without_ids(&session).await, compared);
    let plan = session
        .gaib(&format!("server plan -f {file} --guild {GUILD} --detailed-exitcode"))
        .await;
    assert_eq!(plan.code, 0, "{}", plan.stdout);
}

#[tokio::test(flavor = "multi_thread")]
async fn teardown_of_a_server_with_a_theme_is_a_destroy_in_the_registry() {
    let mut session = start().await;
    let init = session.gaib(&format!("server init --guild {GUILD}")).await;
    assert_eq!(init.code, 0, "{}", init.stderr);
    session.write("discord-server.yaml", "theme: basic\n");
    let applied = session.gaib("server apply --auto-approve").await;
    assert_eq!(applied.code, 0, "{}", applied.stderr);
    // The theme names the server.
    let guild = session.control().guild(GUILD).await.unwrap();
    let answers = format!("yes\nyes\n{}\n{GUILD}\n", guild["name"].as_str().unwrap());
    let done = session.answering(&line(), Some(&answers)).await;
    assert_eq!(done.code, 0, "{}{}", done.stdout, done.stderr);
    assert!(
        done.stderr.contains("Recorded the teardown in the theme registry"),
        "{}",
        done.stderr
    );
    let shown = session.gaib("server theme registry").await;
    for expected in ["has no theme", "destroy", "teardown", "(2 deployments)"] {
        assert!(shown.stdout.contains(expected), "{expected}: {}", shown.stdout);
    }
    // Its snapshot is the way back.
    let listed = session.gaib("server theme history --json --limit 1").await;
    let messages = listed
        .stdout
        .lines()
        .map(|line| serde_json::from_str::<Value>(line).unwrap());
    let recorded: Vec<Value> = messages.filter(|message| message["type"] == "deployment").collect();
    let before = recorded[0]["snapshot_before"].as_str().unwrap().to_owned();
    assert!(done.stdout.contains(&before), "{}", done.stdout);
}

/// The commands that the output prints for the recovery, without the notes after them.
fn recovery(outcome: &Outcome) -> Vec<String> {
    let (_, rest) = outcome.stdout.split_once("To recover it, in this order:\n").unwrap();
    let commands = rest.lines().map_while(|line| line.strip_prefix("  gaib "));
    commands
        .map(|line| line.split("   (").next().unwrap().to_owned())
        .collect()
}

/// The names of the roles of the member.
async fn roles_of_stilgar(session: &Session) -> Vec<String> {
    let member = session.control().member(GUILD, STILGAR).await.unwrap();
    let guild = session.control().guild(GUILD).await.unwrap();
    let roles = guild["roles"].as_array().unwrap().iter();
    let held = roles.filter(|role| member["roles"].as_array().unwrap().contains(&role["id"]));
    held.map(|role| role["name"].as_str().unwrap().to_owned()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn commands_of_the_output_give_members_their_roles_back() {
    let mut session = start().await;
    let compared = without_ids(&session).await;
    assert_eq!(roles_of_stilgar(&session).await, ["Usul"]);
    let done = session.answering(&line(), Some(&answers())).await;
    assert_eq!(done.code, 0, "{}", done.stderr);
    assert!(roles_of_stilgar(&session).await.is_empty());
    let commands = recovery(&done);
    assert_eq!(commands.len(), 2, "{}", done.stdout);
    for command in commands {
        let outcome = session.gaib(&format!("{command} --auto-approve")).await;
        assert_eq!(outcome.code, 0, "{command}: {}{}", outcome.stdout, outcome.stderr);
    }
    assert_eq!(without_ids(&session).await, compared);
    assert_eq!(roles_of_stilgar(&session).await, ["Usul"]);
}

/// Begins a teardown with all answers, and kills it when the fault has taken effect.
async fn kill_during(session: &Session, fault: FaultKind, method: &str, route: &str) {
    let once = Condition {
        count: Some(1),
        method: Some(method.to_owned()),
        route: Some(route.to_owned()),
        ..Condition::default()
    };
    session.emulator.app().faults.arm(fault, once);
    let mut command = session.command(&line());
    let mut child = command.stdin(Stdio::piped()).spawn().unwrap();
    let mut stdin = child.stdin.take().unwrap();
    stdin.write_all(answers().as_bytes()).await.unwrap();
    let has_struck = || {
        let faults = session.emulator.app().faults.list();
        faults.iter().any(|fault| fault.struck > 0)
    };
    while !has_struck() {
        assert!(
            child.try_wait().unwrap().is_none(),
            "{method} {route} was never requested"
        );
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
    child.kill().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn teardown_after_sigkill_continues_without_a_second_export() {
    let lost = || FaultKind::RestLostAnswer { mode: DeadHost::Hang };
    let no_effect = || FaultKind::RestLatency {
        ms: 600_000,
        jitter_ms: 0,
    };
    let channel_first = format!("Sietch Tabr\n{GUILD}\n");
    let roles_only = format!("{GUILD}\n");
    for (fault, route, answers) in [
        (lost(), "/channels/{channel_id}", &channel_first),
        (no_effect(), "/channels/{channel_id}", &channel_first),
        (lost(), "/guilds/{guild_id}/roles/{role_id}", &roles_only),
        (no_effect(), "/guilds/{guild_id}/roles/{role_id}", &roles_only),
    ] {
        let mut session = start().await;
        let (before, compared) = (names(&session).await, without_ids(&session).await);
        kill_during(&session, fault, "DELETE", route).await;
        let second = session.answering(&line(), Some(answers)).await;
        assert_eq!(second.code, 0, "{route}: {}", second.stderr);
        assert!(
            second.stderr.contains("Continuing the interrupted teardown") && !second.stderr.contains("Wrote server"),
            "{route}: {}",
            second.stderr
        );
        assert_eq!(names(&session).await, kept(&before), "{route}");
        let applied = session
            .gaib(&format!(
                "server apply -f {} --guild {GUILD} --auto-approve",
                export(&second)
            ))
            .await;
        assert_eq!(applied.code, 0, "{route}: {}", applied.stderr);
        assert_eq!(without_ids(&session).await, compared, "{route}");
    }
}

/// Reads lines until one has this text.
async fn wait_for(lines: &mut Lines<BufReader<ChildStderr>>, text: &str) {
    loop {
        let line = tokio::time::timeout(Duration::from_secs(40), lines.next_line()).await;
        let line = line.unwrap_or_else(|_| panic!("no {text}")).unwrap();
        if line.unwrap_or_else(|| panic!("no {text}")).contains(text) {
            return;
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn signal_cancels_a_teardown_that_waits_for_an_answer_after_a_deletion() {
    let mut session = start().await;
    let before = names(&session).await;
    let mut child = session.command(&line()).stdin(Stdio::piped()).spawn().unwrap();
    let mut stdin = child.stdin.take().unwrap();
    stdin.write_all(b"yes\nyes\nSietch Tabr\n").await.unwrap();
    let mut lines = BufReader::new(child.stderr.take().unwrap()).lines();
    wait_for(&mut lines, "Stage 4 of 4").await;
    let process = Pid::from_raw(i32::try_from(child.id().unwrap()).unwrap());
    kill(process, Signal::SIGINT).unwrap();
    wait_for(&mut lines, "Cancelled before stage 4 of 4").await;
    assert_eq!(child.wait().await.unwrap().code(), Some(1));
    let left = names(&session).await;
    assert!(
        left.contains(&"Naib".to_owned()) && !left.contains(&"general".to_owned()),
        "{left:?}"
    );
    drop(stdin);
    // What has been done is not announced again, and a cancelled stage is the next one.
    let dry = session
        .gaib(&format!("server teardown --dry-run --guild {GUILD}"))
        .await;
    assert_eq!(dry.code, 0, "{}", dry.stderr);
    assert!(
        dry.stderr.contains("Stages 1 and 2 of 4 are done") && !dry.stderr.contains("Stage 2 of 4 would be"),
        "{}",
        dry.stderr
    );
    let cancelled = session.answering(&line(), Some("no\n")).await;
    assert!(
        cancelled.stderr.contains("Cancelled before stage 4 of 4")
            && cancelled.stderr.contains("the same command continues there"),
        "{}",
        cancelled.stderr
    );
    let second = session.answering(&line(), Some(&format!("{GUILD}\n"))).await;
    assert_eq!(second.code, 0, "{}", second.stderr);
    assert_eq!(names(&session).await, kept(&before));
}

#[tokio::test(flavor = "multi_thread")]
async fn export_that_was_changed_ends_an_interrupted_teardown() {
    let mut session = start().await;
    let fault = FaultKind::RestLostAnswer { mode: DeadHost::Hang };
    kill_during(&session, fault, "DELETE", "/channels/{channel_id}").await;
    let record = format!(".gaib/teardown/{GUILD}/record.json");
    let recorded: Value = serde_json::from_str(&session.read(&record)).unwrap();
    let file = format!(
        ".gaib/teardown/{GUILD}/{}",
        recorded["export"]["file"].as_str().unwrap()
    );
    session.write(&file, "roles: {}\n");
    let refused = session.answering(&line(), Some(&answers())).await;
    assert_eq!(refused.code, 1);
    assert!(refused.stderr.contains("it was changed since"), "{}", refused.stderr);
    std::fs::remove_file(session.folder.path().join(&record)).unwrap();
    let anew = session.answering(&line(), Some(&answers())).await;
    assert_eq!(anew.code, 0, "{}", anew.stderr);
}

#[tokio::test(flavor = "multi_thread")]
async fn bot_without_the_permissions_is_refused_before_the_first_stage() {
    let mut session = Session::with(json!({
        "name": "Sietch Tabr", "bot": {"permissions": ["VIEW_CHANNEL", "MANAGE_ROLES", "MANAGE_GUILD", "MANAGE_WEBHOOKS"]},
        "roles": [{"name": "Naib"}], "channels": [{"name": "general"}],
    }))
    .await;
    let refused = session.answering(&line(), Some(&answers())).await;
    assert_eq!(refused.code, 1, "{}", refused.stdout);
    assert!(refused.stderr.contains("MANAGE_CHANNELS"), "{}", refused.stderr);
    assert!(!exists(&session, ".gaib/teardown"));
}

#[tokio::test(flavor = "multi_thread")]
async fn bot_that_may_not_read_the_server_is_refused_with_the_permission() {
    let mut session = Session::with(json!({
        "name": "Sietch Tabr", "community": true,
        "bot": {"permissions": ["VIEW_CHANNEL", "MANAGE_ROLES", "MANAGE_CHANNELS", "MANAGE_WEBHOOKS"]},
        "roles": [{"name": "Naib"}], "channels": [{"name": "general"}],
    }))
    .await;
    for line in [line(), format!("server teardown --dry-run --guild {GUILD}")] {
        let refused = session.answering(&line, Some(&answers())).await;
        assert_eq!(refused.code, 1, "{line}: {}", refused.stdout);
        for expected in [
            "rules of auto moderation",
            "grant Manage Server (MANAGE_GUILD)",
            "the same command again",
        ] {
            assert!(refused.stderr.contains(expected), "{line}: {}", refused.stderr);
        }
    }
    assert!(!exists(&session, ".gaib/teardown"));
}

/// Binds the roles and sets what a checkpoint has.
async fn configure(platform: &Platform, guild: &Value) {
    let mut tx = platform.database.tenant(platform.community).await.unwrap();
    for (key, name) in [("naib", "Naib"), ("usul", "Usul")] {
        let role = RoleId(id(guild, "roles", name).parse().unwrap());
        let key = RoleKey::new(key).unwrap();
        tx.communities().bind_role(&key, role).await.unwrap();
    }
    let channel = id(guild, "channels", "general").parse().unwrap();
    tx.communities().set_welcome_channel(Some(channel)).await.unwrap();
    let (gate, tier) = ("leaderboard".parse().unwrap(), "naib".parse().unwrap());
    tx.feature_gates()
        .set(&gate, &tier, UserId::new(7).unwrap())
        .await
        .unwrap();
    tx.commit().await.unwrap();
}

/// The id that `gaib restore exec --checkpoint` has in an output.
fn checkpoint(text: &str) -> String {
    let (_, rest) = text.split_once("gaib restore exec --checkpoint ").unwrap();
    rest.chars().take(36).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn community_is_frozen_and_restored_with_the_new_ids() {
    let platform = Platform::start().await;
    let mut session = start().await;
    let before = session.control().guild(GUILD).await.unwrap();
    configure(&platform, &before).await;
    platform.connect(&mut session, &[ServersRead, ServersWrite]).await;
    let refused = session.answering(&line(), Some(&answers())).await;
    assert!(
        refused.code == 1 && refused.stderr.contains("--no-checkpoint is refused"),
        "{}",
        refused.stderr
    );
    let code = platform.code().await;
    let line = format!("server teardown --confirm-teardown --mfa {code} --guild {GUILD}");
    // Cancelled after the checkpoint: the help names what ends the freeze.
    let cancelled = session.answering(&line, Some("yes\nyes\nno\n")).await;
    assert!(
        cancelled.code == 1 && cancelled.stderr.contains("the community is frozen"),
        "{}",
        cancelled.stderr
    );
    checkpoint(&cancelled.stderr);
    assert!(platform.record().await.frozen.is_some());
    // Without the right code, nothing is deleted.
    let wrong = format!("server teardown --confirm-teardown --mfa aaaa-aaaa-aaaa-aaaa --guild {GUILD}");
    let wrong = session.answering(&wrong, Some(&answers())).await;
    assert!(
        wrong.code == 1 && wrong.stderr.contains("mfa-refused"),
        "{}",
        wrong.stderr
    );
    let untouched = session.control().guild(GUILD).await.unwrap();
    assert_eq!(untouched["channels"], before["channels"]);
    let done = session.answering(&line, Some(&answers())).await;
    assert_eq!(done.code, 0, "{}", done.stderr);
    let stored = checkpoint(&done.stdout);
    // What the platform does when roles are deleted.
    let mut tx = platform.database.tenant(platform.community).await.unwrap();
    for role in platform.bindings().await.values() {
        tx.communities().unbind_role(*role).await.unwrap();
    }
    tx.commit().await.unwrap();
    let applied = session
        .gaib(&format!(
            "server apply -f {} --guild {GUILD} --auto-approve",
            export(&done)
        ))
        .await;
    assert_eq!(applied.code, 0, "{}", applied.stderr);
    let listed = session.gaib(&format!("restore list --guild {GUILD}")).await;
    assert!(
        listed.stdout.contains(&stored) && listed.stdout.contains("teardown"),
        "{}",
        listed.stdout
    );
    let preview = session
        .gaib(&format!(
            "restore preview --checkpoint {} --guild {GUILD}",
            &stored[..30]
        ))
        .await;
    assert_eq!(preview.code, 0, "{}", preview.stderr);
    for expected in ["roles.naib", "Found on the server by name", "welcome_channel"] {
        assert!(preview.stdout.contains(expected), "{expected}: {}", preview.stdout);
    }
    let newest = session
        .gaib(&format!("restore preview --checkpoint latest --guild {GUILD}"))
        .await;
    assert!(newest.code == 0 && newest.stdout.contains(&stored), "{}", newest.stdout);
    let unknown = session
        .gaib(&format!("restore preview --checkpoint ffffffff --guild {GUILD}"))
        .await;
    assert!(
        unknown.code == 1
            && unknown
                .stderr
                .contains("there is no checkpoint with an id that begins with `ffffffff`"),
        "{}",
        unknown.stderr
    );
    let exec = format!("restore exec --checkpoint {stored} --guild {GUILD}");
    let dry = session.gaib(&format!("{exec} --dry-run")).await;
    assert_eq!(dry.code, 0, "{}", dry.stderr);
    assert!(platform.record().await.frozen.is_some());
    let cancelled = session.answering(&exec, Some("no\n")).await;
    assert_eq!(cancelled.code, 1);
    let restored = session.answering(&exec, Some("yes\n")).await;
    assert_eq!(restored.code, 0, "{}", restored.stderr);
    assert!(restored.stdout.contains("tier-sync:restore:"), "{}", restored.stdout);
    assert_restored(&platform, &session, &before).await;
}

/// The community has its configuration again, with the ids of the new roles and channels.
async fn assert_restored(platform: &Platform, session: &Session, before: &Value) {
    let after = session.control().guild(GUILD).await.unwrap();
    let bindings = platform.bindings().await;
    for (key, name) in [("naib", "Naib"), ("usul", "Usul")] {
        let (old, new) = (id(before, "roles", name), id(&after, "roles", name));
        assert_ne!(old, new);
        assert_eq!(bindings[&RoleKey::new(key).unwrap()].0.to_string(), new);
    }
    let record = platform.record().await;
    assert_eq!(record.frozen, None);
    let channel = record.welcome_channel.unwrap().to_string();
    assert_eq!(channel, id(&after, "channels", "general"));
    let mut tx = platform.database.tenant(platform.community).await.unwrap();
    let due = time::OffsetDateTime::now_utc() + time::Duration::MINUTE;
    let jobs = tx.jobs().due(due, due, 10).await.unwrap();
    let sync = jobs.iter().find(|job| job.kind == "tier-sync");
    assert!(sync.is_some_and(|job| job.state == JobState::Queued), "{jobs:?}");
}
