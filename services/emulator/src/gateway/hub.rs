//! Gives dispatches to sessions, and commands to connections.

use std::{
    collections::{BTreeMap, HashMap},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use arrakis_emulator_client::{SessionReport, SessionStartLimit};
use parking_lot::Mutex;
use tokio::sync::mpsc::UnboundedSender;

use super::{
    limits::{IdentifyResult, StartLimits},
    session::Session,
};
use crate::{
    clock::Clock,
    model::{Id, Intents},
    traffic::Traffic,
    world::{Dispatch, State, Subscribers},
};

/// All sessions and connections of the emulated gateway.
///
/// Locks are taken in this order: world, sessions, one session. Connections have a lock of their own, taken alone.
#[derive(Debug)]
pub struct Hub {
    clock: Clock,
    traffic: Arc<Traffic>,
    sessions: Mutex<HashMap<Arc<str>, Arc<Session>>>,
    connections: Mutex<BTreeMap<u64, RegisteredConnection>>,
    next_connection: AtomicU64,
    limits: Mutex<StartLimits>,
    /// When all members of a server were last requested, Unix milliseconds.
    all_members: Mutex<HashMap<Id, u64>>,
}

/// Milliseconds between two requests for all members of one server.
/// <https://discord.com/developers/docs/change-log#introducing-rate-limit-when-requesting-all-guild-members>
const ALL_MEMBERS_MS: u64 = 30_000;

/// A registered connection.
#[derive(Debug)]
struct RegisteredConnection {
    commands: UnboundedSender<ConnectionCommand>,
    session: Option<Arc<Session>>,
}

/// A command of the control API to a connection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ConnectionCommand {
    /// End the TCP connection without a close frame.
    Drop,
    /// Keep the socket, and neither read nor write any more.
    HalfOpen,
    /// Send op 7.
    Reconnect,
    /// Send op 9.
    Invalidate {
        /// Its `d`.
        resumable: bool,
    },
    /// Send a close frame with this code.
    Close(u16),
    /// Send op 1, which the client answers with a heartbeat.
    Heartbeat,
    /// Send this text as one frame, without validation.
    Send(String),
}

/// Selects connections; `None` matches all.
#[derive(Clone, Debug, Default)]
pub struct ConnectionFilter {
    /// Shard number.
    pub shard: Option<u64>,
    /// Session id.
    pub session: Option<String>,
}

impl Hub {
    /// A gateway without sessions.
    #[must_use]
    pub fn new(clock: Clock, traffic: Arc<Traffic>, session_start_limit: u32, max_concurrency: u32) -> Self {
        Self {
            clock,
            traffic,
            sessions: Mutex::default(),
            connections: Mutex::default(),
            next_connection: AtomicU64::new(1),
            limits: Mutex::new(StartLimits::new(session_start_limit, max_concurrency)),
            all_members: Mutex::default(),
        }
    }

    /// `session_start_limit` of `GET /gateway/bot`.
    #[must_use]
    pub fn session_start_limit(&self, clock: &Clock) -> SessionStartLimit {
        self.limits.lock().report(clock.now_ms())
    }

    /// Changes the limits on identifying; `None` leaves one as it is.
    pub fn set_limits(&self, total: Option<u32>, remaining: Option<u32>, max_concurrency: Option<u32>) {
        self.limits.lock().set(total, remaining, max_concurrency);
    }

    /// Counts an identify.
    pub(super) fn identify(&self, shard: u64) -> IdentifyResult {
        self.limits.lock().identify(shard, self.clock.now_ms())
    }

    /// Counts a request for all members of a server.
    ///
    /// # Errors
    /// Milliseconds until the next request is allowed.
    pub(super) fn take_all_members(&self, guild: Id) -> Result<(), u64> {
        let now = self.clock.now_ms();
        let mut asked = self.all_members.lock();
        asked.retain(|_, at| *at + ALL_MEMBERS_MS > now);
        match asked.get(&guild) {
            Some(at) => Err(*at + ALL_MEMBERS_MS - now),
            None => {
                asked.insert(guild, now);
                Ok(())
            }
        }
    }

