//! The kill switch and the freezes of communities at this replica: checked for every call, from memory.
//!
//! Entries come from two sources that do not depend on each other. Workers and the api write them here directly
//! (`kill_switch_endpoint.rs`), with a credential. Every replica also reads them from Redis. `KILL_SWITCH_FILE` keeps them over a restart. An entry
//! from Redis or from the file can only turn a switch on: who can write there must not be able to turn the kill switch off.
//!
//! With a credential, writes are sent only while Redis or a worker has confirmed the state (`confirmation.rs`).
//!
//! The kill switch refuses every call that is not a read, first responses and webhooks included. An attempt in flight has
//! [`IN_FLIGHT_GRACE`] to be answered; then its connection is closed, so that a slow upload or a slow connect cannot complete later.

use std::collections::HashMap;
use std::future::poll_fn;
use std::path::PathBuf;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::Poll;
use std::time::Duration;

use arrakis_contracts::proxy::ProxyError;
use arrakis_discord_http::Response;
use arrakis_runtime::{HealthComponent, fail_point};
use arrakis_security::kill_switch::{KillSwitch, KillSwitchScope, KillSwitchState, TEARDOWN};
use http::Method;
use parking_lot::{Mutex, RwLock};
use prometheus::IntGauge;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use crate::call::Call;
use crate::confirmation::{Confirmation, MAX_AGE};
use crate::kill_switch_file::KillSwitchFile;
use crate::redis::Redis;
use crate::refusal::Refusal;
use crate::resource_servers::{Owner, Resource, ResourceServers};
use crate::token::rfc3339;

/// How long an attempt in flight may continue after the kill switch was turned on.
const IN_FLIGHT_GRACE: Duration = Duration::from_secs(2);
/// Interval at which Redis is read. With the query's limit and the grace of attempts in flight it is well within the five seconds in
/// which the kill switch takes effect.
const POLL_INTERVAL: Duration = Duration::from_millis(500);
/// The caller that tears servers down.
const GAIB: &str = "gaib";
/// How long a caller waits before it repeats a call to a frozen community.
const FROZEN_RETRY: Duration = Duration::from_secs(60);
/// How long a caller waits before it repeats a call that was refused since the state is not confirmed, or a server not known.
const SOON: Duration = Duration::from_secs(1);

/// Gauges of the kill switch.
#[derive(Debug, Clone)]
pub(crate) struct KillSwitchGauges {
    /// 1 while the kill switch is on.
    pub(crate) is_on: IntGauge,
    /// Communities that are frozen.
    pub(crate) frozen: IntGauge,
}

/// The switches at this replica.
#[derive(Debug)]
pub(crate) struct KillSwitches {
    state: RwLock<KillSwitchState>,
    /// Counts changes.
    changes: watch::Sender<u64>,
    file: Option<KillSwitchFile>,
    /// Held while the file and `/health` are written, so that an older state does not replace a newer one.
    writing: tokio::sync::Mutex<()>,
    /// Why the file was not written last.
    file_error: Mutex<Option<String>>,
    health: HealthComponent,
    gauges: KillSwitchGauges,
    /// `None` without a credential: no worker could confirm the state, and Redis alone turns a switch on.
    confirmation: Option<Confirmation>,
    /// Whether the state was confirmed when `/health` was written.
    was_confirmed: AtomicBool,
    /// The servers of channels and webhooks.
    owners: ResourceServers,
}

