//! Rate limits: global, per bucket, without headers, and the count of invalid requests.
//!
//! Owns counting and the numbers of responses; `serve` turns them into headers and bodies. Discord does not publish its bucket
//! limits and may change them at any time, so a client has to read the headers. The emulator's limits are the table
//! [`BucketClass`]. All times are those of the emulator's clock, so that a test can skip a window.
//! <https://discord.com/developers/docs/topics/rate-limits>

use std::{
    collections::{HashMap, VecDeque},
    hash::{DefaultHasher, Hash as _, Hasher as _},
    net::IpAddr,
};

use parking_lot::Mutex;

/// Requests of one token in any second, without interaction endpoints.
pub const GLOBAL_LIMIT: usize = 50;
const GLOBAL_WINDOW_MS: u64 = 1_000;
/// Responses with 401, 403 and 429 (except scope `shared`) to one address in ten minutes, from which on it is banned.
pub const INVALID_LIMIT: usize = 10_000;
const INVALID_WINDOW_MS: u64 = 10 * 60 * 1_000;
/// Time for which the edge refuses a banned address. Discord documents "temporarily".
const BAN_MS: u64 = 10 * 60 * 1_000;
/// Renames and topic changes of one channel in ten minutes; this limit has no headers.
pub const RENAME_LIMIT: usize = 2;
const RENAME_WINDOW_MS: u64 = 10 * 60 * 1_000;
/// New commands of one scope in a day.
pub const COMMAND_CREATE_LIMIT: usize = 200;
/// Number of windows from which on expired ones are removed.
const SWEEP_ABOVE: usize = 4_096;

/// A row of the bucket table: routes of one class share a bucket for each major parameter.
///
/// The numbers are those observed most often at Discord. Windows are fixed and start with the first request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[expect(missing_docs, reason = "the rows are named after their routes")]
pub enum BucketClass {
    Gateway,
    CurrentUser,
    User,
    CurrentUserGuilds,
    CreateDm,
    Application,
    ReadCommands,
    WriteCommands,
    ReadGuild,
    EditGuild,
    ReadRoles,
    CreateRole,
    EditRoles,
    ReadChannels,
    CreateChannel,
    EditChannelPositions,
    EditChannel,
    EditOverwrites,
    ReadMember,
    ListMembers,
    SearchMembers,
    EditMember,
    MemberRole,
    Kick,
    Ban,
    ReadBans,
    BulkBan,
    Emoji,
    Sticker,
    Automod,
    Community,
    ScheduledEvents,
    AuditLog,
    ReadMessages,
    CreateMessage,
    EditMessage,
    DeleteMessage,
    BulkDelete,
    Pin,
    Reaction,
    ReadReactions,
    Crosspost,
    Typing,
    Threads,
    ManageWebhooks,
    ExecuteWebhook,
    WebhookMessage,
}

impl BucketClass {
    /// Requests allowed and the window in milliseconds.
    #[must_use]
    pub const fn rule(self) -> (u32, u64) {
        match self {
            Self::Gateway => (2, 5_000),
            Self::CurrentUser | Self::ReadMessages | Self::ReadBans | Self::AuditLog => (5, 5_000),
            Self::User => (30, 30_000),
            Self::CurrentUserGuilds | Self::BulkDelete | Self::BulkBan => (1, 1_000),
            Self::CreateDm | Self::ListMembers | Self::SearchMembers | Self::Crosspost => (10, 10_000),
            Self::Application | Self::ReadCommands => (10, 10_000),
            Self::WriteCommands => (5, 20_000),
            Self::ReadGuild | Self::ReadRoles | Self::ReadChannels | Self::ReadReactions => (10, 10_000),
            Self::EditGuild => (2, 10_000),
            Self::Automod | Self::Community | Self::ScheduledEvents => (10, 10_000),
            // About 250 in 48 hours.
            Self::CreateRole => (250, 48 * 60 * 60 * 1_000),
            Self::EditRoles | Self::CreateChannel | Self::EditMember | Self::MemberRole => (10, 10_000),
            Self::EditChannelPositions => (2, 5_000),
            Self::EditChannel => (5, 5_000),
            Self::EditOverwrites => (10, 15_000),
            Self::ReadMember | Self::Kick | Self::Ban | Self::DeleteMessage => (5, 1_000),
            Self::Emoji | Self::Sticker => (50, 60_000),
            Self::CreateMessage | Self::EditMessage | Self::Typing | Self::Pin | Self::ManageWebhooks => (5, 5_000),
            Self::Reaction => (1, 250),
            Self::Threads => (10, 10_000),
            Self::ExecuteWebhook | Self::WebhookMessage => (5, 2_000),
        }
    }

