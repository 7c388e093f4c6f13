//! The endpoint of each replica of the discord-proxy.

use std::time::Duration;

use arrakis_causes::causes_below;
use arrakis_config::Secret;
use arrakis_security::kill_switch::{CONFIRMS, KillSwitchState, PROXY_PATH};
use futures_util::future::join_all;
use serde::Deserialize;
use url::Url;

/// Time limit of a write at a replica.
const REQUEST_LIMIT: Duration = Duration::from_millis(1_500);

/// A replica of the discord-proxy, with the state that it responded.
#[derive(Debug, Clone)]
pub struct ReplicaState {
    /// Its address.
    pub address: String,
    /// Its entries, or why they could not be read.
    pub state: Result<KillSwitchState, String>,
    /// Whether its `KILL_SWITCH_FILE`, if it has one, has the state.
    pub is_stored: bool,
    /// The token by which its state is confirmed; `None` of a replica of an older build.
    pub(crate) read: Option<String>,
}

/// A write at a replica.
#[derive(Debug, Clone, Copy)]
struct Write<'a> {
    entries: &'a KillSwitchState,
    /// The token of the read that it confirms.
    confirms: Option<&'a str>,
}

/// The response of a replica.
#[derive(Debug, Deserialize)]
struct ReplicaResponse {
    stored: bool,
    #[serde(default)]
    read: Option<String>,
    switches: KillSwitchState,
}

/// The endpoints of all replicas.
#[derive(Debug, Clone)]
pub struct ProxySwitches {
    client: reqwest::Client,
    addresses: Vec<String>,
    credential: Secret,
}

impl ProxySwitches {
    /// Endpoints at these addresses.
    ///
    /// # Errors
    /// The HTTP client cannot be built.
    pub fn new(addresses: &[Url], credential: &Secret) -> Result<Self, reqwest::Error> {
        let client = reqwest::Client::builder()
            .no_proxy()
            .redirect(reqwest::redirect::Policy::none())
            .build()?;
        let addresses = addresses
            .iter()
            .map(|url| url.as_str().trim_end_matches('/').to_owned());
        Ok(Self {
            client,
            addresses: addresses.collect(),
            credential: credential.clone(),
        })
    }

    /// The addresses of the replicas.
    pub(crate) fn addresses(&self) -> &[String] {
        &self.addresses
    }

    /// Reads the state of every replica, of each within `limit`: one that hangs hides no other one.
    pub(crate) async fn read(&self, limit: Duration) -> Vec<ReplicaState> {
        let mut requests = Vec::new();
        for address in &self.addresses {
            requests.push(self.request(address, None, limit));
        }
        join_all(requests).await
    }

    /// Writes these entries at one replica.
    pub(crate) async fn write_at(&self, address: &str, entries: &KillSwitchState) -> ReplicaState {
        let confirms = None;
        self.request(address, Some(Write { entries, confirms }), REQUEST_LIMIT)
            .await
    }

    /// Writes these entries at a replica, and confirms that it has the present state with them.
    pub(crate) async fn confirm_at(&self, replica: &ReplicaState, entries: &KillSwitchState) -> ReplicaState {
        let confirms = replica.read.as_deref();
        self.request(&replica.address, Some(Write { entries, confirms }), REQUEST_LIMIT)
            .await
    }

    async fn request(&self, address: &str, write: Option<Write<'_>>, limit: Duration) -> ReplicaState {
        let failed = |error| ReplicaState {
            address: address.to_owned(),
            state: Err(error),
            is_stored: false,
            read: None,
        };
        let response = match self.send(address, write, limit).await {
            Ok(response) => response,
            Err(error) => return failed(error),
        };
        // No version of ours could follow it.
        if let Err(error) = response.switches.check_versions() {
            return failed(error.to_string());
        }
        ReplicaState {
            address: address.to_owned(),
            state: Ok(response.switches),
            is_stored: response.stored,
            read: response.read,
        }
    }

    async fn send(&self, address: &str, write: Option<Write<'_>>, limit: Duration) -> Result<ReplicaResponse, String> {
        let url = format!("{address}{PROXY_PATH}");
        let request = match write {
            Some(Write { entries, confirms }) => {
                let request = self.client.put(url).json(entries);
                match confirms {
                    Some(token) => request.header(CONFIRMS, token),
                    None => request,
                }
            }
            None => self.client.get(url),
        };
        let failed = |error: reqwest::Error| causes_below(&error).unwrap_or_else(|| "the request failed".to_owned());
        let response = request
            .timeout(limit)
            .bearer_auth(self.credential.expose())
            .send()
            .await
            .map_err(failed)?;
        let status = response.status();
        if status == reqwest::StatusCode::UNAUTHORIZED {
            return Err("the replica refuses KILL_SWITCH_CREDENTIAL".to_owned());
        }
        if status == reqwest::StatusCode::BAD_REQUEST {
            return Err("the replica refuses the entry; its clock may be wrong".to_owned());
        }
        // A replica that has a newer entry responds with its state.
        if !status.is_success() && status != reqwest::StatusCode::CONFLICT {
            return Err(format!("the replica responded with status {}", status.as_u16()));
        }
        response.json().await.map_err(failed)
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    use tokio::net::TcpListener;

    use super::*;

    #[tokio::test]
    async fn replica_that_hangs_hides_no_other_one() {
        // A listener that never accepts, and one that responds.
        let hung = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let responding = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let addresses: Vec<Url> = [&hung, &responding]
            .iter()
            .map(|listener| format!("http://{}", listener.local_addr().unwrap()).parse().unwrap())
            .collect();
        tokio::spawn(async move {
            let (mut stream, _) = responding.accept().await.unwrap();
            let mut request = [0; 4_096];
            let _ = stream.read(&mut request).await.unwrap();
            let body = r#"{"replica":"a","stored":true,"switches":[]}"#;
            let head = format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n", body.len());
            stream.write_all(format!("{head}{body}").as_bytes()).await.unwrap();
        });
        let proxies = ProxySwitches::new(&addresses, &Secret::new("0123456789abcdef")).unwrap();
        let states = proxies.read(Duration::from_secs(2)).await;
        assert!(states[0].state.is_err(), "{states:?}");
        assert_eq!(states[1].state, Ok(KillSwitchState::default()));
    }
}
