//! The community that belongs to a server: its settings with its theme and tier rules.

use std::sync::Arc;

use arrakis_db::{Community as CommunityRow, CommunityId, GuildId, TenantTx, UserId};
use arrakis_domain::{Ladder, Theme, TierRoles};
use twilight_model::id::Id;
use twilight_model::id::marker::{GuildMarker, UserMarker};

use crate::failure::Failure;
use crate::render::{Freshness, RenderContext};
use crate::services::Services;

/// A community with its theme.
#[derive(Debug, Clone)]
pub struct Community {
    /// Settings as stored in Postgres.
    pub record: CommunityRow,
    /// Its theme, with the role policy of the community.
    pub theme: Arc<Theme>,
    /// Whether the kill switch of the platform was on when the community was read.
    pub is_stopped: bool,
}

impl Community {
    /// Reads a server's community and opens a transaction on its rows, in one round trip. `None` if the server is not onboarded.
    ///
    /// # Errors
    /// If Postgres is unavailable, or the community's theme does not exist.
    pub async fn open(services: &Services, guild: Id<GuildMarker>) -> Result<Option<(Self, TenantTx)>, Failure> {
        let Some((record, tx)) = services.database.community_of(guild_id(guild)?).await? else {
            return Ok(None);
        };
        Ok(Some((Self::with_theme(services, record)?, tx)))
    }

    /// As [`Community::open`], without the transaction.
    ///
    /// # Errors
    /// As [`Community::open`].
    pub async fn of_guild(services: &Services, guild: Id<GuildMarker>) -> Result<Option<Self>, Failure> {
        let Some((community, tx)) = Self::open(services, guild).await? else {
            return Ok(None);
        };
        tx.commit().await?;
        Ok(Some(community))
    }

    /// Reads the community with this id; `None` if there is none.
    ///
    /// # Errors
    /// As [`Community::open`].
    pub async fn load(services: &Services, id: CommunityId) -> Result<Option<Self>, Failure> {
        let mut tx = services.database.tenant(id).await?;
        let Some(record) = tx.communities().get().await? else {
            return Ok(None);
        };
        tx.commit().await?;
        Self::with_theme(services, record).map(Some)
    }

    fn with_theme(services: &Services, record: CommunityRow) -> Result<Self, Failure> {
        let theme = services.themes.theme(record.theme.as_str());
        let theme = theme
            .map_err(|error| Failure::permanent(format!("community {}: {error}", record.id)))?
            .clone();
        let theme = with_policy(theme, record.tier_roles);
        let community = Self {
            record,
            theme,
            is_stopped: services.kill_switch.is_on(),
        };
        community.ladder()?;
        Ok(community)
    }

    /// The community's id.
    pub fn id(&self) -> CommunityId {
        self.record.id
    }

    /// The id of its Discord server.
    pub fn guild(&self) -> Id<GuildMarker> {
        Id::new(self.record.guild.get())
    }

    /// The tier rules of the community: the theme's rule set that its settings select.
    ///
    /// # Errors
    /// If the theme has no rule set, which the theme loader refuses.
    pub fn ladder(&self) -> Result<&Ladder, Failure> {
        let ladder = self.theme.ladder(Some(&self.record.rule_set));
        ladder.ok_or_else(|| Failure::permanent(format!("the theme {} has no rules", self.theme.id)))
    }

    /// The theme, tier rules, token symbol and age of the ranking with which a message to the community is rendered, outside of a command.
    ///
    /// # Errors
    /// As [`Community::ladder`].
    pub(crate) fn render_context(&self, services: &Services) -> Result<RenderContext<'_>, Failure> {
        let token = &self.record.token;
        Ok(RenderContext {
            theme: &self.theme,
            ladder: self.ladder()?,
            symbol: &token.symbol,
            freshness: Freshness::new(token.last_success_at, services.now(), services.stale_after),
        })
    }

    /// Whether the community is frozen, or the kill switch is on: no role is assigned or removed.
    pub fn is_frozen(&self) -> bool {
        self.is_stopped || self.record.frozen.is_some()
    }
}

/// The theme with the role policy that an admin chose. Copied only where it differs from the theme's.
fn with_policy(theme: Arc<Theme>, policy: Option<TierRoles>) -> Arc<Theme> {
    match policy {
        Some(tier_roles) if tier_roles != theme.tier_roles => Arc::new(Theme {
            tier_roles,
            ..Theme::clone(&theme)
        }),
        _ => theme,
    }
}

/// Converts a server's id for Postgres.
pub(crate) fn guild_id(id: Id<GuildMarker>) -> Result<GuildId, Failure> {
    GuildId::new(id.get()).map_err(|error| Failure::permanent(format!("guild {id}: {error}")))
}

/// Converts a user's id for Postgres.
pub(crate) fn user_id(id: Id<UserMarker>) -> Result<UserId, Failure> {
    UserId::new(id.get()).map_err(|error| Failure::permanent(format!("user {id}: {error}")))
}
