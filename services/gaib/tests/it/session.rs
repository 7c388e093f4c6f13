//! A test session: a folder, an emulator, and a transcript of commands and their output.

use std::path::Path;
use std::process::Stdio;

use arrakis_emulator_client::ControlClient;
use discord_emulator::seed::{self, spec::GuildSpec};
use discord_emulator::{Emulator, Options};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::io::AsyncWriteExt as _;
use tokio::process::Command;

use crate::normalize::normalize;

/// The id of the server of a session.
pub(crate) const GUILD: &str = "1200000000000000777";

/// The result of a command.
#[derive(Clone, Debug)]
pub(crate) struct Outcome {
    pub(crate) stdout: String,
    pub(crate) stderr: String,
    pub(crate) code: i32,
}

/// One user in one folder, with an emulator.
pub(crate) struct Session {
    pub(crate) emulator: Emulator,
    pub(crate) folder: TempDir,
    /// `XDG_STATE_HOME`.
    state_home: TempDir,
    variables: Vec<(String, String)>,
    transcript: String,
    /// The last long output.
    long: String,
}

impl Session {
    /// A session with an empty Community server.
    pub(crate) async fn start() -> Self {
        Self::with(json!({ "name": "Sietch Tabr", "community": true })).await
    }

    /// A session with this server.
    pub(crate) async fn with(spec: Value) -> Self {
        let options = Options {
            rate_limits: false,
            ..Options::default()
        };
        Self::over(options, spec).await
    }

    /// A session with this server and these options of the emulator.
    pub(crate) async fn over(options: Options, mut spec: Value) -> Self {
        spec["id"] = GUILD.into();
        let emulator = Emulator::start(options).await.unwrap();
        let spec: GuildSpec = serde_json::from_value(spec).unwrap();
        emulator.app().world.write(|state| seed::build(state, &spec)).unwrap();
        let state_home = TempDir::new().unwrap();
        let variables = vec![
            (
                "XDG_STATE_HOME".to_owned(),
                state_home.path().to_str().unwrap().to_owned(),
            ),
            ("DISCORD_TOKEN".to_owned(), emulator.token()),
            ("DISCORD_API_BASE".to_owned(), emulator.addresses().rest.clone()),
        ];
        Self {
            emulator,
            folder: TempDir::new().unwrap(),
            state_home,
            variables,
            transcript: String::new(),
            long: String::new(),
        }
    }

    /// Sets or removes an environment variable.
    pub(crate) fn environment(&mut self, name: &str, value: Option<&str>) {
        self.variables.retain(|(known, _)| known != name);
        self.variables
            .extend(value.map(|value| (name.to_owned(), value.to_owned())));
    }

    /// `XDG_STATE_HOME`.
    pub(crate) fn state_home(&self) -> &Path {
        self.state_home.path()
    }

