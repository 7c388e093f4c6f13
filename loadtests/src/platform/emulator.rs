//! A client of the emulator's control API. See `services/emulator/README.md`.

use std::time::Duration;

use anyhow::{Context as _, bail, ensure};
use reqwest::Method;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

/// Time limit of a condition. It is long, since a condition that holds returns at once.
const PATIENCE: Duration = Duration::from_secs(30);

/// A client of one emulator.
#[derive(Debug, Clone)]
pub struct Emulator {
    base: String,
    http: reqwest::Client,
}

/// A member in the emulator.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Member {
    /// Ids of roles.
    pub roles: Vec<String>,
    /// Nickname.
    pub nick: Option<String>,
}

/// A message in REST's form.
pub type Message = Value;

/// The record of an interaction.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub struct Interaction {
    /// `pending`, `deferred`, `answered` or `expired`.
    pub state: String,
    /// Bodies of the callbacks that were accepted.
    #[serde(default)]
    pub responses: Vec<Value>,
    /// The present original response.
    #[serde(default)]
    pub message: Option<Message>,
    /// Milliseconds from dispatch to the first response.
    #[serde(default)]
    pub acknowledged_after_ms: Option<u64>,
}

/// The full reply to an interaction.
#[derive(Debug, Clone, PartialEq)]
pub struct Answer {
    /// Record of the interaction.
    pub interaction: Interaction,
    /// The message.
    pub message: Message,
}

impl Answer {
    /// The first embed.
    pub fn embed(&self) -> &Value {
        &self.message["embeds"][0]
    }

    /// Value of the embed's field with this name.
    pub fn field(&self, name: &str) -> Option<&str> {
        let fields = self.embed()["fields"].as_array()?;
        fields.iter().find(|field| field["name"].as_str() == Some(name))?["value"].as_str()
    }

    /// All visible text of the embed, for searching.
    pub fn text(&self) -> String {
        let embed = self.embed();
        let mut parts: Vec<&str> = [
            &self.message["content"],
            &embed["title"],
            &embed["description"],
            &embed["footer"]["text"],
        ]
        .into_iter()
        .filter_map(Value::as_str)
        .collect();
        for field in embed["fields"].as_array().into_iter().flatten() {
            parts.extend(field["name"].as_str().into_iter().chain(field["value"].as_str()));
        }
        parts.join("\n")
    }

    /// Whether only the member sees the message.
    pub fn is_private(&self) -> bool {
        self.message["flags"].as_u64().is_some_and(|flags| flags & 64 != 0)
    }

    /// Custom id of the button whose label holds `text`.
    pub fn button(&self, text: &str) -> Option<String> {
        let rows = self.message["components"].as_array()?;
        let mut buttons = rows
            .iter()
            .flat_map(|row| row["components"].as_array().into_iter().flatten());
        let wanted = |button: &&Value| button["label"].as_str().is_some_and(|label| label.contains(text));
        buttons.find(wanted)?["custom_id"].as_str().map(str::to_owned)
    }
}

impl Emulator {
    /// The emulator whose control API is at `base`.
    pub fn new(base: &str) -> Self {
        Self {
            base: base.trim_end_matches('/').to_owned(),
            http: reqwest::Client::new(),
        }
    }

    /// Base URL of the control API and the page.
    pub fn address(&self) -> &str {
        &self.base
    }

    /// Calls the control API.
    ///
    /// # Errors
    /// When the emulator cannot be reached or returns an error; its message is included.
    pub async fn call<T: DeserializeOwned>(
        &self,
        method: Method,
        path: &str,
        body: Option<Value>,
    ) -> anyhow::Result<T> {
        let mut request = self.http.request(method.clone(), format!("{}{path}", self.base));
        if let Some(body) = body {
            request = request.json(&body);
        }
        let response = request.send().await.with_context(|| format!("{method} {path}"))?;
        let status = response.status();
        let text = response.text().await?;
        ensure!(status.is_success(), "{method} {path}: {status}: {text}");
        let text = if text.is_empty() { "null" } else { &text };
        serde_json::from_str(text).with_context(|| format!("{method} {path}: unexpected answer {text}"))
    }

    /// `GET`.
    ///
    /// # Errors
    /// As [`Emulator::call`].
    pub async fn get<T: DeserializeOwned>(&self, path: &str) -> anyhow::Result<T> {
        self.call(Method::GET, path, None).await
    }

    /// `POST`.
    ///
    /// # Errors
    /// As [`Emulator::call`].
    pub async fn post(&self, path: &str, body: Value) -> anyhow::Result<Value> {
        self.call(Method::POST, path, Some(body)).await
    }

    /// Every REST call so far with its response, one JSON object a line.
    ///
    /// # Errors
    /// When the emulator cannot be reached.
    pub async fn rest_ledger(&self) -> anyhow::Result<String> {
        self.text("/control/ledger?kind=rest").await
    }

    /// `GET` of a response that is not a single JSON value.
    ///
    /// # Errors
    /// When the emulator cannot be reached or returns an error.
    pub async fn text(&self, path: &str) -> anyhow::Result<String> {
        let response = self.http.get(format!("{}{path}", self.base)).send().await?;
        Ok(response.error_for_status()?.text().await?)
    }

