//! `arrakis-worker dead-letters list|show|replay|purge`.

use std::process::ExitCode;

use arrakis_broker::{BrokerSettings, DeadLetterSelection, DeadLetters, Publisher};
use arrakis_contracts::dead_letter::MAX_REPLAY_AGE;
use arrakis_contracts::{DeadLetter, redact};
use clap::{Args, Subcommand};
use serde_json::{Value, json};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use super::output::{counted, print, print_json, printable, report};
use super::topology::connect;
use super::with_config;

/// The subcommands of `dead-letters`.
#[derive(Debug, Subcommand)]
pub(super) enum DeadLettersTask {
    /// Lists dead letters, oldest first
    List {
        /// Largest number of dead letters
        #[arg(long, default_value_t = 100)]
        limit: usize,
        /// Print one JSON object a line
        #[arg(long)]
        json: bool,
    },
    /// Shows a dead letter with its headers and body; tokens are redacted
    Show {
        /// Event id or job id, as printed by `list`
        id: String,
        /// Print one JSON object
        #[arg(long)]
        json: bool,
    },
    /// Returns dead letters to their original queues under the same ids; events up to seven days after their first receipt
    Replay(Filter),
    /// Deletes dead letters
    Purge {
        #[command(flatten)]
        filter: Filter,
        /// Delete them; without this option only their number is printed
        #[arg(long)]
        yes: bool,
    },
}

/// Selects dead letters.
#[derive(Debug, Args)]
#[group(required = true, multiple = false)]
pub(super) struct Filter {
    /// The dead letter with this event id or job id
    id: Option<String>,
    /// Dead letters of this event name, such as `INTERACTION_CREATE`, or `job`
    #[arg(long)]
    kind: Option<String>,
    /// All dead letters
    #[arg(long)]
    all: bool,
}

impl Filter {
    fn selection(&self) -> DeadLetterSelection {
        match (&self.id, &self.kind) {
            (Some(id), _) => DeadLetterSelection::Id(id.clone()),
            (None, Some(kind)) => DeadLetterSelection::Kind(kind.clone()),
            (None, None) => DeadLetterSelection::All,
        }
    }

    fn matches(&self, letter: &DeadLetter) -> bool {
        let matches_id = self.id.as_ref().is_none_or(|id| letter.id == *id);
        matches_id && self.kind.as_ref().is_none_or(|kind| letter.kind == *kind)
    }
}

impl DeadLettersTask {
    pub(super) fn run(self) -> ExitCode {
        with_config(BrokerSettings::read, |settings| async move {
            let (connection, _amqp) = connect(&settings).await?;
            let letters = DeadLetters::new(Publisher::new(connection.clone()));
            let result = self.run_on(&letters).await;
            connection.close().await;
            result
        })
    }

    async fn run_on(self, letters: &DeadLetters) -> anyhow::Result<ExitCode> {
        match self {
            Self::List { limit, json } => list(letters, limit, json).await,
            Self::Show { id, json } => show(letters, &id, json).await,
            Self::Replay(filter) => replay(letters, &filter).await,
            Self::Purge { filter, yes } => purge(letters, &filter, yes).await,
        }
    }
}

async fn list(letters: &DeadLetters, limit: usize, json: bool) -> anyhow::Result<ExitCode> {
    let found = letters.list(limit).await?;
    for letter in &found {
        if json {
            print_json(&without_tokens(letter))?;
        } else {
            print(summary(letter))?;
        }
    }
    match found.len() {
        0 => report("no dead letters"),
        1 => report("1 dead letter"),
        count => report(format_args!("{count} dead letters")),
    }
    Ok(ExitCode::SUCCESS)
}

/// A dead letter without tokens; the error text of an earlier build may contain one.
fn without_tokens(letter: &DeadLetter) -> DeadLetter {
    DeadLetter {
        error: redact::text(&letter.error),
        ..letter.clone()
    }
}

