//! A live server, read through the discord-proxy: as a configuration for an export, as a record for a snapshot.

use std::collections::BTreeMap;

use arrakis_iac::export;
use arrakis_iac::live::LiveServer;
use arrakis_iac::model::{Kind, Snowflake};
use arrakis_iac::snapshot::{MembersRecord, SERVER_FILE, ServerRecord};
use arrakis_iac::state::State;
use arrakis_iac_apply::{Cdn, ReadError, all_kinds, capture_images, member_roles, read};
use arrakis_vault::{MEMBERS_FILE, ResourceCounts};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use crate::failure::Failure;
use crate::synthesis::{ServerClient, call_failure, read_failure};

/// Method and path template of the lists that an export reads besides roles, channels and settings, which a synthesis reads, too. A
/// test of the discord-proxy compares them with the worker's allow-list.
pub const ENDPOINTS: &[&str] = &[
    "GET /guilds/{guild}/webhooks",
    "GET /guilds/{guild}/auto-moderation/rules",
    "GET /guilds/{guild}/welcome-screen",
    "GET /guilds/{guild}/onboarding",
    "GET /guilds/{guild}/scheduled-events",
];

/// What a snapshot has beside configuration and state.
#[derive(Debug)]
pub(super) struct SnapshotFiles {
    /// The files by name.
    pub(super) files: BTreeMap<String, Vec<u8>>,
    /// Members with a role; `None` where the bot may not list the members.
    pub(super) members: Option<usize>,
    /// Images that could not be downloaded.
    pub(super) missing_images: usize,
}

/// A server that was read.
#[derive(Debug)]
pub(super) struct ReadServer {
    /// The server with the addresses of its resources.
    pub(super) record: ServerRecord,
    /// First lines of its configuration.
    comment: String,
}

impl ReadServer {
    /// Reads a server. Resources of `state` keep their addresses. Kinds that the bot may not read are left out, and the comment names
    /// them.
    ///
    /// # Errors
    /// If the server cannot be read.
    pub(super) async fn read(
        client: &ServerClient,
        guild: u64,
        state: &State,
        now: OffsetDateTime,
    ) -> Result<Self, Failure> {
        let guild = Snowflake::new(guild).ok_or_else(|| Failure::permanent("the server's id is 0"))?;
        let (live, left_out) = read_permitted(client, guild).await?;
        Ok(Self {
            comment: comment(guild, now, &live, left_out.as_deref()),
            record: ServerRecord::new(live, state, Vec::new()),
        })
    }

    /// The server as a configuration with every attribute, in YAML.
    pub(super) fn yaml(&self) -> String {
        export::to_yaml(&self.record.configuration(), &self.comment)
    }

    /// Reads the images of the server and the roles of its members. An image that cannot be downloaded is left out and named in the
    /// configuration: its resource stays there, because an existing resource needs no image.
    ///
    /// # Errors
    /// If the members cannot be read.
    pub(super) async fn snapshot_files(&mut self, client: &ServerClient, cdn: &Cdn) -> Result<SnapshotFiles, Failure> {
        let images = capture_images(cdn, &self.record.server).await;
        let missing = images.missing.iter();
        let missing: Vec<String> = missing
            .map(|image| format!("{} {}: {}", image.kind, image.id, image.reason))
            .collect();
        self.note("Without images:", &missing);
        self.record.images = images.records;
        let mut files = images.files;
        files.insert(SERVER_FILE.to_owned(), self.record.to_bytes());
        let read = member_roles(&client.discord, self.record.server.guild_id).await;
        let members = read.map_err(|error| call_failure(&error, &error))?;
        let members = members.map(MembersRecord::new);
        if let Some(members) = &members {
            files.insert(MEMBERS_FILE.to_owned(), members.to_bytes());
        }
        Ok(SnapshotFiles {
            files,
            members: members.map(|members| members.members.len()),
            missing_images: missing.len(),
        })
    }

