//! Six commands of different members. Each reply is checked field by field, as the emulator received it.

use std::io::Write;

use serde_json::json;

use super::Transcript;
use super::context::DemoContext;
use crate::platform::Answer;

/// `/stats`, `/position`, `/threshold`, `/leaderboard`, `/profile`, `/help`.
pub(super) async fn six_commands<W: Write>(
    demo: &DemoContext<'_>,
    transcript: &mut Transcript<W>,
) -> anyhow::Result<()> {
    transcript.scene("Six questions");
    stats(demo, transcript).await?;
    position(demo, transcript).await?;
    threshold(demo, transcript).await?;
    leaderboard(demo, transcript).await?;
    profile(demo, transcript).await?;
    help(demo, transcript).await
}

async fn stats<W: Write>(demo: &DemoContext<'_>, transcript: &mut Transcript<W>) -> anyhow::Result<()> {
    transcript.act("chani: /stats");
    let answer = demo
        .run(&demo.tabr, demo.newcomer("chani")?, "stats", json!([]))
        .await?;
    show(transcript, &answer);
    // All eight newcomers are members by now.
    let members = demo.plan.servers[0].members.len() + demo.plan.newcomers.len();
    let text = answer.text();
    let counted = text.contains(&format!("{members} "));
    transcript.expect(format!("it counts {members} members"), counted, &text);
    let tiers = answer.field("Tiers").unwrap_or_default().to_owned();
    let every_tier = [
        "Naib",
        "Fedaykin",
        "Usul",
        "Sayyadina",
        "Mushtamal",
        "Sihaya",
        "Qanat",
        "Ichwan",
        "Hajra",
    ];
    let named = every_tier.iter().all(|tier| tiers.contains(tier));
    transcript.expect("it names all nine tiers", named, &tiers);
    let wallets = answer.field("Ranked wallets").map(str::to_owned);
    transcript.same(
        "it counts the ranked wallets",
        &wallets,
        &Some(demo.plan.holders.len().to_string()),
    );
    Ok(())
}

async fn position<W: Write>(demo: &DemoContext<'_>, transcript: &mut Transcript<W>) -> anyhow::Result<()> {
    transcript.act("otheym: /position");
    let answer = demo
        .run(&demo.tabr, demo.newcomer("otheym")?, "position", json!([]))
        .await?;
    show(transcript, &answer);
    transcript.expect("only otheym sees it", answer.is_private(), &answer.message);
    transcript.same(
        "the holding is shown",
        &answer.field("Holding").map(str::to_owned),
        &Some("69 BGT".to_owned()),
    );
    let title = answer.embed()["description"].as_str().unwrap_or_default().to_owned();
    transcript.expect("69 is Ichwan", title.contains("Ichwan"), &title);
    let text = answer.text();
    transcript.expect(
        "Qanat is next, 153 away",
        text.contains("Qanat") && text.contains("153 BGT more"),
        &text,
    );
    let colour = answer.embed()["color"].as_u64();
    transcript.same("in the colour of Ichwan, #FD7E14", &colour, &Some(0x00FD_7E14));

    transcript.act("ramallo, who has no wallet: /position");
    let answer = demo
        .run(&demo.tabr, demo.newcomer("ramallo")?, "position", json!([]))
        .await?;
    show(transcript, &answer);
    let text = answer.text();
    transcript.expect("it states what is missing", text.contains("wallet"), &text);
    Ok(())
}

async fn threshold<W: Write>(demo: &DemoContext<'_>, transcript: &mut Transcript<W>) -> anyhow::Result<()> {
    transcript.act("harah, level with the line: /threshold");
    let answer = demo
        .run(&demo.tabr, demo.newcomer("harah")?, "threshold", json!([]))
        .await?;
    show(transcript, &answer);
    let text = answer.text();
    transcript.expect(
        "rank 69 holds 1,500",
        text.contains("Rank 69 holds **1,500 BGT**"),
        &text,
    );
    transcript.expect(
        "31 wallets are on the waitlist",
        text.contains("31 wallets wait"),
        &text,
    );
    let mine = answer.field("You").unwrap_or_default().to_owned();
    transcript.expect(
        "harah is level with the last rank",
        mine.contains("level with the line"),
        &mine,
    );
    Ok(())
}

