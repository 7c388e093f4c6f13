//! IDENTIFY and RESUME: checks, and the payload of READY.

use std::{collections::BTreeSet, sync::Arc};

use rand::{RngExt as _, distr::Alphanumeric};
use serde_json::{Value, json};

use super::{
    CloseCode, Intents,
    connection::Connection,
    hub::ConnectionCommand,
    limits::IdentifyResult,
    payload::{Identify, Refusal, Resume, bare_token},
    session::Session,
    writer::WriterRequest,
};
use crate::{
    AppState,
    faults::SessionResponse,
    model::Id,
    options::token_of,
    traffic::Stats,
    world::{State, to_body},
};

/// Largest number of servers of a shard. <https://discord.com/developers/docs/events/gateway#sharding>
const MAX_GUILDS_PER_SHARD: usize = 2_500;

impl Connection {
    /// Op 2: starts a session, or sends op 9 when its identify bucket was used within five seconds.
    pub(super) fn identify(&mut self, identify: &Identify) -> Result<(), Refusal> {
        self.refuse_second_identify()?;
        identify.check()?;
        self.authenticate(&identify.token)?;
        let shard = identify.shard()?;
        if let Some(answer) = self.app.faults.identify_answer(Some(shard[0])) {
            self.respond_without_session(answer);
            return Ok(());
        }
        let allowed = self.app.world.read(|state| state.application.privileged_intents);
        let intents = identify.intents(self.version, allowed)?;
        let guilds = self.app.world.read(|state| guilds_of(state, shard).len());
        if guilds > MAX_GUILDS_PER_SHARD {
            let why = format!("{guilds} servers on this shard; at most {MAX_GUILDS_PER_SHARD}, use more shards");
            return Err(Refusal::new(CloseCode::ShardingRequired, why));
        }
        match self.app.hub.identify(shard[0]) {
            IdentifyResult::Granted => {}
            IdentifyResult::TooSoon => {
                tracing::info!(
                    shard = shard[0],
                    "identified again within five seconds in its max_concurrency bucket"
                );
                self.invalidate(false);
                return Ok(());
            }
            IdentifyResult::Exhausted => {
                reset_token(&self.app);
                let why = "no session starts are left; all sessions ended and the token was reset";
                return Err(Refusal::new(CloseCode::AuthenticationFailed, why));
            }
        }
        self.app.traffic.count(Stats::identified);
        if identify.compresses() {
            self.send(WriterRequest::CompressPackets);
        }
        let session = self.start_session(shard, intents);
        self.hold(&session, 0);
        Ok(())
    }

