//! A process is killed or restarted, and members do not notice it.

use std::io::Write;

use arrakis_emulator_client::{Fault, InteractionRecord, InteractionState, RestCall, StatsReport};
use serde_json::json;

use super::Transcript;
use super::commands::show;
use super::context::DemoContext;
use crate::platform::Platform;

/// A worker is killed between the defer and the reply; another worker completes the reply.
pub(super) async fn a_worker_is_killed<W: Write>(
    platform: &mut Platform,
    demo: &DemoContext<'_>,
    transcript: &mut Transcript<W>,
) -> anyhow::Result<()> {
    transcript.scene("SIGKILL in the middle of an answer");
    // The emulator delays the edit, so that the worker dies before it completes.
    let slow = Fault::rest_latency(4_000).method("PATCH").path("@original").count(1);
    demo.discord.fault(&slow).await?;
    let chani = demo.newcomer("chani")?;
    let server = (demo.tabr.guild, demo.tabr.channel);
    transcript.act("chani: /threshold");
    let id = demo.discord.command(server, chani, "threshold", json!([])).await?;
    let deferred = demo
        .discord
        .until("the defer", async || {
            Ok(Some(demo.discord.interaction(&id).await?).filter(|i| i.state == InteractionState::Deferred))
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
    let answer = demo.discord.answer(&id).await?;
    show(transcript, &answer);
    let text = answer.text();
    transcript.expect("the reply arrives", text.contains("Rank 69 holds"), &text);
    transcript.same(
        "one acknowledgement was accepted",
        &answer.interaction.responses.len(),
        &1,
    );
    Ok(())
}

/// The ingestor is stopped; the next one receives the missed events by RESUME.
pub(super) async fn the_ingestor_restarts<W: Write>(
    platform: &mut Platform,
    demo: &DemoContext<'_>,
    transcript: &mut Transcript<W>,
) -> anyhow::Result<()> {
    transcript.scene("The ingestor restarts");
    let before = identifies(demo).await?;
    platform.stop_ingestor().await?;
    transcript.act("SIGTERM; while no ingestor runs, otheym and liet leave and come back");
    for name in ["otheym", "liet"] {
        let user = demo.newcomer(name)?;
        demo.discord.leave(demo.tabr.guild, user).await?;
        demo.discord.join(demo.tabr.guild, user, name).await?;
    }
    platform.start_ingestor().await?;
    for (name, role) in [("otheym", "Ichwan"), ("liet", "Fedaykin")] {
        let found = demo.roles_become(&demo.tabr, demo.newcomer(name)?, &[role]).await?;
        transcript.same(
            format!("{name} has {role}: the join was replayed"),
            &found,
            &vec![role.to_owned()],
        );
    }
    transcript.same(
        "the session was resumed: no identify was spent",
        &identifies(demo).await?,
        &before,
    );
    transcript.act("liet: /position, through the new ingestor");
    let answer = demo
        .run(&demo.tabr, demo.newcomer("liet")?, "position", json!([]))
        .await?;
    let text = answer.text();
    transcript.expect("the command is answered", text.contains("Rank 69"), &text);
    Ok(())
}

/// The emulator's counts for the whole demo.
pub(super) async fn limits_held<W: Write>(
    demo: &DemoContext<'_>,
    transcript: &mut Transcript<W>,
) -> anyhow::Result<()> {
    transcript.scene("Rate limits and expired interactions");
    let stats = demo.discord.stats().await?;
    let limited = limited_routes(&stats);
    let is_none = limited.is_empty();
    let found = if is_none {
        limited
    } else {
        format!("{limited}; {}", calls_before_a_429(demo).await?)
    };
    transcript.expect("no 429 for the proxy", is_none, found);
    let most = stats.most_requests_in_1100_ms;
    transcript.expect(
        format!("at most {most} calls in any 1.1 s, of 50 allowed"),
        most <= 50,
        most,
    );
    let expired = expired(demo).await?;
    transcript.expect("no interaction expired", expired.is_empty(), format!("{expired:?}"));
    Ok(())
}

/// Routes that answered 429, with their counts. The call that an ingestor makes at its start is excluded: Discord allows few of
/// them in five seconds, and a new process has no record of its predecessor's.
fn limited_routes(stats: &StatsReport) -> String {
    let routes = stats.rest.iter().filter(|(route, _)| *route != "GET /gateway/bot");
    let limited = routes.filter_map(|(route, statuses)| Some(format!("{route}: {}", statuses.get(&429)?)));
    limited.collect::<Vec<_>>().join(", ")
}

/// The calls of the route of the first 429, in the 20 s before it and until 1 s after it: when each arrived, before the 429.
async fn calls_before_a_429(demo: &DemoContext<'_>) -> anyhow::Result<String> {
    let calls = demo.discord.rest_calls().await?;
    let is_limited = |call: &&RestCall| call.status == 429 && call.path != "/gateway/bot";
    let Some(limited) = calls.iter().find(is_limited) else {
        return Ok("the 429 is not in the ledger".to_owned());
    };
    let near = limited.at_ms.saturating_sub(20_000)..limited.at_ms + 1_000;
    let same = calls
        .iter()
        .filter(|call| call.route == limited.route && near.contains(&call.at_ms));
    let lines = same.map(|call| {
        let before = i128::from(limited.at_ms) - i128::from(call.at_ms);
        format!(
            "{before} ms before: {} {} {} in {} µs",
            call.method, call.path, call.status, call.duration_us
        )
    });
    Ok(lines.collect::<Vec<_>>().join("; "))
}

async fn identifies(demo: &DemoContext<'_>) -> anyhow::Result<u64> {
    Ok(demo.discord.stats().await?.identifies)
}

async fn expired(demo: &DemoContext<'_>) -> anyhow::Result<Vec<InteractionRecord>> {
    let mut interactions = demo.discord.interactions().await?;
    interactions.retain(|interaction| interaction.state == InteractionState::Expired);
    Ok(interactions)
}
