//! The command line: with no argument it serves, with one it does an operator's task and ends.
//!
//! Exit codes: 0 done, 1 it could not be done or Discord refuses the token, 2 wrong usage, 78 wrong configuration.

use std::fmt::Display;
use std::io::Write as _;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::process::ExitCode;
use std::time::Duration;

use arrakis_config::{EXIT_CODE, Reader, Secret, Service, Source, variables};
use arrakis_runtime::{Threads, install_crypto};
use clap::{Parser, Subcommand};
use serde_json::Value;

use crate::config::{Config, read_token};
use crate::operator::{CLEAR, STATUS};
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
    }
}

impl TokenTask {
    fn run(self) -> ExitCode {
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
        install_crypto();
        let asked = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .map_err(|error| format!("the async runtime cannot start: {error}"))
            .and_then(|runtime| runtime.block_on(self.ask(&token, listen)));
        match asked {
            Ok(status) => self.report(&status),
            Err(why) => {
                say(format_args!("arrakis-discord-proxy: {why}"));
                ExitCode::FAILURE
            }
        }
    }

    fn at(&self) -> &At {
        match self {
            Self::Status(at) | Self::Clear(at) => at,
        }
    }

    async fn ask(&self, token: &Secret, listen: SocketAddr) -> Result<Value, String> {
        let address = self.at().address.unwrap_or_else(|| on_this_machine(listen));
        let client = reqwest::Client::builder().no_proxy().timeout(PATIENCE).build();
        let client = client.map_err(|error| format!("the HTTP client cannot be built: {error}"))?;
        let request = match self {
            Self::Status(_) => client.get(format!("http://{address}{STATUS}")),
            Self::Clear(_) => client.post(format!("http://{address}{CLEAR}")),
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

    fn report(&self, status: &Value) -> ExitCode {
        let dead = status["state"] == "dead";
        if self.at().json {
            print(status);
        } else {
            print(words(status));
        }
        if matches!(self, Self::Clear(_)) && status["shared"] == false {
            say(
                "Redis is away: the other replicas do not know of it yet; run this command for each of them, or wait for Redis",
            );
        }
        if dead { ExitCode::FAILURE } else { ExitCode::SUCCESS }
    }
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
