//! A wrong input is refused with a private reply that states what to do.

use std::io::Write;

use serde_json::json;

use super::Transcript;
use super::commands::show;
use super::context::DemoContext;

/// An invalid option, an unreadable option, and a server that is not onboarded.
pub(super) async fn invalid_commands_are_refused<W: Write>(
    demo: &DemoContext<'_>,
    transcript: &mut Transcript<W>,
) -> anyhow::Result<()> {
    transcript.scene("Three invalid commands");
    transcript.act("a client without validation sends /leaderboard page:-3");
    let server = (demo.tabr.guild, demo.tabr.channel);
    let options = json!([{"name": "page", "type": 4, "value": -3}]);
    let id = demo
        .discord
        .forced_command(server, demo.newcomer("chani")?, "leaderboard", options)
        .await?;
    let answer = demo.discord.answer(&id).await?;
    show(transcript, &answer);
    let text = answer.text();
    transcript.expect("the answer names the option", text.contains("page"), &text);
    transcript.expect("only chani sees it", answer.is_private(), &answer.message);

    transcript.act("a client sends /leaderboard page:\"the last one, please\", which is not a number");
    let options = json!([{"name": "page", "type": 4, "value": "the last one, please"}]);
    let id = demo
        .discord
        .forced_command(server, demo.newcomer("liet")?, "leaderboard", options)
        .await?;
    let answer = demo.discord.answer(&id).await?;
    show(transcript, &answer);
    let text = answer.text();
    transcript.expect(
        "it is answered, too",
        text.contains("cannot read") && answer.is_private(),
        &text,
    );

    transcript.act("a member of Polar Outpost, which is not onboarded: /position");
    let outsider = demo.plan.servers[2].members[1].user;
    let answer = demo.run(&demo.outpost, outsider, "position", json!([])).await?;
    show(transcript, &answer);
    let text = answer.text();
    transcript.expect(
        "it states that the server is not set up",
        text.to_lowercase().contains("set up"),
        &text,
    );
    transcript.expect("only the member sees it", answer.is_private(), &answer.message);
    Ok(())
}