impl KillSwitches {
    /// The switches that are on in the file; without a file all are off.
    ///
    /// # Errors
    /// When the file exists and cannot be read, or has a version that no change makes: whether the kill switch is on is unknown then.
    pub(crate) fn open(
        file: Option<PathBuf>,
        has_credential: bool,
        health: HealthComponent,
        gauges: KillSwitchGauges,
    ) -> Result<Arc<Self>, String> {
        let file = file.map(KillSwitchFile::new);
        let mut state = KillSwitchState::default();
        if let Some(file) = &file {
            // An end of the file does not count: a worker, which reads every replica, would take it for one of the endpoint.
            for entry in Vec::<KillSwitch>::from(file.read()?) {
                if !entry.is_plausible() {
                    return Err(format!(
                        "the entry of {} has the version {}, which is far in the future; where the kill switch is off, remove the file",
                        entry.scope, entry.version
                    ));
                }
                state.apply_if_on(entry);
            }
        }
        let switches = Self {
            state: RwLock::new(state),
            changes: watch::Sender::new(0),
            file,
            writing: tokio::sync::Mutex::default(),
            file_error: Mutex::default(),
            health,
            gauges,
            confirmation: has_credential.then(Confirmation::new),
            was_confirmed: AtomicBool::new(false),
            owners: ResourceServers::default(),
        };
        switches.report();
        Ok(Arc::new(switches))
    }

    /// The entries.
    pub(crate) fn state(&self) -> KillSwitchState {
        self.state.read().clone()
    }

    /// Stores entries of the endpoint, which may turn a switch off. Returns whether the file has them; true without a file.
    pub(crate) async fn apply(&self, entries: KillSwitchState) -> bool {
        let entries = Vec::from(entries);
        self.merge(entries, KillSwitchState::apply).await
    }

    /// The token of a read of the state that begins now; `None` without a credential.
    pub(crate) fn read_token(&self) -> Option<String> {
        self.confirmation.as_ref().map(Confirmation::token)
    }

    /// Records that whoever received this token confirms the state.
    pub(crate) fn confirm_by(&self, token: &str) {
        if let Some(confirmation) = &self.confirmation {
            confirmation.confirm_by(token);
            self.report_confirmation();
        }
    }

    /// Whether the state was confirmed a short time ago.
    fn is_confirmed(&self) -> bool {
        let confirmation = self.confirmation.as_ref();
        confirmation.is_none_or(Confirmation::is_recent) || fail_point::skips("proxy.guard.confirmation")
    }

    /// Updates `/health` when writes begin or cease to be refused.
    fn report_confirmation(&self) {
        if self.was_confirmed.load(Ordering::Relaxed) != self.is_confirmed() {
            self.report();
        }
    }

    /// Stores entries of Redis, which may not turn a switch off.
    async fn apply_if_on(&self, entries: Vec<KillSwitch>) {
        self.merge(entries, KillSwitchState::apply_if_on).await;
    }

    async fn merge(&self, entries: Vec<KillSwitch>, apply: fn(&mut KillSwitchState, KillSwitch) -> bool) -> bool {
        let mut changed = false;
        {
            let mut state = self.state.write();
            for entry in entries {
                let (scope, is_on, version) = (entry.scope, entry.is_on, entry.version);
                if apply(&mut state, entry) {
                    changed = true;
                    tracing::warn!(%scope, is_on, version, "the kill switch of a scope was changed");
                }
            }
        }
        if !changed {
            return self.file_error.lock().is_none();
        }
        // Calls are refused from here on; the file follows.
        self.changes.send_modify(|changes| *changes += 1);
        let _writing = self.writing.lock().await;
        let is_stored = self.store().await;
        self.report();
        is_stored
    }

    async fn store(&self) -> bool {
        let Some(file) = &self.file else { return true };
        let (file, state) = (file.clone(), self.state());
        let written = tokio::task::spawn_blocking(move || file.write(&state)).await;
        let error = match written {
            Ok(Ok(())) => None,
            Ok(Err(error)) => Some(error),
            Err(error) => Some(error.to_string()),
        };
        if let Some(error) = &error {
            tracing::error!(
                error,
                "the state of the kill switch cannot be stored in KILL_SWITCH_FILE"
            );
        }
        let is_stored = error.is_none();
        *self.file_error.lock() = error;
        is_stored
    }

