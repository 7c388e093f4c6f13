//! The client of the platform's api: `/admin/servers` of one server.
//!
//! Every request can be repeated: the caller chooses its id where it stores something. So a request that failed for a reason that passes, or
//! whose outcome is unknown, is repeated a few times within seconds.

use std::fmt;
use std::time::Duration;

use arrakis_causes::causes;
use arrakis_config::{Secret, is_loopback};
use arrakis_contracts::servers::{
    BackupUsage, BackupUseCounted, CheckpointCreated, CheckpointList, CountBackupUse, CreateCheckpoint, GrantUsed,
    Granted, PreviewRestore, RequestGrant, RestoreCheckpoint, RestorePreview, Restored, ServerChannel, ServerLists,
    ServerPlan, ServerRole, SetPlan, UseGrant,
};
use arrakis_iac::live::LiveServer;
use arrakis_iac::model::{Attributes, Kind, Snowflake};
use reqwest::header::RETRY_AFTER;
use reqwest::{Client, Method, RequestBuilder, Response, StatusCode};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use url::Url;
use uuid::Uuid;

use crate::error::{Failure, Result};
use crate::settings::{API_KEY_HELP, PlatformAddress};

/// Attempts of a request.
const ATTEMPTS: u32 = 4;
/// Pause before another attempt, unless the api demands a longer one.
const PAUSE: Duration = Duration::from_millis(500);
/// Longest pause before another attempt.
const MAX_PAUSE: Duration = Duration::from_secs(5);
/// Time limit of a request. The api's own is 15 s.
const LIMIT: Duration = Duration::from_secs(20);
/// Time limit of a connection.
const CONNECT_LIMIT: Duration = Duration::from_secs(5);
/// Longest response that is read, in bytes: a checkpoint with a manifest has less than one of these megabytes.
const MAX_RESPONSE: usize = 8 << 20;

/// A client of the api for one server.
#[derive(Clone)]
pub struct Platform {
    client: Client,
    base: Url,
    key: Secret,
    guild: Snowflake,
}

impl fmt::Debug for Platform {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Platform")
            .field("base", &self.base)
            .field("guild", &self.guild)
            .finish_non_exhaustive()
    }
}

/// A refusal of the api: problem details.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct Problem {
    /// The stable code.
    pub code: String,
    /// What is wrong, for people.
    pub detail: String,
}

/// Why a request failed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PlatformError {
    /// The api refuses the request, which had no effect.
    #[error("{} ({})", .0.detail, .0.code)]
    Refused(Problem),
    /// The api cannot be reached, and the request had no effect.
    #[error("the api is unavailable: {0}")]
    Unavailable(String),
    /// There is no complete response, or one of another form: the request may have taken effect.
    #[error("the outcome is unknown: {0}")]
    Unknown(String),
}

impl PlatformError {
    /// Whether the server has no community that the key may see.
    #[must_use]
    pub fn is_unknown_server(&self) -> bool {
        matches!(self, Self::Refused(problem) if problem.code == "unknown-server")
    }
}

/// A failed attempt, and the pause before the next one; `None` when there is none.
struct Attempt {
    error: PlatformError,
    pause: Option<Duration>,
}

impl Platform {
    /// A client for the server `guild`. Sends nothing.
    ///
    /// # Errors
    /// When TLS cannot be set up.
    pub fn new(address: PlatformAddress, guild: Snowflake) -> Result<Self> {
        let builder = match is_loopback(&address.base) {
            true => Client::builder().no_proxy(),
            false => Client::builder(),
        };
        let client = builder
            .user_agent(concat!("gaib/", env!("CARGO_PKG_VERSION")))
            .connect_timeout(CONNECT_LIMIT)
            .redirect(reqwest::redirect::Policy::none())
            .build()
            .map_err(|error| Failure::new(format!("could not set up TLS: {}", causes(&error))))?;
        Ok(Self {
            client,
            base: address.base,
            key: address.key,
            guild,
        })
    }

    /// The address of the api.
    #[must_use]
    pub fn base(&self) -> &Url {
        &self.base
    }

    /// The plan of the server's community.
    ///
    /// # Errors
    /// See [`PlatformError`].
    pub async fn plan(&self) -> Result<ServerPlan, PlatformError> {
        self.read(|| self.request(Method::GET, "plan")).await
    }

    /// Sets the plan.
    ///
    /// # Errors
    /// See [`PlatformError`].
    pub async fn set_plan(&self, plan: &SetPlan) -> Result<ServerPlan, PlatformError> {
        self.send(|| self.request(Method::PUT, "plan").json(plan)).await
    }

    /// The limits of backups on request, and what is used of them.
    ///
    /// # Errors
    /// See [`PlatformError`].
    pub async fn backup_usage(&self) -> Result<BackupUsage, PlatformError> {
        self.read(|| self.request(Method::GET, "backup-usage")).await
    }

