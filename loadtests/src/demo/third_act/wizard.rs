//! `/onboard`, step by step, and its deploy.

use std::io::Write;

use serde_json::json;

use super::{Transcript, count, names, owner, title};
use crate::demo::commands::show;
use crate::demo::context::DemoContext;
use crate::platform::WizardDialog;

/// The owner of a server that is not onboarded sets it up with the free theme.
pub(super) async fn sets_a_server_up<W: Write>(
    demo: &DemoContext<'_>,
    transcript: &mut Transcript<W>,
) -> anyhow::Result<()> {
    transcript.scene("An admin sets a server up");
    let guild = demo.outpost.guild;
    transcript.act("the owner of Polar Outpost: /onboard");
    let place = (guild, demo.outpost.channel);
    let mut wizard = WizardDialog::begin(demo.discord.clone(), place, owner(demo)).await?;
    show(transcript, wizard.answer());
    transcript.expect(
        "only the owner sees it",
        wizard.answer().is_private(),
        &wizard.answer().message,
    );
    wizard.press("Begin").await?;
    wizard.choose(|_| true).await?;
    transcript.same("the chain is chosen", &wizard.title(), &"The token");
    wizard.choose(|value| value == "bgt").await?;
    let symbol = wizard.answer().field("Symbol").unwrap_or_default();
    transcript.same("the token is shown", &symbol, &"BGT");
    wizard.press("Next").await?;
    wizard.choose(|value| value == "basic/ranked").await?;
    wizard.press("Next").await?;
    wizard.press("Next").await?;
    wizard.press("Roles and channels").await?;
    transcript.act("the plan");
    show(transcript, wizard.answer());
    transcript.same(
        "nothing was created yet",
        &count(&names(demo, guild, "roles").await?, "Gold"),
        &0,
    );
    wizard.press("Deploy").await?;
    let id = wizard.answer().interaction.id.to_string();
    transcript.act("the deploy shows its progress in the same message");
    let deployed = demo
        .discord
        .until("the deploy", async || {
            let message = demo.discord.interaction(&id).await?.message;
            Ok(message.filter(|message| title(message) == "The server is set up"))
        })
        .await;
    let done = deployed.as_ref().map(title).unwrap_or_default();
    transcript.same("it ends", &done, &"The server is set up");
    let roles = names(demo, guild, "roles").await?;
    for role in ["Gold", "Silver", "Bronze", "Waitlist", "Veteran"] {
        transcript.same(format!("the role {role} exists once"), &count(&roles, role), &1);
    }
    let channels = names(demo, guild, "channels").await?;
    transcript.same("and so does its lounge", &count(&channels, "gold-lounge"), &1);
    transcript.act("the owner: /stats");
    let answer = demo.run(&demo.outpost, owner(demo), "stats", json!([])).await?;
    show(transcript, &answer);
    transcript.expect(
        "the server has the tiers",
        answer.text().contains("Gold"),
        answer.text(),
    );
    Ok(())
}
