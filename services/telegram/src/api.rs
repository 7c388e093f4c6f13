//! The client of the api: `/internal/telegram`, with the service's API key.
//!
//! A request that certainly had no effect is repeated a few times within seconds. So is one with an unknown outcome (no response, or a
//! 5xx) whose repetition changes nothing. A session is not begun again: each one counts towards the limit of its account.

use std::fmt;
use std::time::Duration;

use arrakis_causes::causes;
use arrakis_config::Secret;
use arrakis_contracts::telegram::{
    AccountStatus, ConsentAnswer, ConsentOutcome, SessionStarted, StartSession, TakeNotices, TakenNotice, TakenNotices,
    UnlinkOutcome, Unlinked,
};
use http::{Method, StatusCode, header};
use parking_lot::Mutex;
use reqwest::{Client, RequestBuilder, Response};
use serde::de::DeserializeOwned;
use serde_json::Value;
use url::Url;
use uuid::Uuid;

use crate::response_body;

/// Attempts of a request that a member waits for.
const ATTEMPTS: u32 = 3;
/// Longest pause before another attempt.
const MAX_PAUSE: Duration = Duration::from_secs(3);
/// Pause before another attempt, unless the api demands another one.
const PAUSE: Duration = Duration::from_millis(500);
/// Longest response that is read, in bytes.
const MAX_RESPONSE: usize = 8 << 20;
/// Time limit of a request, besides the wait for a notice.
const LIMIT: Duration = Duration::from_secs(10);

/// The HTTP client of `arrakis-api`. Its requests return [`ApiError`].
pub(crate) struct Api {
    client: Client,
    base: Url,
    credential: Secret,
    /// Why the last request failed, for the health endpoint.
    problem: Mutex<Option<String>>,
}

impl fmt::Debug for Api {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Api").field("base", &self.base).finish_non_exhaustive()
    }
}

/// Why a request failed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum ApiError {
    /// No connection, or a rate limit: the request had no effect, and a later attempt may succeed.
    #[error("the api at API_URL is unavailable: {0}")]
    Unavailable(String),
    /// No complete response, a 5xx, or a success of another form: whether the request took effect is unknown.
    #[error("the api at API_URL is unavailable, and the outcome of a request is unknown: {0}")]
    Unknown(String),
    /// The api does not accept the API key (401, 403).
    #[error(
        "the api refuses API_CREDENTIAL: {0}; create a key: arrakis-worker api-key create --all-communities --scope telegram --name \
         telegram --by NAME"
    )]
    Credential(String),
    /// Any other refusal: a defect, or builds that do not fit together.
    #[error("the api refuses a request of this service: {0}")]
    Refused(String),
}

impl ApiError {
    /// This error after an earlier attempt with an unknown outcome: the request may have taken effect.
    fn into_unknown(self) -> Self {
        match self {
            Self::Unknown(why) => Self::Unknown(why),
            Self::Unavailable(why) | Self::Refused(why) => {
                Self::Unknown(format!("{why}, after an attempt with an unknown outcome"))
            }
            error @ Self::Credential(_) => Self::Unknown(format!("{error}, after an attempt with an unknown outcome")),
        }
    }
}

impl Api {
    /// A client of the api at `base` (`API_URL`) with an API key. Sends nothing.
    ///
    /// # Errors
    /// When the HTTP client cannot be built.
    pub(crate) fn new(base: Url, credential: Secret) -> anyhow::Result<Self> {
        let client = Client::builder()
            .connect_timeout(Duration::from_secs(3))
            .redirect(reqwest::redirect::Policy::none())
            .user_agent(concat!("arrakis-telegram/", env!("CARGO_PKG_VERSION")))
            .build()?;
        Ok(Self {
            client,
            base,
            credential,
            problem: Mutex::new(None),
        })
    }

    /// Begins a verification session of a Telegram user. `name` is the one that the sign-in message shows.
    pub(crate) async fn start_session(&self, user: i64, name: String) -> Result<SessionStarted, ApiError> {
        let body = StartSession {
            telegram_user_id: user,
            name,
        };
        let request = || self.request(Method::POST, "sessions").json(&body);
        decode(&self.send(request, Repeat::UnlessUnknown).await?.body)
    }

    /// Wallets, Discord account and session of a Telegram user.
    pub(crate) async fn account(&self, user: i64) -> Result<AccountStatus, ApiError> {
        let status = self.json(|| self.request(Method::GET, &format!("accounts/{user}")));
        status.await.map_err(|error| match error {
            // It changes nothing.
            ApiError::Unknown(why) => ApiError::Unavailable(why),
            other => other,
        })
    }

