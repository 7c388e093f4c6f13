//! Who decides what was lost and what was doubled: what members did (as the emulator was told), what the emulator saw of the
//! answers, which rows stand in Postgres, and what the queues still hold. Never a service's own words.
//!
//! | word | means |
//! |---|---|
//! | sent | something a member did: a command, a join, a leave |
//! | done | its effect is there: the whole answer of the command stands in Discord, the profile of who joined is there, of who left says so. That it takes longer, or that it went wrong, is no answer: such a command is still open |
//! | expired | Discord took no first response within three seconds; the member saw it fail |
//! | queued | no effect yet, and its message lies in a queue, a retry or the alternate exchange's queue |
//! | dead | no effect, and its message is a dead letter that says why |
//! | unknown | a row says that nobody can tell whether Discord has it; the ledger may have seen its effect nevertheless |
//! | lost | no effect, and none of these |
//! | doubled | more than one effect: two entries for one leave, a use counted twice, two messages for one answer |
//!
//! To judge a further deed: a variant of [`Deed`], its effect in [`Ledger::open`], its doubling in [`Ledger::judge`].

mod queues;
mod rows;
mod seen;
mod sent;

use std::collections::{HashMap, HashSet};

use arrakis_emulator_client::InteractionState;
use futures_util::StreamExt as _;
use serde::Serialize;

use crate::platform::Emulator;

pub use queues::{Held, held};
pub use rows::Rows;
use seen::Seen;
pub use sent::{Deed, Sent};

/// Questions to the emulator at once.
const AT_ONCE: usize = 16;

/// What became of everything that was sent.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Tally {
    /// Things that members did.
    pub sent: usize,
    /// Those of them that leave a trace each time they are handled: commands and leaves. A join writes the same row again.
    pub can_double: usize,
    /// Those whose effect is there, once.
    pub done: usize,
    /// Commands that Discord saw expire.
    pub expired: usize,
    /// Deeds whose messages wait in a queue.
    pub queued: usize,
    /// Deeds whose messages are dead letters.
    pub dead: usize,
    /// Deeds of which a row says that nobody can tell, whatever the emulator saw.
    pub unknown: usize,
    /// Deeds without a trace, in words.
    pub lost: Vec<String>,
    /// Deeds with more than one effect, in words.
    pub doubled: Vec<String>,
}

/// The ledger of one run.
#[derive(Debug)]
pub struct Ledger {
    discord: Emulator,
    rows: Rows,
    sent: Sent,
    /// Commands that are over: answered or expired.
    over: HashMap<u64, Seen>,
    /// Commands whose members were told that it takes longer, or that it went wrong. Not over: a real answer may follow.
    told: HashMap<u64, Seen>,
}

impl Ledger {
    /// Judges what is in `sent`.
    pub fn new(discord: Emulator, rows: Rows, sent: Sent) -> Self {
        Self {
            discord,
            rows,
            sent,
            over: HashMap::new(),
            told: HashMap::new(),
        }
    }

    /// What was sent.
    pub fn sent(&self) -> &Sent {
        &self.sent
    }

    /// Deeds without an effect so far.
    ///
    /// # Errors
    /// When the emulator or Postgres does not answer.
    pub async fn open(&mut self) -> anyhow::Result<Vec<Deed>> {
        let deeds = self.sent.all();
        let rows = self.rows.read().await?;
        self.ask(&deeds).await?;
        let is_open = |deed: &Deed| match *deed {
            Deed::Join { guild, user } => !rows.here.contains(&(guild, user)),
            Deed::Leave { guild, user } => !rows.gone.contains(&(guild, user)),
            Deed::Command { id, .. } => !self.over.contains_key(&id),
        };
        Ok(deeds.into_iter().filter(is_open).collect())
    }

    /// Whether a command of which [`Ledger::open`] has learnt that it is over was answered, and has not expired.
    pub fn was_answered(&self, id: u64) -> bool {
        self.over.get(&id).is_some_and(Seen::is_answered)
    }

