//! A whole server as a snapshot: read, and stored.

use std::collections::BTreeMap;
use std::sync::Arc;

use arrakis_iac::export;
use arrakis_iac::grammar::counted;
use arrakis_iac::model::{Kind, Snowflake};
use arrakis_iac::snapshot::{MembersRecord, SERVER_FILE, ServerRecord};
use arrakis_iac::state::State;
use arrakis_iac_apply::http::Discord;
use arrakis_iac_apply::{CapturedImages, Cdn, capture_images, member_roles};
use arrakis_vault::{CreatedSnapshot, MEMBERS_FILE, NewSnapshot, ResourceCounts, ThemeVersion, Trigger};
use serde_json::json;
use time::OffsetDateTime;
use uuid::Uuid;

use crate::backups::{Backups, finished_text, recovered_message, time_text};
use crate::commands::export as exporting;
use crate::connection;
use crate::context::Context;
use crate::error::{Failure, Result};
use crate::printer::Severity;
use crate::progress::Reporter;

/// A client that reports waits and retries: reading a large server takes a while.
pub(super) fn connect(context: &Context, guild: Snowflake) -> Result<Discord> {
    let reporter = Arc::new(Reporter::new(context.printer));
    connection::connect(context, guild, reporter)
}

/// What a snapshot contains beside the server.
#[derive(Clone, Copy, Debug, Default)]
pub(in crate::commands) struct NewCapture<'a> {
    /// The id, where it was chosen before: a repeated command finds the snapshot of the killed one. `None` for a random one.
    pub(in crate::commands) id: Option<Uuid>,
    /// The state of the workspace, where it has one.
    pub(in crate::commands) state: Option<&'a State>,
    /// The theme that the server was made from; `None` for that of the registry.
    pub(in crate::commands) theme: Option<&'a ThemeVersion>,
    /// The author's message.
    pub(in crate::commands) message: Option<&'a str>,
}

/// A server as it was read.
#[derive(Debug)]
pub(in crate::commands) struct Capture {
    server: ServerRecord,
    images: BTreeMap<String, Vec<u8>>,
    /// `None` where Discord refuses the list.
    members: Option<MembersRecord>,
}

impl Capture {
    /// Reads a whole server. `state` has the addresses of managed resources.
    ///
    /// # Errors
    /// When Discord refuses a request or cannot be reached. Images that cannot be downloaded, kinds that the bot may not read, and a
    /// refused list of members are warnings.
    pub(in crate::commands) async fn read(
        context: &Context,
        discord: &Discord,
        guild: Snowflake,
        state: Option<&State>,
    ) -> Result<Self> {
        note(context, "server", &format!("Reading server {guild}."));
        let live = exporting::read_everything(context, discord, guild).await?;
        exporting::warn_of_unknown(context, &live);
        let cdn = Cdn::for_api(&context.environment.api_base()?).map_err(Failure::new)?;
        if !live.images.is_empty() {
            let text = format!("Downloading {}.", counted(live.images.len(), "image"));
            note(context, "images", &text);
        }
        let CapturedImages {
            records,
            files,
            missing,
        } = capture_images(&cdn, &live).await;
        let nothing = State::new("");
        let server = ServerRecord::new(live, state.unwrap_or(&nothing), records);
        for missing in &missing {
            let found = server.addresses.iter();
            let mut found = found.filter(|(address, id)| address.kind() == missing.kind && **id == missing.id);
            let what = found.next().map_or_else(
                || format!("{} {}", missing.kind.noun(), missing.id),
                |(address, _)| address.to_string(),
            );
            let summary = format!("the image of {what} is not in the snapshot: {}", missing.reason);
            let help = "a restore changes an existing resource without its image, and cannot create an emoji or a sticker without it";
            context.printer.diagnostic(Severity::Warning, &summary, Some(help));
        }
        note(context, "members", "Reading the roles of members.");
        let members = member_roles(discord, guild).await;
        let members = members.map_err(|error| connection::read_failure(context, "members", &error.into()))?;
        if members.is_none() {
            context.printer.diagnostic(
                Severity::Warning,
                "the snapshot has no roles of members: Discord refuses the list",
                Some(
                    "enable the Server Members Intent of the application (https://discord.com/developers/applications, Bot), and \
                     create another snapshot",
                ),
            );
        }
        Ok(Self {
            server,
            images: files,
            members: members.map(MembersRecord::new),
        })
    }

    /// Whether it has the roles of the members.
    pub(in crate::commands) const fn has_members(&self) -> bool {
        self.members.is_some()
    }

    /// Stores the snapshot. Reports those of interrupted commands that are listed now.
    ///
    /// # Errors
    /// When the store or the catalogue fails. What was stored until then is in no list.
    pub(in crate::commands) async fn store(
        self,
        context: &Context,
        backups: &Backups,
        new: NewCapture<'_>,
    ) -> Result<CreatedSnapshot> {
        let (vault, server) = (&backups.vault, backups.server());
        let theme = match new.theme {
            Some(theme) => Some(theme.clone()),
            None => {
                let registry = vault.theme_registry(server).await?;
                registry.current().map(|current| current.theme.clone())
            }
        };
        let now = OffsetDateTime::now_utc();
        let comment = format!(
            "Server {} as `gaib server snapshot` read it from Discord at {}.\n\nThe image files are beside this file. Ids that another \
             server does not have are ignored by `gaib apply config.yaml --guild ID --drop-missing`.",
            backups.guild,
            time_text(now)
        );
        let config = export::to_yaml(&self.server.configuration(), &comment);
        let counts = self.counts();
        let members = self.members.as_ref().map_or(0, |record| record.members.len());
        let mut files = self.images;
        files.insert(SERVER_FILE.to_owned(), self.server.to_bytes());
        files.extend(
            self.members
                .map(|members| (MEMBERS_FILE.to_owned(), members.to_bytes())),
        );
        let text = format!(
            "Storing {}, {}, {}, the roles of {}, {}.",
            counted(counts.roles as usize, "role"),
            counted(counts.categories as usize, "category"),
            counted(counts.channels as usize, "channel"),
            counted(members, "member"),
            counted(files.len() + 3, "file")
        );
        note(context, "store", &text);
        let state = new.state.map(State::to_bytes);
        let snapshot = NewSnapshot {
            id: new.id,
            server,
            workspace: backups.workspace.name.as_str(),
            state: state.as_deref(),
            config: config.as_bytes(),
            files,
            counts,
            theme,
            message: new.message,
            trigger: Trigger::Automatic,
        };
        let created = Box::pin(vault.create_or_finish_snapshot(snapshot, now)).await?;
        for record in &created.listed {
            context.printer.message(&recovered_message(record, "listed"));
            context
                .printer
                .note(&format!("{}: it is listed now.", finished_text(record)));
        }
        Ok(created)
    }

    /// Numbers of resources, without @everyone.
    fn counts(&self) -> ResourceCounts {
        let count = |kind: Kind| u32::try_from(self.server.server.of_kind(kind).count()).unwrap_or(u32::MAX);
        ResourceCounts {
            roles: count(Kind::Role).saturating_sub(1),
            channels: count(Kind::Channel),
            categories: count(Kind::Category),
        }
    }
}

/// Progress of a snapshot.
fn note(context: &Context, step: &str, text: &str) {
    let message = json!({"type": "progress", "operation": "snapshot", "step": step, "message": text});
    context.printer.message(&message);
    context.printer.note(text);
}
