//! One request and its whole answer, for every transport.

use std::time::Duration;

use bytes::BytesMut;

use super::{Answer, SendError};

/// Largest answer: 500 channels with 100 overwrites each are about 8 MB.
const LARGEST: usize = 32 << 20;

/// Sends a request and reads the answer within `bound`.
pub(super) async fn exchange(request: reqwest::RequestBuilder, bound: Duration) -> Result<Answer, SendError> {
    match tokio::time::timeout(bound, send(request)).await {
        Ok(sent) => sent,
        Err(_) => Err(SendError::Lost(format!("no response within {} s", bound.as_secs()))),
    }
}

async fn send(request: reqwest::RequestBuilder) -> Result<Answer, SendError> {
    let mut response = request.send().await.map_err(|error| {
        if error.is_connect() || error.is_builder() {
            SendError::NotSent(causes(&error))
        } else {
            SendError::Lost(causes(&error))
        }
    })?;
    let status = response.status();
    let mut body = BytesMut::new();
    loop {
        match response.chunk().await {
            Ok(Some(chunk)) if body.len() + chunk.len() <= LARGEST => body.extend_from_slice(&chunk),
            Ok(Some(_)) => return Err(SendError::Lost(format!("the answer is larger than {LARGEST} bytes"))),
            Ok(None) => break,
            Err(error) => return Err(SendError::Lost(format!("the answer broke off: {}", causes(&error)))),
        }
    }
    Ok(Answer {
        status,
        headers: std::mem::take(response.headers_mut()),
        body: body.freeze(),
    })
}

/// The causes of an error, since reqwest's own message is "error sending request".
fn causes(error: &reqwest::Error) -> String {
    arrakis_causes::causes_below(error).unwrap_or_else(|| "the request failed".to_owned())
}