fn summary(letter: &DeadLetter) -> String {
    format!(
        "{}  {}  {}  {} after {} attempt(s), {}: {}",
        printable(&letter.id),
        printable(&letter.kind),
        printable(&letter.origin_queue),
        letter.reason.name(),
        letter.attempts,
        timestamp(letter.dead_at_ms),
        printable(&redact::text(&letter.error))
    )
}

fn timestamp(ms: u64) -> String {
    let seconds = i64::try_from(ms / 1000).unwrap_or_default();
    OffsetDateTime::from_unix_timestamp(seconds)
        .ok()
        .and_then(|at| at.format(&Rfc3339).ok())
        .unwrap_or_else(|| "at an unknown time".to_owned())
}

async fn show(letters: &DeadLetters, id: &str, json: bool) -> anyhow::Result<ExitCode> {
    let Some((letter, delivery)) = letters.show(id).await? else {
        report(format_args!(
            "no dead letter has the id {}; `arrakis-worker dead-letters list` prints all",
            printable(id)
        ));
        return Ok(ExitCode::FAILURE);
    };
    let headers: serde_json::Map<_, _> = delivery
        .headers()
        .iter()
        .map(|(name, value)| (name.clone(), header_json(value)))
        .collect();
    let body = redact::body(delivery.body());
    if json {
        print_json(&json!({"letter": without_tokens(&letter), "headers": headers, "body": body}))?;
    } else {
        print(summary(&letter))?;
        print(format_args!("routing key: {}", printable(&letter.origin_key)))?;
        for (name, value) in &headers {
            print(format_args!("{}: {}", printable(name), printable(&value.to_string())))?;
        }
        print(format_args!("\n{}", printable(&body)))?;
    }
    Ok(ExitCode::SUCCESS)
}

fn header_json(value: &arrakis_contracts::labels::HeaderValue) -> Value {
    match value {
        arrakis_contracts::labels::HeaderValue::Integer(number) => json!(number),
        arrakis_contracts::labels::HeaderValue::Text(text) => json!(redact::text(text)),
    }
}

async fn replay(letters: &DeadLetters, filter: &Filter) -> anyhow::Result<ExitCode> {
    let result = letters.replay(&filter.selection()).await?;
    report(format_args!("{} replayed", result.replayed));
    if result.copies > 0 {
        let copies = counted(result.copies, "copy");
        report(format_args!("{copies} with the same id, queue and body removed"));
    }
    for id in &result.queue_missing {
        report(format_args!(
            "{} is not replayed: its original queue does not exist",
            printable(id)
        ));
    }
    for id in &result.too_old {
        report(format_args!(
            "{} is not replayed: it was first received more than {} days ago, when the records of its effects may be deleted; its \
             effects could be repeated",
            printable(id),
            MAX_REPLAY_AGE.as_secs() / 86_400
        ));
    }
    for id in &result.reply_expired {
        report(format_args!(
            "{} is not replayed: the interaction is older than 15 minutes, and Discord accepts no reply to it; the member must run the \
             command again. To delete it: `arrakis-worker dead-letters purge {0} --yes`",
            printable(id)
        ));
    }
    for (id, queue) in &result.not_replayable {
        report(format_args!(
            "{} is not replayed: its original queue is {}; only queues of events, jobs and interactions are allowed",
            printable(id),
            printable(queue)
        ));
    }
    let refused =
        result.queue_missing.len() + result.too_old.len() + result.reply_expired.len() + result.not_replayable.len();
    if result.replayed == 0 && refused == 0 && filter.id.is_some() {
        report("no dead letter has this id");
        return Ok(ExitCode::FAILURE);
    }
    Ok(if refused == 0 {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

async fn purge(letters: &DeadLetters, filter: &Filter, yes: bool) -> anyhow::Result<ExitCode> {
    if !yes {
        let count = letters
            .list(usize::MAX)
            .await?
            .iter()
            .filter(|letter| filter.matches(letter))
            .count();
        report(format_args!("{count} would be deleted; add --yes to delete"));
        return Ok(ExitCode::FAILURE);
    }
    let purged = letters.purge(&filter.selection()).await?;
    report(format_args!("{purged} deleted"));
    Ok(ExitCode::SUCCESS)
}
