//! What is wrong is said in a short private word that says what to do.

use std::io::Write;

use serde_json::json;

use super::Transcript;
use super::commands::show;
use super::stage::Stage;

/// A wrong option, an unreadable one, and a server that is not set up.
pub(super) async fn what_is_wrong_is_said<W: Write>(
    stage: &Stage<'_>,
    transcript: &mut Transcript<W>,
) -> anyhow::Result<()> {
    transcript.scene("Three mistakes");
    transcript.act("a client that checks nothing sends /leaderboard page:-3");
    let place = (stage.tabr.guild, stage.tabr.channel);
    let options = json!([{"name": "page", "type": 4, "value": -3}]);
    let id = stage
        .discord
        .forced_command(place, stage.newcomer("chani")?, "leaderboard", options)
        .await?;
    let answer = stage.discord.answer(&id).await?;
    show(transcript, &answer);
    let text = answer.text();
    transcript.expect("the answer names the option", text.contains("page"), &text);
    transcript.expect("only chani sees it", answer.is_private(), &answer.message);

    transcript.act("a hostile one sends /leaderboard page:\"the last one, please\", which nobody can read");
    let options = json!([{"name": "page", "type": 4, "value": "the last one, please"}]);
    let id = stage
        .discord
        .forced_command(place, stage.newcomer("liet")?, "leaderboard", options)
        .await?;
    let answer = stage.discord.answer(&id).await?;
    show(transcript, &answer);
    let text = answer.text();
    transcript.expect(
        "even that is answered",
        text.contains("cannot read") && answer.is_private(),
        &text,
    );

    transcript.act("a member of Polar Outpost, which nobody has set up: /position");
    let outsider = stage.plan.servers[2].members[1].user;
    let answer = stage.ask(&stage.outpost, outsider, "position", json!([])).await?;
    show(transcript, &answer);
    let text = answer.text();
    transcript.expect(
        "it says that the server is not set up",
        text.to_lowercase().contains("set up"),
        &text,
    );
    transcript.expect("only the member sees it", answer.is_private(), &answer.message);
    Ok(())
}
