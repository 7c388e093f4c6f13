//! What the restore of a checkpoint depends on.

use std::sync::Arc;

use arrakis_db::{Community, CommunityConfiguration, DbError, TenantTx, TokenProfile};
use arrakis_domain::Theme;
use arrakis_themes::Registry;

use super::PresentServer;

/// The two configurations, the server and the themes.
#[derive(Debug)]
pub(crate) struct RestoreInputs<'a> {
    /// The settings of the community.
    pub(super) record: &'a Community,
    /// Its present configuration.
    pub(super) present: CommunityConfiguration,
    /// The configuration of the checkpoint.
    pub(super) wanted: &'a CommunityConfiguration,
    /// The present roles and channels of the server.
    pub(super) server: &'a PresentServer,
    /// The present theme; `None` if it does not exist any more.
    pub(super) theme: Option<Arc<Theme>>,
    /// The theme of the checkpoint; `None` if it does not exist any more.
    pub(super) wanted_theme: Option<Arc<Theme>>,
    /// The token profile with the id of the checkpoint's; `None` if it does not exist any more.
    pub(super) stored_token: Option<TokenProfile>,
}

impl<'a> RestoreInputs<'a> {
    /// Reads what is in the database.
    ///
    /// # Errors
    /// When PostgreSQL is unavailable, or a row is corrupt.
    pub(crate) async fn read(
        themes: &Registry,
        tx: &mut TenantTx,
        record: &'a Community,
        server: &'a PresentServer,
        wanted: &'a CommunityConfiguration,
    ) -> Result<Self, DbError> {
        let theme = themes.theme(record.theme.as_str()).ok().cloned();
        let present = tx.configuration(record, theme.as_deref(), &server.names()).await?;
        let stored_token = tx.eligibility().token_profile(&wanted.token_profile.id).await?;
        Ok(Self {
            record,
            present,
            wanted,
            server,
            theme,
            wanted_theme: themes.theme(wanted.theme.as_str()).ok().cloned(),
            stored_token,
        })
    }

    /// The present configuration.
    pub(crate) fn present(&self) -> &CommunityConfiguration {
        &self.present
    }
}