    /// The verdict. `held` is what the queues hold now; it matters only for what has no effect.
    ///
    /// # Errors
    /// When the emulator or Postgres does not answer.
    pub async fn judge(&mut self, held: &[Held]) -> anyhow::Result<Tally> {
        let open = self.open().await?;
        let rows = self.rows.read().await?;
        let mut tally = Tally {
            sent: self.sent.len(),
            unknown: self.unknown(&rows),
            can_double: self.sent.can_double(),
            expired: self.over.values().filter(|seen| seen.has_expired()).count(),
            ..Tally::default()
        };
        for deed in &open {
            if rows.unknown.contains(&deed.to_string()) {
                continue;
            }
            let found: Vec<_> = held.iter().filter(|message| message.is_about(deed)).collect();
            if found.iter().any(|message| !message.is_dead()) {
                tally.queued += 1;
            } else if found.is_empty() {
                tally.lost.push(deed.to_string());
            } else {
                tally.dead += 1;
            }
        }
        tally.doubled = self.doubled(&rows);
        tally.done = tally.sent - open.len() - tally.expired;
        Ok(tally)
    }

    fn unknown(&self, rows: &rows::Read) -> usize {
        let sent = self.sent.all();
        sent.iter()
            .filter(|deed| rows.unknown.contains(&deed.to_string()))
            .count()
    }

    fn doubled(&self, rows: &rows::Read) -> Vec<String> {
        let left = rows.left.iter().filter(|(_, entries)| **entries > 1);
        let left = left.map(|((_, user), entries)| format!("{entries} entries for the leave of {user}"));
        let seen = self.over.iter().chain(&self.told);
        let answers = seen.filter(|(_, seen)| seen.is_doubled());
        let answers = answers.map(|(id, seen)| {
            format!(
                "{} first responses and {} follow-ups for command {id}",
                seen.responses.len(),
                seen.followups.len()
            )
        });
        let ran = self.sent.commands_by_member();
        let refused = self.refused();
        let counted = rows.commands.iter().filter_map(|(member, counted)| {
            let ran = ran.get(member).copied().unwrap_or(0) - refused.get(member).copied().unwrap_or(0);
            (*counted > ran).then(|| format!("{counted} uses counted for {} that ran {ran} commands", member.1))
        });
        left.chain(answers).chain(counted).collect()
    }

    /// Commands that the emulator saw refused for their cooldown, by member: such a use is not counted, and would hide
    /// one that was counted twice.
    fn refused(&self) -> HashMap<(u64, u64), i64> {
        let mut refused = HashMap::new();
        for deed in self.sent.all() {
            if let Deed::Command { id, guild, user } = deed
                && self.over.get(&id).is_some_and(Seen::is_refused)
            {
                *refused.entry((guild, user)).or_default() += 1;
            }
        }
        refused
    }

    /// Asks the emulator about every command that is not over.
    async fn ask(&mut self, deeds: &[Deed]) -> anyhow::Result<()> {
        let asked: HashSet<u64> = deeds
            .iter()
            .filter_map(|deed| match deed {
                Deed::Command { id, .. } if !self.over.contains_key(id) => Some(*id),
                _ => None,
            })
            .collect();
        let discord = &self.discord;
        let mut answers = futures_util::stream::iter(asked)
            .map(|id| async move {
                let record = discord.interaction(&id.to_string()).await?;
                anyhow::Ok((id, Seen::from(record)))
            })
            .buffer_unordered(AT_ONCE);
        while let Some(answer) = answers.next().await {
            let (id, seen) = answer?;
            if seen.is_over() {
                self.told.remove(&id);
                self.over.insert(id, seen);
            } else if seen.state == InteractionState::Answered {
                self.told.insert(id, seen);
            }
        }
        Ok(())
    }
}