async fn leaderboard<W: Write>(demo: &DemoContext<'_>, transcript: &mut Transcript<W>) -> anyhow::Result<()> {
    transcript.act("stilgar: /leaderboard");
    let answer = demo
        .run(&demo.tabr, demo.newcomer("stilgar")?, "leaderboard", json!([]))
        .await?;
    show(transcript, &answer);
    transcript.expect("everybody sees it", !answer.is_private(), &answer.message);
    let text = answer.text();
    let mine = text
        .lines()
        .find(|line| line.contains("(you)"))
        .unwrap_or_default()
        .to_owned();
    transcript.expect(
        "stilgar's own entry is marked",
        mine.contains("Stilgar") || mine.contains("stilgar"),
        &text,
    );
    transcript.expect(
        "with rank 3 and 36,900",
        mine.contains("rank 3") && mine.contains("36,900 BGT"),
        &mine,
    );
    transcript.expect("it is page 1", text.contains("Page 1 of "), &text);
    Ok(())
}

async fn profile<W: Write>(demo: &DemoContext<'_>, transcript: &mut Transcript<W>) -> anyhow::Result<()> {
    transcript.act("liet: /profile member:@chani");
    let chani = demo.newcomer("chani")?;
    let option = json!([{"name": "member", "type": 6, "value": chani.to_string()}]);
    let answer = demo.run(&demo.tabr, demo.newcomer("liet")?, "profile", option).await?;
    show(transcript, &answer);
    let text = answer.text();
    transcript.expect("it is chani's card", text.to_lowercase().contains("chani"), &text);
    transcript.expect("chani is Fedaykin", text.contains("Fedaykin"), &text);
    Ok(())
}

async fn help<W: Write>(demo: &DemoContext<'_>, transcript: &mut Transcript<W>) -> anyhow::Result<()> {
    transcript.act("jamis: /help");
    let answer = demo.run(&demo.tabr, demo.newcomer("jamis")?, "help", json!([])).await?;
    show(transcript, &answer);
    let text = answer.text();
    let commands = ["/stats", "/position", "/threshold", "/leaderboard", "/profile"];
    transcript.expect(
        "it names every command",
        commands.iter().all(|name| text.contains(name)),
        &text,
    );
    transcript.expect("only jamis sees it", answer.is_private(), &answer.message);
    Ok(())
}

/// The member who ran the command turns the pages; "Jump to me" shows the page with the member's own entry.
pub(super) async fn a_button<W: Write>(demo: &DemoContext<'_>, transcript: &mut Transcript<W>) -> anyhow::Result<()> {
    transcript.scene("A button");
    let liet = demo.newcomer("liet")?;
    let server = (demo.tabr.guild, demo.tabr.channel);
    transcript.act("liet: /leaderboard, then presses \"Next page\" and \"Jump to me\"");
    let first = demo.run(&demo.tabr, liet, "leaderboard", json!([])).await?;
    let message = first.message["id"].as_str().unwrap_or_default().to_owned();
    for (label, wanted) in [("Next", "Page 2 of "), ("me", "(you)")] {
        let Some(button) = first.button(label) else {
            transcript.expect(
                format!("there is a button \"{label}\""),
                false,
                &first.message["components"],
            );
            continue;
        };
        let press = demo.discord.press(server, liet, &message, &button).await?;
        let turned = demo.discord.answer(&press).await?;
        let text = turned.text();
        transcript.expect(
            format!("after \"{label}\" the message shows \"{wanted}\""),
            text.contains(wanted),
            &text,
        );
        let same = turned.message["id"].as_str() == Some(message.as_str());
        transcript.expect("it is the same message, turned", same, &turned.message["id"]);
    }
    Ok(())
}

/// Shows the reply as a reader would see it, shortened.
pub(super) fn show<W: Write>(transcript: &mut Transcript<W>, answer: &Answer) {
    let text = answer.text();
    for line in text.lines().take(7) {
        transcript.see(line);
    }
}
