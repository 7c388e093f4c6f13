//! Two tenants on one deployment: each sees only its own members, with the texts of its own theme.

use std::io::Write;

use serde_json::json;

use super::Transcript;
use super::commands::show;
use super::context::DemoContext;

/// The same commands in two servers.
pub(super) async fn each_sees_its_own<W: Write>(
    demo: &DemoContext<'_>,
    transcript: &mut Transcript<W>,
) -> anyhow::Result<()> {
    transcript.scene("Two communities, one deployment");
    let market = &demo.plan.servers[1];
    transcript.act("a member of Carthag Market (theme basic): /stats and /leaderboard");
    let member = market.members[1].user;
    let answer = demo.run(&demo.market, member, "stats", json!([])).await?;
    show(transcript, &answer);
    let text = answer.text();
    let members = market.members.len();
    transcript.expect(
        format!("it counts {members} members"),
        text.contains(&format!("{members} ")),
        &text,
    );
    let own_tiers = text.contains("Gold") && !text.contains("Naib") && !text.contains("Fedaykin");
    transcript.expect("with the tiers of its own theme", own_tiers, &text);

    let answer = demo.run(&demo.market, member, "leaderboard", json!([])).await?;
    let text = answer.text();
    let tabr: Vec<_> = demo.plan.servers[0]
        .members
        .iter()
        .map(|member| member.display.as_str())
        .collect();
    let strangers: Vec<_> = tabr
        .iter()
        .filter(|name| text.contains(&format!("**{name}**")))
        .collect();
    transcript.expect(
        "its ranking has no member of Sietch Tabr",
        strangers.is_empty(),
        format!("{strangers:?}"),
    );
    Ok(())
}