    fn report(&self) {
        let (state, is_confirmed) = (self.state(), self.is_confirmed());
        self.was_confirmed.store(is_confirmed, Ordering::Relaxed);
        let is_on = state.is_on(KillSwitchScope::Platform);
        self.gauges.is_on.set(i64::from(is_on));
        self.gauges
            .frozen
            .set(i64::try_from(state.frozen()).unwrap_or(i64::MAX));
        if let Some(switch) = state.get(KillSwitchScope::Platform).filter(|_| is_on) {
            return self.health.degraded(format!(
                "the kill switch is on since {}, by {} ({}): no write is sent to Discord; `arrakis-worker kill-switch off` turns it off",
                rfc3339(switch.version),
                switch.by,
                switch.reason
            ));
        }
        if !is_confirmed {
            return self.health.degraded(format!(
                "for more than {} s neither Redis nor a worker has confirmed that the kill switch is off: no write is sent to Discord",
                MAX_AGE.as_secs()
            ));
        }
        if let Some(error) = &*self.file_error.lock() {
            return self
                .health
                .degraded(format!("KILL_SWITCH_FILE cannot be written: {error}"));
        }
        match self.confirmation.is_some() {
            true => self.health.up(),
            false => self
                .health
                .up_with("KILL_SWITCH_CREDENTIAL is not set: only an entry in Redis turns the kill switch on"),
        }
    }

    /// Refuses a call that the kill switch or a freeze stops.
    ///
    /// # Errors
    /// Why the call may not be sent.
    pub(crate) fn check(&self, call: &Call) -> Result<(), Refusal> {
        if is_read(&call.method) || fail_point::skips("proxy.guard.kill_switch") {
            return Ok(());
        }
        let state = self.state.read();
        if state.is_on(KillSwitchScope::Platform) {
            return Err(Refusal::new(
                ProxyError::KillSwitch,
                "the kill switch is on: no write is sent to Discord until an operator turns it off",
            ));
        }
        if !self.is_confirmed() {
            let message = format!(
                "for more than {} s neither Redis nor a worker has confirmed that the kill switch is off: no write is sent to Discord",
                MAX_AGE.as_secs()
            );
            return Err(Refusal::new(ProxyError::KillSwitch, message).retry_after(SOON));
        }
        if !state.has_frozen() || !is_stopped_by_freeze(call.route.class) {
            return Ok(());
        }
        let server = match (call.route.guild, call.route.resource) {
            (Some(server), _) => Some(server),
            (None, Some(resource)) => match self.owners.owner(resource) {
                Some(Owner::Server(server)) => Some(server),
                Some(Owner::NoServer) => None,
                None => {
                    let message = "a community is frozen, and Discord did not state to which server the channel or webhook belongs";
                    return Err(frozen(message).retry_after(SOON));
                }
            },
            (None, None) => {
                return Err(frozen(
                    "a community is frozen, and the path does not state the server of the call: it may be of that community",
                ));
            }
        };
        // The tenant that the caller states may stop the call, and not pass it.
        let mut known = [server, call.tenant.parse::<u64>().ok()].into_iter().flatten();
        let is_stopped = |server| {
            let switch = state.get(KillSwitchScope::Community(server));
            switch.is_some_and(|switch| switch.is_on && !(switch.reason == TEARDOWN && call.caller.name == GAIB))
        };
        if known.any(is_stopped) {
            return Err(frozen(
                "the community is frozen: its roles and the structure of its server are not changed; the call may be repeated when the \
                 freeze has ended",
            ));
        }
        Ok(())
    }

    /// The channel or webhook of a call that a freeze may stop, if its server is not known.
    pub(crate) fn unknown_resource(&self, call: &Call) -> Option<Resource> {
        if is_read(&call.method) || call.route.guild.is_some() || !is_stopped_by_freeze(call.route.class) {
            return None;
        }
        let resource = call
            .route
            .resource
            .filter(|resource| self.owners.owner(*resource).is_none())?;
        let state = self.state.read();
        // The kill switch refuses the call anyway.
        (state.has_frozen() && !state.is_on(KillSwitchScope::Platform)).then_some(resource)
    }

