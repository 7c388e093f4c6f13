//! The command line: without a subcommand the worker serves; with one it runs an operator's task and exits.
//!
//! Data goes to standard output, everything else to standard error. Exit codes: 0 success, 1 failure or a difference found by a
//! check, 64 invalid command line, 78 invalid configuration.

mod api_key;
mod audit;
mod backup;
mod canary;
mod codes;
mod commands;
mod configurations;
mod database;
mod dead_letters;
mod eligibility;
mod end_takeover;
mod import_profiles;
mod kill_switch;
mod mfa;
mod migrate;
mod output;
mod overrides;
mod plan;
mod posts;
mod registry;
mod sessions;
mod signer;
mod signing;
mod token_profiles;
mod topology;
mod unfreeze;
mod welcome;

use std::future::Future;
use std::process::ExitCode;

use arrakis_causes::causes;
use arrakis_config::{ConfigErrors, EXIT_CODE, Reader, Service, Source, variables};
use arrakis_db::DbError;
use arrakis_runtime::{HealthCheck, Threads, fail_point, install_crypto_provider};
use clap::{Parser, Subcommand};

use self::output::report;
use crate::config::Config;

/// Handles interactions, events and jobs of Arrakis
///
/// Without a subcommand the worker serves until SIGTERM. It reads its configuration from the environment; see .env.example.
#[derive(Debug, Parser)]
#[command(name = "arrakis-worker", version)]
pub struct Arguments {
    #[command(subcommand)]
    task: Option<Task>,
}

#[derive(Debug, Subcommand)]
enum Task {
    /// Migrates the database to the schema of this build, and old wallet verifications to the registry (requires only `DATABASE_OWNER_URL`)
    Migrate(migrate::Migrate),
    /// Declares, checks or prints exchanges, queues and bindings
    #[command(subcommand)]
    Topology(topology::TopologyTask),
    /// Lists, shows, replays or purges dead letters
    #[command(subcommand)]
    DeadLetters(dead_letters::DeadLettersTask),
    /// Prints or registers the slash commands
    #[command(subcommand)]
    Commands(commands::CommandsTask),
    /// Creates, lists or revokes keys of callers of the admin API
    #[command(subcommand)]
    ApiKey(api_key::ApiKeyTask),
    /// Sets up, shows or resets the second factor of a Discord user, and rotates the keys that encrypt secrets
    #[command(subcommand)]
    Mfa(mfa::MfaTask),
    /// Lists or ends the sessions of one person: verifications, API keys, dialogs
    #[command(subcommand)]
    Sessions(sessions::SessionsTask),
    /// Prints audit entries of a community or of the platform, newest first (requires `DATABASE_URL`)
    Audit(audit::AuditTask),
    /// Verifies, anchors or replays the registry of identities, or migrates old verifications to it
    #[command(subcommand)]
    Registry(registry::RegistryTask),
    /// Prints the public keys of the signing key, or rotates it
    #[command(subcommand)]
    Signing(signing::SigningTask),
    /// Syncs the ranking of a token profile with its chain, shows the state of the syncs, and overrides ranks
    #[command(subcommand)]
    Eligibility(eligibility::EligibilityTask),
    /// Lists or writes token profiles
    #[command(subcommand)]
    TokenProfiles(token_profiles::TokenProfilesTask),
    /// Sets the channel in which members of a server are welcomed who join without a verified wallet
    Welcome(welcome::WelcomeTask),
    /// Runs scheduled backups, or shows their last runs
    #[command(subcommand)]
    Backup(backup::BackupTask),
    /// Switches posts of a server on or off: live leaderboard, joins and departures, weekly digest
    Posts(posts::PostsTask),
    /// Shows, sets or raises the share of servers that the canary workers serve (requires `DATABASE_ADMIN_URL`)
    #[command(subcommand)]
    Canary(canary::CanaryTask),
    /// Stops every write to Discord in an emergency, ends that, shows its state, or drills it
    #[command(subcommand)]
    KillSwitch(kill_switch::KillSwitchTask),
    /// Ends the takeover of a community, where the admin who controls it cannot
    EndTakeover(end_takeover::EndTakeover),
    /// Ends the freeze of a community that nothing else ends, such as that of a teardown whose checkpoints have expired
    Unfreeze(unfreeze::Unfreeze),
    /// Sets the plan of a community; a theme that it does not include stays in use for a grace period
    Plan(plan::PlanTask),
    /// Changes the theme of a community, and enqueues the change of its members' roles
    Theme(plan::ThemeTask),
    /// Lists, verifies, compares or records versions of configurations in the object store, or rebuilds communities from them
    #[command(subcommand)]
    Configurations(configurations::ConfigurationsTask),
    /// Imports profiles with wallets, badges and times from a SQLite file (requires `DATABASE_ADMIN_URL`)
    ///
    /// The whole file is checked before anything is written; each problem is printed with its row and reason. A run that was killed
    /// continues with the next run. Exit code 1 means that there are problems, and nothing was written.
    ImportProfiles(import_profiles::ImportProfiles),
    /// Undoes the last import of profiles of a community (requires `DATABASE_ADMIN_URL`)
    UndoProfileImport(import_profiles::UndoProfileImport),
    /// Requests a health endpoint of the running worker at `HEALTH_ADDR`; the exit code is 0 when it answers 200
    Healthcheck(HealthCheck),
}

