//! The command line: with no argument it serves, with one it does an operator's task and ends.
//!
//! Exit codes: 0 done, 1 it could not be done or Discord refuses the token, 2 wrong usage, 78 wrong configuration.

use std::fmt::Display;
use std::io::Write as _;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::process::ExitCode;
use std::time::Duration;

use arrakis_config::{EXIT_CODE, Reader, Secret, Service, Source, variables};
use arrakis_runtime::{Threads, install_crypto_provider};
use clap::{Parser, Subcommand};
use serde_json::Value;

use crate::config::{Config, read_token};
use crate::operator::{CLEAR, CLEAR_PAUSES, PAUSES, STATUS};
use crate::token::operator_credential;

/// A check of the token, its turn included, and a little.
const PATIENCE: Duration = Duration::from_secs(15);

/// The one way to Discord's REST API, and the one holder of the bot token.
///
/// Without a subcommand it serves until SIGTERM. Configuration comes from the environment; see .env.example.
#[derive(Debug, Parser)]
#[command(name = "arrakis-discord-proxy", version)]
pub struct Arguments {
    #[command(subcommand)]
    task: Option<Task>,
}

#[derive(Debug, Subcommand)]
enum Task {
    /// Shows or clears what a running replica knows of its bot token
    #[command(subcommand)]
    Token(TokenTask),
    /// Shows or ends the pauses that Discord asked for
    #[command(subcommand)]
    Limits(LimitsTask),
}

#[derive(Debug, Subcommand)]
enum TokenTask {
    /// Prints whether Discord refuses the bot token, since when, who found it and when it is checked next
    Status(At),
    /// Forgets that Discord refused the bot token, at every replica, and asks Discord at once
    ///
    /// Needs `DISCORD_TOKEN` as the replica has it. Where Redis is away, run it for each replica.
    Clear(At),
}

#[derive(Debug, Subcommand)]
enum LimitsTask {
    /// Prints which calls are paused and until when, as the replica knows it
    Status(At),
    /// Ends every pause and opens the windows of used-up buckets, at every replica
    ///
    /// Where Discord still limits, its next 429 makes the pause again. Needs `DISCORD_TOKEN` as the replica has it. Where Redis is away,
    /// run it for each replica.
    Clear(At),
}

#[derive(Debug, clap::Args)]
struct At {
    /// Address of the replica's port for callers; default: `PROXY_LISTEN_ADDR` on this machine
    #[arg(long, value_name = "HOST:PORT")]
    address: Option<SocketAddr>,
    /// Print the replica's answer as one JSON object
    #[arg(long)]
    json: bool,
}

/// Runs what the arguments ask for.
pub fn run(arguments: Arguments) -> ExitCode {
    match arguments.task {
        None => arrakis_runtime::run(Service::DiscordProxy, Threads::One, Config::read, crate::serve),
        Some(Task::Token(task)) => task.run(),
        Some(Task::Limits(task)) => task.run(),
    }
}

/// One question to a running replica.
#[derive(Debug, Clone, Copy)]
struct Question {
    method: &'static str,
    path: &'static str,
}

impl Question {
    const fn get(path: &'static str) -> Self {
        Self { method: "GET", path }
    }

    const fn post(path: &'static str) -> Self {
        Self { method: "POST", path }
    }

    /// Asks the replica and reports its answer.
    fn run(self, at: &At, report: impl FnOnce(&Value) -> ExitCode) -> ExitCode {
        let read = |reader: &mut Reader| {
            let token = read_token(reader);
            let listen = reader.defaulted::<SocketAddr>(&variables::PROXY_LISTEN_ADDR);
            Some((token?, listen?))
        };
        let (token, listen) = match Reader::load(Service::DiscordProxy, Source::environment(), read) {
            Ok(read) => read,
            Err(errors) => {
                say(&errors);
                return ExitCode::from(EXIT_CODE);
            }
        };
        install_crypto_provider();
        let address = at.address.unwrap_or_else(|| on_this_machine(listen));
        let asked = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .map_err(|error| format!("the async runtime cannot start: {error}"))
            .and_then(|runtime| runtime.block_on(self.ask(&token, address)));
        match asked {
            Ok(answer) => report(&answer),
            Err(why) => {
                say(format_args!("arrakis-discord-proxy: {why}"));
                ExitCode::FAILURE
            }
        }
    }

