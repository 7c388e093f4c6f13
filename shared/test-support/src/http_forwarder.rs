//! [`HttpForwarder`]: sends requests that the proxy of a test received to the service behind it.

use reqwest::header::HeaderMap;
use reqwest::{Body, Client, Method, StatusCode};

/// Headers of one connection, which are not forwarded.
const OF_CONNECTION: [&str; 5] = ["host", "connection", "content-length", "transfer-encoding", "expect"];

/// Sends requests to a service as they were received.
#[derive(Debug)]
pub struct HttpForwarder {
    upstream: String,
    client: Client,
}

/// The response of the service, for the proxy to send or to lose.
#[derive(Debug)]
pub struct ForwardedResponse {
    /// The status.
    pub status: StatusCode,
    /// The headers, without those of the connection. The length of a response to HEAD, which is that of the object, is one of them.
    pub headers: HeaderMap,
    /// The whole body.
    pub body: Vec<u8>,
}

impl HttpForwarder {
    /// Sends to this service: scheme, host and port.
    ///
    /// # Panics
    /// When the HTTP client cannot be set up.
    #[must_use]
    pub fn new(upstream: impl Into<String>) -> Self {
        let client = Client::builder().no_proxy().build();
        Self {
            upstream: upstream.into(),
            client: client.unwrap_or_else(|error| panic!("the HTTP client cannot be set up: {error}")),
        }
    }

    /// Sends a request with this path and query. Redirects are followed, as by any client.
    ///
    /// # Errors
    /// The service cannot be reached, or ends the response early.
    pub async fn send(
        &self,
        method: &Method,
        path: &str,
        headers: &HeaderMap,
        body: impl Into<Body>,
    ) -> reqwest::Result<ForwardedResponse> {
        let mut headers = headers.clone();
        for name in OF_CONNECTION {
            headers.remove(name);
        }
        let url = format!("{}{path}", self.upstream);
        let request = self.client.request(method.clone(), url).headers(headers).body(body);
        let received = request.send().await?;
        let (status, mut headers) = (received.status(), received.headers().clone());
        for name in ["connection", "transfer-encoding"] {
            headers.remove(name);
        }
        if *method != Method::HEAD {
            headers.remove("content-length");
        }
        let body = received.bytes().await?.to_vec();
        Ok(ForwardedResponse { status, headers, body })
    }
}
