//! The login at Vault or OpenBao: a service token, renewed before it expires.
//!
//! The first request after two thirds of the lease renews the token; other requests wait for it. Where the lease cannot be extended any more, or the token
//! was revoked, the process logs in again. The credential of the login is read from its file at each login, so that a new one needs no restart.

use std::path::Path;
use std::time::Duration;

use arrakis_config::{LoginMethod, Secret, TransitLogin};
use reqwest::Method;
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::sync::Mutex;
use tokio::time::Instant;

use super::client::{Client, Failure};

/// After a refusal, no login is sent for this long: attempts to guess credentials look like this.
const REFUSAL_PAUSE: Duration = Duration::from_secs(2);
/// Pause between attempts to renew a token that is still valid, while the server does not respond.
const RENEWAL_PAUSE: Duration = Duration::from_secs(5);
/// A token without an end is treated as one of this lease.
const LONGEST_LEASE: Duration = Duration::from_secs(24 * 3600);

/// Logs in, and keeps the token.
#[derive(Debug)]
pub(super) struct Login {
    settings: TransitLogin,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    session: Option<Session>,
    /// Until when no login is sent, and why.
    refused: Option<(Instant, String)>,
}

#[derive(Debug)]
struct Session {
    token: Secret,
    is_renewable: bool,
    /// Lease at the login.
    lease: Duration,
    renew_at: Instant,
    expires_at: Instant,
}

/// The response to a login and to a renewal.
#[derive(Deserialize)]
struct Response {
    auth: Auth,
}

#[derive(Deserialize)]
struct Auth {
    client_token: String,
    accessor: String,
    /// Seconds; 0 for a token without an end.
    lease_duration: u64,
    renewable: bool,
    token_type: String,
}

impl Auth {
    fn lease(&self) -> Duration {
        match self.lease_duration {
            0 => LONGEST_LEASE,
            seconds => Duration::from_secs(seconds).min(LONGEST_LEASE),
        }
    }
}

impl Login {
    pub(super) fn new(settings: TransitLogin) -> Self {
        Self {
            settings,
            state: Mutex::default(),
        }
    }

    /// A valid token: the present one, renewed where it is time, or that of a new login.
    ///
    /// # Errors
    /// [`Failure::LoginRefused`], [`Failure::Unavailable`].
    pub(super) async fn token(&self, client: &Client) -> Result<Secret, Failure> {
        let mut state = self.state.lock().await;
        if let Some(session) = &mut state.session
            && (Instant::now() < session.renew_at || session.renew(client).await)
        {
            return Ok(session.token.clone());
        }
        let now = Instant::now();
        if let Some((until, reason)) = &state.refused
            && now < *until
        {
            return Err(Failure::LoginRefused(reason.clone()));
        }
        state.refused = None;
        match self.log_in(client).await {
            Ok(session) => {
                let token = session.token.clone();
                state.session = Some(session);
                Ok(token)
            }
            Err(failure) => {
                if let Failure::LoginRefused(reason) = &failure {
                    state.refused = Some((now + REFUSAL_PAUSE, reason.clone()));
                }
                // While the server does not issue a new one, the present token serves up to its end.
                match &state.session {
                    Some(session) if Instant::now() < session.expires_at => Ok(session.token.clone()),
                    _ => Err(failure),
                }
            }
        }
    }

    /// Forgets a token that was refused. That of a later login is kept.
    pub(super) async fn discard(&self, refused: &Secret) {
        let mut state = self.state.lock().await;
        let is_present = |session: &Session| session.token.expose() == refused.expose();
        if state.session.as_ref().is_some_and(is_present) {
            state.session = None;
        }
    }

    /// Sends no login for a while: a new token was refused as well.
    pub(super) async fn pause(&self, reason: &str) {
        let mut state = self.state.lock().await;
        state.session = None;
        state.refused = Some((Instant::now() + REFUSAL_PAUSE, reason.to_owned()));
    }

    async fn log_in(&self, client: &Client) -> Result<Session, Failure> {
        let (path, body) = self.request().await?;
        let answered = client.send::<Response>(Method::POST, &path, None, Some(&body)).await;
        let auth = answered.map_err(login_failure)?.auth;
        if auth.token_type != "service" {
            // A batch token has no accessor: the kill switch could not revoke it.
            return Err(Failure::LoginRefused(format!(
                "the role issues tokens of the type {}, which cannot be revoked: set token_type=service",
                auth.token_type
            )));
        }
        let lease = auth.lease();
        let now = Instant::now();
        tracing::info!(
            accessor = auth.accessor,
            lease_s = lease.as_secs(),
            "logged in to Transit"
        );
        Ok(Session {
            token: Secret::new(auth.client_token),
            is_renewable: auth.renewable,
            lease,
            renew_at: now + lease * 2 / 3,
            expires_at: now + lease,
        })
    }

    /// Path and body of a login.
    async fn request(&self) -> Result<(String, Value), Failure> {
        let body = match &self.settings.method {
            LoginMethod::AppRole {
                role_id,
                secret_id_file,
            } => json!({"role_id": role_id, "secret_id": credential(secret_id_file).await?}),
            LoginMethod::Kubernetes { role, token_file } => {
                json!({"role": role, "jwt": credential(token_file).await?})
            }
        };
        Ok((format!("auth/{}/login", self.settings.mount), body))
    }
}

impl Session {
    /// Renews the token. Returns whether it can be used: not where its lease ends soon whatever is done.
    async fn renew(&mut self, client: &Client) -> bool {
        let now = Instant::now();
        if !self.is_renewable || now >= self.expires_at {
            return false;
        }
        let (path, body) = ("auth/token/renew-self", json!({}));
        let renewed = client
            .send::<Response>(Method::POST, path, Some(&self.token), Some(&body))
            .await;
        match renewed {
            Ok(Response { auth }) => {
                let lease = auth.lease();
                self.renew_at = now + lease * 2 / 3;
                self.expires_at = now + lease;
                self.is_renewable = auth.renewable;
                // Near the longest life of the token, a renewal extends it by less and less.
                lease * 2 >= self.lease
            }
            Err(Failure::Unavailable(reason)) => {
                tracing::warn!(reason, "the token of Transit was not renewed");
                self.renew_at = (now + RENEWAL_PAUSE).min(self.expires_at);
                true
            }
            Err(failure) => {
                tracing::warn!(
                    reason = failure.reason(),
                    "the renewal of the token of Transit was refused"
                );
                self.expires_at = now;
                false
            }
        }
    }
}

/// The credential in a file, without white space at its ends.
async fn credential(path: &Path) -> Result<String, Failure> {
    let failed = |reason: String| Failure::LoginRefused(format!("{} cannot be used: {reason}", path.display()));
    let text = tokio::fs::read_to_string(path)
        .await
        .map_err(|error| failed(error.to_string()))?;
    match text.trim() {
        "" => Err(failed("it is empty".to_owned())),
        text => Ok(text.to_owned()),
    }
}

/// A login with a wrong credential has the status 400: to the caller, it is refused.
fn login_failure(failure: Failure) -> Failure {
    match failure {
        Failure::Unavailable(reason) => Failure::Unavailable(reason),
        refused => Failure::LoginRefused(format!("the login is refused: {}", refused.reason())),
    }
}
