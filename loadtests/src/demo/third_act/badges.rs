//! A member is given the badge that is passed on, and shares it with another one.

use std::io::Write;

use anyhow::Context as _;
use serde_json::json;

use super::Transcript;
use crate::demo::commands::show;
use crate::demo::context::DemoContext;

/// Role of the badge.
const ROLE: &str = "Water Sharer";

/// An admin of Sietch Tabr gives chani the badge, and chani shares it with stilgar.
pub(super) async fn are_given_and_shared<W: Write>(
    demo: &DemoContext<'_>,
    transcript: &mut Transcript<W>,
) -> anyhow::Result<()> {
    transcript.scene("A badge is given and shared");
    let (chani, stilgar) = (demo.newcomer("chani")?, demo.newcomer("stilgar")?);
    let owner = demo.plan.servers[0].members[0].user;
    transcript.act("the owner of Sietch Tabr: /admin-badge action:Give member:@chani badge:Water Sharer");
    let options = json!({
        "action": "give", "member": chani.to_string(), "badge": "water-sharer", "reason": "for the water of the tribe",
    });
    let answer = demo.run(&demo.tabr, owner, "admin-badge", options).await?;
    show(transcript, &answer);
    transcript.expect("chani holds it", answer.text().contains("now holds"), answer.text());
    expect_role(demo, transcript, "chani", chani).await?;

    transcript.act("chani: /water-share member:@stilgar, then presses \"Share it\"");
    let to = json!({"member": stilgar.to_string()});
    let question = demo.run(&demo.tabr, chani, "water-share", to.clone()).await?;
    show(transcript, &question);
    let roles = demo.roles(&demo.tabr, stilgar).await?.unwrap_or_default();
    transcript.expect(
        "nothing is shared before it is confirmed",
        !roles.iter().any(|role| role == ROLE),
        format!("{roles:?}"),
    );
    let button = question.button("Share it").context("no button to confirm the share")?;
    let message = question.message["id"].as_str().context("a message without an id")?;
    let place = (demo.tabr.guild, demo.tabr.channel);
    let press = demo.discord.press(place, chani, message, &button).await?;
    let shared = demo.discord.answer(&press).await?;
    show(transcript, &shared);
    transcript.expect("stilgar holds it", shared.text().contains("now holds"), shared.text());
    expect_role(demo, transcript, "stilgar", stilgar).await?;

    transcript.act("chani: /water-share once more");
    let again = demo.run_after_cooldown(&demo.tabr, chani, "water-share", to).await?;
    transcript.expect(
        "each holder shares once",
        again.text().contains("already"),
        again.text(),
    );
    Ok(())
}

/// The role of the badge follows.
async fn expect_role<W: Write>(
    demo: &DemoContext<'_>,
    transcript: &mut Transcript<W>,
    name: &str,
    user: u64,
) -> anyhow::Result<()> {
    let found = demo
        .discord
        .until("the role of the badge", async || {
            let roles = demo.roles(&demo.tabr, user).await?.unwrap_or_default();
            Ok(roles.iter().any(|role| role == ROLE).then_some(()))
        })
        .await;
    let why = found.as_ref().map_or_else(ToString::to_string, |()| String::new());
    transcript.expect(format!("{name} gets the role {ROLE}"), found.is_ok(), why);
    Ok(())
}