    /// Opaque name of the bucket for `X-RateLimit-Bucket`.
    #[must_use]
    pub fn hash(self) -> String {
        let half = |salt: u8| {
            let mut hasher = DefaultHasher::new();
            (salt, self as u8).hash(&mut hasher);
            hasher.finish()
        };
        format!("{:016x}{:016x}", half(1), half(2))
    }
}

/// Key of a window: the class and the major parameter (channel, server, webhook with token).
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct BucketKey {
    /// Row of the table.
    pub class: BucketClass,
    /// Channel, server, or webhook with token; empty without one.
    pub major: String,
}

/// State of a bucket for the headers of a response.
#[derive(Clone, Debug, PartialEq)]
pub struct BucketState {
    /// Requests allowed in a window.
    pub limit: u32,
    /// Requests left in this window.
    pub remaining: u32,
    /// End of the window in Unix milliseconds.
    pub reset_ms: u64,
    /// Milliseconds until the end of the window.
    pub reset_after_ms: u64,
    /// `X-RateLimit-Bucket`.
    pub bucket: String,
}

/// Scope of a 429.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scope {
    /// The caller's limit on this route.
    User,
    /// The caller's global limit of 50 requests a second.
    Global,
    /// A limit of the resource, shared with other callers.
    Shared,
}

impl Scope {
    /// `X-RateLimit-Scope`.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::User => "user",
            Self::Global => "global",
            Self::Shared => "shared",
        }
    }
}

/// A refusal with 429.
#[derive(Clone, Debug, PartialEq)]
pub struct Refusal {
    /// Scope.
    pub scope: Scope,
    /// Milliseconds to wait.
    pub retry_after_ms: u64,
    /// State of the bucket, when its limit was exceeded.
    pub bucket: Option<BucketState>,
}

/// All counters, behind one lock that is held for a few map operations.
#[derive(Debug, Default)]
pub struct Limits {
    inner: Mutex<Inner>,
}

#[derive(Debug, Default)]
struct Inner {
    global: HashMap<String, VecDeque<u64>>,
    windows: HashMap<BucketKey, Window>,
    sweep_at: usize,
    renames: HashMap<u64, VecDeque<u64>>,
    command_creates: HashMap<u64, VecDeque<u64>>,
    invalid: HashMap<IpAddr, VecDeque<u64>>,
    banned_until: HashMap<IpAddr, u64>,
}

#[derive(Clone, Copy, Debug)]
struct Window {
    ends_ms: u64,
    used: u32,
}

impl Limits {
    /// Counts a request towards the caller's global limit.
    ///
    /// The window slides, which is the strictest reading of "50 requests per second": a client that stays within it stays
    /// within Discord's limit. Refused requests are not counted.
    ///
    /// # Errors
    /// A refusal of scope global.
    pub fn take_global(&self, caller: &str, now_ms: u64) -> Result<(), Refusal> {
        let mut inner = self.inner.lock();
        let taken = inner.global.entry(caller.to_owned()).or_default();
        match slide(taken, GLOBAL_LIMIT, GLOBAL_WINDOW_MS, now_ms) {
            Ok(()) => Ok(()),
            Err(retry_after_ms) => Err(Refusal {
                scope: Scope::Global,
                retry_after_ms,
                bucket: None,
            }),
        }
    }

