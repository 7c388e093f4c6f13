//! A stranger joins, and proves a wallet on the wallet page: by the requests that its JavaScript sends, with a real signature.

use std::io::Write;

use anyhow::Context as _;
use arrakis_domain::Balance;
use serde_json::json;

use super::{Act, NAME, STRANGER, Transcript, rank_of};
use crate::demo::commands::show;
use crate::platform::{Answer, Wallet, WalletPage};

/// The holding with which the stranger comes: short of the last place by half a token.
pub(super) const HELD: &str = "1499.5";

/// The stranger joins without a wallet. A wallet that no account has verified is on the chain and in the ranking.
pub(super) async fn arrives<W: Write>(act: &Act<'_>, transcript: &mut Transcript<W>) -> anyhow::Result<()> {
    transcript.scene("Second act: a stranger arrives");
    let demo = act.demo;
    let held: Balance = HELD.parse()?;
    transcript.act(format!(
        "a wallet claims {} BGT on the chain, and a worker reads it",
        held.grouped()
    ));
    act.claim(held).await?;
    let rank = rank_of(demo.plan, held);
    let standing = act.standing(act.wallet.address()).await?;
    transcript.see(format!(
        "rank {}, held {}, zone {}, block {}",
        standing["rank"], standing["held"], standing["zone"], standing["block"]
    ));
    transcript.same(
        format!("the api has it at rank {rank}, on the waitlist"),
        &(
            &standing["rank"],
            &standing["held"],
            &standing["zone"],
            &standing["eligible"],
        ),
        &(&json!(rank), &json!(HELD), &json!("waitlist"), &json!(false)),
    );

    transcript.act(format!("{NAME} joins: /position"));
    demo.discord.join(demo.tabr.guild, STRANGER, NAME).await?;
    let answer = demo.run(&demo.tabr, STRANGER, "position", json!([])).await?;
    show(transcript, &answer);
    transcript.expect(
        "it states that a wallet is missing",
        answer.text().contains("wallet"),
        answer.text(),
    );
    let roles = demo.roles(&demo.tabr, STRANGER).await?;
    transcript.same(format!("{NAME} has no role"), &roles, &Some(Vec::new()));
    Ok(())
}

/// The scene of the wallet page: `/verify start`, the page, one signature, and the tier that the member has within seconds.
pub(super) async fn proves_a_wallet<W: Write>(act: &Act<'_>, transcript: &mut Transcript<W>) -> anyhow::Result<()> {
    transcript.scene("The wallet page");
    let demo = act.demo;
    transcript.act(format!("{NAME}: /verify start"));
    let options = json!([{"name": "start", "type": 1, "options": []}]);
    let answer = demo.run(&demo.tabr, STRANGER, "verify", options).await?;
    show(transcript, &answer);
    transcript.expect(format!("only {NAME} sees it"), answer.is_private(), &answer.message);
    let link = answer
        .link("wallet page")
        .context("the reply has no link to the wallet page")?;
    let page = WalletPage::new(&link)?;
    opens(act, &page, transcript).await?;
    signs(act, &page, transcript).await?;
    has_the_tier(act, &answer, transcript).await
}

/// The page and the state of its session.
async fn opens<W: Write>(act: &Act<'_>, page: &WalletPage, transcript: &mut Transcript<W>) -> anyhow::Result<()> {
    transcript.act("the page opens");
    let (answer, html) = page.html().await?;
    transcript.same("it has status 200", &answer.status.as_u16(), &200);
    let policy = answer.headers.get("content-security-policy");
    let policy = policy.and_then(|policy| policy.to_str().ok()).unwrap_or_default();
    transcript.expect(
        "a strict content security policy",
        policy.contains("default-src 'none'"),
        policy,
    );
    transcript.expect(
        "and its bytes name no member",
        !html.contains(NAME),
        "the name in the page",
    );
    let session = page.session().await?;
    let found = (
        session.text("state"),
        &session.body["account"]["name"],
        &session.body["account"]["id"],
        &session.body["chain_id"],
    );
    let (name, id, chain) = (
        json!(NAME),
        json!(STRANGER.to_string()),
        json!(act.chain.anvil().chain_id()),
    );
    transcript.same(
        format!("the session is open, {NAME}'s, on the token's chain"),
        &found,
        &("open", &name, &id, &chain),
    );
    Ok(())
}

/// A signature of another key is refused; the right one is accepted, once.
async fn signs<W: Write>(act: &Act<'_>, page: &WalletPage, transcript: &mut Transcript<W>) -> anyhow::Result<()> {
    let address = act.wallet.address().to_string();
    let message = page.message(&address, act.chain.anvil().chain_id()).await?;
    let text = message.text("message").to_owned();
    for line in text.lines().take(4) {
        transcript.see(line);
    }
    let names_account = text.contains(NAME) && text.to_lowercase().contains(&address.to_lowercase());
    transcript.expect(
        "the text to sign names the account and the wallet",
        names_account,
        &text,
    );

    transcript.act("another key signs the text in the name of the wallet");
    let forged = Wallet::numbered(1)?.sign(&text)?;
    let refused = page.submit(&address, &text, &forged).await?;
    transcript.see(refused.text("message"));
    transcript.same("it is refused", &refused.status.as_u16(), &422);

    transcript.act("the wallet signs it");
    let signature = act.wallet.sign(&text)?;
    let accepted = page.submit(&address, &text, &signature).await?;
    transcript.same(
        "it is accepted",
        &(accepted.status.as_u16(), accepted.text("state")),
        &(200, "completed"),
    );
    let again = page.submit(&address, &text, &signature).await?;
    transcript.same(
        "and not a second time",
        &(again.status.as_u16(), again.text("code")),
        &(409, "already_used"),
    );
    Ok(())
}

/// Role and edited reply.
async fn has_the_tier<W: Write>(act: &Act<'_>, asked: &Answer, transcript: &mut Transcript<W>) -> anyhow::Result<()> {
    let demo = act.demo;
    let found = demo.roles_become(&demo.tabr, STRANGER, &["Usul"]).await?;
    transcript.same(format!("{NAME} is Usul"), &found, &vec!["Usul".to_owned()]);
    let id = asked.interaction.id.to_string();
    let edited = demo
        .discord
        .until("the edited reply", async || {
            let answer = demo.discord.answer(&id).await?;
            Ok(answer.text().contains("is linked to you").then_some(answer))
        })
        .await?;
    transcript.act("the reply to /verify start has changed");
    show(transcript, &edited);
    let rank = rank_of(demo.plan, HELD.parse()?);
    let text = edited.text();
    transcript.expect(
        format!("it states rank {rank}"),
        text.contains(&format!("Rank {rank}")),
        &text,
    );
    transcript.expect(
        "and offers the waitlist",
        edited.button("waitlist").is_some(),
        &edited.message["components"],
    );
    Ok(())
}
