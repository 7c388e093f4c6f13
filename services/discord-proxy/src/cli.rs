//! The command line: without a subcommand the proxy serves; a subcommand sends one request to a running replica.
//!
//! Exit codes: 0 success, 1 failure (also: Discord refuses the token, a pause is active), 64 invalid command line, 78
//! invalid configuration.

use std::fmt::Display;
use std::io::Write as _;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::process::ExitCode;
use std::time::Duration;

use arrakis_causes::causes_below;
use arrakis_config::{EXIT_CODE, Reader, Secret, Service, Source, variables};
use arrakis_runtime::{HealthCheck, Threads, install_crypto_provider};
use clap::{Parser, Subcommand};
use serde_json::Value;

use crate::config::{Config, read_token};
use crate::operator::{CLEAR_PAUSES, CLEAR_TOKEN, PAUSES, TOKEN_STATUS};
use crate::token::operator_credential;

/// Longest time of a request: a check of the token may take 10 s.
const TIMEOUT: Duration = Duration::from_secs(15);

/// Proxy to Discord's REST API: holds the bot token and keeps Discord's rate limits
///
/// Without a subcommand it serves until SIGTERM. Configuration is read from the environment; see .env.example.
#[derive(Debug, Parser)]
#[command(name = "arrakis-discord-proxy", version)]
pub struct Arguments {
    #[command(subcommand)]
    task: Option<Task>,
}

#[derive(Debug, Subcommand)]
enum Task {
    /// Shows or clears the status of the bot token at a running replica
    #[command(subcommand)]
    Token(TokenTask),
    /// Shows or ends the pauses after rate limits of Discord
    #[command(subcommand)]
    Limits(LimitsTask),
    /// Requests a health endpoint of the running service at `HEALTH_ADDR`; the exit code is 0 when it answers 200
    Healthcheck(HealthCheck),
}

#[derive(Debug, Subcommand)]
enum TokenTask {
    /// Prints whether Discord refuses the bot token, since when, which replica found it, and the time of the next check
    Status(Target),
    /// Clears the refusal of the bot token at every replica, and checks the token at once
    ///
    /// Requires the `DISCORD_TOKEN` of the replica. While Redis is unavailable, run it for each replica.
    Clear(Target),
}

#[derive(Debug, Subcommand)]
enum LimitsTask {
    /// Prints the active pauses of the replica and their ends
    Status(Target),
    /// Ends every pause and the windows of used-up buckets at every replica
    ///
    /// Where a limit of Discord still applies, its next 429 begins another pause. Requires the `DISCORD_TOKEN` of the replica. While Redis
    /// is unavailable, run it for each replica.
    Clear(Target),
}

#[derive(Debug, clap::Args)]
struct Target {
    /// IP address and port for callers of the replica; default: `PROXY_LISTEN_ADDR` on this machine
    #[arg(long, value_name = "IP:PORT")]
    address: Option<SocketAddr>,
    /// Print the response of the replica as one JSON object
    #[arg(long)]
    json: bool,
}

/// Runs the subcommand, or serves.
pub fn run(arguments: Arguments) -> ExitCode {
    match arguments.task {
        None => arrakis_runtime::run(Service::DiscordProxy, Threads::One, Config::read, crate::serve),
        Some(Task::Token(task)) => task.run(),
        Some(Task::Limits(task)) => task.run(),
        Some(Task::Healthcheck(check)) => check.run(Service::DiscordProxy),
    }
}

/// A request to a running replica.
#[derive(Debug, Clone, Copy)]
struct OperatorRequest {
    method: &'static str,
    path: &'static str,
}

impl OperatorRequest {
    const fn get(path: &'static str) -> Self {
        Self { method: "GET", path }
    }

    const fn post(path: &'static str) -> Self {
        Self { method: "POST", path }
    }

    /// Sends the request and prints the response with `report`, which returns the exit code.
    fn run(self, target: &Target, report: impl FnOnce(&Value) -> ExitCode) -> ExitCode {
        let read = |reader: &mut Reader| {
            let token = read_token(reader);
            let listen = reader.defaulted::<SocketAddr>(&variables::PROXY_LISTEN_ADDR);
            Some((token?, listen?))
        };
        let (token, listen) = match Reader::load(Service::DiscordProxy, Source::environment(), read) {
            Ok(read) => read,
            Err(errors) => {
                print_error(&errors);
                return ExitCode::from(EXIT_CODE);
            }
        };
        install_crypto_provider();
        let address = target.address.unwrap_or_else(|| local_address(listen));
        let response = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .map_err(|error| format!("the async runtime cannot start: {error}"))
            .and_then(|runtime| runtime.block_on(self.send(&token, address)));
        match response {
            Ok(response) => report(&response),
            Err(error) => {
                print_error(format_args!("arrakis-discord-proxy: {error}"));
                ExitCode::FAILURE
            }
        }
    }

