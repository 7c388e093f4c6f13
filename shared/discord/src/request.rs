//! A request that can be sent to any replica.

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Method, header};

use crate::endpoint::Endpoint;
use crate::error::Error;

/// A call with its endpoint.
#[derive(Debug)]
pub(crate) struct Request {
    pub(crate) endpoint: Endpoint,
    pub(crate) method: Method,
    /// Below the API version, without slash: `guilds/1/roles`.
    pub(crate) path: String,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
}

impl Request {
    /// The request that twilight built and checked.
    ///
    /// # Errors
    /// [`Error::Invalid`] when twilight refuses the content.
    pub(crate) fn built(
        endpoint: Endpoint,
        built: Result<twilight_http::request::Request, twilight_http::Error>,
    ) -> Result<Self, Error> {
        let built = built?;
        let mut headers = built.headers().cloned().unwrap_or_default();
        let (content_type, body) = match (built.form(), built.body()) {
            (Some(form), _) => (Some(form.content_type()), form.clone().build()),
            (None, Some(body)) => (Some(b"application/json".to_vec()), body.to_vec()),
            (None, None) => (None, Vec::new()),
        };
        if let Some(content_type) = content_type {
            let value = HeaderValue::from_bytes(&content_type).map_err(Error::unsendable)?;
            headers.insert(header::CONTENT_TYPE, value);
        }
        Ok(Self {
            endpoint,
            method: Method::from_bytes(built.method().name().as_bytes()).map_err(Error::unsendable)?,
            path: built.path().to_owned(),
            headers,
            body: body.into(),
        })
    }
}
