//! Who looks at the page: the cookie of a browser, its session in Redis, and what this user may see.
//!
//! Sessions are in Redis, so that a kill switch and `arrakis-worker sessions revoke` end them, and they end by themselves.

use arrakis_cache::{Session, SessionName, Ttl};
use arrakis_contracts::status::{BROWSER, StatusAccess, split_token, token};
use arrakis_db::{CommunityId, UserId};
use arrakis_security::mfa::GrantToken;
use http::{HeaderMap, HeaderValue, header};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use super::form::Form;
use super::refusal::Refusal;
use crate::services::Services;

/// How long a sign-in lasts. It is not extended.
pub(super) const SESSION_TTL: Ttl = Ttl::seconds(30 * 60);
/// Name of the cookie.
const COOKIE: &str = "arrakis_status";

/// The session of a browser.
#[derive(Debug, Clone, Serialize, Deserialize)]
struct BrowserSession {
    access: StatusAccess,
    /// A random text that every form of the page contains.
    form_token: String,
}

/// A session with the secret of its token.
pub(super) trait WithSecret {
    /// Whom the session acts for.
    fn access(&self) -> &StatusAccess;
}

impl WithSecret for StatusAccess {
    fn access(&self) -> &StatusAccess {
        self
    }
}

impl WithSecret for BrowserSession {
    fn access(&self) -> &StatusAccess {
        &self.access
    }
}

/// The session of a token; `None` for another secret, and when it has ended.
///
/// # Errors
/// Redis is unavailable.
pub(super) async fn find<T: WithSecret + DeserializeOwned>(
    services: &Services,
    token: &str,
) -> Result<Option<Session<T>>, Refusal> {
    let Some((id, secret)) = split_token(token) else {
        return Ok(None);
    };
    let Some(secret) = GrantToken::parse(secret) else {
        return Ok(None);
    };
    let session = services.cache.session_by_id::<T>(id).await?;
    // Hashes are compared: the time of the comparison depends on nothing secret.
    Ok(session.filter(|session| session.data.access().secret_hash == secret.hash()))
}

/// A user who has signed in.
#[derive(Debug)]
pub(super) struct Viewer {
    /// The user.
    pub(super) user: UserId,
    /// The community of the link.
    pub(super) community: CommunityId,
    /// Whether the user is an operator of the platform.
    pub(super) is_operator: bool,
    /// The text that every form of the page contains.
    pub(super) form_token: String,
    session: Session<BrowserSession>,
}

impl Viewer {
    /// Begins the session of a browser; returns the cookie.
    ///
    /// # Errors
    /// Redis is unavailable.
    pub(super) async fn sign_in(services: &Services, of: &StatusAccess) -> Result<HeaderValue, Refusal> {
        let secret = GrantToken::generate();
        let data = BrowserSession {
            access: StatusAccess {
                secret_hash: secret.hash(),
                ..of.clone()
            },
            form_token: GrantToken::generate().expose().to_owned(),
        };
        let name = SessionName::new(of.community, BROWSER, of.user);
        let session = services.cache.begin_session(name, data, SESSION_TTL).await?;
        let value = token(session.id, secret.expose());
        cookie(services, &value, SESSION_TTL.length().as_secs())
    }

    /// The viewer of a request.
    ///
    /// # Errors
    /// There is no valid sign-in, or Redis is unavailable.
    pub(super) async fn of(services: &Services, headers: &HeaderMap) -> Result<Self, Refusal> {
        let token = cookie_of(headers).ok_or_else(Refusal::signed_out)?;
        let session = find::<BrowserSession>(services, token)
            .await?
            .ok_or_else(Refusal::signed_out)?;
        let access = &session.data.access;
        let user = UserId::new(access.user).map_err(|_| Refusal::signed_out())?;
        Ok(Self {
            user,
            community: CommunityId::from_uuid(access.community),
            is_operator: services.operators.contains(&access.user),
            form_token: session.data.form_token.clone(),
            session,
        })
    }

    /// Refuses a form that does not have the text of this session's forms.
    ///
    /// # Errors
    /// The form is not one of this session.
    pub(super) fn check(&self, form: &Form) -> Result<(), Refusal> {
        if form.field("form_token") == self.form_token {
            Ok(())
        } else {
            Err(Refusal::foreign())
        }
    }

    /// Ends the session; returns the cookie that removes its own.
    ///
    /// # Errors
    /// Redis is unavailable.
    pub(super) async fn sign_out(&self, services: &Services) -> Result<HeaderValue, Refusal> {
        services.cache.end_session(&self.session).await?;
        cookie(services, "", 0)
    }
}

/// The cookie: not readable by scripts, not sent by requests from other sites.
fn cookie(services: &Services, value: &str, seconds: u64) -> Result<HeaderValue, Refusal> {
    let secure = if services.public_address.is_https() {
        "; Secure"
    } else {
        ""
    };
    let text = format!("{COOKIE}={value}; Path=/status; Max-Age={seconds}; HttpOnly; SameSite=Strict{secure}");
    HeaderValue::from_str(&text).map_err(|error| Refusal::unavailable(&error.to_string()))
}

/// The value of the cookie; `None` where it is missing or there twice.
fn cookie_of(headers: &HeaderMap) -> Option<&str> {
    let cookies = headers.get_all(header::COOKIE).iter();
    let pairs = cookies
        .filter_map(|value| value.to_str().ok())
        .flat_map(|text| text.split(';'));
    let mut found = pairs.filter_map(|pair| pair.trim().strip_prefix(COOKIE)?.strip_prefix('='));
    let value = found.next()?;
    found.next().is_none().then_some(value)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cookie_is_found_among_others_and_not_when_it_is_there_twice() {
        let mut headers = HeaderMap::new();
        assert_eq!(cookie_of(&headers), None);
        headers.append(
            header::COOKIE,
            HeaderValue::from_static("a=1; arrakis_status=x.y; arrakis_statusx=z"),
        );
        assert_eq!(cookie_of(&headers), Some("x.y"));
        headers.append(header::COOKIE, HeaderValue::from_static("arrakis_status=q"));
        assert_eq!(cookie_of(&headers), None);
    }
}
