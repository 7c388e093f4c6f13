//! `loadtests`: drives the whole platform.

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Context as _;
use arrakis_causes::causes;
use arrakis_config::Secret;
use clap::{Parser, Subcommand};
use loadtests::platform::{Chain, Emulator};
use loadtests::print::{self, note};
use loadtests::seed::{self, RankingSource};
use loadtests::{bench, chaos, demo, faucet};

/// Load tests, fault injection, seed data and a scripted demo for the Arrakis platform.
#[derive(Debug, Parser)]
#[command(version, about)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Seeds Postgres and the emulator with two communities.
    Seed {
        /// Address of the emulator's control API, such as `http://127.0.0.1:9400`.
        #[arg(long)]
        emulator_control: String,
        /// Seed of the generated communities; the same seed gives the same data.
        #[arg(long, default_value_t = 1)]
        seed: u64,
        /// Address of an anvil to which the holdings are written, for a sync to read; without it they are rows in Postgres.
        #[arg(long, value_name = "URL")]
        local_chain: Option<String>,
        /// Writes no holdings if a token profile is stored: its chain is the operator's own.
        #[arg(long, conflicts_with = "local_chain")]
        own_chain: bool,
    },
    /// Claims or burns tokens on the local chain of `./dev up`, and runs a sync.
    Faucet {
        /// An address, or name or Discord id of a member with a wallet.
        target: String,
        /// Tokens to claim, such as 100 or 0.5; a negative number is burned.
        #[arg(allow_negative_numbers = true)]
        amount: String,
        /// Address of anvil.
        #[arg(long, value_name = "URL")]
        local_chain: String,
        /// Address of the emulator's control API.
        #[arg(long)]
        emulator_control: String,
    },
    /// Measures performance against thresholds and against the ceiling: what a bare publisher achieves in the same run. Requires the
    /// services of `./dev bench`.
    Bench {
        /// The measurements to run.
        #[arg(long, value_enum, default_value_t)]
        profile: bench::Profile,
        /// Seed of the random choices.
        #[arg(long, default_value_t = 1)]
        seed: u64,
        /// Path of the result file.
        #[arg(long, default_value = "target/bench/latest.json")]
        result: PathBuf,
        /// Folder of earlier releases' results, for the comparison.
        #[arg(long, default_value = "loadtests/baselines")]
        baselines: PathBuf,
        /// Keeps this result as the baseline of its profile.
        #[arg(long)]
        keep: bool,
    },
    /// Plays a scripted demo of a community and checks every reply. Requires the services of `./dev demo`.
    Demo {
        /// Seed of the generated communities; the same seed gives the same data.
        #[arg(long, default_value_t = 1)]
        seed: u64,
    },
    /// Consumes and discards all messages of these queues of the broker in `AMQP_URL`. The bench starts this as a process of its own.
    #[command(hide = true)]
    Drain {
        /// Names of the queues.
        #[arg(required = true)]
        queues: Vec<String>,
    },
    /// Injects faults into a platform under load, and checks that no event is lost or handled twice. Requires the services of
    /// `./dev chaos`.
    Chaos(chaos::Arguments),
}

#[tokio::main]
async fn main() -> ExitCode {
    let arguments: Arguments = match arrakis_runtime::parse_arguments() {
        Ok(arguments) => arguments,
        Err(exit_code) => return exit_code,
    };
    arrakis_runtime::install_crypto_provider();
    match Box::pin(run(arguments.command)).await {
        Ok(true) if !print::failed() => ExitCode::SUCCESS,
        Ok(true) => ExitCode::FAILURE,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            note(&causes(error.as_ref()).to_string());
            ExitCode::FAILURE
        }
    }
}

async fn run(command: Command) -> anyhow::Result<bool> {
    match command {
        Command::Seed {
            emulator_control,
            seed,
            local_chain,
            own_chain,
        } => {
            let chain = match &local_chain {
                Some(url) => Some(Chain::open(url).await?),
                None => None,
            };
            let source = match &chain {
                Some(chain) => RankingSource::LocalChain(chain),
                None if own_chain => RankingSource::OwnChain,
                None => RankingSource::Rows,
            };
            let plan = seed::run_with(&Emulator::new(&emulator_control), &admin_url()?, seed, source).await?;
            for server in &plan.servers {
                let kind = server
                    .community
                    .as_ref()
                    .map_or("not onboarded", |community| community.theme);
                note(&format!("{}: {} members, {kind}", server.name, server.members.len()));
            }
            Ok(true)
        }
        Command::Faucet {
            target,
            amount,
            local_chain,
            emulator_control,
        } => {
            let options = faucet::Options {
                chain: &local_chain,
                emulator: &Emulator::new(&emulator_control),
                admin_url: &admin_url()?,
                target: &target,
                amount: &amount,
            };
            faucet::run(&options).await
        }
        Command::Bench {
            profile,
            seed,
            result,
            baselines,
            keep,
        } => {
            let options = bench::Options {
                profile,
                seed,
                result,
                baselines,
                keep,
            };
            Box::pin(bench::run(options)).await
        }
        Command::Demo { seed } => Box::pin(demo::run(seed)).await,
        Command::Drain { queues } => {
            let url = std::env::var("AMQP_URL")
                .context("AMQP_URL is not set; example: amqp://guest:guest@127.0.0.1:5672/%2f")?;
            bench::drain::run(&url, &queues).await.map(|()| true)
        }
        Command::Chaos(arguments) => Box::pin(chaos::command(arguments)).await,
    }
}

fn admin_url() -> anyhow::Result<Secret> {
    let url = std::env::var("DATABASE_ADMIN_URL")
        .context("DATABASE_ADMIN_URL is not set; example: postgres://arrakis_admin:secret@127.0.0.1:5432/arrakis")?;
    Ok(Secret::new(url))
}
