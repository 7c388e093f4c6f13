//! The ledger decides what was lost and what was doubled, from the members' actions (as sent to the emulator), the emulator's
//! records of the replies, the rows in Postgres, and the messages in the queues. It uses no report of a service about itself.
//!
//! | term | meaning |
//! |---|---|
//! | sent | an action of a member: a command, a join, a leave |
//! | done | its effect exists: the command's reply is in Discord, the profile exists after a join and is marked as left after a leave. A notice that a command takes longer or has failed is no reply: the command is still open |
//! | expired | Discord accepted no first response within three seconds |
//! | queued | no effect yet, and its message is in a queue, a retry queue or the alternate exchange's queue |
//! | dead | no effect, and its message is a dead letter with a reason |
//! | unknown | a row records an unknown outcome; the emulator may have recorded the effect nevertheless |
//! | lost | no effect, and none of these |
//! | doubled | more than one effect: two audit entries for one leave, a use counted twice, two messages for one reply |
//!
//! To check another kind of action: a variant of [`MemberAction`], its effect in [`Ledger::open`], its doubling in [`Ledger::tally`].

mod actions;
mod command_record;
mod queues;
mod rows;

use std::collections::{HashMap, HashSet};

use arrakis_emulator_client::InteractionState;
use futures_util::StreamExt as _;
use serde::Serialize;

use crate::platform::Emulator;

pub use actions::{ActionLog, MemberAction};
use command_record::CommandRecord;
pub use queues::{QueuedMessage, queued_messages};
pub use rows::RowReader;

/// Concurrent requests to the emulator.
const AT_ONCE: usize = 16;

/// Number of actions by their outcome.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Tally {
    /// Number of all actions.
    pub sent: usize,
    /// Actions by which a second handling can be detected, since each one leaves a trace: commands and leaves. A join writes the same row again.
    pub can_double: usize,
    /// Actions with exactly one effect.
    pub done: usize,
    /// Commands that the emulator recorded as expired.
    pub expired: usize,
    /// Actions whose messages are in a queue.
    pub queued: usize,
    /// Actions whose messages are dead letters.
    pub dead: usize,
    /// Actions with a call whose outcome the platform recorded as unknown, whatever the emulator recorded of it.
    pub unknown: usize,
    /// Actions without any trace, as text.
    pub lost: Vec<String>,
    /// Actions with more than one effect, as text.
    pub doubled: Vec<String>,
}

/// The ledger of one run.
#[derive(Debug)]
pub struct Ledger {
    discord: Emulator,
    rows: RowReader,
    sent: ActionLog,
    /// Commands that are over: answered or expired.
    over: HashMap<u64, CommandRecord>,
    /// Commands whose last reply is a notice of a delay or a failure. They are not over: the real reply may follow.
    with_notice: HashMap<u64, CommandRecord>,
}

impl Ledger {
    /// A ledger for the actions in `sent`.
    pub fn new(discord: Emulator, rows: RowReader, sent: ActionLog) -> Self {
        Self {
            discord,
            rows,
            sent,
            over: HashMap::new(),
            with_notice: HashMap::new(),
        }
    }

    /// The recorded actions.
    pub fn sent(&self) -> &ActionLog {
        &self.sent
    }

    /// Actions without an effect so far.
    ///
    /// # Errors
    /// When the emulator or Postgres does not respond.
    pub async fn open(&mut self) -> anyhow::Result<Vec<MemberAction>> {
        let actions = self.sent.all();
        let rows = self.rows.read().await?;
        self.read_records(&actions).await?;
        let is_open = |action: &MemberAction| match *action {
            MemberAction::Join { guild, user } => !rows.here.contains(&(guild, user)),
            MemberAction::Leave { guild, user } => !rows.gone.contains(&(guild, user)),
            MemberAction::Command { id, .. } => !self.over.contains_key(&id),
        };
        Ok(actions.into_iter().filter(is_open).collect())
    }

    /// Whether a command that is over, as of the last [`Ledger::open`], was answered rather than expired.
    pub fn was_answered(&self, id: u64) -> bool {
        self.over.get(&id).is_some_and(CommandRecord::is_answered)
    }

    /// Counts the actions by outcome. `held` is what the queues hold now; it matters only for actions without an effect.
    ///
    /// # Errors
    /// When the emulator or Postgres does not respond.
    pub async fn tally(&mut self, held: &[QueuedMessage]) -> anyhow::Result<Tally> {
        let open = self.open().await?;
        let rows = self.rows.read().await?;
        let mut tally = Tally {
            sent: self.sent.len(),
            unknown: self.unknown(&rows),
            can_double: self.sent.can_double(),
            expired: self.over.values().filter(|seen| seen.has_expired()).count(),
            ..Tally::default()
        };
        for action in &open {
            if rows.unknown.contains(&action.to_string()) {
                continue;
            }
            let found: Vec<_> = held.iter().filter(|message| message.is_about(action)).collect();
            if found.iter().any(|message| !message.is_dead()) {
                tally.queued += 1;
            } else if found.is_empty() {
                tally.lost.push(action.to_string());
            } else {
                tally.dead += 1;
            }
        }
        tally.doubled = self.doubled(&rows);
        tally.done = tally.sent - open.len() - tally.expired;
        Ok(tally)
    }

    fn unknown(&self, rows: &rows::StoredRows) -> usize {
        let sent = self.sent.all();
        sent.iter()
            .filter(|action| rows.unknown.contains(&action.to_string()))
            .count()
    }

    fn doubled(&self, rows: &rows::StoredRows) -> Vec<String> {
        let left = rows.left.iter().filter(|(_, entries)| **entries > 1);
        let left = left.map(|((_, user), entries)| format!("{entries} entries for the leave of {user}"));
        let seen = self.over.iter().chain(&self.with_notice);
        let records = seen.filter(|(_, seen)| seen.is_doubled());
        let records = records.map(|(id, seen)| {
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
        left.chain(records).chain(counted).collect()
    }

    /// Commands that the emulator saw refused for their cooldown, by member. Such a use is not counted, so it would hide one that
    /// was counted twice.
    fn refused(&self) -> HashMap<(u64, u64), i64> {
        let mut refused = HashMap::new();
        for action in self.sent.all() {
            if let MemberAction::Command { id, guild, user } = action
                && self.over.get(&id).is_some_and(CommandRecord::is_refused)
            {
                *refused.entry((guild, user)).or_default() += 1;
            }
        }
        refused
    }

    /// Requests the record of every command that is not over.
    async fn read_records(&mut self, actions: &[MemberAction]) -> anyhow::Result<()> {
        let ids: HashSet<u64> = actions
            .iter()
            .filter_map(|action| match action {
                MemberAction::Command { id, .. } if !self.over.contains_key(id) => Some(*id),
                _ => None,
            })
            .collect();
        let discord = &self.discord;
        let mut records = futures_util::stream::iter(ids)
            .map(|id| async move {
                let record = discord.interaction(&id.to_string()).await?;
                anyhow::Ok((id, CommandRecord::from(record)))
            })
            .buffer_unordered(AT_ONCE);
        while let Some(answer) = records.next().await {
            let (id, seen) = answer?;
            if seen.is_over() {
                self.with_notice.remove(&id);
                self.over.insert(id, seen);
            } else if seen.state == InteractionState::Answered {
                self.with_notice.insert(id, seen);
            }
        }
        Ok(())
    }
}