/// Runs the subcommand, or serves if there is none. Returns the exit code of the process.
pub fn run(arguments: Arguments) -> ExitCode {
    match arguments.task {
        None => arrakis_runtime::run(Service::Worker, Threads::Many, Config::read, crate::serve),
        Some(Task::Migrate(task)) => task.run(),
        Some(Task::Topology(task)) => task.run(),
        Some(Task::DeadLetters(task)) => task.run(),
        Some(Task::Commands(task)) => task.run(),
        Some(Task::ApiKey(task)) => task.run(),
        Some(Task::Mfa(task)) => task.run(),
        Some(Task::Sessions(task)) => task.run(),
        Some(Task::Audit(task)) => task.run(),
        Some(Task::Registry(task)) => task.run(),
        Some(Task::Signing(task)) => task.run(),
        Some(Task::Eligibility(task)) => task.run(),
        Some(Task::TokenProfiles(task)) => task.run(),
        Some(Task::Welcome(task)) => task.run(),
        Some(Task::Backup(task)) => task.run(),
        Some(Task::Posts(task)) => task.run(),
        Some(Task::Canary(task)) => task.run(),
        Some(Task::KillSwitch(task)) => task.run(),
        Some(Task::EndTakeover(task)) => task.run(),
        Some(Task::Unfreeze(task)) => task.run(),
        Some(Task::Plan(task)) => task.run(),
        Some(Task::Theme(task)) => task.run(),
        Some(Task::Configurations(task)) => task.run(),
        Some(Task::ImportProfiles(task)) => task.run(),
        Some(Task::UndoProfileImport(task)) => task.run(),
        Some(Task::Healthcheck(check)) => check.run(Service::Worker),
    }
}

/// The configuration of a task, and the points at which a test lets it fail.
type Loaded<C> = (C, Option<fail_point::Spec>);

/// Reads the configuration of a task and runs the task.
fn with_config<C, F>(read: impl FnOnce(&mut Reader) -> Option<C>, task: impl FnOnce(C) -> F) -> ExitCode
where
    F: Future<Output = anyhow::Result<ExitCode>>,
{
    match load(Source::environment(), read) {
        Ok(loaded) => run_loaded(loaded, task),
        Err(errors) => invalid(&errors),
    }
}

/// Reads the configuration of a task.
fn load<C>(source: Source, read: impl FnOnce(&mut Reader) -> Option<C>) -> Result<Loaded<C>, ConfigErrors> {
    let read = |reader: &mut Reader| {
        let fail_points = reader.optional(&variables::ARRAKIS_FAIL_POINTS);
        Some((read(reader)?, fail_points?))
    };
    Reader::load(Service::Worker, source, read)
}

/// Reports an invalid configuration.
fn invalid(errors: &ConfigErrors) -> ExitCode {
    report(errors);
    ExitCode::from(EXIT_CODE)
}

/// Runs a task whose configuration was read.
fn run_loaded<C, F>((config, fail_points): Loaded<C>, task: impl FnOnce(C) -> F) -> ExitCode
where
    F: Future<Output = anyhow::Result<ExitCode>>,
{
    if let Err(error) = fail_point::arm(fail_points.unwrap_or_default()) {
        report(format_args!(
            "arrakis-worker: {}: {error}",
            variables::ARRAKIS_FAIL_POINTS.name
        ));
        return ExitCode::from(EXIT_CODE);
    }
    install_crypto_provider();
    let result = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(anyhow::Error::from)
        .and_then(|runtime| runtime.block_on(task(config)));
    result.unwrap_or_else(|error| {
        report(format_args!("arrakis-worker: {}", causes(error.as_ref())));
        if signer::is_refused(&error) {
            report(signer::REFUSED_HELP);
        }
        match error.downcast_ref::<DbError>() {
            Some(DbError::Login(_)) => ExitCode::from(EXIT_CODE),
            _ => ExitCode::FAILURE,
        }
    })
}
