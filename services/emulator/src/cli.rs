//! The command line: arguments, environment, exit codes.

use std::{
    io::{self, Write as _},
    net::SocketAddr,
    process::ExitCode,
};

use clap::{Parser, ValueEnum};
use tracing_subscriber::EnvFilter;

use crate::{Emulator, Options, connections::raise_file_limit, gateway::Intents, model::Id, seed::lively};

/// Arguments are wrong (`EX_USAGE`); clap's own code for it is 2.
const USAGE: u8 = 64;
/// An address cannot be bound (`EX_CONFIG`).
const CONFIG: u8 = 78;

/// Discord emulator for one machine: gateway, REST API v10, a control API to act as members and to arm faults, and a web page.
#[derive(Debug, Parser)]
#[command(name = "discord-emulator", version, after_long_help = HELP)]
pub struct Arguments {
    /// Listen address of REST; port 0 selects a free port.
    #[arg(
        long,
        env = "EMULATOR_REST_ADDR",
        default_value = "127.0.0.1:0",
        value_name = "ADDR:PORT"
    )]
    rest_addr: SocketAddr,
    /// Listen address of the gateway.
    #[arg(
        long,
        env = "EMULATOR_GATEWAY_ADDR",
        default_value = "127.0.0.1:0",
        value_name = "ADDR:PORT"
    )]
    gateway_addr: SocketAddr,
    /// Listen address for RESUME (READY's `resume_gateway_url`).
    #[arg(
        long,
        env = "EMULATOR_RESUME_ADDR",
        default_value = "127.0.0.1:0",
        value_name = "ADDR:PORT"
    )]
    resume_addr: SocketAddr,
    /// Listen address of the control API and the page. They have no authentication: keep it on loopback.
    #[arg(
        long,
        env = "EMULATOR_CONTROL_ADDR",
        default_value = "127.0.0.1:0",
        value_name = "ADDR:PORT"
    )]
    control_addr: SocketAddr,
    /// Host names accepted by the control API and the page, besides loopback names and the listen address. Requests for other
    /// hosts are refused, since a web page could point its own domain name at this address.
    #[arg(long, env = "EMULATOR_CONTROL_HOSTS", value_delimiter = ',', value_name = "HOST")]
    control_host: Vec<String>,
    /// Bot token; the default is derived from the application id and printed at start.
    #[arg(long, env = "EMULATOR_TOKEN", hide_env_values = true, value_parser = bot_token)]
    token: Option<String>,
    /// Application id; also the bot's user id.
    #[arg(long, env = "EMULATOR_APPLICATION_ID", default_value_t = 1_100_000_000_000_000_001)]
    application_id: u64,
    /// Name of the application and the bot.
    #[arg(long, env = "EMULATOR_APPLICATION_NAME", default_value = "Arrakis")]
    application_name: String,
    /// Start with two servers that have roles, channels, members and messages.
    #[arg(long, env = "EMULATOR_LIVELY")]
    lively: bool,
    /// Seed of all generated data.
    #[arg(long, env = "EMULATOR_SEED", default_value_t = 1)]
    seed: u64,
    /// Whether REST enforces its rate limits.
    #[arg(long, env = "EMULATOR_RATE_LIMITS", value_enum, default_value_t = Switch::On)]
    rate_limits: Switch,
    /// Identifies allowed in 24 hours.
    #[arg(long, env = "EMULATOR_SESSION_START_LIMIT", default_value_t = 1_000)]
    session_start_limit: u32,
    /// Number of identify buckets; each allows one identify in five seconds.
    #[arg(long, env = "EMULATOR_MAX_CONCURRENCY", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..))]
    max_concurrency: u32,
    /// Shard count recommended by GET /gateway/bot; the default is one for each 1,000 servers.
    #[arg(long, env = "EMULATOR_SHARDS", value_parser = clap::value_parser!(u64).range(1..))]
    shards: Option<u64>,
    /// Privileged intents that are switched on.
    #[arg(
        long,
        env = "EMULATOR_PRIVILEGED_INTENTS",
        value_delimiter = ',',
        value_enum,
        default_values_t = [Privileged::Members, Privileged::Presences, Privileged::MessageContent]
    )]
    privileged_intents: Vec<Privileged>,
    /// Heartbeat interval in milliseconds.
    #[arg(long, env = "EMULATOR_HEARTBEAT_MS", default_value_t = 41_250, value_parser = clap::value_parser!(u64).range(10..))]
    heartbeat_ms: u64,
    /// Number of records that the ledger keeps; 0 keeps none.
    #[arg(long, env = "EMULATOR_LEDGER", default_value_t = 100_000)]
    ledger: usize,
    /// Characters of each body that the ledger keeps; 16384 are enough for nearly every body.
    #[arg(long, env = "EMULATOR_LEDGER_BODIES", default_value_t = 200)]
    ledger_bodies: usize,
    /// Log filter in the form of `RUST_LOG`; logs go to stderr.
    #[arg(
        long,
        env = "EMULATOR_LOG",
        default_value = "discord_emulator=info",
        value_name = "FILTER"
    )]
    log: String,
}

