//! `arrakis-worker topology declare|check|print`.

use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, bail};
use arrakis_broker::{AmqpConnection, BrokerConnection, BrokerSettings, ConnectionState, Topology as Objects};
use arrakis_config::variables::AMQP_PRIORITIES;
use clap::Subcommand;
use serde_json::json;

use super::output::{print, print_json, say};
use super::with_config;

/// How long a task waits for the broker.
const PATIENCE: Duration = Duration::from_secs(30);

/// Tasks about exchanges, queues and bindings.
#[derive(Debug, Subcommand)]
pub(super) enum Topology {
    /// Declares everything; what is there already and the same stays
    Declare,
    /// Compares the broker with this build; exit code 1 when something is missing or differs
    Check {
        /// Print what is missing as JSON, one object a line
        #[arg(long)]
        json: bool,
    },
    /// Prints every object with the reason of each option
    Print {
        /// Print RabbitMQ's definitions instead, as `rabbitmq/definitions.json` has them
        #[arg(long)]
        json: bool,
    },
}

impl Topology {
    pub(super) fn run(self) -> ExitCode {
        match self {
            Self::Declare => with_config(BrokerSettings::read, declare),
            Self::Check { json } => with_config(BrokerSettings::read, move |settings| check(settings, json)),
            Self::Print { json } => with_config(
                |reader| reader.defaulted(&AMQP_PRIORITIES),
                move |priorities| async move {
                    let objects = Objects::new(priorities);
                    if json {
                        print(serde_json::to_string_pretty(&objects.definitions("/"))?)?;
                    } else {
                        print(objects.explain().trim_end())?;
                    }
                    Ok(ExitCode::SUCCESS)
                },
            ),
        }
    }
}

async fn declare(settings: BrokerSettings) -> anyhow::Result<ExitCode> {
    let (link, live) = connect(&settings).await?;
    let objects = Objects::new(settings.priorities);
    objects.declare(&live).await?;
    link.close().await;
    say(format_args!(
        "{} exchanges, {} queues and {} bindings are as they should be",
        objects.exchanges.len(),
        objects.queues.len(),
        objects.bindings.len()
    ));
    Ok(ExitCode::SUCCESS)
}

async fn check(settings: BrokerSettings, json: bool) -> anyhow::Result<ExitCode> {
    let (link, live) = connect(&settings).await?;
    let missing = Objects::new(settings.priorities).check(&live).await?;
    link.close().await;
    for object in &missing {
        if json {
            print_json(&json!({"missing": object.object, "name": object.name}))?;
        } else {
            print(format_args!("missing: {} {}", object.object, object.name))?;
        }
    }
    if missing.is_empty() {
        say("the broker has everything as this build needs it");
        return Ok(ExitCode::SUCCESS);
    }
    say("run `arrakis-worker topology declare`");
    Ok(ExitCode::FAILURE)
}

/// Connects, or says why it does not succeed.
pub(super) async fn connect(settings: &BrokerSettings) -> anyhow::Result<(BrokerConnection, Arc<AmqpConnection>)> {
    let link = BrokerConnection::open(settings, "arrakis-worker tool");
    let Ok(live) = tokio::time::timeout(PATIENCE, link.current()).await else {
        let why = match link.state() {
            ConnectionState::Connecting { reason: why } | ConnectionState::Blocked { reason: why } => why,
            state => format!("{state:?}"),
        };
        bail!("the broker of AMQP_URL does not answer: {why}");
    };
    let live = live.context("connecting to the broker")?;
    Ok((link, live))
}