    /// Adds lines to the comment.
    fn note(&mut self, heading: &str, lines: &[String]) {
        if !lines.is_empty() {
            let lines: Vec<String> = lines.iter().map(|line| one_line(line)).collect();
            self.comment
                .push_str(&format!("\n\n{heading}\n  {}", lines.join("\n  ")));
        }
    }

    /// Numbers of its resources, without @everyone.
    pub(super) fn counts(&self) -> ResourceCounts {
        let live = &self.record.server;
        let count = |kind| {
            let resources = live.of_kind(kind).filter(|resource| resource.id != live.guild_id);
            u32::try_from(resources.count()).unwrap_or(u32::MAX)
        };
        ResourceCounts {
            roles: count(Kind::Role),
            channels: count(Kind::Channel),
            categories: count(Kind::Category),
        }
    }
}

/// Reads all that the bot may read. Returns also which lists it may not.
async fn read_permitted(client: &ServerClient, guild: Snowflake) -> Result<(LiveServer, Option<String>), Failure> {
    match read(&client.discord, guild, &all_kinds()).await {
        Ok(live) => Ok((live, None)),
        Err(ReadError::Forbidden {
            kinds,
            what,
            permissions,
        }) => {
            let mut permitted = all_kinds();
            permitted.retain(|kind| !kinds.contains(kind));
            let live = read(&client.discord, guild, &permitted).await.map_err(read_failure)?;
            let left_out = format!("{} (missing: {})", what.join(", "), permissions.join(", "));
            Ok((live, Some(left_out)))
        }
        Err(error) => Err(read_failure(error)),
    }
}

fn comment(guild: Snowflake, now: OffsetDateTime, live: &LiveServer, left_out: Option<&str>) -> String {
    let at = now.replace_nanosecond(0).ok().and_then(|now| now.format(&Rfc3339).ok());
    let mut comment = format!(
        "Server {guild} as a scheduled backup read it from Discord at {}.",
        at.unwrap_or_else(|| now.to_string())
    );
    if let Some(left_out) = left_out {
        comment.push_str(&format!("\nThe bot may not read: {left_out}."));
    }
    for value in &live.unknown {
        comment.push_str(&format!("\nLeft out: {}", one_line(&value.to_string())));
    }
    comment
}

/// Names of others are in the comment, each in one line of it.
fn one_line(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use arrakis_iac::live::{LiveBot, LiveResource};
    use arrakis_iac::model::{Attributes, Role, Server};
    use time::macros::datetime;

    use super::*;

    fn id(number: u64) -> Snowflake {
        Snowflake::new(number).unwrap()
    }

    #[test]
    fn comment_names_the_time_and_what_is_left_out() {
        let bot = LiveBot {
            user_id: id(2),
            roles: BTreeSet::new(),
        };
        let mut live = LiveServer::new(id(1), id(3), bot, Server::default());
        live.insert(LiveResource::new(id(7), Attributes::Role(Role::default())));
        let now = datetime!(2026-12-01 03:00:01.5 UTC);
        let mut server = ReadServer {
            comment: comment(id(1), now, &live, Some("webhooks (missing: MANAGE_WEBHOOKS)")),
            record: ServerRecord::new(live, &State::new(""), Vec::new()),
        };
        server.note("Without images:", &["emoji.worm: HTTP 404".to_owned()]);
        let yaml = server.yaml();
        assert!(
            yaml.starts_with(
                "# Server 1 as a scheduled backup read it from Discord at 2026-12-01T03:00:01Z.\n\
                 # The bot may not read: webhooks (missing: MANAGE_WEBHOOKS).\n\
                 #\n\
                 # Without images:\n\
                 #   emoji.worm: HTTP 404\n"
            ),
            "{yaml}"
        );
        assert_eq!(server.counts().roles, 1);
    }

    #[test]
    fn name_with_line_breaks_stays_in_the_comment() {
        assert_eq!(one_line("a\nroles: {}\r\n"), "a roles: {}  ");
    }
}