const HELP: &str = "\
At start it prints one line of JSON with all addresses to stdout:
  {\"rest\":\"http://127.0.0.1:…/api/v10\",\"gateway\":\"ws://…\",\"resume\":\"ws://…\",\"control\":\"http://…\",\"page\":\"http://…/\",…}

To try it:
  discord-emulator --lively --rest-addr 127.0.0.1:4010 --control-addr 127.0.0.1:4011
  then open http://127.0.0.1:4011/ and point a bot at http://127.0.0.1:4010/api/v10 with the printed token.

To script it (the crate's README has the whole reference):
  curl -d '{\"kind\":\"lively\"}' http://127.0.0.1:4011/control/seed
  curl -d '{\"name\":\"duncan\"}' 'http://127.0.0.1:4011/control/guilds/Sietch%20Tabr/members'
  curl -d '{\"kind\":\"gateway_reconnect\"}' http://127.0.0.1:4011/control/faults

It stops on SIGINT (Ctrl-C) or SIGTERM. Exit codes: 0 stopped, 64 wrong arguments, 78 an address cannot be bound.";

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Switch {
    On,
    Off,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Privileged {
    Members,
    Presences,
    MessageContent,
    None,
}

/// Reads a bot token, with or without `Bot `.
fn bot_token(text: &str) -> Result<String, &'static str> {
    match text.strip_prefix("Bot ").unwrap_or(text).trim() {
        "" | "Bot" => Err("the token is empty; omit --token and EMULATOR_TOKEN for the default"),
        token => Ok(token.to_owned()),
    }
}

impl Arguments {
    fn options(self) -> Options {
        let intents = self.privileged_intents.iter().map(|privileged| match privileged {
            Privileged::Members => Intents::GUILD_MEMBERS,
            Privileged::Presences => Intents::GUILD_PRESENCES,
            Privileged::MessageContent => Intents::MESSAGE_CONTENT,
            Privileged::None => Intents::empty(),
        });
        Options {
            rest_addr: self.rest_addr,
            gateway_addr: self.gateway_addr,
            resume_addr: self.resume_addr,
            control_addr: self.control_addr,
            control_hosts: self.control_host,
            privileged_intents: intents.fold(Intents::empty(), Intents::union),
            token: self.token,
            application_id: Id(self.application_id),
            application_name: self.application_name,
            seed: self.seed,
            rate_limits: matches!(self.rate_limits, Switch::On),
            session_start_limit: self.session_start_limit,
            max_concurrency: self.max_concurrency,
            shards: self.shards,
            heartbeat_interval_ms: self.heartbeat_ms,
            traffic_kept: self.ledger,
            ledger_bodies: self.ledger_bodies,
        }
    }
}

/// Reads the arguments, runs until a signal, and returns the exit code.
pub fn run() -> ExitCode {
    let arguments = match Arguments::try_parse() {
        Ok(arguments) => arguments,
        Err(error) => {
            let _ = error.print();
            return if error.use_stderr() {
                ExitCode::from(USAGE)
            } else {
                ExitCode::SUCCESS
            };
        }
    };
    let filter = match EnvFilter::try_new(&arguments.log) {
        Ok(filter) => filter,
        Err(error) => {
            report(&format!(
                "--log {:?} is not a filter: {error}; try discord_emulator=debug",
                arguments.log
            ));
            return ExitCode::from(USAGE);
        }
    };
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(io::stderr)
        // These are reported by `eprintln!`, which panics when standard error is closed.
        .log_internal_errors(false)
        .init();
    raise_file_limit();
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            report(&format!("cannot start: {error}"));
            return ExitCode::FAILURE;
        }
    };
    runtime.block_on(serve(arguments))
}