    /// Counts an operation on request before it begins, or returns the use of one that failed. Repeated with the same id, it counts once.
    ///
    /// # Errors
    /// See [`PlatformError`]; refused when the limit of the plan is reached.
    pub async fn count_backup_use(&self, counted: &CountBackupUse) -> Result<BackupUseCounted, PlatformError> {
        self.send(|| self.request(Method::POST, "backup-usage").json(counted))
            .await
    }

    /// The checkpoints of the community, the newest first.
    ///
    /// # Errors
    /// See [`PlatformError`].
    pub async fn checkpoints(&self) -> Result<CheckpointList, PlatformError> {
        self.read(|| self.request(Method::GET, "checkpoints")).await
    }

    /// Stores a checkpoint.
    ///
    /// # Errors
    /// See [`PlatformError`].
    pub async fn create_checkpoint(&self, new: &CreateCheckpoint) -> Result<CheckpointCreated, PlatformError> {
        self.send(|| self.request(Method::POST, "checkpoints").json(new)).await
    }

    /// What the restore of a checkpoint would change.
    ///
    /// # Errors
    /// See [`PlatformError`].
    pub async fn preview(&self, checkpoint: Uuid, server: &PreviewRestore) -> Result<RestorePreview, PlatformError> {
        let path = format!("checkpoints/{checkpoint}/preview");
        self.read(|| self.request(Method::POST, &path).json(server)).await
    }

    /// Restores a checkpoint.
    ///
    /// # Errors
    /// See [`PlatformError`].
    pub async fn restore(&self, checkpoint: Uuid, restore: &RestoreCheckpoint) -> Result<Restored, PlatformError> {
        let path = format!("checkpoints/{checkpoint}/restore");
        self.send(|| self.request(Method::POST, &path).json(restore)).await
    }

    /// Requests a grant for a code, which is used up. Sent once: a repeated request would be refused for the used code.
    ///
    /// # Errors
    /// See [`PlatformError`].
    pub async fn request_grant(&self, request: &RequestGrant) -> Result<Granted, PlatformError> {
        self.send_once(self.request(Method::POST, "mfa").json(request)).await
    }

    /// Uses a grant. Sent once.
    ///
    /// # Errors
    /// See [`PlatformError`].
    pub async fn use_grant(&self, request: &UseGrant) -> Result<GrantUsed, PlatformError> {
        self.send_once(self.request(Method::POST, "mfa/use").json(request))
            .await
    }

    /// The error of a command. `what` completes the sentence "could not …".
    #[must_use]
    pub fn failure(&self, what: &str, error: &PlatformError) -> Failure {
        let failure = Failure::new(format!("could not {what}: {error}"));
        let problem = match error {
            PlatformError::Refused(problem) => problem,
            PlatformError::Unavailable(_) => {
                return failure.help(format!(
                    "nothing was changed: check that {} is the address of the platform's api and that it runs; run the same command \
                     again later",
                    self.base
                ));
            }
            PlatformError::Unknown(_) => {
                return failure.help("run the same command again: a repeated request changes nothing twice");
            }
        };
        match problem.code.as_str() {
            "key-required" | "invalid-key" => failure.help(API_KEY_HELP),
            "missing-scope" | "all-communities-required" => {
                failure.help("an operator of the platform creates such a key; set ARRAKIS_API_KEY to it")
            }
            "unknown-server" => failure.help(format!(
                "check --guild and the key: a key of one community has access to its own server only. A server gets a community when the bot of the \
                 platform joins it; this is server {}",
                self.guild
            )),
            "unknown-checkpoint" | "damaged-checkpoint" => {
                failure.help("`gaib restore list` lists the checkpoints; use another one")
            }
            "restore-refused" => failure.help(
                "correct the reason above (`gaib server tier set premium`, or the themes of the platform), and run the same command \
                 again",
            ),
            "server-busy" => failure.help("run the same command again in a few minutes"),
            "mfa-not-enrolled" => failure.help(
                "an operator creates a key that belongs to you (`arrakis-worker api-key create --user USER_ID`); /mfa enrol in the \
                 Discord server sets a second factor up",
            ),
            "mfa-refused" | "grant-refused" => failure.help("nothing was deleted: run the same command again with the next code"),
            "mfa-throttled" => failure.help("nothing was deleted: wait, and run the same command again"),
            "usage-limit" => failure.help("wait until then; `gaib server tier show` shows the limits"),
            "unknown-route" => failure.help(format!(
                "check that {} is the address of the platform's api, and that the api has the version of this gaib or a later one",
                self.base
            )),
            _ => failure,
        }
    }

    fn request(&self, method: Method, path: &str) -> RequestBuilder {
        let base = self.base.as_str().trim_end_matches('/');
        self.client
            .request(method, format!("{base}/admin/servers/{}/{path}", self.guild))
            .bearer_auth(self.key.expose())
            .timeout(LIMIT)
    }