    async fn send(self, token: &Secret, address: SocketAddr) -> Result<Value, String> {
        let client = reqwest::Client::builder().no_proxy().timeout(TIMEOUT).build();
        let client = client.map_err(|error| format!("the HTTP client cannot be built: {error}"))?;
        let url = format!("http://{address}{}", self.path);
        let request = match self.method {
            "GET" => client.get(url),
            _ => client.post(url),
        };
        let response = request.bearer_auth(operator_credential(token).expose()).send().await;
        let response = response.map_err(|error| {
            let cause = causes_below(&error).unwrap_or_else(|| error.to_string());
            format!("no replica responds at {address}: {cause}; select another replica with --address IP:PORT")
        })?;
        let status = response.status();
        let body: Value = response
            .json()
            .await
            .map_err(|_| format!("the server at {address} ({status}) is not a discord-proxy of this version"))?;
        if status.is_success() {
            return Ok(body);
        }
        let message = body["message"].as_str().unwrap_or("no message");
        Err(format!("{address} returned {status}: {message}"))
    }
}

impl TokenTask {
    fn run(self) -> ExitCode {
        let (request, target, clears) = match &self {
            Self::Status(target) => (OperatorRequest::get(TOKEN_STATUS), target, false),
            Self::Clear(target) => (OperatorRequest::post(CLEAR_TOKEN), target, true),
        };
        request.run(target, |status| {
            target.print(status, describe_token);
            if clears {
                warn_unshared(status);
            }
            failure_if(status["state"] == "dead")
        })
    }
}

impl LimitsTask {
    fn run(self) -> ExitCode {
        let (request, target, clears) = match &self {
            Self::Status(target) => (OperatorRequest::get(PAUSES), target, false),
            Self::Clear(target) => (OperatorRequest::post(CLEAR_PAUSES), target, true),
        };
        request.run(target, |limits| {
            target.print(limits, describe_pauses);
            if clears {
                warn_unshared(limits);
            }
            failure_if(limits["pauses"].as_array().is_none_or(|pauses| !pauses.is_empty()))
        })
    }
}

impl Target {
    fn print(&self, response: &Value, describe: impl FnOnce(&Value) -> String) {
        if self.json {
            print(response);
        } else {
            print(describe(response));
        }
    }
}

fn failure_if(failed: bool) -> ExitCode {
    if failed { ExitCode::FAILURE } else { ExitCode::SUCCESS }
}

fn warn_unshared(response: &Value) {
    if response["shared"] == false {
        print_error(
            "Redis is unavailable: the other replicas are not updated yet; run this command for each of them, or wait for Redis",
        );
    }
}

fn describe_pauses(limits: &Value) -> String {
    let text = |value: &Value| value.as_str().unwrap_or("unknown").to_owned();
    let mut output = format!("replica {}:", text(&limits["replica"]));
    let pauses = limits["pauses"].as_array().map(Vec::as_slice).unwrap_or_default();
    if pauses.is_empty() {
        output.push_str(" no pause");
    }
    for pause in pauses {
        let what = match pause["of"].as_str() {
            Some("edge") => "every call from this address, by Cloudflare in front of Discord".to_owned(),
            Some("global") => "every call of the bot".to_owned(),
            Some(of) => format!("{of} {}", text(&pause["name"])),
            None => "unknown".to_owned(),
        };
        let (until, left) = (text(&pause["until"]), &pause["seconds_left"]);
        output.push_str(&format!("\npaused until {until} ({left} s left): {what}"));
    }
    output
}

fn describe_token(status: &Value) -> String {
    let text = |name: &str| status[name].as_str().unwrap_or("unknown").to_owned();
    let mut output = format!("token {}: {}", text("fingerprint"), text("state"));
    if status["state"] == "dead" {
        output.push_str(&format!(
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
        output.push_str(&format!("\nchecked now, GET /users/@me: {discord}"));
    }
    output
}

/// The address at which a replica on this machine is reached.
fn local_address(listen: SocketAddr) -> SocketAddr {
    let address = match listen.ip() {
        IpAddr::V4(address) if address.is_unspecified() => IpAddr::V4(Ipv4Addr::LOCALHOST),
        IpAddr::V6(address) if address.is_unspecified() => IpAddr::V6(Ipv6Addr::LOCALHOST),
        address => address,
    };
    SocketAddr::new(address, listen.port())
}

/// Prints to standard output. A closed pipe is not an error.
fn print(text: impl Display) {
    let _ = writeln!(std::io::stdout(), "{text}");
}

/// Prints to standard error.
fn print_error(text: impl Display) {
    let _ = writeln!(std::io::stderr(), "{text}");
}
