//! Reads the bodies of responses up to a bound: no server can fill the memory of this process.

use reqwest::Response;

/// The body of a response; `None` when it has more than `max` bytes.
///
/// # Errors
/// The body is not received to its end.
pub(crate) async fn read(mut response: Response, max: usize) -> Result<Option<Vec<u8>>, reqwest::Error> {
    let mut body = Vec::new();
    while let Some(chunk) = response.chunk().await? {
        if body.len() + chunk.len() > max {
            return Ok(None);
        }
        body.extend_from_slice(&chunk);
    }
    Ok(Some(body))
}
