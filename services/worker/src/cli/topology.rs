//! `arrakis-worker topology declare|check|print`.

use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, bail};
use arrakis_broker::{AmqpConnection, BrokerConnection, BrokerSettings, ConnectionState, Topology};
use arrakis_config::variables::AMQP_PRIORITIES;
use clap::Subcommand;
use serde_json::json;
use url::Url;

use super::output::{print, print_json, report};
use super::with_config;

/// Time limit of connecting to the broker.
const CONNECT_LIMIT: Duration = Duration::from_secs(30);

/// The subcommands of `topology`.
#[derive(Debug, Subcommand)]
pub(super) enum TopologyTask {
    /// Declares all objects; objects that exist with the same options stay
    Declare,
    /// Compares the broker with this build; exit code 1 if an object is missing or differs
    Check {
        /// Print the missing objects as JSON, one a line
        #[arg(long)]
        json: bool,
    },
    /// Prints every object with the reason for each option
    Print {
        /// Print RabbitMQ's definitions instead, in the form of `rabbitmq/definitions.json`
        #[arg(long)]
        json: bool,
    },
}

impl TopologyTask {
    pub(super) fn run(self) -> ExitCode {
        match self {
            Self::Declare => with_config(BrokerSettings::read, declare),
            Self::Check { json } => with_config(BrokerSettings::read, move |settings| check(settings, json)),
            Self::Print { json } => with_config(
                |reader| reader.defaulted(&AMQP_PRIORITIES),
                move |priorities| async move {
                    let topology = Topology::new(priorities);
                    if json {
                        print(serde_json::to_string_pretty(&topology.definitions("/"))?)?;
                    } else {
                        print(topology.explain().trim_end())?;
                    }
                    Ok(ExitCode::SUCCESS)
                },
            ),
        }
    }
}

async fn declare(settings: BrokerSettings) -> anyhow::Result<ExitCode> {
    report_connecting(&settings);
    let (connection, amqp) = connect(&settings).await?;
    let topology = Topology::new(settings.priorities);
    topology.declare(&amqp).await?;
    connection.close().await;
    report(format_args!(
        "{} exchanges, {} queues and {} bindings are declared",
        topology.exchanges.len(),
        topology.queues.len(),
        topology.bindings.len()
    ));
    Ok(ExitCode::SUCCESS)
}

async fn check(settings: BrokerSettings, json: bool) -> anyhow::Result<ExitCode> {
    report_connecting(&settings);
    let (connection, amqp) = connect(&settings).await?;
    let missing = Topology::new(settings.priorities).check(&amqp).await?;
    connection.close().await;
    for object in &missing {
        if json {
            print_json(&json!({"missing": object.object, "name": object.name}))?;
        } else {
            print(format_args!("missing: {} {}", object.object, object.name))?;
        }
    }
    if missing.is_empty() {
        report("the broker has all objects of this build");
        return Ok(ExitCode::SUCCESS);
    }
    report("run `arrakis-worker topology declare`");
    Ok(ExitCode::FAILURE)
}

/// Reports the address of the broker, since nothing else is printed until the connection is open or the time limit has passed.
fn report_connecting(settings: &BrokerSettings) {
    report(format_args!(
        "connecting to {}; time limit: {} s",
        without_credentials(settings.url.expose()),
        CONNECT_LIMIT.as_secs()
    ));
}

/// The URL without user, password and query.
fn without_credentials(url: &str) -> String {
    let Some(mut url) = Url::parse(url).ok().filter(Url::has_host) else {
        return "the broker of AMQP_URL".to_owned();
    };
    // Both fail only for a URL without a host.
    let _ = url.set_username("");
    let _ = url.set_password(None);
    url.set_query(None);
    url.into()
}

/// Connects to the broker within the time limit.
pub(super) async fn connect(settings: &BrokerSettings) -> anyhow::Result<(BrokerConnection, Arc<AmqpConnection>)> {
    let connection = BrokerConnection::open(settings, "arrakis-worker tool");
    let Ok(amqp) = tokio::time::timeout(CONNECT_LIMIT, connection.current()).await else {
        let why = match connection.state() {
            ConnectionState::Connecting { reason: why } | ConnectionState::Blocked { reason: why } => why,
            state => format!("{state:?}"),
        };
        bail!(
            "cannot connect to the broker of AMQP_URL within {} s: {why}",
            CONNECT_LIMIT.as_secs()
        );
    };
    let amqp = amqp.context("connecting to the broker")?;
    Ok((connection, amqp))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn broker_address_has_no_credentials() {
        for (url, shown) in [
            ("amqp://guest:secret@127.0.0.1:5672/%2f", "amqp://127.0.0.1:5672/%2f"),
            (
                "amqps://guest:secret@broker/arrakis?heartbeat=5",
                "amqps://broker/arrakis",
            ),
            ("amqp://[::1]", "amqp://[::1]"),
            ("secret", "the broker of AMQP_URL"),
            ("amqp:guest:secret", "the broker of AMQP_URL"),
        ] {
            assert_eq!(without_credentials(url), shown);
        }
    }
}
