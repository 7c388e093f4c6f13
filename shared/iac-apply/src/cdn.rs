//! Downloads images from Discord's CDN, which requires no token:
//! <https://discord.com/developers/docs/reference#image-formatting>.

use std::time::Duration;

use http::StatusCode;
use url::Url;

use crate::http::{Https, HttpsError};

/// Discord's CDN.
const DISCORDS: &str = "https://cdn.discordapp.com";
const DISCORDS_MEDIA: &str = "https://media.discordapp.net";
/// Maximum number of attempts of a download.
const TRIES: u32 = 4;
/// Pause after the first failure. It doubles with each failure.
const PAUSE: Duration = Duration::from_millis(500);
/// Maximum pause that a response may request.
const MAX_PAUSE: Duration = Duration::from_secs(30);
/// Timeout of a download.
const BOUND: Duration = Duration::from_secs(30);

/// An image that cannot be downloaded.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CdnError {
    /// The CDN responded with an error status.
    #[error("the CDN responded to {url} with status {status}")]
    Refused {
        /// The URL.
        url: String,
        /// The status.
        status: u16,
    },
    /// No complete response after several attempts.
    #[error("{url} cannot be downloaded: {why}")]
    Unavailable {
        /// The URL.
        url: String,
        /// The reason.
        why: String,
    },
    /// The image is too large.
    #[error("{url} has more than {most} bytes")]
    TooLarge {
        /// The URL.
        url: String,
        /// The maximum number of bytes.
        most: usize,
    },
}

/// A client of the CDN.
#[derive(Clone, Debug)]
pub struct Cdn {
    client: reqwest::Client,
    base: String,
}

impl Cdn {
    /// The CDN of an API: Discord's CDN, or, for an emulator, the host of the API.
    ///
    /// # Errors
    /// TLS cannot be set up.
    pub fn for_api(api_base: &Url) -> Result<Self, HttpsError> {
        Ok(Self {
            client: Https::client(api_base)?,
            base: base(api_base),
        })
    }

    /// Downloads the image at a path below the base URL, of at most `most` bytes.
    ///
    /// # Errors
    /// It does not exist, is too large, or several attempts failed.
    pub async fn image(&self, path: &str, most: usize) -> Result<Vec<u8>, CdnError> {
        let url = self.url(path);
        let (mut attempt, mut pause) = (1, PAUSE);
        loop {
            let tried = tokio::time::timeout(BOUND, self.attempt(&url, most)).await;
            let tried =
                tried.unwrap_or_else(|_| DownloadAttempt::failed(&format!("no response within {} s", BOUND.as_secs())));
            match tried {
                DownloadAttempt::Ended(result) => return result,
                DownloadAttempt::Failed { why, .. } if attempt == TRIES => {
                    return Err(CdnError::Unavailable { url, why });
                }
                DownloadAttempt::Failed { wait, .. } => {
                    tokio::time::sleep(wait.unwrap_or(pause).min(MAX_PAUSE)).await;
                }
            }
            pause *= 2;
            attempt += 1;
        }
    }

    /// GIF stickers are on another host: <https://discord.com/developers/docs/reference#image-formatting-cdn-endpoints>.
    fn url(&self, path: &str) -> String {
        let is_gif_sticker = path.starts_with("/stickers/") && path.ends_with(".gif");
        match self.base == DISCORDS && is_gif_sticker {
            true => format!("{DISCORDS_MEDIA}{path}"),
            false => format!("{}{path}", self.base),
        }
    }

    async fn attempt(&self, url: &str, most: usize) -> DownloadAttempt {
        let mut response = match self.client.get(url).send().await {
            Ok(response) => response,
            Err(error) => return DownloadAttempt::failed(&causes(&error)),
        };
        let status = response.status();
        if status == StatusCode::TOO_MANY_REQUESTS || status.is_server_error() {
            let header = response.headers().get(http::header::RETRY_AFTER);
            let seconds = header.and_then(|value| value.to_str().ok()?.parse().ok());
            return DownloadAttempt::Failed {
                why: format!("status {}", status.as_u16()),
                wait: seconds.map(Duration::from_secs),
            };
        }
        let url = url.to_owned();
        // 206 is a part of the image.
        if status != StatusCode::OK {
            let status = status.as_u16();
            return DownloadAttempt::Ended(Err(CdnError::Refused { url, status }));
        }
        let mut bytes = Vec::new();
        loop {
            match response.chunk().await {
                Ok(Some(chunk)) if bytes.len() + chunk.len() > most => {
                    return DownloadAttempt::Ended(Err(CdnError::TooLarge { url, most }));
                }
                Ok(Some(chunk)) => bytes.extend_from_slice(&chunk),
                Ok(None) => return DownloadAttempt::Ended(Ok(bytes)),
                Err(error) => return DownloadAttempt::failed(&format!("the response ended early: {}", causes(&error))),
            }
        }
    }
}

/// The failure of an attempt.
enum DownloadAttempt {
    Ended(Result<Vec<u8>, CdnError>),
    /// A further attempt may succeed, after the requested pause.
    Failed {
        why: String,
        wait: Option<Duration>,
    },
}

impl DownloadAttempt {
    fn failed(why: &str) -> Self {
        Self::Failed {
            why: why.to_owned(),
            wait: None,
        }
    }
}

fn causes(error: &reqwest::Error) -> String {
    arrakis_causes::causes_below(error).unwrap_or_else(|| "the request failed".to_owned())
}

fn base(api_base: &Url) -> String {
    if is_of_discord(api_base) {
        return DISCORDS.to_owned();
    }
    let text = api_base.as_str().trim_end_matches('/');
    text.strip_suffix("/api/v10").unwrap_or(text).to_owned()
}

/// Whether an address of the API is Discord's own, under any of its names: `canary.discord.com`, `ptb.discord.com`, `discordapp.com`.
#[must_use]
pub fn is_of_discord(api_base: &Url) -> bool {
    let host = api_base.host_str().unwrap_or_default().trim_end_matches('.');
    ["discord.com", "discordapp.com"].iter().any(|domain| {
        let below = host.strip_suffix(domain);
        below.is_some_and(|rest| rest.is_empty() || rest.ends_with('.'))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cdn_is_determined_by_the_api() {
        for (api, cdn) in [
            ("https://discord.com/api/v10", DISCORDS),
            ("https://canary.discord.com/api/v10/", DISCORDS),
            ("http://127.0.0.1:8080/api/v10", "http://127.0.0.1:8080"),
            ("http://localhost:8080/discord/api/v10", "http://localhost:8080/discord"),
            ("https://notdiscord.com/api/v10", "https://notdiscord.com"),
        ] {
            assert_eq!(base(&api.parse().unwrap()), cdn, "{api}");
        }
    }
}
