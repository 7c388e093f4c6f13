//! The wizard of `/onboard`, as an admin uses it through the emulator.

use anyhow::{Context as _, ensure};
use serde_json::{Value, json};

use super::{Answer, Emulator};

/// A wizard with its present message.
#[derive(Debug)]
pub struct WizardDialog {
    discord: Emulator,
    place: (u64, u64),
    admin: u64,
    answer: Answer,
}

impl WizardDialog {
    /// An admin runs `/onboard` in this server and channel.
    ///
    /// # Errors
    /// When the emulator rejects it, or it is not answered.
    pub async fn begin(discord: Emulator, place: (u64, u64), admin: u64) -> anyhow::Result<Self> {
        let id = discord.command(place, admin, "onboard", json!([])).await?;
        let answer = discord.answer(&id).await.context("/onboard")?;
        Ok(Self {
            discord,
            place,
            admin,
            answer,
        })
    }

    /// The present message, with the interaction that led to it.
    pub fn answer(&self) -> &Answer {
        &self.answer
    }

    /// Title of the present step.
    pub fn title(&self) -> &str {
        self.answer.embed()["title"].as_str().unwrap_or_default()
    }

    /// Id of the session.
    ///
    /// # Errors
    /// When the message has no button that ends the wizard.
    pub fn session(&self) -> anyhow::Result<String> {
        let cancel = self.custom_id("Cancel")?;
        let session = cancel.split(':').nth(2);
        session
            .map(str::to_owned)
            .with_context(|| format!("no session in {cancel}"))
    }

    /// Presses the button with this label; the present message is then the edited one.
    ///
    /// # Errors
    /// When there is no such button, or the press is not answered.
    pub async fn press(&mut self, label: &str) -> anyhow::Result<()> {
        let id = self.send_press(label).await?;
        self.answer = self.discord.answer(&id).await.with_context(|| label.to_owned())?;
        Ok(())
    }

    /// Presses the button with this label and does not wait. Returns the interaction's id.
    ///
    /// # Errors
    /// When there is no such button, or the emulator rejects the press.
    pub async fn send_press(&self, label: &str) -> anyhow::Result<String> {
        let custom_id = self.custom_id(label)?;
        self.discord
            .press(self.place, self.admin, self.message_id()?, &custom_id)
            .await
    }

    /// Chooses the first option for which `is` holds in the menu of the message.
    ///
    /// # Errors
    /// When there is no such option, or the choice is not answered.
    pub async fn choose(&mut self, is: impl Fn(&str) -> bool) -> anyhow::Result<()> {
        let menu = self.answer.message["components"][0]["components"][0].clone();
        let mut options = menu["options"].as_array().into_iter().flatten();
        let found = options.find_map(|option| option["value"].as_str().filter(|value| is(value)));
        let value = found.with_context(|| format!("no such option in {menu}"))?.to_owned();
        let custom_id = menu["custom_id"].as_str().context("a menu without a custom id")?;
        let chosen = self
            .discord
            .select(self.place, self.admin, self.message_id()?, custom_id, value)
            .await?;
        self.answer = self.discord.answer(&chosen).await?;
        Ok(())
    }

    /// From the first step to the review: the token of the seed, the free theme, roles and channels.
    ///
    /// # Errors
    /// When a step does not lead to the next one.
    pub async fn go_to_review(&mut self) -> anyhow::Result<()> {
        self.press("Begin").await?;
        self.choose(|_| true).await?;
        self.choose(|value| value == "bgt").await?;
        self.press("Next").await?;
        self.choose(|value| value == "basic/ranked").await?;
        self.press("Next").await?;
        self.press("Next").await?;
        self.press("Roles and channels").await?;
        ensure!(self.title() == "The plan", "the wizard shows {:?}", self.title());
        Ok(())
    }

    fn custom_id(&self, label: &str) -> anyhow::Result<String> {
        let custom_id = self.answer.button(label);
        custom_id.with_context(|| format!("no button {label} in {}", self.answer.text()))
    }

    fn message_id(&self) -> anyhow::Result<&str> {
        let id: &Value = &self.answer.message["id"];
        id.as_str().context("a message without an id")
    }
}
