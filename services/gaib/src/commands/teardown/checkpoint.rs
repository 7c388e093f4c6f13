//! The second stage: the platform stores a checkpoint of the community, or there is a reason why it cannot.

use arrakis_contracts::servers::{CreateCheckpoint, NewCheckpointPurpose};
use arrakis_iac::live::LiveServer;
use arrakis_iac::model::Snowflake;

use super::record::{CheckpointRecord, Record};
use crate::arguments::server;
use crate::commands::platform::time;
use crate::context::Context;
use crate::error::{Failure, Result};
use crate::platform::{Platform, lists};
use crate::settings::API_KEY_HELP;

/// What the second stage does.
pub(super) enum Checkpointing {
    /// The platform stores a checkpoint of this community.
    Stored { platform: Platform, community: String },
    /// There is none, for this reason.
    Without { reason: String },
}

impl Checkpointing {
    /// Decides it. A server whose community the platform has is never emptied without a checkpoint.
    ///
    /// # Errors
    /// When a checkpoint cannot be stored and `--no-checkpoint` is not given, and when it is given although one can be stored.
    pub(super) async fn find(context: &Context, arguments: &server::Teardown, guild: Snowflake) -> Result<Self> {
        let reason = arguments.no_checkpoint.as_deref().map(str::trim);
        if reason == Some("") {
            return Err(
                Failure::new("--no-checkpoint has no reason").help("write why: --no-checkpoint \"a test server\"")
            );
        }
        let address = context.environment.platform(&arguments.community.platform)?;
        let Some(address) = address else {
            return match reason {
                Some(reason) => Ok(Self::Without {
                    reason: reason.to_owned(),
                }),
                None => Err(Failure::new(
                    "no checkpoint can be stored: no api of the platform is given (ARRAKIS_API_URL, ARRAKIS_API_KEY)",
                )
                .help(format!(
                    "{API_KEY_HELP}; for a server that has no community at a platform, add --no-checkpoint REASON"
                ))),
            };
        };
        let platform = Platform::new(address, guild)?;
        match (platform.plan().await, reason) {
            (Ok(plan), None) => Ok(Self::Stored {
                platform,
                community: plan.name,
            }),
            (Ok(plan), Some(_)) => Err(Failure::new(format!(
                "--no-checkpoint is refused: server {guild} has the community {} at {}, whose checkpoint can be stored",
                plan.name,
                platform.base()
            ))
            .help("remove --no-checkpoint")),
            (Err(error), Some(reason)) if error.is_unknown_server() => Ok(Self::Without {
                reason: reason.to_owned(),
            }),
            (Err(error), None) if error.is_unknown_server() => Err(Failure::new(format!(
                "no checkpoint can be stored: the platform at {} has no community of server {guild} that the key may see",
                platform.base()
            ))
            .help("check the key; for a server that has no community there, add --no-checkpoint REASON")),
            (Err(error), _) => Err(platform.failure(&format!("read the community of server {guild}"), &error)),
        }
    }

    /// The question of the stage.
    pub(super) fn question(&self) -> String {
        match self {
            Self::Stored { community, .. } => format!(
                "store a checkpoint of the community {community}, and freeze the community until a checkpoint is restored?"
            ),
            Self::Without { reason } => format!(
                "continue without a checkpoint ({reason})? The settings of a community at a platform could not be restored."
            ),
        }
    }

    /// Carries it out and records it.
    ///
    /// # Errors
    /// When the platform does not store the checkpoint.
    pub(super) async fn carry_out(&self, context: &Context, record: &mut Record, live: &LiveServer) -> Result<()> {
        match self {
            Self::Stored { platform, .. } => {
                let mut request = CreateCheckpoint {
                    request_id: record.checkpoint_request()?,
                    purpose: NewCheckpointPurpose::Teardown,
                    reason: Some("gaib server teardown".to_owned()),
                    server: Some(lists(live)),
                };
                let failure = |error| platform.failure("store a checkpoint", &error);
                let mut stored = platform.create_checkpoint(&request).await.map_err(failure)?;
                if !stored.frozen {
                    // The request of an earlier run, whose freeze has ended since: a new request freezes the community again.
                    request.request_id = record.new_checkpoint_request()?;
                    stored = platform.create_checkpoint(&request).await.map_err(failure)?;
                }
                let checkpoint = stored.checkpoint;
                context.printer.note(&format!(
                    "Stored checkpoint {}, which is kept until {}; the community is frozen.",
                    checkpoint.id,
                    time(checkpoint.expires_at)
                ));
                record.set_checkpoint(CheckpointRecord {
                    id: checkpoint.id,
                    expires_at: checkpoint.expires_at,
                    platform: platform.base().to_string(),
                })
            }
            Self::Without { reason } => record.set_without_checkpoint(reason),
        }
    }
}
