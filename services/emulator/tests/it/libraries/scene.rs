//! The member's actions, and checks of their results.

use std::{process::Stdio, sync::Arc, time::Duration};

use discord_emulator::Options;
use http::Method;
use parking_lot::Mutex;
use serde_json::{Value, json};
use tokio::{
    io::{AsyncBufReadExt as _, AsyncRead, BufReader},
    process::{Child, Command},
    time::timeout,
};

use super::{install::Library, transcript};
use crate::{
    rest_support::checker,
    support::{Emu, eventually},
};

/// Longest time for a bot to start or to end; interpreters are slow on a busy machine.
const PATIENCE: Duration = Duration::from_secs(60);

/// A running bot.
struct Bot {
    child: Child,
    lines: Arc<Mutex<Vec<String>>>,
    errors: Arc<Mutex<Vec<String>>>,
}

impl Bot {
    fn start(mut command: Command, emu: &Emu) -> Self {
        let addresses = emu.emulator.addresses();
        command
            .env("EMULATOR_API", addresses.rest.trim_end_matches("/v10"))
            .env("EMULATOR_GATEWAY", &addresses.gateway)
            .env("EMULATOR_TOKEN", emu.token())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true);
        let mut child = command.spawn().unwrap();
        let lines = collect(child.stdout.take().unwrap());
        let errors = collect(child.stderr.take().unwrap());
        Self { child, lines, errors }
    }

    /// Waits for a line with this prefix.
    async fn line(&mut self, start: &str) {
        let found = |lines: &[String]| lines.iter().any(|line| line.starts_with(start));
        let waiting = async {
            while !found(&self.lines.lock()) {
                tokio::time::sleep(Duration::from_millis(10)).await;
                if let Some(status) = self.child.try_wait().unwrap() {
                    panic!(
                        "the bot ended with {status} before it printed {start:?}: {}",
                        self.printed()
                    );
                }
            }
        };
        assert!(
            timeout(PATIENCE, waiting).await.is_ok(),
            "never printed {start:?}: {}",
            self.printed()
        );
    }

    fn printed(&self) -> String {
        format!("{:#?} {}", self.lines.lock(), self.errors.lock().join("\n"))
    }

    /// Ends the bot by closing its stdin. Returns its output.
    async fn end(mut self) -> Vec<String> {
        drop(self.child.stdin.take());
        let status = timeout(PATIENCE, self.child.wait())
            .await
            .expect("the bot ends")
            .unwrap();
        assert!(status.success(), "{status}: {}", self.printed());
        self.lines.lock().clone()
    }
}

fn collect(stream: impl AsyncRead + Unpin + Send + 'static) -> Arc<Mutex<Vec<String>>> {
    let lines = Arc::<Mutex<Vec<String>>>::default();
    let collected = Arc::clone(&lines);
    tokio::spawn(async move {
        let mut reader = BufReader::new(stream).lines();
        while let Ok(Some(line)) = reader.next_line().await {
            collected.lock().push(line);
        }
    });
    lines
}

/// An emulator with one server, whose ledger keeps whole bodies.
async fn stage() -> Emu {
    let emu = Emu::with(Options {
        ledger_bodies: 16_384,
        ..Options::default()
    })
    .await;
    emu.post(
        "seed",
        json!({"kind": "server", "guild": {
            "name": "Sietch Tabr",
            "owner": "chani",
            "bot": {"below": "Naib"},
            "roles": [{"name": "Naib", "permissions": ["ADMINISTRATOR"]}, {"name": "Fremen", "color": "#112233", "hoist": true}],
            "channels": [
                {"name": "general", "topic": "Halt"},
                {"name": "HALLS", "channels": [{"name": "yard"}, {"name": "halls", "kind": "voice"}]},
            ],
            "members": [{"name": "chani", "roles": ["Naib"]}, {"name": "stilgar", "nick": "Stil"}],
        }}),
    )
    .await;
    emu
}