    /// Unlinks a wallet of a Telegram user, if it is still the one that this event verified.
    pub(crate) async fn unlink(&self, user: i64, address: &str, event: u64) -> Result<UnlinkOutcome, ApiError> {
        let path = format!("accounts/{user}/wallets/{address}?verified_event={event}");
        let unlinked: Unlinked = self.json(|| self.request(Method::DELETE, &path)).await?;
        Ok(unlinked.outcome)
    }

    /// Separates the Discord and the Telegram account of a user's identity. True when an earlier attempt of this request has an unknown
    /// outcome, so that it may have separated them.
    pub(crate) async fn separate(&self, user: i64) -> Result<(UnlinkOutcome, bool), ApiError> {
        let path = format!("accounts/{user}/separate");
        let sent = self.send(|| self.request(Method::POST, &path), Repeat::Always).await?;
        let separated: Unlinked = decode(&sent.body)?;
        Ok((separated.outcome, sent.after_unknown))
    }

    /// Sends the answer of a user who holds a wallet: whether the wallet moves to the account of `session`.
    pub(crate) async fn answer(&self, session: Uuid, user: i64, consents: bool) -> Result<ConsentOutcome, ApiError> {
        let path = format!("sessions/{session}/answer");
        let body = ConsentAnswer {
            telegram_user_id: user,
            consents,
        };
        self.json(|| self.request(Method::POST, &path).json(&body)).await
    }

    /// Takes notices; waits up to `wait` while there are none. Sent once: the caller repeats it in any case.
    pub(crate) async fn take_notices(&self, wait: Duration) -> Result<Vec<TakenNotice>, ApiError> {
        let wait_seconds = u8::try_from(wait.as_secs()).unwrap_or(u8::MAX);
        let request = self
            .request(Method::POST, "notices/take")
            .json(&TakeNotices { wait_seconds })
            .timeout(LIMIT + wait);
        let taken: TakenNotices = decode(&self.attempt(request).await.map_err(|failed| failed.error)?)?;
        Ok(taken.notices)
    }

    /// Deletes a notice that was shown.
    pub(crate) async fn delete_notice(&self, notice: Uuid) -> Result<(), ApiError> {
        let path = format!("notices/{notice}");
        let request = || self.request(Method::DELETE, &path);
        self.send(request, Repeat::Always).await.map(drop)
    }

    /// Why the last request failed; `None` when it succeeded.
    pub(crate) fn problem(&self) -> Option<String> {
        self.problem.lock().clone()
    }

    fn request(&self, method: Method, path: &str) -> RequestBuilder {
        let base = self.base.as_str().trim_end_matches('/');
        self.client
            .request(method, format!("{base}/internal/telegram/{path}"))
            .bearer_auth(self.credential.expose())
            .timeout(LIMIT)
    }

    async fn json<T: DeserializeOwned>(&self, request: impl Fn() -> RequestBuilder) -> Result<T, ApiError> {
        decode(&self.send(request, Repeat::Always).await?.body)
    }

    /// Sends a request, a few times while the api is unavailable. After an attempt with an unknown outcome, every error is
    /// [`ApiError::Unknown`].
    async fn send(&self, request: impl Fn() -> RequestBuilder, repeat: Repeat) -> Result<Sent, ApiError> {
        let (mut attempt, mut after_unknown) = (1, false);
        loop {
            let failed = match self.attempt(request()).await {
                Ok(body) => return Ok(Sent { body, after_unknown }),
                Err(failed) => failed,
            };
            let is_repeated = match &failed.error {
                ApiError::Unavailable(_) => true,
                ApiError::Unknown(_) => {
                    after_unknown = true;
                    repeat == Repeat::Always
                }
                ApiError::Credential(_) | ApiError::Refused(_) => false,
            };
            if attempt == ATTEMPTS || !is_repeated {
                return Err(if after_unknown {
                    failed.error.into_unknown()
                } else {
                    failed.error
                });
            }
            attempt += 1;
            tokio::time::sleep(failed.pause.min(MAX_PAUSE)).await;
        }
    }