    /// Records Discord's response to a GET of a channel or webhook.
    pub(crate) fn record_owner(&self, resource: Resource, response: &Response) {
        self.owners.record(resource, response);
    }

    /// Returns when an attempt at `call` must end: the kill switch was turned on, and [`IN_FLIGHT_GRACE`] is over; or the state is not confirmed any
    /// more. Never for a read.
    pub(crate) async fn must_end(&self, call: &Call) {
        if is_read(&call.method) || fail_point::skips("proxy.guard.kill_switch") {
            return std::future::pending().await;
        }
        let mut turned_on = pin!(self.is_over());
        let mut unconfirmed = pin!(self.is_unconfirmed());
        poll_fn(|context| {
            // Checked at each poll, and not only by the timer: after a pause of the process the attempt must not continue before the timer fires.
            let has_ended = !self.is_confirmed()
                || unconfirmed.as_mut().poll(context).is_ready()
                || turned_on.as_mut().poll(context).is_ready();
            if has_ended { Poll::Ready(()) } else { Poll::Pending }
        })
        .await;
    }

    /// Returns [`IN_FLIGHT_GRACE`] after the kill switch was turned on.
    async fn is_over(&self) {
        let mut changes = self.changes.subscribe();
        loop {
            if self.state.read().is_on(KillSwitchScope::Platform) {
                tokio::time::sleep(IN_FLIGHT_GRACE).await;
                return;
            }
            // The sender lives as long as `self`.
            if changes.changed().await.is_err() {
                return std::future::pending().await;
            }
        }
    }

    /// Returns when the last confirmation is too old. Never without a credential.
    async fn is_unconfirmed(&self) {
        let Some(confirmation) = &self.confirmation else {
            return std::future::pending().await;
        };
        while self.is_confirmed() {
            // A little later than the end, at which the confirmation still counts.
            let remaining = confirmation.remaining().max(Duration::from_millis(1));
            tokio::time::sleep(remaining + Duration::from_millis(1)).await;
        }
    }

    /// Reads Redis at intervals until `stop`.
    pub(crate) async fn poll(self: Arc<Self>, redis: Redis, stop: CancellationToken) {
        let mut is_unreadable = false;
        while !stop.is_cancelled() {
            match self.read_redis(&redis).await {
                Ok(()) => is_unreadable = false,
                Err(error) if !is_unreadable => {
                    is_unreadable = true;
                    tracing::warn!(error, "the kill switch cannot be read from Redis; the last state stays");
                }
                Err(_) => {}
            }
            self.report_confirmation();
            tokio::select! {
                () = tokio::time::sleep(POLL_INTERVAL) => {}
                () = stop.cancelled() => {}
            }
        }
    }

    /// Reads Redis once.
    ///
    /// # Errors
    /// Redis is unavailable, or an entry is not readable; the readable entries are stored.
    pub(crate) async fn read_redis(&self, redis: &Redis) -> Result<(), String> {
        let begun = self.confirmation.as_ref().map(Confirmation::now);
        let stored = redis.kill_switches().await.map_err(|error| error.to_string())?;
        let (mut entries, unreadable) = decode(&stored);
        if self.confirmation.is_none() {
            // Without a credential no worker could end a freeze here.
            entries.retain(|entry| entry.scope == KillSwitchScope::Platform);
        }
        self.apply_if_on(entries).await;
        match unreadable.first() {
            Some(scope) => Err(format!(
                "the entry of {scope} is not one of this build, or its version is far in the future"
            )),
            None => {
                if let (Some(confirmation), Some(begun)) = (&self.confirmation, begun) {
                    confirmation.confirm(begun);
                }
                Ok(())
            }
        }
    }
}

/// The readable entries of Redis, and the fields of the others.
fn decode(stored: &HashMap<Vec<u8>, Vec<u8>>) -> (Vec<KillSwitch>, Vec<String>) {
    let (mut entries, mut unreadable) = (Vec::new(), Vec::new());
    for (scope, json) in stored {
        match KillSwitch::of_field(scope, json) {
            Some(entry) => entries.push(entry),
            None => unreadable.push(String::from_utf8_lossy(scope).escape_debug().to_string()),
        }
    }
    (entries, unreadable)
}

