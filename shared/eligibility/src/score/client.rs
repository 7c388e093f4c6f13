//! The HTTP client of the score service: one request within limits on time and size, without retries.

use std::time::Duration;

use arrakis_config::{ScoreApi, is_loopback};
use http::header::{ACCEPT, AUTHORIZATION};
use http::{HeaderValue, StatusCode};
use time::OffsetDateTime;
use tokio::time::timeout;
use url::Url;

use super::{ScoreFailure, wire};
use crate::answer::{Question, Score};
use crate::settings::ProviderSettings;

/// The client of the score service.
#[derive(Debug, Clone)]
pub(crate) struct ScoreClient {
    http: reqwest::Client,
    base: Url,
    authorization: HeaderValue,
    timeout: Duration,
    max_response: usize,
}

impl ScoreClient {
    /// A client. Sends nothing.
    ///
    /// # Errors
    /// The key cannot be sent in a header, or the HTTP client cannot be built.
    pub(crate) fn new(api: &ScoreApi, settings: &ProviderSettings) -> Result<Self, String> {
        let header = HeaderValue::from_str(&format!("Bearer {}", api.key.expose()));
        let mut authorization = header.map_err(|_| "SCORE_API_KEY cannot be sent in a header".to_owned())?;
        authorization.set_sensitive(true);
        Ok(Self {
            http: http_client(&api.base, settings).map_err(|error| arrakis_causes::causes(&error))?,
            base: api.base.clone(),
            authorization,
            timeout: settings.score_timeout,
            max_response: settings.max_response,
        })
    }

    /// The rating of a wallet.
    ///
    /// # Errors
    /// [`ScoreFailure`]: no response within [`ProviderSettings::score_timeout`], or one that contains no rating.
    pub(crate) async fn score(&self, question: &Question) -> Result<Score, ScoreFailure> {
        let exchanged = timeout(self.timeout, self.exchange(question)).await;
        exchanged.unwrap_or(Err(ScoreFailure::TimedOut(self.timeout)))
    }

    async fn exchange(&self, question: &Question) -> Result<Score, ScoreFailure> {
        let url = self.url(question)?;
        let request = self
            .http
            .get(url)
            .header(ACCEPT, "application/json")
            .header(AUTHORIZATION, self.authorization.clone());
        let response = request.send().await.map_err(|error| transport(&error))?;
        match response.status() {
            StatusCode::OK => {
                let body = self.body(response).await?;
                wire::decode(&body, question, OffsetDateTime::now_utc()).map_err(ScoreFailure::Malformed)
            }
            StatusCode::NOT_FOUND => {
                let body = self.body(response).await?;
                let is_unknown = wire::is_unknown_token(&body);
                Err(if is_unknown {
                    ScoreFailure::NotCovered
                } else {
                    ScoreFailure::Status(404)
                })
            }
            status @ (StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN) => {
                Err(ScoreFailure::Unauthorized(status.as_u16()))
            }
            status => Err(ScoreFailure::Status(status.as_u16())),
        }
    }

    fn url(&self, question: &Question) -> Result<Url, ScoreFailure> {
        let path = format!(
            "v1/chains/{}/tokens/{}/wallets/{}",
            question.chain_id, question.token.contract, question.wallet
        );
        let joined = self.base.join(&path);
        let mut url = joined.map_err(|error| ScoreFailure::Transport(error.to_string()))?;
        if !question.token.ids.is_empty() {
            let ids: Vec<String> = question.token.ids.iter().map(ToString::to_string).collect();
            url.query_pairs_mut().append_pair("token_ids", &ids.join(","));
        }
        Ok(url)
    }

    async fn body(&self, mut response: reqwest::Response) -> Result<Vec<u8>, ScoreFailure> {
        let max = self.max_response;
        if response.content_length().is_some_and(|length| length > max as u64) {
            return Err(ScoreFailure::TooLarge(max));
        }
        let mut body = Vec::new();
        while let Some(chunk) = response.chunk().await.map_err(|error| transport(&error))? {
            if body.len() + chunk.len() > max {
                return Err(ScoreFailure::TooLarge(max));
            }
            body.extend_from_slice(&chunk);
        }
        Ok(body)
    }
}

/// The causes of an error without reqwest's own text, which contains the URL with the wallet.
fn transport(error: &reqwest::Error) -> ScoreFailure {
    let causes = arrakis_causes::causes_below(error);
    ScoreFailure::Transport(causes.unwrap_or_else(|| "the request failed".to_owned()))
}

/// Without redirects, which would send the key to another host. Proxies that the environment names are not used for an address of this
/// machine.
fn http_client(base: &Url, settings: &ProviderSettings) -> Result<reqwest::Client, reqwest::Error> {
    let builder = reqwest::Client::builder();
    let builder = if is_loopback(base) { builder.no_proxy() } else { builder };
    builder
        .user_agent(concat!("arrakis/", env!("CARGO_PKG_VERSION")))
        .connect_timeout(settings.connect_timeout)
        .pool_idle_timeout(Duration::from_secs(30))
        .redirect(reqwest::redirect::Policy::none())
        .referer(false)
        .retry(reqwest::retry::never())
        .build()
}
