//! Requests to the api: submits an approval, reads it.

use std::convert::Infallible;
use std::io::Write as _;
use std::time::Duration;

use arrakis_config::{Secret, is_loopback};
use arrakis_contracts::approvals::{ApprovalView, SubmitApproval};
use clap::Args;
use reqwest::{Client, Method, StatusCode, Url};
use serde_json::Value;
use uuid::Uuid;

use crate::report::printable;

/// Time limit of a request: longer than the wait of the api.
const REQUEST_LIMIT: Duration = Duration::from_secs(30);
/// Seconds for which the api holds a request while nothing has changed.
const WAIT_SECONDS: u8 = 10;
/// Pause after a request that failed for a reason that may pass.
pub(crate) const PAUSE: Duration = Duration::from_secs(2);
/// Attempts to submit.
const ATTEMPTS: u32 = 5;

/// Where the api is, and the key.
#[derive(Clone, Debug, Args)]
pub(crate) struct ApiArguments {
    /// Address of the api
    #[arg(long, value_name = "URL", env = "ARRAKIS_API_URL")]
    pub(crate) api_url: Url,
    /// API key with the scope approvals:write
    #[arg(long, value_name = "KEY", env = "ARRAKIS_API_KEY", hide_env_values = true, value_parser = secret)]
    pub(crate) api_key: Secret,
}

fn secret(text: &str) -> Result<Secret, Infallible> {
    Ok(Secret::new(text))
}

/// Why a request failed.
pub(crate) enum Failure {
    /// A later request may succeed.
    Transient(String),
    /// The api refuses the request.
    Permanent(String),
}

/// The api.
pub(crate) struct Api {
    client: Client,
    base: String,
    key: Secret,
}

impl Api {
    pub(crate) fn new(arguments: &ApiArguments) -> Result<Self, String> {
        let url = &arguments.api_url;
        let is_local = is_loopback(url);
        if url.scheme() != "https" && !(url.scheme() == "http" && is_local) {
            return Err(
                "--api-url: it must begin with https://, or with http:// for an address of this machine".to_owned(),
            );
        }
        let mut builder = Client::builder();
        if is_local {
            builder = builder.no_proxy();
        }
        let client = builder
            .timeout(REQUEST_LIMIT)
            // The key is for this host alone.
            .redirect(reqwest::redirect::Policy::none())
            .build()
            .map_err(|error| format!("no client for requests: {error}"))?;
        Ok(Self {
            client,
            base: url.as_str().trim_end_matches('/').to_owned(),
            key: arguments.api_key.clone(),
        })
    }

    /// Submits, and repeats a request whose outcome is unknown: its id makes it the same approval.
    pub(crate) async fn submit(&self, body: &SubmitApproval) -> Result<ApprovalView, String> {
        let body = serde_json::to_value(body).map_err(|error| error.to_string())?;
        let mut attempt = 1;
        loop {
            match self.request(Method::POST, "/admin/approvals", Some(&body)).await {
                Ok(approval) => return Ok(approval),
                Err(Failure::Transient(why)) if attempt < ATTEMPTS => note(&format!("{why}; trying again")),
                Err(Failure::Transient(why) | Failure::Permanent(why)) => return Err(why),
            }
            attempt += 1;
            tokio::time::sleep(PAUSE).await;
        }
    }

    /// Reads an approval. The api holds the request for some seconds while the approval has no decision.
    pub(crate) async fn read(&self, id: Uuid) -> Result<ApprovalView, Failure> {
        let path = format!("/admin/approvals/{id}?wait_seconds={WAIT_SECONDS}");
        self.request(Method::GET, &path, None).await
    }

    async fn request(&self, method: Method, path: &str, body: Option<&Value>) -> Result<ApprovalView, Failure> {
        let mut request = self
            .client
            .request(method, format!("{}{path}", self.base))
            .bearer_auth(self.key.expose());
        if let Some(body) = body {
            request = request.json(body);
        }
        let lost = |error: reqwest::Error| Failure::Transient(format!("the api cannot be reached: {error}"));
        let response = request.send().await.map_err(lost)?;
        let status = response.status();
        if status.is_success() {
            let text = response.text().await.map_err(lost)?;
            let unreadable = |error| Failure::Permanent(format!("the answer of the api is no approval: {error}"));
            return serde_json::from_str(&text).map_err(unreadable);
        }
        let text = response.text().await.unwrap_or_default();
        let problem: Value = serde_json::from_str(&text).unwrap_or_default();
        let detail = problem["detail"].as_str().unwrap_or("no reason is stated");
        let why = format!(
            "the api answered with status {}: {}",
            status.as_u16(),
            printable(detail)
        );
        if status.is_server_error() || status == StatusCode::TOO_MANY_REQUESTS {
            Err(Failure::Transient(why))
        } else {
            Err(Failure::Permanent(why))
        }
    }
}

/// A line about the progress, which is not the result.
pub(crate) fn note(text: &str) {
    let _ = writeln!(std::io::stderr(), "{}", printable(text));
}