    /// Op 6: continues the session, or sends op 9 with `false`.
    pub(super) fn resume(&mut self, resume: &Resume) -> Result<(), Refusal> {
        self.refuse_second_identify()?;
        self.authenticate(&resume.token)?;
        let shard = self.app.hub.session(&resume.session_id).map(|session| session.shard[0]);
        if let Some(answer) = self.app.faults.resume_answer(shard) {
            self.respond_without_session(answer);
            return Ok(());
        }
        let refused = self.app.faults.refuses_resume();
        let Some(session) = self.app.hub.session(&resume.session_id).filter(|_| !refused) else {
            self.invalidate(false);
            return Ok(());
        };
        let seq = resume.seq.unwrap_or(0);
        if seq > session.seq() {
            self.app.hub.remove_session(&session.id);
            let why = format!("seq {seq} was never sent, the last is {}", session.seq());
            return Err(Refusal::new(CloseCode::InvalidSequence, why));
        }
        if !session.can_replay(seq) {
            self.app.hub.remove_session(&session.id);
            self.invalidate(false);
            return Ok(());
        }
        self.app.traffic.count(Stats::resumed);
        self.hold(&session, seq);
        session.push("RESUMED", r#"{"_trace":["[\"emulator\"]"]}"#.into());
        Ok(())
    }

    /// Sends the response of an armed fault to RESUME or IDENTIFY. An existing session is kept.
    fn respond_without_session(&mut self, answer: SessionResponse) {
        match answer {
            SessionResponse::Reset => self.app.hub.command_connection(self.id, ConnectionCommand::Drop),
            SessionResponse::Silence => {}
            SessionResponse::InvalidSession => self.invalidate(true),
            SessionResponse::Close(code) => self.app.hub.command_connection(self.id, ConnectionCommand::Close(code)),
        }
    }

    fn refuse_second_identify(&self) -> Result<(), Refusal> {
        if self.session.is_some() {
            return Err(Refusal::new(
                CloseCode::AlreadyAuthenticated,
                "this connection already has a session",
            ));
        }
        Ok(())
    }

    fn authenticate(&self, token: &str) -> Result<(), Refusal> {
        if self.app.world.read(|state| bare_token(token) == state.token) {
            return Ok(());
        }
        Err(Refusal::new(
            CloseCode::AuthenticationFailed,
            "the token is not this emulator's; see its output at start",
        ))
    }

    /// Creates the session under the world's lock, so that it receives every event after READY.
    fn start_session(&self, shard: [u64; 2], intents: Intents) -> Arc<Session> {
        let id: Arc<str> = rand::rng()
            .sample_iter(Alphanumeric)
            .take(32)
            .map(char::from)
            .collect::<String>()
            .into();
        self.app.world.read(|state| {
            let guilds = guilds_of(state, shard);
            let ready = ready(state, &self.app, self.version, &id, (shard, &guilds));
            let pending = if intents.contains(Intents::GUILDS) {
                guilds
            } else {
                BTreeSet::new()
            };
            let session = Arc::new(Session::new(id, shard, intents, pending));
            session.push("READY", to_body(&ready));
            self.app.hub.add_session(Arc::clone(&session));
            session
        })
    }

    fn hold(&mut self, session: &Arc<Session>, sent: u64) {
        if let Some(former) = session.attach(self.id).filter(|former| *former != self.id) {
            self.app.hub.command_connection(former, ConnectionCommand::Drop);
        }
        self.app.hub.set_session(self.id, Some(Arc::clone(session)));
        self.session = Some(Arc::clone(session));
        self.send(WriterRequest::Attach(Arc::clone(session), sent));
    }
}

/// Replaces the bot token, as Discord does when no session starts are left, and as the owner does in the developer portal: all
/// sessions end, and the old token is refused.
pub(crate) fn reset_token(app: &AppState) -> String {
    let salt = rand::rng().random();
    let token = app.world.write(|state| {
        state.token = token_of(state.application.id, salt);
        state.token.clone()
    });
    tracing::warn!("the bot token was reset");
    app.hub.end_all(CloseCode::AuthenticationFailed.number());
    token
}

fn guilds_of(state: &State, shard: [u64; 2]) -> BTreeSet<Id> {
    state
        .guilds
        .keys()
        .copied()
        .filter(|guild| guild.shard(shard[1]) == shard[0])
        .collect()
}

/// <https://discord.com/developers/docs/events/gateway-events#ready>
fn ready(state: &State, app: &AppState, version: u8, id: &str, (shard, guilds): ([u64; 2], &BTreeSet<Id>)) -> Value {
    let mut user = json!(state.users.get(&state.bot_id));
    user["verified"] = true.into();
    user["mfa_enabled"] = false.into();
    user["email"] = Value::Null;
    user["flags"] = 0.into();
    let guilds: Vec<Value> = guilds.iter().map(|id| json!({"id": id, "unavailable": true})).collect();
    json!({
        "v": version,
        "user": user,
        "guilds": guilds,
        "session_id": id,
        "resume_gateway_url": app.addresses.resume,
        "session_type": "normal",
        "shard": shard,
        "application": {"id": state.application.id, "flags": state.application.flags()},
        "private_channels": [],
        "presences": [],
        "relationships": [],
        "user_settings": {},
        "user_settings_proto": "",
        "guild_join_requests": [],
        "geo_ordered_rtc_regions": ["local"],
        "auth": {},
        "_trace": ["[\"emulator\"]"],
    })
}
