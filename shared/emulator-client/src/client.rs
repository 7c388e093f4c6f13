//! An HTTP client of the control API.

use std::{fmt::Display, time::Duration};

use reqwest::{Client, Method, StatusCode};
use serde::{Serialize, de::DeserializeOwned};
use serde_json::Value;
use tokio::time::{Instant, sleep};

use crate::{
    ClockChange, ClockState, Fault, FaultCreated, GatewayChange, GatewayState, GuildSummary, Id, InteractionCreated,
    InteractionRecord, InteractionRequest, InteractionsEndpoint, InteractionsEndpointChange, MemberEdit, NewToken,
    NewUser, Outage, Recording, RestCall, SeedRequest, StatsReport,
    load::{Event, Load, LoadStarted, Progress, Results},
};

/// Interval between two requests for the progress of a load run: each costs the emulator a walk over all events.
const PROGRESS_INTERVAL: Duration = Duration::from_millis(250);

/// A failed request.
#[derive(Debug, thiserror::Error)]
pub enum RequestError {
    /// No whole response was received.
    #[error("{method} {path}: no response: {source}")]
    NoResponse {
        /// Method of the request.
        method: Method,
        /// Path below `/control`.
        path: String,
        /// What went wrong.
        source: reqwest::Error,
    },
    /// The emulator refused the request.
    #[error("{method} {path}: {status}: {body}")]
    Refused {
        /// Method of the request.
        method: Method,
        /// Path below `/control`.
        path: String,
        /// HTTP status.
        status: StatusCode,
        /// Body of the response, with the reason.
        body: String,
    },
    /// The response does not have the expected form.
    #[error("{method} {path}: unexpected response: {source}: {body}")]
    Unexpected {
        /// Method of the request.
        method: Method,
        /// Path below `/control`.
        path: String,
        /// What does not fit.
        source: serde_json::Error,
        /// Body of the response.
        body: String,
    },
}

type Result<T> = std::result::Result<T, RequestError>;

/// A client of one emulator. Servers, channels, roles and members are named by id or by name.
///
/// # Errors
/// Every method that sends a request fails as [`RequestError`] describes.
#[derive(Clone, Debug)]
pub struct ControlClient {
    base: String,
    http: Client,
}

impl ControlClient {
    /// A client of the emulator whose control listener has this URL ([`Addresses::control`](crate::Addresses::control)).
    #[must_use]
    pub fn new(control: &str) -> Self {
        Self {
            base: control.trim_end_matches('/').to_owned(),
            // The emulator is on this machine; a proxy named by the environment is not for it.
            http: Client::builder().no_proxy().build().unwrap_or_default(),
        }
    }

    /// URL of the control listener, which serves the page too.
    #[must_use]
    pub fn url(&self) -> &str {
        &self.base
    }

    /// Sends a request without a typed method of its own. `path` is below `/control`.
    ///
    /// # Errors
    /// As [`RequestError`] describes.
    pub async fn request<T: DeserializeOwned>(
        &self,
        method: Method,
        path: &str,
        body: Option<&(impl Serialize + Sync)>,
    ) -> Result<T> {
        let text = self.send(method.clone(), path, body).await?;
        serde_json::from_str(&text).map_err(|source| RequestError::Unexpected {
            method,
            path: path.to_owned(),
            source,
            body: text,
        })
    }

    async fn send(&self, method: Method, path: &str, body: Option<&(impl Serialize + Sync)>) -> Result<String> {
        let failed = |source| RequestError::NoResponse {
            method: method.clone(),
            path: path.to_owned(),
            source,
        };
        let mut request = self
            .http
            .request(method.clone(), format!("{}/control{path}", self.base));
        if let Some(body) = body {
            request = request.json(body);
        }
        let response = request.send().await.map_err(failed)?;
        let status = response.status();
        let body = response.text().await.map_err(failed)?;
        if status.is_success() {
            return Ok(body);
        }
        Err(RequestError::Refused {
            method,
            path: path.to_owned(),
            status,
            body,
        })
    }

    async fn get<T: DeserializeOwned>(&self, path: &str) -> Result<T> {
        self.request(Method::GET, path, None::<&()>).await
    }

    async fn post<T: DeserializeOwned>(&self, path: &str, body: &(impl Serialize + Sync)) -> Result<T> {
        self.request(Method::POST, path, Some(body)).await
    }

    async fn patch<T: DeserializeOwned>(&self, path: &str, body: &(impl Serialize + Sync)) -> Result<T> {
        self.request(Method::PATCH, path, Some(body)).await
    }

    async fn delete<T: DeserializeOwned>(&self, path: &str) -> Result<T> {
        self.request(Method::DELETE, path, None::<&()>).await
    }