/// Runs the scene, unless the library cannot be installed here.
pub(super) async fn play(library: Library) {
    let Some(command) = library.command().await else { return };
    let emu = stage().await;
    let mut bot = Bot::start(command, &emu);
    bot.line("command registered").await;
    use_command(&emu, &mut bot).await;
    drop_connection(&emu, &mut bot).await;
    let lines = bot.end().await;
    check_wire(&emu).await;
    let ledger = ledger(&emu).await;
    insta::with_settings!({ description => format!("What {} {} saw and sent", library.name, library.version), omit_expression => true }, {
        insta::assert_snapshot!(library.name, transcript::of(&lines, &ledger));
    });
}

/// The member uses the command and presses the button.
async fn use_command(emu: &Emu, bot: &mut Bot) {
    let scene = |fields: Value| {
        let mut scene = json!({"guild_id": "Sietch Tabr", "channel_id": "general", "user_id": "stilgar"});
        scene
            .as_object_mut()
            .unwrap()
            .extend(fields.as_object().unwrap().clone());
        scene
    };
    let command = scene(json!({"kind": "command", "name": "spice", "options": {"amount": 3}}));
    let made = emu.post("interactions", command).await;
    bot.line("command answered").await;
    let record = emu
        .get(&format!("interactions/{}?wait_ms=20000", made["id"].as_str().unwrap()))
        .await;
    assert_eq!(
        (&record["state"], &record["callback_type"]),
        (&json!("answered"), &json!(5)),
        "{record}"
    );
    assert_eq!(record["message"]["content"], "harvesting", "{record}");
    let followup = &record["followups"][0];
    assert_eq!(followup["embeds"][0]["title"], "Harvest", "{record}");
    let press = scene(json!({"kind": "component", "message_id": followup["id"], "custom_id": "more"}));
    emu.post("interactions", press).await;
    bot.line("message worm with sand.txt").await;
    bot.line("stilgar has a role more").await;
    let messages = emu.get("guilds/Sietch%20Tabr/channels/general/messages").await;
    let find = |content: &str| {
        let all = messages["messages"].as_array().or_else(|| messages.as_array()).unwrap();
        all.iter()
            .find(|message| message["content"] == content)
            .cloned()
            .unwrap_or_else(|| panic!("{content}: {messages}"))
    };
    let worm = find("worm");
    assert!(worm["edited_timestamp"].is_string(), "{worm}");
    assert_eq!(worm["reactions"][0]["emoji"]["name"], "🌊", "{worm}");
    assert_eq!(worm["attachments"][0]["size"], 4, "{worm}");
    assert_eq!(find("harvested")["components"], json!([]));
}

/// The connection drops, a user joins meanwhile, and the session is resumed.
async fn drop_connection(emu: &Emu, bot: &mut Bot) {
    emu.fault(json!({"kind": "gateway_drop"})).await;
    emu.join("duncan").await;
    bot.line("duncan joined").await;
    bot.line("resumed").await;
    let stats = emu.get("stats").await;
    assert_eq!(
        (&stats["identifies"], &stats["resumes"]),
        (&json!(1), &json!(1)),
        "{stats}"
    );
}

async fn ledger(emu: &Emu) -> Vec<Value> {
    let (_, lines) = emu.try_control(Method::GET, "ledger", None).await;
    // A single line would have been read as JSON.
    let lines = lines.as_str().unwrap();
    lines.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// Checks that no close code refused a payload, no call failed, and every exchange agrees with Discord's document.
async fn check_wire(emu: &Emu) {
    eventually("the bot's connection is gone", async || {
        emu.get("gateway").await["connections"] == 0
    })
    .await;
    for entry in ledger(emu).await {
        if entry["kind"] == "gateway" && entry["direction"] == "close" {
            let detail = entry["detail"].as_str().unwrap_or_default();
            let by_client = detail.ends_with("by the client");
            assert!(
                by_client || !detail.starts_with('4'),
                "the emulator closed a connection: {detail}"
            );
        } else if entry["kind"] == "rest" {
            let status = entry["status"].as_u64().unwrap();
            assert!(status < 400 || status == 429, "{entry}");
        }
    }
    if let Some(checker) = checker() {
        let (_, lines) = emu.try_control(Method::GET, "ledger?kind=rest", None).await;
        let report = checker.check_ledger(lines.as_str().unwrap());
        assert_eq!(report.findings, Vec::new(), "{} calls checked", report.checked);
    }
}
