//! Reads a file that a member attached to an interaction, from Discord's content network.
//!
//! This is no call to Discord's API: the address is signed and public, so it needs neither token nor proxy. Only Discord's own hosts are
//! read, and no redirect is followed. A development deployment may also read files of this machine, where an emulator serves them.

use std::time::Duration;

use arrakis_causes::causes_below;
use reqwest::StatusCode;
use url::Url;

use crate::interaction::options::AttachedFile;
use crate::interaction::refusal::Refusal;
use crate::interaction::reply::CommandError;

/// Hosts of Discord's content network.
const HOSTS: [&str; 2] = ["cdn.discordapp.com", "media.discordapp.net"];
/// Largest file, in bytes.
const MAX_SIZE: usize = 1 << 20;
/// Time limit of the download.
const LIMIT: Duration = Duration::from_secs(8);

/// The text of a file. `local`: whether a file of this machine may be read.
///
/// # Errors
/// A refusal for a file that is too large, not text, or not available.
pub(crate) async fn text(file: &AttachedFile, local: bool) -> Result<String, CommandError> {
    if file.size > MAX_SIZE as u64 {
        return Err(too_large().into());
    }
    let url = allowed(&file.url, local).ok_or_else(|| {
        Refusal::new(
            "That file is not served by Discord.",
            "Attach the file to the command again.",
        )
    })?;
    let bytes = download(url).await?;
    String::from_utf8(bytes).map_err(|_| {
        Refusal::new(
            "The file is not text in UTF-8.",
            "Save it as CSV in UTF-8, and attach it again.",
        )
        .into()
    })
}

/// The address if it is one of Discord's, or of this machine where that is permitted.
fn allowed(url: &str, local: bool) -> Option<Url> {
    let url = Url::parse(url).ok()?;
    let of_discord = url.scheme() == "https" && HOSTS.contains(&url.host_str()?) && url.port().is_none();
    let of_this_machine = local && url.scheme() == "http" && url.host_str()? == "127.0.0.1";
    (of_discord || of_this_machine).then_some(url)
}

async fn download(url: Url) -> Result<Vec<u8>, CommandError> {
    let client = reqwest::Client::builder()
        .user_agent(concat!("arrakis/", env!("CARGO_PKG_VERSION")))
        .timeout(LIMIT)
        .redirect(reqwest::redirect::Policy::none())
        .referer(false)
        .build()
        .map_err(|error| unavailable(&error))?;
    let mut response = client
        .get(url)
        .send()
        .await
        .and_then(reqwest::Response::error_for_status)
        .map_err(|error| unavailable(&error))?;
    // Such as a redirect, whose empty body is not the file.
    if response.status() != StatusCode::OK {
        let status = response.status().as_u16();
        return Err(not_read(&format!("the response has status {status}")));
    }
    let mut bytes = Vec::new();
    while let Some(chunk) = response.chunk().await.map_err(|error| unavailable(&error))? {
        if bytes.len() + chunk.len() > MAX_SIZE {
            return Err(too_large().into());
        }
        bytes.extend_from_slice(&chunk);
    }
    Ok(bytes)
}

/// Without reqwest's own text, which contains the signed address.
fn unavailable(error: &reqwest::Error) -> CommandError {
    not_read(&causes_below(error).unwrap_or_else(|| "the request failed".to_owned()))
}

fn not_read(why: &str) -> CommandError {
    tracing::warn!(error = why, "an attached file is not available");
    Refusal::new(
        "The file could not be read from Discord.",
        "Run the command again in a minute.",
    )
    .into()
}

fn too_large() -> Refusal {
    Refusal::new(
        "The file is larger than 1 MiB.",
        "Split it into several files, and run the command for each.",
    )
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader};
    use tokio::net::TcpListener;

    use super::*;

    /// The file of a server that responds so.
    async fn downloaded(response: &'static str) -> Option<String> {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/members.csv", listener.local_addr().unwrap());
        tokio::spawn(async move {
            let (stream, _) = listener.accept().await.unwrap();
            let mut stream = BufReader::new(stream);
            let mut line = String::new();
            while stream.read_line(&mut line).await.unwrap() > 2 {
                line.clear();
            }
            stream.write_all(response.as_bytes()).await.unwrap();
            stream.shutdown().await.unwrap();
        });
        let bytes = download(url.parse().unwrap()).await.ok()?;
        String::from_utf8(bytes).ok()
    }

    #[tokio::test]
    async fn response_that_is_not_the_file_is_refused() {
        let file = downloaded("HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nab").await;
        assert_eq!(file.as_deref(), Some("ab"));
        for response in [
            "HTTP/1.1 302 Found\r\nlocation: http://127.0.0.1/\r\ncontent-length: 0\r\n\r\n",
            "HTTP/1.1 204 No Content\r\n\r\n",
            "HTTP/1.1 404 Not Found\r\ncontent-length: 2\r\n\r\nab",
        ] {
            assert_eq!(downloaded(response).await, None, "{response}");
        }
    }

    #[test]
    fn only_hosts_of_discord_are_read() {
        for url in [
            "https://cdn.discordapp.com/ephemeral-attachments/1/2/members.csv?ex=1&is=2&hm=3",
            "https://media.discordapp.net/attachments/1/2/members.csv",
        ] {
            assert!(allowed(url, false).is_some(), "{url}");
        }
        for url in [
            "http://cdn.discordapp.com/attachments/1/2/members.csv",
            "https://cdn.discordapp.com.example.org/members.csv",
            "https://cdn.discordapp.com:8443/members.csv",
            "https://user@example.org/cdn.discordapp.com",
            "file:///etc/passwd",
            "http://127.0.0.1:8080/members.csv",
            "http://169.254.169.254/latest/meta-data",
            "members.csv",
        ] {
            assert!(allowed(url, false).is_none(), "{url}");
        }
        assert!(allowed("http://127.0.0.1:8080/members.csv", true).is_some());
        assert!(allowed("http://10.0.0.1/members.csv", true).is_none());
    }
}
