//! Deletions on a server whose community the platform has need a code of a second factor.

use arrakis_db::ApiKeyScope::{ServersRead, ServersWrite};

use crate::platform::Platform;
use crate::session::{GUILD, Session};

/// The configuration with a role and a channel, and without them.
const CONFIGURATION: &str = "roles:\n  fedaykin: { name: Fedaykin }\n  naib: { name: Naib }\nchannels:\n  census: {}\n";
const REDUCED: &str = "roles:\n  naib: { name: Naib }\n";

/// A session whose server has a role and a channel that gaib manages.
async fn managed() -> Session {
    let mut session = Session::start().await;
    session.write("discord-server.yaml", CONFIGURATION);
    let applied = session
        .gaib(&format!("apply discord-server.yaml --guild {GUILD} --auto-approve"))
        .await;
    assert_eq!(applied.code, 0, "{}", applied.stderr);
    session
}

/// Applies the configuration without the channel and the role.
fn line(mfa: &str) -> String {
    format!("apply discord-server.yaml --guild {GUILD} --auto-approve {mfa}")
}

#[tokio::test(flavor = "multi_thread")]
async fn deletion_on_a_server_with_a_community_needs_a_code() {
    let platform = Platform::start().await;
    let mut session = managed().await;
    platform.connect(&mut session, &[ServersRead, ServersWrite]).await;
    let code = platform.code().await;
    let before = session.control().guild(GUILD).await.unwrap();
    session.write("discord-server.yaml", REDUCED);
    // stdin is closed.
    let without = session.gaib(&line("")).await;
    assert!(
        without.code == 1 && without.stderr.contains("--mfa CODE"),
        "{}",
        without.stderr
    );
    // A text that is no code is not sent, so it does not count as a wrong one.
    let other_form = session.gaib(&line("--mfa 12345")).await;
    assert!(
        other_form.code == 1 && other_form.stderr.contains("it was not sent"),
        "{}",
        other_form.stderr
    );
    assert_eq!(platform.refused_codes().await, 0);
    let untouched = session.control().guild(GUILD).await.unwrap();
    assert_eq!(
        (&untouched["channels"], &untouched["roles"]),
        (&before["channels"], &before["roles"])
    );
    let deleted = session.gaib(&line(&format!("--mfa {code}"))).await;
    assert_eq!(deleted.code, 0, "{}", deleted.stderr);
    let after = session.control().guild(GUILD).await.unwrap();
    assert!(!after.to_string().contains("Fedaykin"), "{after:#}");
    // The code was used.
    session.write("discord-server.yaml", CONFIGURATION);
    let created = session.gaib(&line("")).await;
    assert_eq!(
        created.code, 0,
        "a plan without deletions needs no code: {}",
        created.stderr
    );
    session.write("discord-server.yaml", REDUCED);
    let again = session.gaib(&line(&format!("--mfa {code}"))).await;
    assert!(
        again.code == 1 && again.stderr.contains("mfa-refused"),
        "{}",
        again.stderr
    );
    let typed = platform.code().await;
    let asked = session.answering(&line(""), Some(&format!("{typed}\n"))).await;
    assert_eq!(asked.code, 0, "{}", asked.stderr);
}

#[tokio::test(flavor = "multi_thread")]
async fn deletion_without_the_platforms_answer_is_refused() {
    let mut session = managed().await;
    session.environment("ARRAKIS_API_URL", Some("http://127.0.0.1:1"));
    session.environment("ARRAKIS_API_KEY", Some("arrakis_x"));
    session.write("discord-server.yaml", REDUCED);
    let refused = session.gaib(&line("--mfa 123456")).await;
    assert!(
        refused.code == 1 && refused.stderr.contains("could not read the community"),
        "{}",
        refused.stderr
    );
}