    /// The lines of a response in the form of one JSON value a line.
    async fn lines<T: DeserializeOwned>(&self, path: &str) -> Result<Vec<T>> {
        let text = self.send(Method::GET, path, None::<&()>).await?;
        let read = |line: &str| {
            serde_json::from_str(line).map_err(|source| RequestError::Unexpected {
                method: Method::GET,
                path: path.to_owned(),
                source,
                body: line.to_owned(),
            })
        };
        text.lines().map(read).collect()
    }
}

/// Servers, users and members.
impl ControlClient {
    /// Creates servers. Returns their ids by name.
    pub async fn seed(&self, request: &SeedRequest) -> Result<Value> {
        self.post("/seed", request).await
    }

    /// All servers.
    pub async fn guilds(&self) -> Result<Vec<GuildSummary>> {
        self.get("/guilds").await
    }

    /// A server with its roles, channels, members, bans and webhooks.
    pub async fn guild(&self, guild: impl Display + Copy) -> Result<Value> {
        self.get(&format!("/guilds/{guild}")).await
    }

    /// Removes the bot from a server.
    pub async fn remove_guild(&self, guild: impl Display + Copy) -> Result<()> {
        self.delete::<Value>(&format!("/guilds/{guild}")).await.map(drop)
    }

    /// Begins or ends an outage of a server.
    pub async fn set_outage(&self, outage: Outage) -> Result<()> {
        self.post::<Value>("/outage", &outage).await.map(drop)
    }

    /// Creates a user who is in no server.
    pub async fn create_user(&self, user: &NewUser) -> Result<Value> {
        self.post("/users", user).await
    }

    /// Members of a server with their users, as Discord shows them.
    pub async fn members(&self, guild: impl Display + Copy) -> Result<Vec<Value>> {
        self.get(&format!("/guilds/{guild}/members")).await
    }

    /// One member with their user.
    pub async fn member(&self, guild: impl Display + Copy, user: impl Display + Copy) -> Result<Value> {
        self.get(&member_path(guild, user)).await
    }

    /// A user joins a server.
    pub async fn join(&self, guild: impl Display + Copy, user: &NewUser) -> Result<Value> {
        self.post(&format!("/guilds/{guild}/members"), user).await
    }

    /// A member leaves a server.
    pub async fn leave(&self, guild: impl Display + Copy, user: impl Display + Copy) -> Result<()> {
        self.delete::<Value>(&member_path(guild, user)).await.map(drop)
    }

    /// An administrator changes a member.
    pub async fn edit_member(
        &self,
        guild: impl Display + Copy,
        user: impl Display + Copy,
        edit: &MemberEdit,
    ) -> Result<Value> {
        self.patch(&member_path(guild, user), edit).await
    }

    /// The owner creates a role. Returns it as Discord shows it.
    pub async fn create_role(&self, guild: impl Display + Copy, role: &Value) -> Result<Value> {
        self.post(&format!("/guilds/{guild}/roles"), role).await
    }

    /// The owner deletes a role.
    pub async fn delete_role(&self, guild: impl Display + Copy, role: impl Display + Copy) -> Result<()> {
        let path = format!("/guilds/{guild}/roles/{role}");
        self.delete::<Value>(&path).await.map(drop)
    }

    /// The owner creates a channel. Returns it as Discord shows it.
    pub async fn create_channel(&self, guild: impl Display + Copy, channel: &Value) -> Result<Value> {
        self.post(&format!("/guilds/{guild}/channels"), channel).await
    }

    /// Messages of a channel, ephemeral ones among them, oldest first.
    pub async fn messages(&self, guild: impl Display + Copy, channel: impl Display + Copy) -> Result<Vec<Value>> {
        let path = format!("/guilds/{guild}/channels/{channel}/messages");
        self.get(&path).await
    }
}

fn member_path(guild: impl Display + Copy, user: impl Display + Copy) -> String {
    format!("/guilds/{guild}/members/{user}")
}

/// Interactions and commands.
impl ControlClient {
    /// A member uses a command, component or modal.
    pub async fn interact(&self, request: &InteractionRequest) -> Result<InteractionCreated> {
        self.post("/interactions", request).await
    }

    /// An interaction as it is now.
    pub async fn interaction(&self, id: Id) -> Result<InteractionRecord> {
        self.get(&format!("/interactions/{id}")).await
    }

    /// An interaction once it is answered or expired, or after this time.
    pub async fn wait_for_interaction(&self, id: Id, wait: Duration) -> Result<InteractionRecord> {
        self.get(&format!("/interactions/{id}?wait_ms={}", wait.as_millis()))
            .await
    }

    /// The newest 100 interactions, newest first.
    pub async fn interactions(&self) -> Result<Vec<InteractionRecord>> {
        self.get("/interactions").await
    }

