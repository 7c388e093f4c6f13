//! The link of `/admin-stats` to the status page: it signs one browser in, once, within five minutes.
//!
//! A link replaces the member's earlier one. While Redis is unavailable there is none, and the reply has no button.

use arrakis_cache::{SessionName, Ttl};
use arrakis_contracts::status::{LINK, SIGN_IN, StatusAccess, token};
use arrakis_db::CommunityId;
use arrakis_security::mfa::GrantToken;

use crate::services::Services;

/// How long a link can be used.
const LINK_TTL: Ttl = Ttl::seconds(5 * 60);

/// A new link of this member; `None` without `VERIFY_BASE_URL`, and while Redis is unavailable.
pub(crate) async fn begin(services: &Services, community: CommunityId, user: u64) -> Option<String> {
    let base = services.status_page.as_ref()?;
    let secret = GrantToken::generate();
    let access = StatusAccess {
        user,
        community: community.uuid(),
        secret_hash: secret.hash(),
    };
    let name = SessionName::new(community, LINK, user);
    match services.cache.begin_session(name, access, LINK_TTL).await {
        Ok(session) => {
            let base = base.as_str().trim_end_matches('/');
            Some(format!("{base}{SIGN_IN}/{}", token(session.id, secret.expose())))
        }
        Err(error) => {
            tracing::warn!(%error, "no link to the status page was made");
            None
        }
    }
}
