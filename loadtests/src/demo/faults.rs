//! A process dies in the middle and nobody notices.

use std::io::Write;

use arrakis_emulator_client::{Fault, InteractionRecord, InteractionState, StatsReport};
use serde_json::json;

use super::Transcript;
use super::commands::show;
use super::stage::Stage;
use crate::platform::Platform;

/// A worker is killed between "thinking…" and the answer; another one finishes.
pub(super) async fn a_worker_is_killed<W: Write>(
    platform: &mut Platform,
    stage: &Stage<'_>,
    transcript: &mut Transcript<W>,
) -> anyhow::Result<()> {
    transcript.scene("SIGKILL in the middle of an answer");
    // Discord takes its time with the edit, so that the worker certainly dies before it is through.
    let slow = Fault::rest_latency(4_000).method("PATCH").path("@original").count(1);
    stage.discord.fault(&slow).await?;
    let chani = stage.newcomer("chani")?;
    let place = (stage.tabr.guild, stage.tabr.channel);
    transcript.act("chani: /threshold");
    let id = stage.discord.command(place, chani, "threshold", json!([])).await?;
    let deferred = stage
        .discord
        .until("the defer", async || {
            Ok(Some(stage.discord.interaction(&id).await?).filter(|i| i.state == InteractionState::Deferred))
        })
        .await?;
    transcript.see(format!(
        "\"thinking…\" after {} ms",
        deferred.acknowledged_after_ms.unwrap_or_default()
    ));
    transcript.act("kill -9 of the only worker, while its answer is on the way");
    platform.kill_workers().await;
    transcript.act("another worker starts");
    platform.start_worker().await?;
    let answer = stage.discord.answer(&id).await?;
    show(transcript, &answer);
    let text = answer.text();
    transcript.expect("the answer arrives all the same", text.contains("Rank 69 holds"), &text);
    transcript.same(
        "one acknowledgement was accepted",
        &answer.interaction.responses.len(),
        &1,
    );
    Ok(())
}

/// The ingestor goes away; what happens meanwhile is replayed to the next one.
pub(super) async fn the_ingestor_restarts<W: Write>(
    platform: &mut Platform,
    stage: &Stage<'_>,
    transcript: &mut Transcript<W>,
) -> anyhow::Result<()> {
    transcript.scene("The ingestor restarts");
    let before = identifies(stage).await?;
    platform.stop_ingestor().await?;
    transcript.act("SIGTERM; while no ingestor runs, otheym and liet leave and come back");
    for name in ["otheym", "liet"] {
        let user = stage.newcomer(name)?;
        stage.discord.leave(stage.tabr.guild, user).await?;
        stage.discord.join(stage.tabr.guild, user, name).await?;
    }
    platform.start_ingestor().await?;
    for (name, role) in [("otheym", "Ichwan"), ("liet", "Fedaykin")] {
        let found = stage.roles_become(&stage.tabr, stage.newcomer(name)?, &[role]).await?;
        transcript.same(
            format!("{name} has {role}: the join was replayed"),
            &found,
            &vec![role.to_owned()],
        );
    }
    transcript.same(
        "the session was resumed: no identify was spent",
        &identifies(stage).await?,
        &before,
    );
    transcript.act("liet: /position, through the new ingestor");
    let answer = stage
        .ask(&stage.tabr, stage.newcomer("liet")?, "position", json!([]))
        .await?;
    let text = answer.text();
    transcript.expect("it answers", text.contains("Rank 69"), &text);
    Ok(())
}

/// What Discord saw in all of this.
pub(super) async fn limits_held<W: Write>(stage: &Stage<'_>, transcript: &mut Transcript<W>) -> anyhow::Result<()> {
    transcript.scene("What Discord saw");
    let stats = stage.discord.stats().await?;
    let limited = limited_routes(&stats);
    transcript.expect("not one 429 for the proxy", limited.is_empty(), limited);
    let most = stats.most_requests_in_1100_ms;
    transcript.expect(
        format!("at most {most} calls in any 1.1 s, of 50 allowed"),
        most <= 50,
        most,
    );
    let expired = expired(stage).await?;
    transcript.expect("no member waited in vain", expired.is_empty(), format!("{expired:?}"));
    Ok(())
}

/// Routes that answered 429, with how often. Without the one call that an ingestor makes by itself when it starts, and which
/// Discord limits to a few in five seconds: a process that starts anew cannot know of its predecessor's.
fn limited_routes(stats: &StatsReport) -> String {
    let routes = stats.rest.iter().filter(|(route, _)| *route != "GET /gateway/bot");
    let limited = routes.filter_map(|(route, statuses)| Some(format!("{route}: {}", statuses.get(&429)?)));
    limited.collect::<Vec<_>>().join(", ")
}

async fn identifies(stage: &Stage<'_>) -> anyhow::Result<u64> {
    Ok(stage.discord.stats().await?.identifies)
}

async fn expired(stage: &Stage<'_>) -> anyhow::Result<Vec<InteractionRecord>> {
    let mut interactions = stage.discord.interactions().await?;
    interactions.retain(|interaction| interaction.state == InteractionState::Expired);
    Ok(interactions)
}
