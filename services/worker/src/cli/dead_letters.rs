//! `arrakis-worker dead-letters list|show|replay|purge`.

use std::process::ExitCode;

use arrakis_broker::{BrokerSettings, DeadLetterSelection, DeadLetters as Letters, Publisher};
use arrakis_contracts::dead_letter::MAX_REPLAY_AGE;
use arrakis_contracts::{DeadLetter, redact};
use clap::{Args, Subcommand};
use serde_json::{Value, json};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use super::output::{print, print_json, printable, say};
use super::topology::connect;
use super::with_config;

/// Tasks about messages that were given up.
#[derive(Debug, Subcommand)]
pub(super) enum DeadLetters {
    /// Lists them, the oldest first
    List {
        /// How many at most
        #[arg(long, default_value_t = 100)]
        limit: usize,
        /// One JSON object a line
        #[arg(long)]
        json: bool,
    },
    /// Shows one with its headers and body, tokens left out
    Show {
        /// Event or job id, as `list` prints it
        id: String,
        /// One JSON object
        #[arg(long)]
        json: bool,
    },
    /// Puts letters back into the queues they came from, under their ids; events for seven days after their first receipt
    Replay(Which),
    /// Removes letters for good
    Purge {
        #[command(flatten)]
        which: Which,
        /// Do it; without this the number is told and nothing removed
        #[arg(long)]
        yes: bool,
    },
}

/// Which letters.
#[derive(Debug, Args)]
#[group(required = true, multiple = false)]
pub(super) struct Which {
    /// The one with this event or job id
    id: Option<String>,
    /// Those of one event name, such as `INTERACTION_CREATE`, or `job`
    #[arg(long)]
    kind: Option<String>,
    /// All of them
    #[arg(long)]
    all: bool,
}

impl Which {
    fn selection(&self) -> DeadLetterSelection {
        match (&self.id, &self.kind) {
            (Some(id), _) => DeadLetterSelection::Id(id.clone()),
            (None, Some(kind)) => DeadLetterSelection::Kind(kind.clone()),
            (None, None) => DeadLetterSelection::All,
        }
    }
}

impl Which {
    fn means(&self, letter: &DeadLetter) -> bool {
        let id = self.id.as_ref().is_none_or(|id| letter.id == *id);
        id && self.kind.as_ref().is_none_or(|kind| letter.kind == *kind)
    }
}

impl DeadLetters {
    pub(super) fn run(self) -> ExitCode {
        with_config(BrokerSettings::read, |settings| async move {
            let (link, _live) = connect(&settings).await?;
            let letters = Letters::new(Publisher::new(link.clone()));
            let done = self.with(&letters).await;
            link.close().await;
            done
        })
    }

    async fn with(self, letters: &Letters) -> anyhow::Result<ExitCode> {
        match self {
            Self::List { limit, json } => list(letters, limit, json).await,
            Self::Show { id, json } => show(letters, &id, json).await,
            Self::Replay(which) => replay(letters, &which).await,
            Self::Purge { which, yes } => purge(letters, &which, yes).await,
        }
    }
}

async fn list(letters: &Letters, limit: usize, json: bool) -> anyhow::Result<ExitCode> {
    let found = letters.list(limit).await?;
    for letter in &found {
        if json {
            print_json(&without_tokens(letter))?;
        } else {
            print(line(letter))?;
        }
    }
    match found.len() {
        0 => say("no dead letters"),
        1 => say("1 dead letter"),
        count => say(format_args!("{count} dead letters")),
    }
    Ok(ExitCode::SUCCESS)
}

/// A letter of an earlier build may have a token in its error.
fn without_tokens(letter: &DeadLetter) -> DeadLetter {
    DeadLetter {
        error: redact::text(&letter.error),
        ..letter.clone()
    }
}