    /// Sends a request once; returns the body of a success.
    async fn attempt(&self, request: RequestBuilder) -> Result<Vec<u8>, Failed> {
        let result = match request.send().await {
            Ok(response) if response.status().is_success() => match response_body::read(response, MAX_RESPONSE).await {
                Ok(Some(body)) => Ok(body),
                Ok(None) => Err(Failed {
                    error: ApiError::Unknown(format!("a response has more than {MAX_RESPONSE} bytes")),
                    pause: PAUSE,
                }),
                Err(error) => Err(Failed::of_transport(error)),
            },
            Ok(response) => Err(Failed::of_response(response).await),
            Err(error) => Err(Failed::of_transport(error)),
        };
        *self.problem.lock() = result.as_ref().err().map(|failed| failed.error.to_string());
        result
    }
}

/// Whether a request with an unknown outcome is repeated.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Repeat {
    /// Its repetition changes nothing.
    Always,
    /// Only when it certainly had no effect.
    UnlessUnknown,
}

/// The successful response to a request.
struct Sent {
    body: Vec<u8>,
    /// Whether an earlier attempt has an unknown outcome.
    after_unknown: bool,
}

/// A failed attempt.
struct Failed {
    error: ApiError,
    /// Pause before the next one.
    pause: Duration,
}

impl Failed {
    fn of_transport(error: reqwest::Error) -> Self {
        let not_sent = error.is_connect() || error.is_builder();
        let text = causes(&error.without_url());
        Self {
            error: if not_sent {
                ApiError::Unavailable(text)
            } else {
                ApiError::Unknown(text)
            },
            pause: PAUSE,
        }
    }

    async fn of_response(response: Response) -> Self {
        let status = response.status();
        let seconds = response.headers().get(header::RETRY_AFTER);
        let seconds = seconds.and_then(|value| value.to_str().ok()?.parse().ok());
        let pause = seconds.map_or(PAUSE, Duration::from_secs);
        let body = response_body::read(response, MAX_RESPONSE).await.ok().flatten();
        let body: Value = serde_json::from_slice(&body.unwrap_or_default()).unwrap_or_default();
        let detail = body["detail"].as_str().unwrap_or_default();
        let text = format!("{} {detail}", status.as_u16());
        let error = match status {
            StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => ApiError::Credential(text),
            StatusCode::TOO_MANY_REQUESTS => ApiError::Unavailable(text),
            status if status.is_server_error() => ApiError::Unknown(text),
            _ => ApiError::Refused(text),
        };
        Self { error, pause }
    }
}

fn decode<T: DeserializeOwned>(body: &[u8]) -> Result<T, ApiError> {
    serde_json::from_slice(body)
        .map_err(|why| ApiError::Unknown(format!("a success has a body of another form: {why}")))
}

#[cfg(test)]
mod tests {
    use axum::routing::post;
    use axum::{Json, Router};
    use serde_json::json;
    use tokio::net::TcpListener;

    use super::*;

    /// A client of an api that answers the requests for `separate` in this order.
    async fn api(answers: Vec<(u16, Value)>) -> Api {
        arrakis_runtime::install_crypto_provider();
        let answers = std::sync::Arc::new(Mutex::new(answers.into_iter()));
        let answer = move || {
            let (status, body) = answers.lock().next().unwrap();
            async move { (StatusCode::from_u16(status).unwrap(), Json(body)) }
        };
        let router = Router::new().route("/internal/telegram/accounts/42/separate", post(answer));
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
        Api::new(url.parse().unwrap(), Secret::new("key".to_owned())).unwrap()
    }

    #[tokio::test]
    async fn every_error_after_an_attempt_with_an_unknown_outcome_is_unknown() {
        for status in [401, 403, 404, 422] {
            let api = api(vec![(502, Value::Null), (status, Value::Null)]).await;
            let error = api.separate(42).await.unwrap_err();
            assert!(matches!(error, ApiError::Unknown(_)), "{status}: {error}");
        }
        let error = api(vec![(401, Value::Null)]).await.separate(42).await.unwrap_err();
        assert!(matches!(error, ApiError::Credential(_)), "{error}");
        let error = api(vec![(404, Value::Null)]).await.separate(42).await.unwrap_err();
        assert!(matches!(error, ApiError::Refused(_)), "{error}");
    }

    #[tokio::test]
    async fn outcome_of_a_success_of_another_form_is_unknown() {
        let api = api(vec![(200, json!({"outcome": "of a newer build"}))]).await;
        let error = api.separate(42).await.unwrap_err();
        assert!(matches!(error, ApiError::Unknown(_)), "{error}");
    }
}