    /// Adds a session, which receives every dispatch from now on. Called under the world's lock.
    pub(super) fn add_session(&self, session: Arc<Session>) {
        self.sessions.lock().insert(Arc::clone(&session.id), session);
    }

    /// A session that can be resumed.
    pub(super) fn session(&self, id: &str) -> Option<Arc<Session>> {
        let now = self.clock.now_ms();
        let mut sessions = self.sessions.lock();
        if sessions.get(id)?.has_expired(now) {
            sessions.remove(id);
        }
        sessions.get(id).cloned()
    }

    /// Removes a session, which cannot be resumed any more.
    pub(super) fn remove_session(&self, id: &str) {
        self.sessions.lock().remove(id);
    }

    /// Registers a connection.
    pub(super) fn open(&self, commands: UnboundedSender<ConnectionCommand>) -> u64 {
        let id = self.next_connection.fetch_add(1, Ordering::Relaxed);
        self.connections.lock().insert(
            id,
            RegisteredConnection {
                commands,
                session: None,
            },
        );
        id
    }

    /// Records which session a connection has.
    pub(super) fn set_session(&self, connection: u64, session: Option<Arc<Session>>) {
        if let Some(connected) = self.connections.lock().get_mut(&connection) {
            connected.session = session;
        }
    }

    /// Removes a connection.
    pub(super) fn closed(&self, connection: u64) {
        self.connections.lock().remove(&connection);
    }

    /// Sends a command to one connection.
    pub(super) fn command_connection(&self, connection: u64, command: ConnectionCommand) {
        if let Some(connected) = self.connections.lock().get(&connection) {
            let _ = connected.commands.send(command);
        }
    }

    /// Sends a command to all matching connections that have a session, and returns their number.
    pub fn command(&self, filter: &ConnectionFilter, command: &ConnectionCommand) -> usize {
        let connections = self.connections.lock();
        let matching = connections.values().filter(|connected| {
            connected.session.as_ref().is_some_and(|session| {
                filter.shard.is_none_or(|shard| session.shard[0] == shard)
                    && filter.session.as_ref().is_none_or(|id| **id == *session.id)
            })
        });
        matching
            .filter(|connected| connected.commands.send(command.clone()).is_ok())
            .count()
    }

    /// Ends all sessions and closes all connections with this code.
    pub(super) fn end_all(&self, code: u16) {
        self.sessions.lock().clear();
        for connected in self.connections.lock().values() {
            let _ = connected.commands.send(ConnectionCommand::Close(code));
        }
    }

    /// All sessions, connected or resumable.
    #[must_use]
    pub fn sessions(&self) -> Vec<SessionReport> {
        let report = |session: &Arc<Session>| SessionReport {
            id: session.id.to_string(),
            shard: session.shard,
            intents: session.intents.bits(),
            seq: session.seq(),
            kept: session.kept(),
            connected: session.is_connected(),
        };
        let now = self.clock.now_ms();
        let mut sessions = self.sessions.lock();
        sessions.retain(|_, session| !session.has_expired(now));
        let mut all: Vec<_> = sessions.values().map(report).collect();
        all.sort_by(|a, b| (a.shard, &a.id).cmp(&(b.shard, &b.id)));
        all
    }

    /// Open connections, identified or not.
    #[must_use]
    pub fn connections(&self) -> usize {
        self.connections.lock().len()
    }
}

impl Subscribers for Hub {
    fn publish(&self, state: &State, dispatch: &Dispatch) {
        let now = self.clock.now_ms();
        self.traffic.count(|stats| stats.emitted(dispatch.name));
        self.sessions.lock().retain(|_, session| {
            let alive = !session.has_expired(now);
            if alive {
                session.offer(state, dispatch);
            }
            alive
        });
    }

    fn intents(&self) -> Option<Intents> {
        self.sessions
            .lock()
            .values()
            .map(|session| session.intents)
            .reduce(Intents::union)
    }
}
