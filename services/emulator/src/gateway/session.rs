//! A session: its sequence numbers, and the frames that are kept for RESUME.
//!
//! Events are appended to the session under the world's lock. Its connection reads from the last number that it sent, so that a
//! dropped connection and a slow one are handled alike.

use std::{
    collections::{BTreeSet, VecDeque},
    sync::Arc,
};

use parking_lot::Mutex;
use tokio::sync::Notify;

use super::Intents;
use crate::{
    model::Id,
    world::{Dispatch, State},
};

/// How long a session can be resumed after its connection ended, by the emulator's clock. Discord documents "a few minutes".
pub(super) const RESUMABLE_MS: u64 = 5 * 60 * 1_000;

/// Largest number of frames kept for replay.
const MAX_FRAMES: usize = 250_000;
/// Largest number of bytes kept for replay.
const MAX_BYTES: usize = 64 * 1_024 * 1_024;

/// A dispatch with its number.
#[derive(Clone, Debug)]
pub(super) struct Frame {
    /// `s`.
    pub(super) seq: u64,
    /// `t`.
    pub(super) name: &'static str,
    /// Id of the event's object, for the ledger.
    pub(super) subject: Option<Id>,
    /// `d`, shared by all sessions that receive the event.
    pub(super) body: Arc<str>,
    /// Number in the load run that made it.
    pub(super) mark: Option<u32>,
}

impl Frame {
    /// The whole payload.
    pub(super) fn payload(&self) -> String {
        let mut text = String::with_capacity(self.body.len() + self.name.len() + 48);
        text.push_str("{\"t\":\"");
        text.push_str(self.name);
        text.push_str("\",\"s\":");
        text.push_str(&self.seq.to_string());
        text.push_str(",\"op\":0,\"d\":");
        text.push_str(&self.body);
        text.push('}');
        text
    }
}

/// A session of the gateway.
#[derive(Debug)]
pub(super) struct Session {
    /// Session id, sent in READY.
    pub(super) id: Arc<str>,
    /// Number and count.
    pub(super) shard: [u64; 2],
    /// Its intents.
    pub(super) intents: Intents,
    /// Notified when there are events to send.
    pub(super) wake: Notify,
    inner: Mutex<Inner>,
}

#[derive(Debug, Default)]
struct Inner {
    seq: u64,
    frames: VecDeque<Frame>,
    bytes: usize,
    /// Servers listed in READY whose `GUILD_CREATE` has not been queued yet.
    pending: BTreeSet<Id>,
    /// Connection of the session.
    connection: Option<u64>,
    /// Time since which it has no connection.
    detached_ms: Option<u64>,
}

/// Result of a request for further frames.
#[derive(Debug)]
pub(super) enum NextFrames {
    /// These frames, in order.
    Frames(Vec<Frame>),
    /// No frames are queued, but servers are still to be announced.
    Pending,
    /// Nothing to send until the next notification.
    IdleConnections,
    /// Frames that were not sent yet have been dropped: the connection was too slow.
    Lost,
}

impl Session {
    /// A new session without frames.
    pub(super) fn new(id: Arc<str>, shard: [u64; 2], intents: Intents, pending: BTreeSet<Id>) -> Self {
        let inner = Inner {
            pending,
            ..Inner::default()
        };
        Self {
            id,
            shard,
            intents,
            wake: Notify::new(),
            inner: Mutex::new(inner),
        }
    }

    /// Whether events of this server, or of none, belong to this shard.
    pub(super) fn covers(&self, guild: Option<Id>) -> bool {
        guild.map_or(self.shard[0] == 0, |guild| guild.shard(self.shard[1]) == self.shard[0])
    }

    /// Appends an event if the session is entitled to it. A server that is still to be announced is announced first, so that
    /// its `GUILD_CREATE` precedes its events.
    pub(super) fn offer(&self, state: &State, dispatch: &Dispatch) {
        if !self.covers(dispatch.guild_id) {
            return;
        }
        if !dispatch.intents.is_empty() && !dispatch.intents.intersects(self.intents) {
            return;
        }
        let mut inner = self.inner.lock();
        if let Some(guild) = dispatch.guild_id.filter(|guild| inner.pending.remove(guild)) {
            let announces = matches!(dispatch.name, "GUILD_CREATE" | "GUILD_DELETE");
            if let Some(create) = state.guild_create(guild, self.intents).filter(|_| !announces) {
                inner.push(
                    create.name,
                    create.subject,
                    Arc::clone(create.body_for(self.intents)),
                    None,
                );
            }
        }
        // Events that a load run's event causes, such as the message about a join, do not belong to the run.
        let mark = state.marked.filter(|_| is_of_a_load(dispatch.name));
        let body = Arc::clone(dispatch.body_for(self.intents));
        inner.push(dispatch.name, dispatch.subject, body, mark);
        drop(inner);
        self.wake.notify_one();
    }

    /// Appends an event for this session alone.
    pub(super) fn push(&self, name: &'static str, body: Arc<str>) {
        self.inner.lock().push(name, None, body, None);
        self.wake.notify_one();
    }