    /// Sends a request that changes nothing.
    async fn read<T: DeserializeOwned>(&self, request: impl Fn() -> RequestBuilder) -> Result<T, PlatformError> {
        self.send(request).await.map_err(|error| match error {
            PlatformError::Unknown(why) => PlatformError::Unavailable(why),
            other => other,
        })
    }

    async fn send_once<T: DeserializeOwned>(&self, request: RequestBuilder) -> Result<T, PlatformError> {
        let body = attempt_once(request).await.map_err(|failed| failed.error)?;
        serde_json::from_slice(&body)
            .map_err(|error| PlatformError::Unknown(format!("a response has another form: {error}")))
    }

    async fn send<T: DeserializeOwned>(&self, request: impl Fn() -> RequestBuilder) -> Result<T, PlatformError> {
        let (mut attempt, mut may_have_effect) = (1, false);
        loop {
            let failed = match attempt_once(request()).await {
                Ok(body) => {
                    let decoded = serde_json::from_slice(&body);
                    return decoded
                        .map_err(|error| PlatformError::Unknown(format!("a response has another form: {error}")));
                }
                Err(failed) => failed,
            };
            may_have_effect |= matches!(failed.error, PlatformError::Unknown(_));
            let Some(pause) = failed.pause.filter(|_| attempt < ATTEMPTS) else {
                return Err(match failed.error {
                    PlatformError::Unavailable(why) if may_have_effect => PlatformError::Unknown(why),
                    error => error,
                });
            };
            attempt += 1;
            tokio::time::sleep(pause.min(MAX_PAUSE)).await;
        }
    }
}

/// Sends a request once; returns the body of a success.
async fn attempt_once(request: RequestBuilder) -> Result<Vec<u8>, Attempt> {
    let response = request.send().await.map_err(of_transport)?;
    if !response.status().is_success() {
        return Err(of_response(response).await);
    }
    read_body(response).await.map_err(of_transport)?.ok_or_else(|| Attempt {
        error: PlatformError::Unknown(format!("a response has more than {MAX_RESPONSE} bytes")),
        pause: None,
    })
}

fn of_transport(error: reqwest::Error) -> Attempt {
    let not_sent = error.is_connect() || error.is_builder();
    let text = causes(&error.without_url());
    Attempt {
        error: match not_sent {
            true => PlatformError::Unavailable(text),
            false => PlatformError::Unknown(text),
        },
        pause: Some(PAUSE),
    }
}

async fn of_response(response: Response) -> Attempt {
    let status = response.status();
    let seconds = response.headers().get(RETRY_AFTER);
    let seconds = seconds.and_then(|value| value.to_str().ok()?.parse().ok());
    let pause = seconds.map_or(PAUSE, Duration::from_secs);
    let body = read_body(response).await.ok().flatten().unwrap_or_default();
    let problem = serde_json::from_slice::<Problem>(&body).unwrap_or_else(|_| Problem {
        code: status.as_u16().to_string(),
        detail: "the response is not one of the api".to_owned(),
    });
    let text = format!("{} {}", status.as_u16(), problem.detail);
    let passes = status.is_server_error() || problem.code == "rate-limited";
    Attempt {
        error: match status {
            // The transaction of a request that the api could not finish may have been committed.
            status if status.is_server_error() => PlatformError::Unknown(text),
            StatusCode::TOO_MANY_REQUESTS if problem.code == "rate-limited" => PlatformError::Unavailable(text),
            _ => PlatformError::Refused(problem),
        },
        pause: passes.then_some(pause),
    }
}

/// The body of a response; `None` when it is too long.
async fn read_body(mut response: Response) -> Result<Option<Vec<u8>>, reqwest::Error> {
    let mut body = Vec::new();
    while let Some(chunk) = response.chunk().await? {
        if body.len() + chunk.len() > MAX_RESPONSE {
            return Ok(None);
        }
        body.extend_from_slice(&chunk);
    }
    Ok(Some(body))
}

/// All roles and channels of a server, for the api, which has no access to Discord.
#[must_use]
pub fn lists(live: &LiveServer) -> ServerLists {
    let name = |name: Option<&str>| name.unwrap_or_default().to_owned();
    let channels = live.of_kind(Kind::Category).chain(live.of_kind(Kind::Channel));
    ServerLists {
        roles: live
            .of_kind(Kind::Role)
            .map(|role| ServerRole {
                id: role.id.to_string(),
                name: match role.id == live.guild_id {
                    true => "@everyone".to_owned(),
                    false => name(role.attributes.name()),
                },
                managed: role.managed,
                permissions: match &role.attributes {
                    Attributes::Role(role) => role.permissions.map(|permissions| permissions.to_string()),
                    _ => None,
                },
            })
            .collect(),
        channels: channels
            .map(|channel| ServerChannel {
                id: channel.id.to_string(),
                name: name(channel.attributes.name()),
                channel_type: match &channel.attributes {
                    Attributes::Category(channel) | Attributes::Channel(channel) => Some(channel.kind.discord_number()),
                    _ => None,
                },
            })
            .collect(),
    }
}
