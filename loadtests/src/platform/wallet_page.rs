//! [`WalletPage`]: the wallet page without a browser. Sends the requests that the page's JavaScript sends.

use std::time::Duration;

use anyhow::{Context as _, ensure};
use reqwest::header::{HeaderMap, ORIGIN};
use reqwest::{Client, Method, RequestBuilder, StatusCode};
use serde_json::{Value, json};
use url::Url;

use super::Wallet;

/// Time limit of a request, that of the page.
const TIME_LIMIT: Duration = Duration::from_secs(30);

/// A wallet page that was opened by the link of `/verify start`.
#[derive(Debug, Clone)]
pub struct WalletPage {
    client: Client,
    link: Url,
}

/// An answer of the page's service.
#[derive(Debug, Clone)]
pub struct PageAnswer {
    /// Status.
    pub status: StatusCode,
    /// Headers.
    pub headers: HeaderMap,
    /// JSON; null for another body.
    pub body: Value,
}

impl PageAnswer {
    /// The text under a key; empty where there is none.
    pub fn text(&self, key: &str) -> &str {
        self.body[key].as_str().unwrap_or_default()
    }
}

impl WalletPage {
    /// The page with this link.
    ///
    /// # Errors
    /// When the link is not a URL.
    pub fn new(link: &str) -> anyhow::Result<Self> {
        let client = Client::builder().no_proxy().timeout(TIME_LIMIT).build()?;
        let link = Url::parse(link).with_context(|| format!("{link} is not a URL"))?;
        Ok(Self { client, link })
    }

    /// `GET` of the page itself: status, headers and HTML.
    ///
    /// # Errors
    /// When the service does not respond.
    pub async fn html(&self) -> anyhow::Result<(PageAnswer, String)> {
        let response = self
            .client
            .get(self.link.clone())
            .send()
            .await
            .context("the wallet page")?;
        let answer = PageAnswer {
            status: response.status(),
            headers: response.headers().clone(),
            body: Value::Null,
        };
        Ok((answer, response.text().await?))
    }

    /// The session, as the page reads it when it is loaded and every few seconds.
    ///
    /// # Errors
    /// When the service does not respond.
    pub async fn session(&self) -> anyhow::Result<PageAnswer> {
        answer(self.request(Method::GET, "session")).await
    }

    /// The text that the wallet with this address is to sign.
    ///
    /// # Errors
    /// When the service does not respond.
    pub async fn message(&self, address: &str, chain_id: u64) -> anyhow::Result<PageAnswer> {
        let body = json!({"address": address, "chain_id": chain_id});
        answer(self.request(Method::POST, "message").json(&body)).await
    }

    /// Presents a signature of a text.
    ///
    /// # Errors
    /// When the service does not respond.
    pub async fn submit(&self, address: &str, message: &str, signature: &str) -> anyhow::Result<PageAnswer> {
        let body = json!({"address": address, "message": message, "signature": signature});
        answer(self.request(Method::POST, "signature").json(&body)).await
    }

    /// Reads the session and the text, signs it with the wallet, and presents the signature. Returns the last answer.
    ///
    /// # Errors
    /// When the service does not respond, or refuses a request before the signature.
    pub async fn sign(&self, wallet: &Wallet) -> anyhow::Result<PageAnswer> {
        let session = self.session().await?;
        let chain_id = session.body["chain_id"].as_u64();
        let chain_id = chain_id.with_context(|| format!("no session: {} {}", session.status, session.body))?;
        let address = wallet.address().to_string();
        let message = self.message(&address, chain_id).await?;
        ensure!(
            message.status.is_success(),
            "no text: {} {}",
            message.status,
            message.body
        );
        let text = message.text("message");
        self.submit(&address, text, &wallet.sign(text)?).await
    }

    fn request(&self, method: Method, path: &str) -> RequestBuilder {
        let url = format!("{}/{path}", self.link.as_str().trim_end_matches('/'));
        let request = self.client.request(method, url);
        request.header(ORIGIN, self.link.origin().ascii_serialization())
    }
}

async fn answer(request: RequestBuilder) -> anyhow::Result<PageAnswer> {
    let response = request.send().await.context("the wallet page's service")?;
    let (status, headers) = (response.status(), response.headers().clone());
    let bytes = response.bytes().await?;
    Ok(PageAnswer {
        status,
        headers,
        body: serde_json::from_slice(&bytes).unwrap_or_default(),
    })
}