    async fn ask(self, token: &Secret, address: SocketAddr) -> Result<Value, String> {
        let client = reqwest::Client::builder().no_proxy().timeout(PATIENCE).build();
        let client = client.map_err(|error| format!("the HTTP client cannot be built: {error}"))?;
        let url = format!("http://{address}{}", self.path);
        let request = match self.method {
            "GET" => client.get(url),
            _ => client.post(url),
        };
        let answer = request.bearer_auth(operator_credential(token).expose()).send().await;
        let answer = answer.map_err(|error| {
            let why = std::error::Error::source(&error).map_or_else(|| error.to_string(), ToString::to_string);
            format!("no replica answers at {address}: {why}; name another one with --address HOST:PORT")
        })?;
        let status = answer.status();
        let body: Value = answer
            .json()
            .await
            .map_err(|_| format!("what answers at {address} ({status}) is no discord-proxy of this version"))?;
        if status.is_success() {
            return Ok(body);
        }
        let message = body["message"].as_str().unwrap_or("no message");
        Err(format!("{address} answered {status}: {message}"))
    }
}

impl TokenTask {
    fn run(self) -> ExitCode {
        let (question, at, clears) = match &self {
            Self::Status(at) => (Question::get(STATUS), at, false),
            Self::Clear(at) => (Question::post(CLEAR), at, true),
        };
        question.run(at, |status| {
            at.print(status, words);
            if clears {
                warn_unshared(status);
            }
            failure_if(status["state"] == "dead")
        })
    }
}

impl LimitsTask {
    fn run(self) -> ExitCode {
        let (question, at, clears) = match &self {
            Self::Status(at) => (Question::get(PAUSES), at, false),
            Self::Clear(at) => (Question::post(CLEAR_PAUSES), at, true),
        };
        question.run(at, |limits| {
            at.print(limits, pauses);
            if clears {
                warn_unshared(limits);
            }
            failure_if(limits["pauses"].as_array().is_none_or(|pauses| !pauses.is_empty()))
        })
    }
}

impl At {
    fn print(&self, answer: &Value, words: impl FnOnce(&Value) -> String) {
        if self.json {
            print(answer);
        } else {
            print(words(answer));
        }
    }
}

fn failure_if(failed: bool) -> ExitCode {
    if failed { ExitCode::FAILURE } else { ExitCode::SUCCESS }
}

fn warn_unshared(answer: &Value) {
    if answer["shared"] == false {
        say(
            "Redis is away: the other replicas do not know of it yet; run this command for each of them, or wait for Redis",
        );
    }
}

fn pauses(limits: &Value) -> String {
    let text = |value: &Value| value.as_str().unwrap_or("unknown").to_owned();
    let mut words = format!("replica {}:", text(&limits["replica"]));
    let pauses = limits["pauses"].as_array().map(Vec::as_slice).unwrap_or_default();
    if pauses.is_empty() {
        words.push_str(" no pause");
    }
    for pause in pauses {
        let what = match pause["of"].as_str() {
            Some("edge") => "every call from this address, asked for by Discord's edge".to_owned(),
            Some("global") => "every call of the bot".to_owned(),
            Some(of) => format!("{of} {}", text(&pause["name"])),
            None => "unknown".to_owned(),
        };
        let (until, left) = (text(&pause["until"]), &pause["seconds_left"]);
        words.push_str(&format!("\npaused until {until} ({left} s left): {what}"));
    }
    words
}

fn words(status: &Value) -> String {
    let text = |name: &str| status[name].as_str().unwrap_or("unknown").to_owned();
    let mut words = format!("token {}: {}", text("fingerprint"), text("state"));
    if status["state"] == "dead" {
        words.push_str(&format!(
            "\nsince {}, found by replica {}; last confirmed {}; next check {}\n\
             If it was reset: set the new DISCORD_TOKEN and restart each replica. If Discord accepts it again: \
             `arrakis-discord-proxy token clear`, or wait for the next check.",
            text("since"),
            text("found_by"),
            text("confirmed"),
            text("next_check")
        ));
    }
    if let Some(discord) = status["discord"].as_str() {
        words.push_str(&format!("\nasked just now, GET /users/@me: {discord}"));
    }
    words
}

/// Where a replica that listens on every address is reached from here.
fn on_this_machine(listen: SocketAddr) -> SocketAddr {
    let address = match listen.ip() {
        IpAddr::V4(address) if address.is_unspecified() => IpAddr::V4(Ipv4Addr::LOCALHOST),
        IpAddr::V6(address) if address.is_unspecified() => IpAddr::V6(Ipv6Addr::LOCALHOST),
        address => address,
    };
    SocketAddr::new(address, listen.port())
}

/// To standard output. A reader that is gone is no error.
fn print(words: impl Display) {
    let _ = writeln!(std::io::stdout(), "{words}");
}

/// To standard error.
fn say(words: impl Display) {
    let _ = writeln!(std::io::stderr(), "{words}");
}
