//! The stranger subscribes to the waitlist by `/alerts`, and the claim that crosses its line arrives as one direct message.

use std::io::Write;

use arrakis_emulator_client::InteractionRequest;
use reqwest::Method;
use serde_json::{Value, json};

use super::{Act, NAME, STRANGER, Transcript};
use crate::demo::commands::show;

/// The stranger chooses what to be notified of.
pub(super) async fn is_subscribed_to<W: Write>(act: &Act<'_>, transcript: &mut Transcript<W>) -> anyhow::Result<()> {
    transcript.scene("Alerts");
    let demo = act.demo;
    transcript.act(format!("{NAME}: /alerts"));
    let answer = demo.run(&demo.tabr, STRANGER, "alerts", json!([])).await?;
    show(transcript, &answer);
    transcript.expect(
        "all alerts are off at first",
        answer.text().contains("All alerts are off"),
        answer.text(),
    );
    transcript.act(format!("{NAME} chooses the waitlist in the menu"));
    let request = InteractionRequest {
        kind: "component".to_owned(),
        guild_id: Some(demo.tabr.guild.to_string()),
        channel_id: Some(demo.tabr.channel.to_string()),
        user_id: STRANGER.to_string(),
        message_id: answer.message["id"].as_str().and_then(|id| id.parse().ok()),
        custom_id: Some("alerts:kinds".to_owned()),
        values: Some(vec!["waitlist".to_owned()]),
        ..InteractionRequest::default()
    };
    let chosen = demo.discord.interact(&request).await?.id.to_string();
    let answer = demo.discord.answer(&chosen).await?;
    show(transcript, &answer);
    transcript.expect(
        "it is switched on",
        answer.text().contains("I write to you about: **waitlist**"),
        answer.text(),
    );
    Ok(())
}

/// The scene of the direct message with the alert that the member has switched on.
pub(super) async fn arrives<W: Write>(act: &Act<'_>, transcript: &mut Transcript<W>) -> anyhow::Result<()> {
    transcript.act(format!("{NAME}'s direct messages"));
    let messages = act
        .demo
        .discord
        .until("the alert", async || {
            let found = direct_messages(act).await;
            Ok((!found.is_empty()).then_some(found))
        })
        .await?;
    let text = messages[0]["embeds"][0]["description"].as_str().unwrap_or_default();
    transcript.see(text);
    transcript.expect("the alert states the place", text.contains("You are in"), text);
    let components = messages[0]["components"].to_string();
    transcript.expect(
        "and has an off switch",
        components.contains("All alerts off"),
        &components,
    );
    Ok(())
}

/// The alert arrived once, whatever has happened since.
pub(super) async fn arrived_once<W: Write>(act: &Act<'_>, transcript: &mut Transcript<W>) -> anyhow::Result<()> {
    let messages = direct_messages(act).await;
    transcript.same(
        format!("{NAME} has received one alert, and no second one since"),
        &messages.len(),
        &1,
    );
    Ok(())
}

/// The alerts among the stranger's direct messages; none before the channel is open.
async fn direct_messages(act: &Act<'_>) -> Vec<Value> {
    let path = format!("/dms/{STRANGER}/messages");
    let listed: Result<Vec<Value>, _> = act.demo.discord.request(Method::GET, &path, None::<&()>).await;
    let is_alert = |message: &Value| {
        let title = message["embeds"][0]["title"].as_str();
        title.is_some_and(|title| title.ends_with("what changed"))
    };
    listed.unwrap_or_default().into_iter().filter(is_alert).collect()
}
