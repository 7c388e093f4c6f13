//! The client of the api: `/internal/telegram`, with the service's API key.
//!
//! Every request may be repeated: a second session replaces the first one, whose link was not shown, and the others change nothing the
//! second time. So a request without an answer is repeated a few times within seconds.

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

/// Attempts of a request that a member waits for.
const ATTEMPTS: u32 = 3;
/// Longest pause before another attempt.
const MAX_PAUSE: Duration = Duration::from_secs(3);
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
    /// No response, a 5xx, or a rate limit: a later attempt may succeed.
    #[error("the api at API_URL is unavailable: {0}")]
    Unavailable(String),
    /// The api does not accept the API key (401, 403).
    #[error(
        "the api refuses API_CREDENTIAL: {0}; create a key: arrakis-worker api-key create --all-communities --scope telegram --name \
         telegram --by NAME"
    )]
    Credential(String),
    /// Any other refusal, or a response of another form: a defect, or builds that do not fit together.
    #[error("the api refuses a request of this service: {0}")]
    Refused(String),
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
        self.json(|| self.request(Method::POST, "sessions").json(&body)).await
    }

    /// Wallets, Discord account and session of a Telegram user.
    pub(crate) async fn account(&self, user: i64) -> Result<AccountStatus, ApiError> {
        self.json(|| self.request(Method::GET, &format!("accounts/{user}")))
            .await
    }

    /// Unlinks a wallet of a Telegram user.
    pub(crate) async fn unlink(&self, user: i64, address: &str) -> Result<UnlinkOutcome, ApiError> {
        let path = format!("accounts/{user}/wallets/{address}");
        let unlinked: Unlinked = self.json(|| self.request(Method::DELETE, &path)).await?;
        Ok(unlinked.outcome)
    }

    /// Separates the Discord and the Telegram account of a user's identity.
    pub(crate) async fn separate(&self, user: i64) -> Result<UnlinkOutcome, ApiError> {
        let path = format!("accounts/{user}/separate");
        let separated: Unlinked = self.json(|| self.request(Method::POST, &path)).await?;
        Ok(separated.outcome)
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
        let taken: TakenNotices = decode(self.attempt(request).await.map_err(|failed| failed.error)?).await?;
        Ok(taken.notices)
    }

    /// Deletes a notice that was shown.
    pub(crate) async fn delete_notice(&self, notice: Uuid) -> Result<(), ApiError> {
        let path = format!("notices/{notice}");
        self.send(|| self.request(Method::DELETE, &path)).await.map(drop)
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
        decode(self.send(request).await?).await
    }

    /// Sends a request, a few times while the api is unavailable.
    async fn send(&self, request: impl Fn() -> RequestBuilder) -> Result<Response, ApiError> {
        let mut attempt = 1;
        loop {
            let failed = match self.attempt(request()).await {
                Ok(response) => return Ok(response),
                Err(failed) => failed,
            };
            if attempt == ATTEMPTS || !matches!(failed.error, ApiError::Unavailable(_)) {
                return Err(failed.error);
            }
            attempt += 1;
            tokio::time::sleep(failed.pause.min(MAX_PAUSE)).await;
        }
    }

    async fn attempt(&self, request: RequestBuilder) -> Result<Response, Failed> {
        let result = match request.send().await {
            Ok(response) if response.status().is_success() => Ok(response),
            Ok(response) => Err(Failed::of_response(response).await),
            Err(error) => Err(Failed {
                error: ApiError::Unavailable(causes(&error.without_url())),
                pause: Duration::from_millis(500),
            }),
        };
        *self.problem.lock() = result.as_ref().err().map(|failed| failed.error.to_string());
        result
    }
}

/// A failed attempt.
struct Failed {
    error: ApiError,
    /// Pause before the next one.
    pause: Duration,
}

impl Failed {
    async fn of_response(response: Response) -> Self {
        let status = response.status();
        let seconds = response.headers().get(header::RETRY_AFTER);
        let seconds = seconds.and_then(|value| value.to_str().ok()?.parse().ok());
        let pause = seconds.map_or(Duration::from_millis(500), Duration::from_secs);
        let body: Value = response.json().await.unwrap_or_default();
        let detail = body["detail"].as_str().unwrap_or_default();
        let text = format!("{} {detail}", status.as_u16());
        let error = match status {
            StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => ApiError::Credential(text),
            StatusCode::TOO_MANY_REQUESTS => ApiError::Unavailable(text),
            status if status.is_server_error() => ApiError::Unavailable(text),
            _ => ApiError::Refused(text),
        };
        Self { error, pause }
    }
}

async fn decode<T: DeserializeOwned>(response: Response) -> Result<T, ApiError> {
    let bytes = response
        .bytes()
        .await
        .map_err(|error| ApiError::Unavailable(causes(&error.without_url())))?;
    serde_json::from_slice(&bytes).map_err(|why| ApiError::Refused(format!("the answer has another form: {why}")))
}