async fn serve(arguments: Arguments) -> ExitCode {
    let (lively, seed) = (arguments.lively, arguments.seed);
    let emulator = match Emulator::start(arguments.options()).await {
        Ok(emulator) => emulator,
        Err(error) => {
            report(&error.to_string());
            return ExitCode::from(CONFIG);
        }
    };
    if lively && let Err(error) = emulator.app().world.write(|state| lively::lively(state, seed)) {
        report(&error.to_string());
        return ExitCode::FAILURE;
    }
    let stop = match signals() {
        Ok(stop) => stop,
        Err(error) => {
            report(&format!("cannot listen for signals: {error}"));
            return ExitCode::FAILURE;
        }
    };
    print_addresses(&emulator);
    stop.await;
    emulator.shutdown().await;
    ExitCode::SUCCESS
}

/// Writes the one line on stdout. Failures are ignored, since stdout may be closed.
fn print_addresses(emulator: &Emulator) {
    let mut line = serde_json::json!(emulator.addresses());
    line["application_id"] = serde_json::json!(emulator.app().options.application_id);
    line["token"] = emulator.token().into();
    let mut stdout = io::stdout().lock();
    let _ = writeln!(stdout, "{line}").and_then(|()| stdout.flush());
}

fn report(text: &str) {
    let _ = writeln!(io::stderr(), "discord-emulator: {text}");
}

/// Registers for SIGINT and SIGTERM at once and returns a future of the first signal: a process that reads the line on stdout
/// may send one immediately.
#[cfg(unix)]
fn signals() -> io::Result<impl Future<Output = ()>> {
    use tokio::signal::unix::{SignalKind, signal};
    let mut interrupted = signal(SignalKind::interrupt())?;
    let mut terminated = signal(SignalKind::terminate())?;
    Ok(async move {
        tokio::select! {
            _ = interrupted.recv() => {}
            _ = terminated.recv() => {}
        }
    })
}

/// Registers for Ctrl-C and Ctrl-Break, as on Unix for its signals.
#[cfg(windows)]
fn signals() -> io::Result<impl Future<Output = ()>> {
    let mut interrupted = tokio::signal::windows::ctrl_c()?;
    let mut terminated = tokio::signal::windows::ctrl_break()?;
    Ok(async move {
        tokio::select! {
            _ = interrupted.recv() => {}
            _ = terminated.recv() => {}
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_arguments_are_well_formed() {
        use clap::CommandFactory as _;
        Arguments::command().debug_assert();
    }

    #[test]
    fn privileged_intents_can_be_switched_off() {
        let options = Arguments::try_parse_from(["x", "--privileged-intents", "none"])
            .unwrap()
            .options();
        assert_eq!(options.privileged_intents, Intents::empty());
        let options = Arguments::try_parse_from(["x", "--privileged-intents", "members,presences"])
            .unwrap()
            .options();
        assert_eq!(
            options.privileged_intents,
            Intents::GUILD_MEMBERS | Intents::GUILD_PRESENCES
        );
    }

    #[test]
    fn a_bot_prefix_is_not_part_of_the_token() {
        let options = Arguments::try_parse_from(["x", "--token", "Bot abc"])
            .unwrap()
            .options();
        assert_eq!(options.token.as_deref(), Some("abc"));
    }

    #[test]
    fn empty_token_is_refused() {
        for token in ["", " ", "Bot", "Bot "] {
            let error = Arguments::try_parse_from(["x", "--token", token]).unwrap_err();
            assert!(error.to_string().contains("the token is empty"), "{token:?}: {error}");
        }
    }
}
