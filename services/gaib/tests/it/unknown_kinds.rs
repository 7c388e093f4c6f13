//! A managed channel with a kind that gaib does not support.

use discord_emulator::model::{ChannelKind, Id};
use discord_emulator::world::Cause;
use serde_json::Value;

use crate::session::{GUILD, Session};

const CONFIGURATION: &str = "channels:\n  cave: { name: cave }\nwebhooks:\n  news: { name: News, channel: cave }\n";

/// A session in which the channel has an unknown kind after the apply, and the channel's id.
async fn with_unknown_kind() -> (Session, String) {
    let mut session = Session::start().await;
    session.gaib(&format!("server init --guild {GUILD}")).await;
    session.write("discord-server.yaml", CONFIGURATION);
    assert_eq!(session.gaib("server apply --auto-approve").await.code, 0);
    let id = set_kind(&session, ChannelKind::Dm);
    (session, id)
}

/// Changes the kind of the channel on the server, and returns its id.
fn set_kind(session: &Session, kind: ChannelKind) -> String {
    let state: Value = serde_json::from_str(&session.read(".gaib/workspaces/default/state.json")).unwrap();
    let id = state["resources"]["channel.cave"]["id"].as_str().unwrap().to_owned();
    session.emulator.app().world.write(|world| {
        let mut channel = world.channel(Id(id.parse().unwrap())).unwrap().clone();
        channel.kind = kind;
        world.update_channel(channel, &Cause::by(Id(GUILD.parse().unwrap())));
    });
    id
}

#[tokio::test(flavor = "multi_thread")]
async fn unknown_kind_is_a_warning_and_no_change() {
    let (mut session, id) = with_unknown_kind().await;
    let warning = format!("channel.cave (id {id}) cannot be read: Discord sent `1` as its `kind`");
    let lines = [
        "server plan --detailed-exitcode",
        "server apply --auto-approve",
        "server apply --refresh-only --auto-approve",
        "server plan --detailed-exitcode",
    ];
    for line in lines {
        let outcome = session.gaib(line).await;
        assert_eq!(outcome.code, 0, "{line}: {}{}", outcome.stdout, outcome.stderr);
        assert!(outcome.stdout.contains("No changes."), "{line}: {}", outcome.stdout);
        assert!(outcome.stderr.contains(&warning), "{line}: {}", outcome.stderr);
    }
    let listed = session.gaib("server state ls").await;
    assert!(listed.stdout.contains("channel.cave\n"), "{}", listed.stdout);
    // It can be read again, and no other channel was created.
    assert_eq!(set_kind(&session, ChannelKind::Text), id);
    let outcome = session.gaib("server plan --detailed-exitcode").await;
    assert_eq!(
        (outcome.code, outcome.stderr.contains("cannot be read")),
        (0, false),
        "{}",
        outcome.stdout
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn export_omits_an_unknown_kind_and_is_valid() {
    let (mut session, id) = with_unknown_kind().await;
    let outcome = session
        .gaib("server export --include-unmanaged --output export.yaml")
        .await;
    assert_eq!(outcome.code, 0, "{}", outcome.stderr);
    let warning = format!("channel.cave (id {id}) is omitted");
    assert!(outcome.stderr.contains(&warning), "{}", outcome.stderr);
    let text = session.read("export.yaml");
    assert!(!text.contains("cave") && text.contains(&id), "{text}");
    let valid = session.gaib("server validate --file export.yaml").await;
    assert_eq!(valid.code, 0, "{}", valid.stderr);
    let refused = session.gaib(&format!("server import channel.other {id}")).await;
    assert!(
        refused.stderr.contains("Discord sent `1` as its kind"),
        "{}",
        refused.stderr
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn destroy_deletes_an_unknown_kind_by_its_id() {
    let (mut session, id) = with_unknown_kind().await;
    let outcome = session.gaib("server destroy --auto-approve").await;
    assert!(
        outcome.stderr.contains(&format!("channel.cave (id {id})")),
        "{}",
        outcome.stderr
    );
    assert!(outcome.stderr.contains("it is deleted by its id"), "{}", outcome.stderr);
    assert_eq!(outcome.code, 0, "{}", outcome.stderr);
    let left = session.gaib("server state ls").await;
    assert!(!left.stdout.contains("channel.cave"), "{}", left.stdout);
}
