//! `loadtests`: drives the whole platform.

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Context as _;
use arrakis_causes::causes;
use arrakis_config::Secret;
use clap::{Parser, Subcommand};
use loadtests::platform::Emulator;
use loadtests::print::{self, note};
use loadtests::{bench, chaos, demo, seed};

/// Drives the whole of Arrakis from outside.
#[derive(Debug, Parser)]
#[command(version, about)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Puts a believable community into Postgres and the emulator.
    Seed {
        /// Address of the emulator's control API, such as `http://127.0.0.1:9400`.
        #[arg(long)]
        emulator_control: String,
        /// The same seed gives the same community.
        #[arg(long, default_value_t = 1)]
        seed: u64,
    },
    /// Measures speed against thresholds and against the ceiling of the same run. Needs the services that `./dev bench` brings up.
    Bench {
        /// What is measured.
        #[arg(long, value_enum, default_value_t)]
        profile: bench::Profile,
        /// Decides what is random.
        #[arg(long, default_value_t = 1)]
        seed: u64,
        /// Where the result is written.
        #[arg(long, default_value = "target/bench/latest.json")]
        result: PathBuf,
        /// Results of releases, to compare with.
        #[arg(long, default_value = "loadtests/baselines")]
        baselines: PathBuf,
        /// Keeps this result as the baseline of its profile.
        #[arg(long)]
        keep: bool,
    },
    /// Plays a scripted hour of a community and checks every answer. Needs the services that `./dev demo` brings up.
    Demo {
        /// The same seed gives the same community.
        #[arg(long, default_value_t = 1)]
        seed: u64,
    },
    /// Takes all that comes into these queues of the broker that `AMQP_URL` names: a part of the bench, in a process of its own.
    #[command(hide = true)]
    Take {
        /// Their names.
        #[arg(required = true)]
        queues: Vec<String>,
    },
    /// Throws faults at a platform under load and has a ledger judge. Needs the services that `./dev chaos` brings up.
    Chaos(chaos::Arguments),
}

#[tokio::main]
async fn main() -> ExitCode {
    arrakis_runtime::install_crypto_provider();
    match Box::pin(run(Arguments::parse().command)).await {
        Ok(true) if !print::failed() => ExitCode::SUCCESS,
        Ok(true) => ExitCode::FAILURE,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            note(&format!("loadtests: {}", causes(error.as_ref())));
            ExitCode::FAILURE
        }
    }
}

async fn run(command: Command) -> anyhow::Result<bool> {
    match command {
        Command::Seed { emulator_control, seed } => {
            let url = std::env::var("DATABASE_ADMIN_URL").context(
                "DATABASE_ADMIN_URL is not set; example: postgres://arrakis_admin:secret@127.0.0.1:5432/arrakis",
            )?;
            let plan = seed::run(&Emulator::new(&emulator_control), &Secret::new(url), seed).await?;
            for server in &plan.servers {
                let kind = server
                    .community
                    .as_ref()
                    .map_or("not onboarded", |community| community.theme);
                note(&format!("{}: {} members, {kind}", server.name, server.members.len()));
            }
            Ok(true)
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
        Command::Take { queues } => {
            let url = std::env::var("AMQP_URL")
                .context("AMQP_URL is not set; example: amqp://guest:guest@127.0.0.1:5672/%2f")?;
            bench::taker::run(&url, &queues).await.map(|()| true)
        }
        Command::Chaos(arguments) => Box::pin(chaos::command(arguments)).await,
    }
}