    /// Counts a request towards its bucket.
    ///
    /// # Errors
    /// A refusal of scope user, when no requests are left in the window.
    pub fn take_bucket(&self, key: BucketKey, now_ms: u64) -> Result<BucketState, Refusal> {
        let (limit, window_ms) = key.class.rule();
        let bucket = key.class.hash();
        let mut inner = self.inner.lock();
        if inner.windows.len() >= inner.sweep_at.max(SWEEP_ABOVE) {
            inner.windows.retain(|_, window| window.ends_ms > now_ms);
            // Twice the number of current windows, so that the cost of the sweep stays low for each request.
            inner.sweep_at = inner.windows.len() * 2;
        }
        let fresh = Window {
            ends_ms: now_ms + window_ms,
            used: 0,
        };
        let window = inner.windows.entry(key).or_insert(fresh);
        if window.ends_ms <= now_ms {
            *window = fresh;
        }
        let allowed = window.used < limit;
        if allowed {
            window.used += 1;
        }
        let state = BucketState {
            limit,
            remaining: limit - window.used,
            reset_ms: window.ends_ms,
            reset_after_ms: window.ends_ms - now_ms,
            bucket,
        };
        if allowed {
            return Ok(state);
        }
        Err(Refusal {
            scope: Scope::User,
            retry_after_ms: state.reset_after_ms,
            bucket: Some(state),
        })
    }

    /// Counts a rename or topic change of a channel: two in ten minutes, without headers.
    ///
    /// # Errors
    /// A refusal of scope user.
    pub fn take_rename(&self, channel: u64, now_ms: u64) -> Result<(), Refusal> {
        let mut inner = self.inner.lock();
        let taken = inner.renames.entry(channel).or_default();
        slide(taken, RENAME_LIMIT, RENAME_WINDOW_MS, now_ms).map_err(|retry_after_ms| Refusal {
            scope: Scope::User,
            retry_after_ms,
            bucket: None,
        })
    }

    /// Counts the registration of a new command in one scope (a server, or 0): 200 in a day.
    ///
    /// # Errors
    /// A refusal of scope user.
    pub fn take_command_create(&self, scope: u64, now_ms: u64) -> Result<(), Refusal> {
        let mut inner = self.inner.lock();
        let taken = inner.command_creates.entry(scope).or_default();
        slide(taken, COMMAND_CREATE_LIMIT, 24 * 60 * 60 * 1_000, now_ms).map_err(|retry_after_ms| Refusal {
            scope: Scope::User,
            retry_after_ms,
            bucket: None,
        })
    }

    /// Counts an invalid request, and bans the address when there are too many.
    pub fn count_invalid(&self, address: IpAddr, now_ms: u64) {
        let mut inner = self.inner.lock();
        let counted = inner.invalid.entry(address).or_default();
        counted.push_back(now_ms);
        remove_older(counted, INVALID_WINDOW_MS, now_ms);
        if counted.len() >= INVALID_LIMIT {
            counted.clear();
            inner.banned_until.insert(address, now_ms + BAN_MS);
        }
    }

    /// Invalid requests of this address in the last ten minutes.
    #[must_use]
    pub fn invalid_count(&self, address: IpAddr, now_ms: u64) -> usize {
        let mut inner = self.inner.lock();
        inner.invalid.get_mut(&address).map_or(0, |counted| {
            remove_older(counted, INVALID_WINDOW_MS, now_ms);
            counted.len()
        })
    }

    /// Milliseconds for which the edge still refuses this address; `None` when it is not banned.
    #[must_use]
    pub fn banned_for(&self, address: IpAddr, now_ms: u64) -> Option<u64> {
        let mut inner = self.inner.lock();
        let until = *inner.banned_until.get(&address)?;
        if until > now_ms {
            return Some(until - now_ms);
        }
        inner.banned_until.remove(&address);
        None
    }
}

/// Counts a request in a sliding window, or returns the milliseconds until one is allowed.
fn slide(taken: &mut VecDeque<u64>, limit: usize, window_ms: u64, now_ms: u64) -> Result<(), u64> {
    remove_older(taken, window_ms, now_ms);
    match taken.front() {
        Some(oldest) if taken.len() >= limit => Err(oldest + window_ms - now_ms),
        _ => {
            taken.push_back(now_ms);
            Ok(())
        }
    }
}

