//! Invalid input of each command: an error with the place, the reason and advice, and no change.

use serde_json::json;

use crate::session::{GUILD, Session, exists};

#[tokio::test(flavor = "multi_thread")]
async fn invalid_input_is_an_error_with_advice_in_every_command() {
    let mut session = Session::start().await;
    for line in [
        "server plan",
        "server theme info seitch",
        "server theme validate nowhere",
        "server init --theme seitch",
        "server init --theme sietch --var color_naib=gold",
        "server init --theme sietch --var colour_naib=#FFD700",
        "server init --guild Sietch",
        "server init --theme basic",
        "server init --theme basic",
        "server plan",
        "server plan --guild 1200000000000000001",
        "server plan --workspace nowhere",
        "server plan --var name",
        "server plan --flag enable_voice=perhaps",
        "server plan --var-file nowhere.yaml",
        "server apply nowhere.plan",
        "server apply discord-server.yaml",
        "server apply --theme basic --file x.yaml",
        "server export -o discord-server.yaml",
        "server state show role.naib",
        "server state show naib",
        "server state rm role.naib",
        "server state mv role.a channel.a",
        "server state push nowhere.json",
        "server workspace new ../up",
        "server workspace delete default",
        "server workspace select nowhere",
        "server unlock",
        "server import role.x",
        "theme ls",
        "server bogus",
        "server plan --bogus",
        "apply nowhere.yaml",
    ] {
        let outcome = session.gaib(line).await;
        let is_accepted = ["server init --theme basic"].contains(&line) && outcome.code == 0;
        assert!(
            is_accepted || (outcome.code == 1 && !outcome.stderr.is_empty()),
            "{line}: {outcome:?}"
        );
        assert!(is_accepted || outcome.stdout.is_empty(), "{line}: {outcome:?}");
    }
    assert!(!exists(&session, ".gaib/workspaces/default/state.json"));
    insta::assert_snapshot!(session.transcript());
}

#[tokio::test(flavor = "multi_thread")]
async fn missing_and_invalid_environment_variables_are_errors() {
    let mut session = Session::start().await;
    session.gaib(&format!("server init --guild {GUILD}")).await;
    session.environment("DISCORD_TOKEN", None);
    session.gaib("server plan").await;
    session.environment("DISCORD_TOKEN", Some("wrong"));
    session.gaib("server plan").await;
    session.environment("DISCORD_API_BASE", Some("ftp://example.org"));
    session.gaib("server plan").await;
    session.environment("DISCORD_API_BASE", None);
    session.environment("DISCORD_GUILD_ID", Some("Sietch"));
    session.gaib("server plan").await;
    session.environment("DISCORD_GUILD_ID", None);
    session.environment("GAIB_COLOUR", Some("on"));
    session.gaib("server plan").await;
    insta::assert_snapshot!(session.transcript());
}

#[tokio::test(flavor = "multi_thread")]
async fn plan_that_discord_would_refuse_sends_nothing() {
    let mut session = Session::with(json!({
        "name": "Carthag", "community": false,
        "bot": { "permissions": ["MANAGE_ROLES", "VIEW_CHANNEL"], "below": "Baron" },
        "roles": [{ "id": "1200000000000000778", "name": "Baron" }],
    }))
    .await;
    session.gaib(&format!("server init --guild {GUILD}")).await;
    session.write(
        "discord-server.yaml",
        "roles:\n  baron: { name: Baron, color: \"#112233\" }\n",
    );
    session.gaib("server import role.baron 1200000000000000778").await;
    session.write(
        "discord-server.yaml",
        "roles:\n  baron: { name: Baron, color: \"#445566\" }\n  judge: { name: Judge, permissions: [BAN_MEMBERS] }\n\
         channels:\n  news: { kind: announcement }\n  hall: { kind: voice, bitrate: 128000 }\n",
    );
    let refused = session.gaib("server apply --auto-approve").await;
    assert_eq!(refused.code, 1);
    insta::assert_snapshot!(session.transcript());
}