    /// Announces up to `most` of the servers that are still to be announced.
    pub(super) fn announce(&self, state: &State, most: usize) {
        let mut inner = self.inner.lock();
        for _ in 0..most {
            let Some(guild) = inner.pending.pop_first() else { return };
            let up = state.guilds.get(&guild).is_some_and(|guild| !guild.unavailable);
            if let Some(create) = state.guild_create(guild, self.intents).filter(|_| up) {
                inner.push(
                    create.name,
                    create.subject,
                    Arc::clone(create.body_for(self.intents)),
                    None,
                );
            }
        }
    }

    /// Frames after `sent`, at most `most`.
    pub(super) fn next(&self, sent: u64, most: usize) -> NextFrames {
        let inner = self.inner.lock();
        if sent >= inner.seq {
            return if inner.pending.is_empty() {
                NextFrames::IdleConnections
            } else {
                NextFrames::Pending
            };
        }
        let Some(start) = inner.index_after(sent) else {
            return NextFrames::Lost;
        };
        NextFrames::Frames(inner.frames.iter().skip(start).take(most).cloned().collect())
    }

    /// Number of the newest event.
    pub(super) fn seq(&self) -> u64 {
        self.inner.lock().seq
    }

    /// Whether all frames after this number are still kept.
    pub(super) fn can_replay(&self, sent: u64) -> bool {
        let inner = self.inner.lock();
        sent == inner.seq || inner.index_after(sent).is_some()
    }

    /// Frames kept for replay.
    pub(super) fn kept(&self) -> usize {
        self.inner.lock().frames.len()
    }

    /// Assigns the session to a connection; a former connection loses it.
    pub(super) fn attach(&self, connection: u64) -> Option<u64> {
        let mut inner = self.inner.lock();
        inner.detached_ms = None;
        inner.connection.replace(connection)
    }

    /// Records that the connection ended, unless another one has taken over the session.
    pub(super) fn detach(&self, connection: u64, now_ms: u64) {
        let mut inner = self.inner.lock();
        if inner.connection == Some(connection) {
            inner.connection = None;
            inner.detached_ms = Some(now_ms);
        }
    }

    /// Whether this connection has the session.
    pub(super) fn held_by(&self, connection: u64) -> bool {
        self.inner.lock().connection == Some(connection)
    }

    /// Whether any connection has the session.
    pub(super) fn is_connected(&self) -> bool {
        self.inner.lock().connection.is_some()
    }

    /// Whether it can no longer be resumed.
    pub(super) fn has_expired(&self, now_ms: u64) -> bool {
        self.inner
            .lock()
            .detached_ms
            .is_some_and(|since| now_ms >= since + RESUMABLE_MS)
    }
}

/// The events that a load run makes.
fn is_of_a_load(name: &str) -> bool {
    name == "INTERACTION_CREATE" || name.starts_with("GUILD_MEMBER_")
}

impl Inner {
    fn push(&mut self, name: &'static str, subject: Option<Id>, body: Arc<str>, mark: Option<u32>) {
        self.seq += 1;
        self.bytes += body.len();
        self.frames.push_back(Frame {
            seq: self.seq,
            name,
            subject,
            body,
            mark,
        });
        while self.frames.len() > MAX_FRAMES || self.bytes > MAX_BYTES {
            let Some(old) = self.frames.pop_front() else { return };
            self.bytes -= old.body.len();
        }
    }

    fn index_after(&self, sent: u64) -> Option<usize> {
        let first = self.frames.front()?.seq;
        usize::try_from((sent + 1).checked_sub(first)?)
            .ok()
            .filter(|start| *start < self.frames.len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn session() -> Session {
        Session::new("s".into(), [1, 4], Intents::GUILDS, BTreeSet::new())
    }

    fn numbers(next: NextFrames) -> Vec<u64> {
        let NextFrames::Frames(frames) = next else {
            panic!("no frames: {next:?}")
        };
        frames.iter().map(|frame| frame.seq).collect()
    }

    #[test]
    fn session_is_read_from_any_kept_number() {
        let session = session();
        for _ in 0..5 {
            session.push("RESUMED", "{}".into());
        }
        assert_eq!(numbers(session.next(2, 2)), [3, 4]);
        assert!(matches!(session.next(5, 10), NextFrames::IdleConnections));
        assert!(session.can_replay(0));
    }

    #[test]
    fn dropped_frames_cannot_be_replayed() {
        let session = session();
        let large: Arc<str> = "x".repeat(MAX_BYTES / 2 + 1).into();
        for _ in 0..3 {
            session.push("MESSAGE_CREATE", Arc::clone(&large));
        }
        assert!(!session.can_replay(1));
        assert!(session.can_replay(2));
        assert!(matches!(session.next(0, 1), NextFrames::Lost));
    }

    #[test]
    fn the_payload_is_spliced_around_the_shared_body() {
        let frame = Frame {
            seq: 7,
            name: "RESUMED",
            subject: None,
            body: "{\"a\":1}".into(),
            mark: None,
        };
        assert_eq!(frame.payload(), "{\"t\":\"RESUMED\",\"s\":7,\"op\":0,\"d\":{\"a\":1}}");
    }

    #[test]
    fn a_shard_covers_its_servers_and_the_first_covers_what_has_none() {
        let session = session();
        assert!(session.covers(Some(Id(5 << 22))));
        assert!(!session.covers(Some(Id(6 << 22))));
        assert!(!session.covers(None));
    }
}