fn frozen(message: &str) -> Refusal {
    Refusal::new(ProxyError::Frozen, message).retry_after(FROZEN_RETRY)
}

fn is_read(method: &Method) -> bool {
    matches!(*method, Method::GET | Method::HEAD)
}

/// Whether a freeze stops writes of this route class (`route.rs`). Messages, replies to interactions, direct messages and the bot's own commands
/// pass; everything else of a server is a role change or a structural one.
fn is_stopped_by_freeze(class: &str) -> bool {
    !matches!(
        class,
        "interaction-callback"
            | "webhook-token"
            | "channel-messages"
            | "users"
            | "commands"
            | "applications"
            | "gateway"
    )
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use arrakis_runtime::Runtime;
    use arrakis_test_support::MERGE_CASES;
    use bytes::Bytes;
    use http::HeaderMap;

    use super::*;
    use crate::call::{CallOptions, CallParts};
    use crate::callers::Caller;
    use crate::route::{CallRoute, segments};

    fn switches(file: Option<PathBuf>) -> Arc<KillSwitches> {
        open(file).unwrap()
    }

    fn open(file: Option<PathBuf>) -> Result<Arc<KillSwitches>, String> {
        let runtime = Runtime::for_test(arrakis_config::Service::DiscordProxy);
        let gauges = KillSwitchGauges {
            is_on: runtime.metrics.gauge("is_on", "x"),
            frozen: runtime.metrics.gauge("frozen", "x"),
        };
        let switches = KillSwitches::open(file, true, runtime.health.component("kill_switch"), gauges)?;
        let token = switches.read_token().unwrap();
        switches.confirm_by(&token);
        Ok(switches)
    }

    fn entry(scope: KillSwitchScope, is_on: bool, version: u64) -> KillSwitch {
        KillSwitch {
            scope,
            is_on,
            version,
            by: "stilgar".to_owned(),
            reason: "a drill".to_owned(),
        }
    }

    fn call(method: Method, path: &str, tenant: Option<&str>) -> Call {
        let full = format!("/api/v10{path}");
        let route = CallRoute::of(&method, &segments(&full).unwrap());
        let headers = HeaderMap::new();
        let parts = CallParts {
            method,
            path_and_query: path.to_owned(),
            route,
            headers: &headers,
            body: Bytes::new(),
            arrived: Instant::now(),
            max_wait: Duration::from_secs(1),
        };
        let options = CallOptions {
            tenant: tenant.map(str::to_owned),
            ..CallOptions::default()
        };
        Call::new(Arc::new(Caller::proxy()), parts, options)
    }

    fn refusal(switches: &KillSwitches, method: Method, path: &str, tenant: Option<&str>) -> Option<ProxyError> {
        let call = call(method, path, tenant);
        switches.check(&call).err().map(|refusal| refusal.error)
    }

    #[tokio::test]
    async fn kill_switch_refuses_every_write_and_no_read() {
        let switches = switches(None);
        switches
            .apply(vec![entry(KillSwitchScope::Platform, true, 1)].into())
            .await;
        for (method, path) in [
            (Method::POST, "/interactions/1/token/callback"),
            (Method::PATCH, "/webhooks/1/token/messages/@original"),
            (Method::POST, "/channels/1/messages"),
            (Method::PUT, "/guilds/1/members/2/roles/3"),
            (Method::DELETE, "/channels/1"),
            (Method::PUT, "/applications/1/commands"),
            (Method::POST, "/users/@me/channels"),
        ] {
            assert_eq!(
                refusal(&switches, method, path, None),
                Some(ProxyError::KillSwitch),
                "{path}"
            );
        }
        assert_eq!(refusal(&switches, Method::GET, "/guilds/1/members", None), None);
    }

    #[tokio::test]
    async fn freeze_refuses_roles_and_structure_of_its_server_only() {
        let switches = switches(None);
        switches
            .apply(vec![entry(KillSwitchScope::Community(7), true, 1)].into())
            .await;
        let frozen = Some(ProxyError::Frozen);
        for (resource, body) in [
            (Resource::Channel(1), r#"{"guild_id":"7"}"#),
            (Resource::Channel(2), r#"{"guild_id":"8"}"#),
            (Resource::Channel(3), "{}"),
            (Resource::Webhook(1), r#"{"guild_id":"7"}"#),
        ] {
            let response = Response {
                status: http::StatusCode::OK,
                headers: HeaderMap::new(),
                body: Bytes::from_static(body.as_bytes()),
            };
            switches.record_owner(resource, &response);
        }
        for (method, path, tenant, wanted) in [
            (Method::PUT, "/guilds/7/members/2/roles/3", None, frozen),
            (Method::PUT, "/guilds/8/members/2/roles/3", None, None),
            // The tenant does not replace the server of the path.
            (Method::PUT, "/guilds/7/members/2/roles/3", Some("8"), frozen),
            (Method::PATCH, "/channels/1", Some("7"), frozen),
            (Method::PATCH, "/channels/1", Some("8"), frozen),
            (Method::PATCH, "/channels/1", None, frozen),
            (Method::POST, "/channels/1/webhooks", Some("x"), frozen),
            (Method::PATCH, "/channels/2", None, None),
            (Method::PATCH, "/channels/2", Some("7"), frozen),
            (Method::PATCH, "/channels/3", Some("8"), None),
            // Its server is not known.
            (Method::PATCH, "/channels/4", Some("8"), frozen),
            (Method::DELETE, "/webhooks/1", Some("8"), frozen),
            (Method::POST, "/guilds", Some("8"), frozen),
            (Method::POST, "/channels/1/messages", Some("7"), None),
            (Method::POST, "/interactions/1/token/callback", Some("7"), None),
            (Method::POST, "/webhooks/1/token", Some("7"), None),
            (Method::POST, "/users/@me/channels", None, None),
        ] {
            assert_eq!(refusal(&switches, method, path, tenant), wanted, "{path} {tenant:?}");
        }
        let unknown = |path| switches.unknown_resource(&call(Method::PATCH, path, None));
        assert_eq!(unknown("/channels/4"), Some(Resource::Channel(4)));
        assert_eq!(unknown("/channels/1"), None);
        assert_eq!(unknown("/channels/4/messages/1"), None);
        switches
            .apply(vec![entry(KillSwitchScope::Community(7), false, 2)].into())
            .await;
        assert_eq!(refusal(&switches, Method::PATCH, "/channels/1", None), None);
        let call = call(Method::PATCH, "/channels/4", None);
        assert_eq!(switches.unknown_resource(&call), None, "nothing is frozen");
    }

    #[tokio::test]
    async fn entries_of_the_endpoint_are_merged_as_at_every_other_place() {
        let platform = |(is_on, version)| vec![entry(KillSwitchScope::Platform, is_on, version)];
        for case in MERGE_CASES {
            let switches = switches(None);
            if let Some(stored) = case.stored {
                switches.apply(platform(stored).into()).await;
            }
            switches.apply(platform(case.received).into()).await;
            let state = switches.state();
            let present = state
                .get(KillSwitchScope::Platform)
                .map(|entry| (entry.is_on, entry.version));
            assert_eq!(present, case.merged(), "{case:?}");
        }
    }

    #[tokio::test]
    async fn redis_cannot_turn_a_switch_off() {
        let switches = switches(None);
        switches
            .apply_if_on(vec![entry(KillSwitchScope::Platform, true, 5)])
            .await;
        switches
            .apply_if_on(vec![entry(KillSwitchScope::Platform, false, 6)])
            .await;
        assert!(switches.state().is_on(KillSwitchScope::Platform));
        switches
            .apply(vec![entry(KillSwitchScope::Platform, false, 6)].into())
            .await;
        assert!(!switches.state().is_on(KillSwitchScope::Platform));
        // The entry that Redis still has is older.
        switches
            .apply_if_on(vec![entry(KillSwitchScope::Platform, true, 5)])
            .await;
        assert!(!switches.state().is_on(KillSwitchScope::Platform));
    }

    #[tokio::test]
    async fn file_keeps_the_state_over_a_restart_and_a_damaged_one_stops_the_start() {
        let folder = std::env::temp_dir().join(format!("arrakis-kill-switch-{:016x}", rand::random::<u64>()));
        std::fs::create_dir(&folder).unwrap();
        let path = folder.join("kill-switch.json");
        let before = switches(Some(path.clone()));
        assert!(
            before
                .apply(vec![entry(KillSwitchScope::Platform, true, 5)].into())
                .await
        );
        assert!(switches(Some(path.clone())).state().is_on(KillSwitchScope::Platform));
        std::fs::write(&path, "{").unwrap();
        assert!(KillSwitchFile::new(path).read().is_err());
        std::fs::remove_dir_all(&folder).unwrap();
        // The folder is gone: the switch holds in memory, and the caller learns that it is not stored.
        assert!(
            !before
                .apply(vec![entry(KillSwitchScope::Community(7), true, 6)].into())
                .await
        );
        assert!(before.state().has_frozen());
    }

    #[tokio::test]
    async fn file_with_a_version_far_in_the_future_stops_the_start() {
        let folder = std::env::temp_dir().join(format!("arrakis-kill-switch-{:016x}", rand::random::<u64>()));
        std::fs::create_dir(&folder).unwrap();
        let path = folder.join("kill-switch.json");
        let forged = vec![entry(KillSwitchScope::Platform, true, u64::MAX)];
        KillSwitchFile::new(path.clone()).write(&forged.into()).unwrap();
        let error = open(Some(path)).unwrap_err();
        assert!(
            error.contains("platform") && error.contains("far in the future"),
            "{error}"
        );
        std::fs::remove_dir_all(&folder).unwrap();
    }

    #[tokio::test]
    async fn file_cannot_turn_a_switch_off() {
        let folder = std::env::temp_dir().join(format!("arrakis-kill-switch-{:016x}", rand::random::<u64>()));
        std::fs::create_dir(&folder).unwrap();
        let path = folder.join("kill-switch.json");
        let forged = vec![
            entry(KillSwitchScope::Platform, false, 9),
            entry(KillSwitchScope::Community(7), true, 5),
        ];
        KillSwitchFile::new(path.clone()).write(&forged.into()).unwrap();
        let switches = switches(Some(path));
        // No other place learns of an end, and an older entry that is on counts.
        assert_eq!(switches.state().get(KillSwitchScope::Platform), None);
        assert!(switches.state().is_on(KillSwitchScope::Community(7)));
        switches
            .apply_if_on(vec![entry(KillSwitchScope::Platform, true, 8)])
            .await;
        assert!(switches.state().is_on(KillSwitchScope::Platform));
        std::fs::remove_dir_all(&folder).unwrap();
    }

    #[test]
    fn entry_under_another_scope_or_with_a_forged_version_is_not_used() {
        let json = serde_json::to_string(&entry(KillSwitchScope::Platform, true, 1)).unwrap();
        let forged = serde_json::to_string(&entry(KillSwitchScope::Community(8), true, u64::MAX)).unwrap();
        let stored = HashMap::from([
            (b"community:7".to_vec(), json.into_bytes()),
            (b"community:8".to_vec(), forged.into_bytes()),
            (b"platform".to_vec(), b"x".to_vec()),
        ]);
        let (entries, mut unreadable) = decode(&stored);
        unreadable.sort_unstable();
        assert_eq!(entries, []);
        assert_eq!(unreadable, ["community:7", "community:8", "platform"]);
    }
}
