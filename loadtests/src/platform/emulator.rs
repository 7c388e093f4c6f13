//! A client of the emulator's control API, with helpers for the demo and the chaos runs. See `services/emulator/README.md`.

use std::ops::Deref;
use std::time::Duration;

use anyhow::{Context as _, bail, ensure};
use arrakis_emulator_client::{
    ControlClient, Id, InteractionRecord, InteractionRequest, InteractionState, MemberEdit, NewUser,
};
use serde::Deserialize;
use serde_json::Value;

/// Time limit of a condition. It is long, since a condition that holds returns at once.
const PATIENCE: Duration = Duration::from_secs(30);

/// A client of one emulator. [`ControlClient`] has the requests that are not here.
#[derive(Debug, Clone)]
pub struct Emulator(ControlClient);

impl Deref for Emulator {
    type Target = ControlClient;

    fn deref(&self) -> &ControlClient {
        &self.0
    }
}

/// A member in the emulator.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Member {
    /// Ids of roles.
    pub roles: Vec<String>,
    /// Nickname.
    pub nick: Option<String>,
}

/// The full reply to an interaction.
#[derive(Debug, Clone, PartialEq)]
pub struct Answer {
    /// Record of the interaction.
    pub interaction: InteractionRecord,
    /// The message.
    pub message: Value,
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
        self.component(text)?["custom_id"].as_str().map(str::to_owned)
    }

    /// URL of the link button whose label holds `text`.
    pub fn link(&self, text: &str) -> Option<String> {
        self.component(text)?["url"].as_str().map(str::to_owned)
    }

    fn component(&self, label: &str) -> Option<&Value> {
        let rows = self.message["components"].as_array()?;
        let mut buttons = rows
            .iter()
            .flat_map(|row| row["components"].as_array().into_iter().flatten());
        buttons.find(|button| button["label"].as_str().is_some_and(|text| text.contains(label)))
    }
}

impl Emulator {
    /// The emulator whose control listener has this URL.
    pub fn new(control: &str) -> Self {
        Self(ControlClient::new(control))
    }

    /// A user joins a server.
    ///
    /// # Errors
    /// When the request fails.
    pub async fn join(&self, guild: u64, user: u64, name: &str) -> anyhow::Result<()> {
        let user = NewUser {
            user_id: Some(Id(user)),
            name: Some(name.to_owned()),
            ..NewUser::default()
        };
        self.0.join(guild, &user).await?;
        Ok(())
    }

    /// An administrator gives a member exactly these roles.
    ///
    /// # Errors
    /// When the request fails.
    pub async fn set_roles(&self, guild: u64, user: u64, roles: &[String]) -> anyhow::Result<()> {
        let edit = MemberEdit {
            roles: Some(roles.to_vec()),
            ..MemberEdit::default()
        };
        self.edit_member(guild, user, &edit).await?;
        Ok(())
    }

    /// A member runs a command. Returns the interaction's id.
    ///
    /// # Errors
    /// When the request fails.
    pub async fn command(&self, place: (u64, u64), user: u64, name: &str, options: Value) -> anyhow::Result<String> {
        let request = InteractionRequest {
            name: Some(name.to_owned()),
            options: Some(options),
            ..request("command", place, user)
        };
        Ok(self.interact(&request).await?.id.to_string())
    }

    /// A member runs a command that Discord's client would not send. Returns the interaction's id.
    ///
    /// # Errors
    /// When the request fails.
    pub async fn forced_command(
        &self,
        place: (u64, u64),
        user: u64,
        name: &str,
        options: Value,
    ) -> anyhow::Result<String> {
        let request = InteractionRequest {
            name: Some(name.to_owned()),
            options: Some(options),
            force: true,
            ..request("command", place, user)
        };
        Ok(self.interact(&request).await?.id.to_string())
    }

    /// A member presses a button. Returns the interaction's id.
    ///
    /// # Errors
    /// When the request fails.
    pub async fn press(&self, place: (u64, u64), user: u64, message: &str, custom_id: &str) -> anyhow::Result<String> {
        let request = InteractionRequest {
            message_id: Some(message.parse()?),
            custom_id: Some(custom_id.to_owned()),
            ..request("component", place, user)
        };
        Ok(self.interact(&request).await?.id.to_string())
    }

    /// A member chooses a value of a menu. Returns the interaction's id.
    ///
    /// # Errors
    /// When the request fails.
    pub async fn select(
        &self,
        place: (u64, u64),
        user: u64,
        message: &str,
        custom_id: &str,
        value: String,
    ) -> anyhow::Result<String> {
        let request = InteractionRequest {
            message_id: Some(message.parse()?),
            custom_id: Some(custom_id.to_owned()),
            values: Some(vec![value]),
            ..request("component", place, user)
        };
        Ok(self.interact(&request).await?.id.to_string())
    }

    /// The present record of an interaction.
    ///
    /// # Errors
    /// When the request fails.
    pub async fn interaction(&self, id: &str) -> anyhow::Result<InteractionRecord> {
        Ok(self.0.interaction(id.parse()?).await?)
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
                    interaction.state != InteractionState::Expired,
                    "the application did not respond within three seconds"
                );
                let ready = interaction.state == InteractionState::Answered;
                let message = interaction.message.clone().filter(|_| ready);
                Ok(message.map(|message| Answer { interaction, message }))
            })
            .await;
        found.with_context(|| format!("interaction {id}"))
    }

    /// A member of a server; `None` when there is no such member.
    ///
    /// # Errors
    /// When the request fails.
    pub async fn member(&self, guild: u64, user: u64) -> anyhow::Result<Option<Member>> {
        let members = self.members(guild).await?;
        let id = user.to_string();
        let found = members.into_iter().find(|member| member["user"]["id"] == id.as_str());
        Ok(found.map(serde_json::from_value).transpose()?)
    }

    /// Polls until there is a value, up to the time limit.
    ///
    /// # Errors
    /// The error of `poll`, or that the time limit has passed.
    pub async fn until<T>(
        &self,
        what: &str,
        poll: impl AsyncFnMut() -> anyhow::Result<Option<T>>,
    ) -> anyhow::Result<T> {
        self.until_within(PATIENCE, what, poll).await
    }

    /// As [`Emulator::until`], with a time limit of its own.
    ///
    /// # Errors
    /// The error of `poll`, or that the time limit has passed.
    pub async fn until_within<T>(
        &self,
        limit: Duration,
        what: &str,
        mut poll: impl AsyncFnMut() -> anyhow::Result<Option<T>>,
    ) -> anyhow::Result<T> {
        let deadline = tokio::time::Instant::now() + limit;
        loop {
            if let Some(found) = poll().await? {
                return Ok(found);
            }
            if tokio::time::Instant::now() >= deadline {
                bail!("waited {} s without success for {what}", limit.as_secs());
            }
            tokio::time::sleep(Duration::from_millis(25)).await;
        }
    }
}

/// A request of this kind, in a channel of a server.
fn request(kind: &str, (guild, channel): (u64, u64), user: u64) -> InteractionRequest {
    InteractionRequest {
        kind: kind.to_owned(),
        guild_id: Some(guild.to_string()),
        channel_id: Some(channel.to_string()),
        user_id: user.to_string(),
        ..InteractionRequest::default()
    }
}
