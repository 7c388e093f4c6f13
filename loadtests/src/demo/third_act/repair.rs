//! A role that was deleted by hand is named by `/reconcile`, and created again.

use std::io::Write;

use anyhow::Context as _;
use serde_json::json;

use super::{Transcript, count, names, owner, role_id};
use crate::demo::context::DemoContext;

/// The role that is deleted.
const ROLE: &str = "Silver";

/// Deletes a role and lets `/reconcile` repair it.
pub(super) async fn of_a_deleted_role<W: Write>(
    demo: &DemoContext<'_>,
    transcript: &mut Transcript<W>,
) -> anyhow::Result<()> {
    transcript.scene("A role deleted by hand is repaired");
    let guild = demo.outpost.guild;
    let before = role_id(demo, guild, ROLE)
        .await?
        .context("the deploy has created no role")?;
    transcript.act(format!("somebody deletes the role {ROLE}"));
    demo.discord.delete_role(guild, before.as_str()).await?;
    transcript.act("the owner: /reconcile");
    let answer = demo.run(&demo.outpost, owner(demo), "reconcile", json!([])).await?;
    let id = answer.interaction.id.to_string();
    let reported = demo
        .discord
        .until("the report", async || {
            let message = demo.discord.interaction(&id).await?.message;
            Ok(message.filter(|message| message.to_string().contains(ROLE)))
        })
        .await;
    let found = reported.as_ref().map_or_else(ToString::to_string, |_| String::new());
    transcript.expect("the report names the role", reported.is_ok(), found);
    let after = demo
        .discord
        .until("the repair", async || role_id(demo, guild, ROLE).await)
        .await;
    let is_new = after.as_ref().is_ok_and(|after| *after != before);
    transcript.expect("the role is there again", is_new, format!("{after:?}"));
    transcript.same("and once", &count(&names(demo, guild, "roles").await?, ROLE), &1);
    Ok(())
}