fn remove_older(taken: &mut VecDeque<u64>, window_ms: u64, now_ms: u64) {
    while taken.front().is_some_and(|at| at + window_ms <= now_ms) {
        taken.pop_front();
    }
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use super::*;

    fn key(class: BucketClass, major: &str) -> BucketKey {
        BucketKey {
            class,
            major: major.to_owned(),
        }
    }

    #[test]
    fn no_window_of_a_second_holds_more_than_fifty() {
        let limits = Limits::default();
        let passed: Vec<u64> = (0..3_000)
            .filter(|ms| limits.take_global("token", *ms).is_ok())
            .collect();
        for (index, start) in passed.iter().enumerate() {
            let within = passed[index..].iter().take_while(|at| **at < start + 1_000).count();
            assert!(within <= GLOBAL_LIMIT, "{within} from {start}");
        }
        assert_eq!(passed.len(), 150);
        assert!(limits.take_global("other token", 2_999).is_ok());
    }

    #[test]
    fn refusal_has_the_exact_waiting_time() {
        let limits = Limits::default();
        for _ in 0..50 {
            limits.take_global("token", 10).unwrap();
        }
        let refusal = limits.take_global("token", 500).unwrap_err();
        assert_eq!((refusal.scope, refusal.retry_after_ms), (Scope::Global, 510));
        assert!(limits.take_global("token", 1_009).is_err());
        assert!(limits.take_global("token", 1_010).is_ok());
    }

    #[test]
    fn buckets_count_by_major_parameter_and_renew() {
        let limits = Limits::default();
        let (limit, window) = BucketClass::CreateMessage.rule();
        for used in 1..=limit {
            let state = limits.take_bucket(key(BucketClass::CreateMessage, "1"), 100).unwrap();
            assert_eq!((state.remaining, state.reset_ms), (limit - used, 100 + window));
        }
        let refusal = limits
            .take_bucket(key(BucketClass::CreateMessage, "1"), 200)
            .unwrap_err();
        assert_eq!((refusal.scope, refusal.retry_after_ms), (Scope::User, window - 100));
        assert_eq!(refusal.bucket.unwrap().remaining, 0);
        assert!(limits.take_bucket(key(BucketClass::CreateMessage, "2"), 200).is_ok());
        assert!(
            limits
                .take_bucket(key(BucketClass::CreateMessage, "1"), 100 + window)
                .is_ok()
        );
    }

    #[test]
    fn expired_windows_are_removed() {
        let limits = Limits::default();
        for index in 0..20_000_u64 {
            let key = key(BucketClass::BulkDelete, &index.to_string());
            limits.take_bucket(key, index).unwrap();
        }
        // A window lasts a second, so about a thousand are current at any time.
        assert!(limits.inner.lock().windows.len() <= SWEEP_ABOVE);
    }

    #[test]
    fn bucket_names_differ_by_class_only() {
        assert_eq!(BucketClass::Ban.hash(), BucketClass::Ban.hash());
        assert_ne!(BucketClass::Ban.hash(), BucketClass::Kick.hash());
        assert_eq!(BucketClass::Ban.hash().len(), 32);
    }

    #[test]
    fn many_invalid_answers_ban_the_address_for_a_while() {
        let limits = Limits::default();
        let address = IpAddr::V4(Ipv4Addr::LOCALHOST);
        for _ in 1..INVALID_LIMIT {
            limits.count_invalid(address, 0);
        }
        assert_eq!(limits.banned_for(address, 1), None);
        // The window slides: what is older than ten minutes does not count.
        limits.count_invalid(address, INVALID_WINDOW_MS);
        assert_eq!(limits.invalid_count(address, INVALID_WINDOW_MS), 1);
        for _ in 1..INVALID_LIMIT {
            limits.count_invalid(address, INVALID_WINDOW_MS);
        }
        assert_eq!(limits.banned_for(address, INVALID_WINDOW_MS + 1), Some(BAN_MS - 1));
        assert_eq!(limits.banned_for(address, INVALID_WINDOW_MS + BAN_MS), None);
    }

    #[test]
    fn a_channel_is_renamed_twice_in_ten_minutes() {
        let limits = Limits::default();
        assert!(limits.take_rename(1, 0).is_ok() && limits.take_rename(1, 1_000).is_ok());
        assert_eq!(
            limits.take_rename(1, 2_000).unwrap_err().retry_after_ms,
            RENAME_WINDOW_MS - 2_000
        );
        assert!(limits.take_rename(2, 2_000).is_ok());
        assert!(limits.take_rename(1, RENAME_WINDOW_MS).is_ok());
    }
}
