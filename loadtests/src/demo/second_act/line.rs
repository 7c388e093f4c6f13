//! A claim on the chain moves the stranger over the line of the waitlist, and the member behind the last place below it.

use std::io::Write;

use arrakis_domain::Balance;
use serde_json::json;

use super::stranger::HELD;
use super::{Act, NAME, STRANGER, Transcript, rank_of};
use crate::demo::commands::show;

/// What the stranger claims.
const CLAIMED: &str = "500";

/// The claim, the sync, the promotion, and the one who loses the last place.
pub(super) async fn is_crossed<W: Write>(act: &Act<'_>, transcript: &mut Transcript<W>) -> anyhow::Result<()> {
    transcript.scene("Over the line");
    let demo = act.demo;
    let claimed: Balance = CLAIMED.parse()?;
    let before: Balance = HELD.parse()?;
    let held = Balance::from_units(before.units() + claimed.units());
    transcript.act(format!(
        "{NAME}'s wallet claims {CLAIMED} BGT more on the chain, and a worker reads it"
    ));
    act.claim(claimed).await?;
    let rank = rank_of(demo.plan, held);
    let standing = act.standing(act.wallet.address()).await?;
    transcript.same(
        format!("the api has it at rank {rank}, with a place"),
        &(
            &standing["rank"],
            &standing["held"],
            &standing["zone"],
            &standing["eligible"],
        ),
        &(&json!(rank), &json!(held.to_string()), &json!("eligible"), &json!(true)),
    );
    let found = demo.roles_become(&demo.tabr, STRANGER, &["Fedaykin"]).await?;
    transcript.same(
        format!("{NAME} is promoted to Fedaykin"),
        &found,
        &vec!["Fedaykin".to_owned()],
    );
    transcript.act(format!("{NAME}: /check-eligibility"));
    let answer = demo.run(&demo.tabr, STRANGER, "check-eligibility", json!([])).await?;
    show(transcript, &answer);
    let text = answer.text();
    transcript.expect(
        format!("it states rank {rank}"),
        text.contains(&format!("Rank {rank}")),
        &text,
    );
    transcript.same(
        "and the new holding",
        &answer.field("Holding").map(str::to_owned),
        &Some(format!("{} BGT", held.grouped())),
    );
    let source = answer.field("Source").unwrap_or_default().to_owned();
    transcript.expect(
        "read from the chain",
        source.starts_with("Read from the chain"),
        &source,
    );

    transcript.act("liet had rank 69, the last place");
    let liet = demo.newcomer("liet")?;
    let found = demo.roles_become(&demo.tabr, liet, &["Usul"]).await?;
    transcript.same("liet is Usul now", &found, &vec!["Usul".to_owned()]);
    let wallet = demo.plan.holders[68].address;
    let standing = act.standing(wallet).await?;
    transcript.same(
        "at rank 70, the first of the waitlist",
        &(&standing["rank"], &standing["zone"]),
        &(&json!(70), &json!("waitlist")),
    );
    let list = act.get("/eligibility").await?;
    let wallets = list["wallets"].as_array().cloned().unwrap_or_default();
    transcript.same("the api's list has 69 wallets", &wallets.len(), &69);
    let (mine, liets) = (json!(act.wallet.address().to_string()), json!(wallet.to_string()));
    transcript.same(
        format!("{NAME}'s among them, liet's not"),
        &(wallets.contains(&mine), wallets.contains(&liets)),
        &(true, false),
    );
    Ok(())
}