    /// A command of gaib that is not started.
    pub(crate) fn command(&self, line: &str) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_gaib"));
        command.args(words(line)).current_dir(self.folder.path()).env_clear();
        command.envs(self.variables.iter().map(|(name, value)| (name, value)));
        command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true);
        command
    }

    /// Runs a command and adds it to the transcript.
    pub(crate) async fn gaib(&mut self, line: &str) -> Outcome {
        self.answering(line, None).await
    }

    /// Runs a command in another folder, without the transcript.
    pub(crate) async fn gaib_in(&self, folder: &Path, line: &str) -> Outcome {
        let output = self.command(line).current_dir(folder).output().await.unwrap();
        Outcome {
            stdout: String::from_utf8(output.stdout).unwrap(),
            stderr: String::from_utf8(output.stderr).unwrap(),
            code: output.status.code().unwrap(),
        }
    }

    /// Runs a command with an answer on stdin, and adds it to the transcript.
    pub(crate) async fn answering(&mut self, line: &str, answer: Option<&str>) -> Outcome {
        let mut command = self.command(line);
        if answer.is_some() {
            command.stdin(Stdio::piped());
        }
        let mut child = command.spawn().unwrap();
        if let (Some(answer), Some(mut stdin)) = (answer, child.stdin.take()) {
            stdin.write_all(answer.as_bytes()).await.unwrap();
        }
        let output = child.wait_with_output().await.unwrap();
        let outcome = Outcome {
            stdout: String::from_utf8(output.stdout).unwrap(),
            stderr: String::from_utf8(output.stderr).unwrap(),
            code: output.status.code().unwrap(),
        };
        assert_grammar(&outcome.stderr);
        assert_grammar(&outcome.stdout);
        let typed = answer.map(|answer| format!(" <<< {answer:?}")).unwrap_or_default();
        self.note(&format!("$ gaib {line}{typed}\n"));
        let stdout = self.shortened(&outcome.stdout);
        for (name, text) in [("stdout", &stdout), ("stderr", &outcome.stderr)] {
            if !text.is_empty() {
                self.note(&format!("--- {name}\n{text}"));
                if !text.ends_with('\n') {
                    self.note("\n");
                }
            }
        }
        self.note(&format!("--- exit {}\n\n", outcome.code));
        outcome
    }

    /// Replaces a long output that is the same as the last one.
    fn shortened(&mut self, text: &str) -> String {
        if text.lines().count() < 200 {
            return text.to_owned();
        }
        match text.strip_prefix(self.long.as_str()).filter(|_| !self.long.is_empty()) {
            Some(rest) => format!("({} lines as before)\n{rest}", self.long.lines().count()),
            None => {
                self.long = text.to_owned();
                text.to_owned()
            }
        }
    }

    /// Adds a text to the transcript.
    pub(crate) fn note(&mut self, text: &str) {
        self.transcript.push_str(text);
    }

    /// Writes a file of the folder, and adds it to the transcript.
    pub(crate) fn write(&mut self, name: &str, text: &str) {
        std::fs::write(self.folder.path().join(name), text).unwrap();
        self.note(&format!("# {name} now reads:\n{}\n", indented(text)));
    }

    /// A file of the folder.
    pub(crate) fn read(&self, name: &str) -> String {
        std::fs::read_to_string(self.folder.path().join(name)).unwrap()
    }

    /// The emulator's control API.
    pub(crate) fn control(&self) -> ControlClient {
        ControlClient::new(&self.emulator.addresses().control)
    }

    /// Changes the server manually, through the emulator's control API.
    pub(crate) async fn by_hand(&mut self, method: reqwest::Method, path: &str, body: Value) {
        self.note(&format!("# manual call: {method} {path} {body}\n\n"));
        let path = format!("/guilds/{GUILD}/{path}");
        let _: Value = self.control().request(method, &path, Some(&body)).await.unwrap();
    }

    /// The transcript, without values that differ between runs.
    pub(crate) fn transcript(&self) -> String {
        let holder = gaib::workspace::lock_holder("");
        let text = self.transcript.replace(GUILD, "<server>");
        let text = text.replace(
            &self.folder.path().canonicalize().unwrap().display().to_string(),
            "<folder>",
        );
        let text = text.replace(&format!(" by {} on {}", holder.who, holder.host), " by <who> on <host>");
        let text = text.replace(&self.emulator.addresses().rest, "<api>");
        without_process(&normalize(&text))
    }
}

/// Nouns that gaib counts.
const COUNTED: [&str; 14] = [
    "things",
    "resources",
    "problems",
    "roles",
    "channels",
    "categories",
    "steps",
    "differences",
    "reasons",
    "places",
    "variables",
    "characters",
    "days",
    "hours",
];

/// The noun after 1 is singular, and `an` precedes a vowel.
#[track_caller]
pub(crate) fn assert_grammar(text: &str) {
    let words: Vec<&str> = text.split_whitespace().collect();
    for pair in words.windows(2) {
        let (first, second) = (pair[0], pair[1].trim_end_matches([',', '.', ':', ';', ')']));
        let is_plural_of_one = first == "1" && COUNTED.contains(&second);
        let lacks_n = first == "a" && second.len() > 1 && second.starts_with(['a', 'e', 'i', 'o']);
        assert!(!is_plural_of_one && !lacks_n, "`{first} {second}` in: {text}");
    }
}

/// Replaces the number in `process 123`.
fn without_process(text: &str) -> String {
    let mut parts = text.split(", process ");
    let mut out = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        out.push_str(", process <number>");
        out.push_str(part.trim_start_matches(|sign: char| sign.is_ascii_digit()));
    }
    out
}

fn indented(text: &str) -> String {
    text.lines().map(|line| format!("#   {line}\n")).collect()
}

/// Splits at spaces, except within double quotes.
fn words(line: &str) -> Vec<String> {
    let mut words = Vec::new();
    for (place, part) in line.split('"').enumerate() {
        match place % 2 {
            0 => words.extend(part.split_whitespace().map(str::to_owned)),
            _ => words.push(part.to_owned()),
        }
    }
    words
}

/// Whether a file of the folder exists.
pub(crate) fn exists(session: &Session, name: &str) -> bool {
    Path::new(session.folder.path()).join(name).exists()
}