fn line(letter: &DeadLetter) -> String {
    format!(
        "{}  {}  {}  {} after {} attempt(s), {}: {}",
        printable(&letter.id),
        printable(&letter.kind),
        printable(&letter.origin_queue),
        letter.reason.name(),
        letter.attempts,
        at(letter.dead_at_ms),
        printable(&redact::text(&letter.error))
    )
}

fn at(ms: u64) -> String {
    let seconds = i64::try_from(ms / 1000).unwrap_or_default();
    OffsetDateTime::from_unix_timestamp(seconds)
        .ok()
        .and_then(|at| at.format(&Rfc3339).ok())
        .unwrap_or_else(|| "at an unknown time".to_owned())
}

async fn show(letters: &Letters, id: &str, json: bool) -> anyhow::Result<ExitCode> {
    let Some((letter, delivery)) = letters.show(id).await? else {
        say(format_args!(
            "no dead letter has the id {}; `arrakis-worker dead-letters list` prints them",
            printable(id)
        ));
        return Ok(ExitCode::FAILURE);
    };
    let headers: serde_json::Map<_, _> = delivery
        .headers()
        .iter()
        .map(|(name, value)| (name.clone(), header(value)))
        .collect();
    let body = redact::body(delivery.body());
    if json {
        print_json(&json!({"letter": without_tokens(&letter), "headers": headers, "body": body}))?;
    } else {
        print(line(&letter))?;
        print(format_args!("routing key: {}", printable(&letter.origin_key)))?;
        for (name, value) in &headers {
            print(format_args!("{}: {}", printable(name), printable(&value.to_string())))?;
        }
        print(format_args!("\n{}", printable(&body)))?;
    }
    Ok(ExitCode::SUCCESS)
}

fn header(value: &arrakis_contracts::labels::HeaderValue) -> Value {
    match value {
        arrakis_contracts::labels::HeaderValue::Integer(number) => json!(number),
        arrakis_contracts::labels::HeaderValue::Text(text) => json!(redact::text(text)),
    }
}

async fn replay(letters: &Letters, which: &Which) -> anyhow::Result<ExitCode> {
    let done = letters.replay(&which.selection()).await?;
    say(format_args!("{} replayed", done.replayed));
    for id in &done.queue_missing {
        say(format_args!(
            "{} stays: the queue it came from does not exist (any more)",
            printable(id)
        ));
    }
    for id in &done.too_old {
        say(format_args!(
            "{} stays: it was first received more than {} days ago, and what it has done already may no longer be known, so \
             that handling it again could do it twice",
            printable(id),
            MAX_REPLAY_AGE.as_secs() / 86_400
        ));
    }
    for id in &done.reply_expired {
        say(format_args!(
            "{} stays: Discord accepts a reply to an interaction for 15 minutes, and this one is older; its member has to run the \
             command again. Remove the letter with `arrakis-worker dead-letters purge {0} --yes`",
            printable(id)
        ));
    }
    for (id, queue) in &done.not_replayable {
        say(format_args!(
            "{} stays: it names the queue {}, and letters go back to queues of events, jobs and interactions only",
            printable(id),
            printable(queue)
        ));
    }
    let staying = done.queue_missing.len() + done.too_old.len() + done.reply_expired.len() + done.not_replayable.len();
    if done.replayed == 0 && staying == 0 && which.id.is_some() {
        say("no dead letter has this id");
        return Ok(ExitCode::FAILURE);
    }
    Ok(if staying == 0 {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

async fn purge(letters: &Letters, which: &Which, yes: bool) -> anyhow::Result<ExitCode> {
    if !yes {
        let meant = letters
            .list(usize::MAX)
            .await?
            .iter()
            .filter(|letter| which.means(letter))
            .count();
        say(format_args!("{meant} would be removed for good; add --yes to do it"));
        return Ok(ExitCode::FAILURE);
    }
    let purged = letters.purge(&which.selection()).await?;
    say(format_args!("{purged} removed"));
    Ok(ExitCode::SUCCESS)
}
