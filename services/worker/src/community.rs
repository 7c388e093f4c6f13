//! The community of a server as a command, an event or a job needs it: its settings with its theme and rules.

use std::sync::Arc;

use arrakis_db::{Community as Record, CommunityId, GuildId, TenantTx, UserId};
use arrakis_domain::{Ladder, Theme};
use twilight_model::id::Id;
use twilight_model::id::marker::{GuildMarker, UserMarker};

use crate::failure::Failure;
use crate::services::Services;

/// A community with its theme.
#[derive(Debug, Clone)]
pub struct Community {
    /// Settings as they are stored.
    pub record: Record,
    /// The theme it wears.
    pub theme: Arc<Theme>,
}

impl Community {
    /// The community of a server with a transaction on its rows, for what is to be done with both; `None` where the server is
    /// not onboarded. One round trip.
    ///
    /// # Errors
    /// When Postgres is away, or the community's theme is not there.
    pub async fn open(services: &Services, guild: Id<GuildMarker>) -> Result<Option<(Self, TenantTx)>, Failure> {
        let Some((record, tx)) = services.database.community_of(guild_id(guild)?).await? else {
            return Ok(None);
        };
        Ok(Some((Self::wearing_its_theme(services, record)?, tx)))
    }

    /// As [`Community::open`], for who needs no transaction yet.
    ///
    /// # Errors
    /// As there.
    pub async fn of_guild(services: &Services, guild: Id<GuildMarker>) -> Result<Option<Self>, Failure> {
        let Some((community, tx)) = Self::open(services, guild).await? else {
            return Ok(None);
        };
        tx.commit().await?;
        Ok(Some(community))
    }

    /// The community of this id; `None` where there is none (any more).
    ///
    /// # Errors
    /// As [`Community::open`].
    pub async fn load(services: &Services, id: CommunityId) -> Result<Option<Self>, Failure> {
        let mut tx = services.database.tenant(id).await?;
        let Some(record) = tx.communities().get().await? else {
            return Ok(None);
        };
        tx.commit().await?;
        Self::wearing_its_theme(services, record).map(Some)
    }

    fn wearing_its_theme(services: &Services, record: Record) -> Result<Self, Failure> {
        let theme = services.themes.theme(record.theme.as_str());
        let theme = theme
            .map_err(|error| Failure::permanent(format!("community {}: {error}", record.id)))?
            .clone();
        let community = Self { record, theme };
        community.ladder()?;
        Ok(community)
    }

    /// Its id.
    pub fn id(&self) -> CommunityId {
        self.record.id
    }

    /// Its server.
    pub fn guild(&self) -> Id<GuildMarker> {
        Id::new(self.record.guild.get())
    }

    /// The rules by which its members are measured.
    ///
    /// # Errors
    /// When the theme has none, which its loader refuses.
    pub fn ladder(&self) -> Result<&Ladder, Failure> {
        let ladder = self.theme.ladder(Some(&self.record.rule_set));
        ladder.ok_or_else(|| Failure::permanent(format!("the theme {} has no rules", self.theme.id)))
    }

    /// Whether role changes stop.
    pub fn is_frozen(&self) -> bool {
        self.record.frozen.is_some()
    }
}

/// A guild's id as Postgres takes it.
pub(crate) fn guild_id(id: Id<GuildMarker>) -> Result<GuildId, Failure> {
    GuildId::new(id.get()).map_err(|why| Failure::permanent(format!("guild {id}: {why}")))
}

/// A user's id as Postgres takes it.
pub(crate) fn user_id(id: Id<UserMarker>) -> Result<UserId, Failure> {
    UserId::new(id.get()).map_err(|why| Failure::permanent(format!("user {id}: {why}")))
}