    /// The application's interactions endpoint, and its public key.
    pub async fn interactions_endpoint(&self) -> Result<InteractionsEndpoint> {
        self.get("/interactions-endpoint").await
    }

    /// Sets the interactions endpoint, once the emulator has checked it as Discord does; `None`: interactions come by the gateway.
    pub async fn set_interactions_endpoint(&self, url: Option<&str>) -> Result<InteractionsEndpoint> {
        let change = InteractionsEndpointChange {
            url: url.map(str::to_owned),
        };
        self.post("/interactions-endpoint", &change).await
    }

    /// The commands that the bot registered, as Discord shows them.
    pub async fn commands(&self) -> Result<Vec<Value>> {
        self.get("/commands").await
    }
}

/// Faults, clock, gateway and token.
impl ControlClient {
    /// Arms a fault, or applies it to open connections at once, depending on its kind.
    pub async fn fault(&self, fault: &Fault) -> Result<FaultCreated> {
        self.post("/faults", fault).await
    }

    /// Removes an armed fault.
    pub async fn remove_fault(&self, id: u64) -> Result<()> {
        self.delete::<Value>(&format!("/faults/{id}")).await.map(drop)
    }

    /// Removes all armed faults.
    pub async fn clear_faults(&self) -> Result<()> {
        self.delete::<Value>("/faults").await.map(drop)
    }

    /// Moves the emulator's clock forward.
    pub async fn advance(&self, by: Duration) -> Result<ClockState> {
        let change = ClockChange {
            advance_ms: u64::try_from(by.as_millis()).ok(),
            set: None,
        };
        self.post("/clock", &change).await
    }

    /// Sessions and limits of the gateway.
    pub async fn gateway(&self) -> Result<GatewayState> {
        self.get("/gateway").await
    }

    /// Changes limits and privileged intents of the gateway.
    pub async fn change_gateway(&self, change: &GatewayChange) -> Result<GatewayState> {
        self.patch("/gateway", change).await
    }

    /// Replaces the bot token: the old one is refused, and all sessions end with close code 4004.
    pub async fn reset_token(&self) -> Result<NewToken> {
        self.post("/token/reset", &Value::Null).await
    }
}

/// The ledger and counts.
impl ControlClient {
    /// Switches the recording of the ledger on or off.
    pub async fn set_recording(&self, recording: bool) -> Result<Recording> {
        self.post("/ledger", &Recording { recording }).await
    }

    /// Every recorded REST call, in the order in which they ended.
    pub async fn rest_calls(&self) -> Result<Vec<RestCall>> {
        self.lines("/ledger?kind=rest").await
    }

    /// The recorded REST calls as text, one JSON object a line.
    pub async fn rest_ledger(&self) -> Result<String> {
        self.send(Method::GET, "/ledger?kind=rest", None::<&()>).await
    }

    /// Counts since the start or the last reset.
    pub async fn stats(&self) -> Result<StatsReport> {
        self.get("/stats").await
    }

    /// Sets all counts to zero.
    pub async fn reset_stats(&self) -> Result<()> {
        self.delete::<Value>("/stats").await.map(drop)
    }
}

/// Load runs.
impl ControlClient {
    /// Starts a load run. The emulator refuses a second one while the first is running.
    pub async fn start_load(&self, load: &Load) -> Result<LoadStarted> {
        self.post("/load", load).await
    }

    /// Progress of the load run.
    pub async fn load_progress(&self) -> Result<Progress> {
        self.get("/load").await
    }

    /// Ends the creation of events.
    pub async fn stop_load(&self) -> Result<Progress> {
        self.delete("/load").await
    }

    /// Waits until no more events are created.
    pub async fn wait_for_load(&self) -> Result<Progress> {
        loop {
            let progress = self.load_progress().await?;
            if !progress.is_running() {
                return Ok(progress);
            }
            sleep(PROGRESS_INTERVAL).await;
        }
    }

    /// Waits until no more events are created, then until no event is unsent, pending or deferred, but not longer than `limit`.
    /// Events that are still open then are in the counts.
    pub async fn wait_for_settled_load(&self, limit: Duration) -> Result<Progress> {
        self.wait_for_load().await?;
        let deadline = Instant::now() + limit;
        loop {
            let progress = self.load_progress().await?;
            if progress.settled || Instant::now() >= deadline {
                return Ok(progress);
            }
            sleep(PROGRESS_INTERVAL).await;
        }
    }

    /// Counts and histograms of the load run.
    pub async fn load_results(&self) -> Result<Results> {
        self.get("/load/results").await
    }

    /// Every event of the load run, in the order of their numbers.
    pub async fn load_events(&self) -> Result<Vec<Event>> {
        self.lines("/load/events").await
    }
}
