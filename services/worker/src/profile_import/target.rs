//! The community into which a file is imported.

use std::path::Path;
use std::sync::Arc;

use anyhow::Context as _;
use arrakis_config::Secret;
use arrakis_db::{Admin, CommunityId, DatabaseOptions, GuildId};
use arrakis_domain::{Theme, TierId};
use arrakis_themes::Registry;

/// The community, with what the import needs of it.
#[derive(Debug)]
pub(crate) struct Target {
    /// The database with the admin login.
    pub(super) admin: Admin,
    /// The community.
    pub(super) community: CommunityId,
    /// Its theme.
    pub(super) theme: Arc<Theme>,
    /// Chain of its token, for which imported wallets are verified.
    pub(super) chain_id: u64,
}

impl Target {
    /// Connects with the admin login, and finds the community of a server.
    ///
    /// # Errors
    /// When the database is unavailable or refuses the login, or the server has no community.
    pub(crate) async fn find(url: &Secret, themes_dir: Option<&Path>, guild: GuildId) -> anyhow::Result<Self> {
        let themes = Registry::load(themes_dir)?;
        let options = DatabaseOptions {
            application_name: "arrakis-worker import",
            max_connections: 2,
            ..DatabaseOptions::default()
        };
        let admin = Admin::connect(url, options).await?;
        let none = || format!("the server {guild} has no community");
        let community = admin.database().route(guild).await?.with_context(none)?;
        let mut tx = admin.tenant(community).await?;
        let record = tx.communities().get().await?.with_context(none)?;
        let token = tx.eligibility().token_profile(&record.token_profile).await?;
        tx.rollback().await?;
        let token = token.with_context(|| format!("there is no token profile {}", record.token_profile))?;
        Ok(Self {
            theme: Arc::clone(themes.theme(record.theme.as_str())?),
            chain_id: token.chain_id,
            admin,
            community,
        })
    }

    /// Closes the connections.
    pub(crate) fn close(&self) {
        self.admin.database().close();
    }

    /// The place of a tier in the theme, 0 for the highest; `None` for a tier that the theme does not have.
    pub(super) fn place(&self, tier: &TierId) -> Option<usize> {
        self.theme.tiers.iter().position(|known| known.id == *tier)
    }
}
