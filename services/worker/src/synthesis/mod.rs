//! Servers as the platform wants them: from a community's manifest to a plan of `arrakis-iac`, and the client that carries it out.
//!
//! | file | what |
//! |---|---|
//! | `manifest.rs` | [`Manifest`]: theme, structure and existing roles, as a configuration of the engine |
//! | `left_out.rs` | what Discord would refuse, so that the rest is planned |
//! | `planning.rs` | the plan for a server: read, adopt what exists, compare, check |
//! | `step_texts.rs` | the steps of a plan, and the channels that it doubles, as the wizard shows them |
//! | `transport.rs` | calls through the discord-proxy: ten a second for each purpose, none that changes a frozen community |
//! | `state_store.rs` | the state in PostgreSQL, written by the attempt that holds it |
//! | `progress.rs` | the steps of an apply, and the reply in which a member sees them |
//!
//! `jobs/synthesis/` applies plans; the wizard and `/reconcile` show them. Nothing here deletes a role or a channel: that needs a
//! second factor, which the platform does not have yet.

mod left_out;
mod manifest;
mod planning;
mod progress;
mod state_store;
mod step_texts;
mod transport;

use std::sync::Arc;

use arrakis_contracts::proxy::Urgency;
use arrakis_db::CommunityId;
use arrakis_iac_apply::http::{Discord, Proxy, ProxyCaller};
use arrakis_iac_apply::{NoProgress, Progress};
use serde::{Deserialize, Serialize};
use tokio_util::sync::CancellationToken;
use twilight_model::id::Id;
use twilight_model::id::marker::GuildMarker;

pub use self::manifest::{Manifest, Structure};
pub(crate) use self::planning::{PlannedServer, apply_failure, call_failure, plan_live, plan_server, read_failure};
pub(crate) use self::progress::{ReplyEdit, ReplyHandle, StepCounter};
pub(crate) use self::state_store::{HOLD, StoredState};
pub use self::transport::ENDPOINTS;
use self::transport::{CallPurpose, GuardedTransport};
use crate::failure::Failure;
use crate::services::Services;

/// Why a server is changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Purpose {
    /// The wizard's deploy.
    Deploy,
    /// A reconcile found differences.
    Repair,
}

impl Purpose {
    /// All purposes.
    pub const ALL: [Self; 2] = [Self::Deploy, Self::Repair];

    /// The name in payloads and audit entries.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Deploy => "deploy",
            Self::Repair => "repair",
        }
    }
}

/// A client of the engine for one server.
pub(crate) struct ServerClient {
    /// The client.
    pub(crate) discord: Discord,
    transport: Arc<GuardedTransport>,
}

impl ServerClient {
    /// Whether a change was refused because the community is frozen or the kill switch is on.
    pub(crate) fn met_freeze(&self) -> bool {
        self.transport.met_freeze()
    }
}

/// Connects to a server. With a community, its freeze stops every change; without one, the client is for reading.
///
/// # Errors
/// If the credential cannot be sent in a header.
pub(crate) fn connect(
    services: &Services,
    guild: Id<GuildMarker>,
    community: Option<CommunityId>,
    urgency: Urgency,
    progress: Arc<dyn Progress>,
) -> Result<ServerClient, Failure> {
    client(services, guild, community, CallPurpose::Synthesis, (urgency, progress))
}

/// Connects to a server to export it.
///
/// # Errors
/// As [`connect`].
pub(crate) fn connect_for_export(services: &Services, guild: Id<GuildMarker>) -> Result<ServerClient, Failure> {
    let reading = (Urgency::Bulk, Arc::new(NoProgress) as Arc<dyn Progress>);
    client(services, guild, None, CallPurpose::Export, reading)
}

fn client(
    services: &Services,
    guild: Id<GuildMarker>,
    community: Option<CommunityId>,
    purpose: CallPurpose,
    (urgency, progress): (Urgency, Arc<dyn Progress>),
) -> Result<ServerClient, Failure> {
    let shared = &services.synthesis;
    let proxy = Proxy::new(
        &shared.proxies,
        ProxyCaller::Worker,
        shared.credential.expose(),
        guild.get(),
    );
    let proxy = proxy.map_err(Failure::permanent)?;
    let transport = Arc::new(GuardedTransport::new(
        purpose,
        proxy.with_urgency(urgency),
        services.cache.clone(),
        shared.local.clone(),
        services.database.clone(),
        community,
    ));
    let discord = Discord::new(transport.clone(), progress, CancellationToken::new());
    Ok(ServerClient { discord, transport })
}
