//! Sign-in at the status page: what the worker stores in Redis for a link of `/admin-stats`, and the api reads.
//!
//! A token is the id of a session in Redis and a secret, of which Redis has the SHA-256 only: ids of sessions are shown to operators, and an id
//! alone permits nothing.

use serde::{Deserialize, Serialize};
use uuid::Uuid;

/// Type of the session of a link, which is used once.
pub const LINK: &str = "status-link";
/// Type of the session of a browser that has signed in.
pub const BROWSER: &str = "status";
/// Path of a link; its last segment is the token.
pub const SIGN_IN: &str = "/status/sign-in";

/// Whom a link or a browser acts for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StatusAccess {
    /// Id of the Discord user.
    pub user: u64,
    /// The community in whose server the command was used.
    pub community: Uuid,
    /// SHA-256 of the secret.
    pub secret_hash: [u8; 32],
}

/// The token of a session: what a link and a cookie contain.
#[must_use]
pub fn token(session: Uuid, secret: &str) -> String {
    format!("{}.{secret}", session.simple())
}

/// Splits a token into the id of its session and its secret; `None` for a text in another form.
#[must_use]
pub fn split_token(token: &str) -> Option<(Uuid, &str)> {
    let (session, secret) = token.split_once('.')?;
    let is_simple = session.len() == 32 && session.bytes().all(|byte| byte.is_ascii_hexdigit());
    Some((session.parse().ok().filter(|_| is_simple)?, secret))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn token_is_split_again() {
        let id = Uuid::from_u128(7);
        assert_eq!(split_token(&token(id, "sekret-_")), Some((id, "sekret-_")));
        for text in [
            "",
            ".",
            "x.y",
            "00000000-0000-0000-0000-000000000007.x",
            "00000000000000000000000000000007",
        ] {
            assert_eq!(split_token(text), None, "{text}");
        }
    }
}
