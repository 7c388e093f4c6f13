//! The endpoint of each replica of the discord-proxy.

use std::time::Duration;

use arrakis_causes::causes_below;
use arrakis_config::Secret;
use arrakis_security::kill_switch::{KillSwitchState, PROXY_PATH};
use futures_util::future::join_all;
use serde::Deserialize;
use url::Url;

/// Time limit of one request to a replica.
const REQUEST_LIMIT: Duration = Duration::from_millis(1_500);

/// A replica with what it responded.
#[derive(Debug, Clone)]
pub struct ReplicaState {
    /// Its address.
    pub address: String,
    /// Its state, or why there is none.
    pub state: Result<KillSwitchState, String>,
    /// Whether its `KILL_SWITCH_FILE`, if it has one, has the state.
    pub is_stored: bool,
}

/// The response of a replica.
#[derive(Debug, Deserialize)]
struct ReplicaResponse {
    stored: bool,
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
            .timeout(REQUEST_LIMIT)
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

    /// Reads the state of every replica.
    pub async fn read(&self) -> Vec<ReplicaState> {
        self.request_all(None).await
    }

    /// Writes these entries at every replica, and returns the state that each has then.
    pub async fn write(&self, entries: &KillSwitchState) -> Vec<ReplicaState> {
        self.request_all(Some(entries)).await
    }

    async fn request_all(&self, entries: Option<&KillSwitchState>) -> Vec<ReplicaState> {
        let mut requests = Vec::new();
        for address in &self.addresses {
            requests.push(self.request(address, entries));
        }
        join_all(requests).await
    }

    /// Writes these entries at one replica.
    pub(crate) async fn write_at(&self, address: &str, entries: &KillSwitchState) -> ReplicaState {
        self.request(address, Some(entries)).await
    }

    async fn request(&self, address: &str, entries: Option<&KillSwitchState>) -> ReplicaState {
        let (state, is_stored) = match self.send(address, entries).await {
            Ok(response) => (Ok(response.switches), response.stored),
            Err(error) => (Err(error), false),
        };
        ReplicaState {
            address: address.to_owned(),
            state,
            is_stored,
        }
    }

    async fn send(&self, address: &str, entries: Option<&KillSwitchState>) -> Result<ReplicaResponse, String> {
        let url = format!("{address}{PROXY_PATH}");
        let request = match entries {
            Some(entries) => self.client.put(url).json(entries),
            None => self.client.get(url),
        };
        let failed = |error: reqwest::Error| causes_below(&error).unwrap_or_else(|| "the request failed".to_owned());
        let response = request
            .bearer_auth(self.credential.expose())
            .send()
            .await
            .map_err(failed)?;
        let status = response.status();
        if status == reqwest::StatusCode::UNAUTHORIZED {
            return Err("the replica refuses KILL_SWITCH_CREDENTIAL".to_owned());
        }
        if !status.is_success() {
            return Err(format!("the replica responded with status {}", status.as_u16()));
        }
        response.json().await.map_err(failed)
    }
}