    /// A user joins a server.
    ///
    /// # Errors
    /// As [`Emulator::call`].
    pub async fn join(&self, guild: u64, user: u64, name: &str) -> anyhow::Result<()> {
        let body = json!({"user_id": user.to_string(), "name": name});
        self.post(&format!("/control/guilds/{guild}/members"), body)
            .await
            .map(drop)
    }

    /// A member leaves.
    ///
    /// # Errors
    /// As [`Emulator::call`].
    pub async fn leave(&self, guild: u64, user: u64) -> anyhow::Result<()> {
        self.call::<Value>(Method::DELETE, &format!("/control/guilds/{guild}/members/{user}"), None)
            .await
            .map(drop)
    }

    /// Sets a member's roles by hand.
    ///
    /// # Errors
    /// As [`Emulator::call`].
    pub async fn set_roles(&self, guild: u64, user: u64, roles: &[String]) -> anyhow::Result<()> {
        let path = format!("/control/guilds/{guild}/members/{user}");
        self.call::<Value>(Method::PATCH, &path, Some(json!({"roles": roles})))
            .await
            .map(drop)
    }

    /// A member runs a command. Returns the interaction's id.
    ///
    /// # Errors
    /// As [`Emulator::call`].
    pub async fn command(&self, place: (u64, u64), user: u64, name: &str, options: Value) -> anyhow::Result<String> {
        self.interact(
            place,
            user,
            json!({"kind": "command", "name": name, "options": options}),
        )
        .await
    }

    /// As [`Emulator::command`], with options that Discord's own client would not send.
    ///
    /// # Errors
    /// As [`Emulator::call`].
    pub async fn forced_command(
        &self,
        place: (u64, u64),
        user: u64,
        name: &str,
        options: Value,
    ) -> anyhow::Result<String> {
        self.interact(
            place,
            user,
            json!({"kind": "command", "name": name, "options": options, "force": true}),
        )
        .await
    }

    /// A member presses a button.
    ///
    /// # Errors
    /// As [`Emulator::call`].
    pub async fn press(&self, place: (u64, u64), user: u64, message: &str, custom_id: &str) -> anyhow::Result<String> {
        let body = json!({"kind": "component", "message_id": message, "custom_id": custom_id});
        self.interact(place, user, body).await
    }

    async fn interact(&self, (guild, channel): (u64, u64), user: u64, mut body: Value) -> anyhow::Result<String> {
        body["guild_id"] = json!(guild.to_string());
        body["channel_id"] = json!(channel.to_string());
        body["user_id"] = json!(user.to_string());
        let made = self.post("/control/interactions", body).await?;
        made["id"]
            .as_str()
            .map(str::to_owned)
            .with_context(|| format!("no id in {made}"))
    }

    /// The present record of an interaction.
    ///
    /// # Errors
    /// As [`Emulator::call`].
    pub async fn interaction(&self, id: &str) -> anyhow::Result<Interaction> {
        self.get(&format!("/control/interactions/{id}?wait_ms=0")).await
    }

    /// Waits for the full reply to an interaction: the message, not the defer.
    ///
    /// # Errors
    /// When the interaction expires, or no reply arrives within the time limit.
    pub async fn answer(&self, id: &str) -> anyhow::Result<Answer> {
        let found = self
            .until("an answer", async || {
                let interaction = self.interaction(id).await?;
                ensure!(
                    interaction.state != "expired",
                    "the application did not respond within three seconds"
                );
                let ready = interaction.state == "answered";
                let message = interaction.message.clone().filter(|_| ready);
                Ok(message.map(|message| Answer { interaction, message }))
            })
            .await;
        found.with_context(|| format!("interaction {id}"))
    }

    /// A member of a server; `None` when there is no such member.
    ///
    /// # Errors
    /// As [`Emulator::call`].
    pub async fn member(&self, guild: u64, user: u64) -> anyhow::Result<Option<Member>> {
        #[derive(Deserialize)]
        struct Listed {
            user: User,
            #[serde(flatten)]
            member: Member,
        }
        #[derive(Deserialize)]
        struct User {
            id: String,
        }
        let members: Vec<Listed> = self.get(&format!("/control/guilds/{guild}/members")).await?;
        Ok(members
            .into_iter()
            .find(|listed| listed.user.id == user.to_string())
            .map(|listed| listed.member))
    }

    /// Polls until there is a value, up to the time limit.
    ///
    /// # Errors
    /// The error of `poll`, or that the time limit has passed.
    pub async fn until<T>(
        &self,
        what: &str,
        mut ask: impl AsyncFnMut() -> anyhow::Result<Option<T>>,
    ) -> anyhow::Result<T> {
        let deadline = tokio::time::Instant::now() + PATIENCE;
        loop {
            if let Some(found) = ask().await? {
                return Ok(found);
            }
            if tokio::time::Instant::now() >= deadline {
                bail!("waited {} s without success for {what}", PATIENCE.as_secs());
            }
            tokio::time::sleep(Duration::from_millis(25)).await;
        }
    }
}
