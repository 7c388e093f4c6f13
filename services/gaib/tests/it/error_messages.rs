//! Error messages: grammar, invalid ids, unquoted colours.

use crate::session::{GUILD, Session};

#[tokio::test(flavor = "multi_thread")]
async fn counts_and_articles_are_grammatical() {
    let mut session = Session::start().await;
    session.gaib(&format!("server init --guild {GUILD}")).await;
    session.write(
        "discord-server.yaml",
        "roles:\n  guard: { name: Guard }\nautomod:\n  calm: { name: Calm, enabled: true, trigger: { spam: true }, actions: [{ \
         block_message: No. }] }\n",
    );
    let applied = session.gaib("server apply --auto-approve").await;
    assert_eq!(applied.code, 0, "{}", applied.stderr);
    session.gaib("server state rm automod.calm").await;
    let planned = session.gaib("server plan").await;
    assert!(
        planned
            .stdout
            .contains("although the server has an automod rule `Calm` that is not managed"),
        "{}",
        planned.stdout
    );
    let imported = session.gaib("server import --all").await;
    assert!(imported.stdout.contains("1 imported, 2 managed"), "{imported:?}");
    session.gaib("server state rm role.guard").await;
    let exported = session.gaib("server export").await;
    assert!(exported.stderr.contains("--include-unmanaged"), "{}", exported.stderr);
    session.gaib("server workspace new other").await;
    let deleted = session.gaib("server workspace delete other").await;
    assert_eq!(deleted.code, 1);
    session.gaib("server workspace select default").await;
    let valid = session.gaib("server validate").await;
    assert!(
        valid
            .stdout
            .contains("1 role, 0 categories, 0 channels, 1 automod rule."),
        "{}",
        valid.stdout
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn invalid_id_is_refused_by_every_option() {
    let mut session = Session::start().await;
    let reason = "an id is a number of 17 to 20 digits";
    for id in [
        "123",
        "12345678901234567890123",
        "99999999999999999999",
        "general",
        "12a4",
        "0",
    ] {
        for line in [
            format!("server init --force --guild {id}"),
            format!("server plan --guild {id}"),
            format!("server export --guild {id}"),
            format!("server destroy --guild {id}"),
            format!("server workspace new x --guild {id}"),
            format!("server state release --guild {id}"),
        ] {
            if line.contains("plan") {
                session.gaib("server init --force").await;
            }
            let refused = session.gaib(&line).await;
            assert!(
                refused.code == 1 && refused.stderr.contains(reason),
                "{line}: {refused:?}"
            );
        }
        session.write("f.yaml", "roles: {}\n");
        let refused = session.gaib(&format!("apply f.yaml --guild {id}")).await;
        assert!(refused.code == 1 && refused.stderr.contains(reason), "{refused:?}");
        let refused = session
            .gaib(&format!("server import role.x {id} --guild {GUILD}"))
            .await;
        assert!(refused.code == 1 && refused.stderr.contains(reason), "{refused:?}");
        session.environment("DISCORD_GUILD_ID", Some(id));
        let refused = session.gaib("server plan").await;
        assert!(refused.code == 1 && refused.stderr.contains(reason), "{refused:?}");
        session.environment("DISCORD_GUILD_ID", None);
        session.write(
            ".gaib/config.yaml",
            &format!("version: 1\nconfiguration: f.yaml\nguilds:\n  default: \"{id}\"\n"),
        );
        let refused = session.gaib("server plan").await;
        assert!(refused.code == 1 && refused.stderr.contains(reason), "{refused:?}");
        std::fs::remove_file(session.folder.path().join(".gaib/config.yaml")).unwrap();
    }
    session.write(
        "f.yaml",
        "channels:\n  a: { overwrites: { \"role:x1\": { allow: [VIEW_CHANNEL] } } }\n",
    );
    let refused = session.gaib("server validate --file f.yaml").await;
    assert!(refused.stderr.contains(reason), "{}", refused.stderr);
}

#[tokio::test(flavor = "multi_thread")]
async fn unquoted_colour_is_reported_at_its_position() {
    let mut session = Session::start().await;
    for (text, position) in [
        ("roles:\n  a: { color: #123456 }\n  b: { name: B }\n", "f.yaml:2:15"),
        ("roles:\n  a: { name: A, color: #123 }\n", "f.yaml:2:24"),
        (
            "roles:\n  a: { color: #FFD700, hoist: true }\nchannels:\n  b: { topic: \"it's #1\" }\n",
            "f.yaml:2:15",
        ),
        ("roles:\n  a:\n    color: #1ABC9C\n", "f.yaml:3:"),
    ] {
        session.write("f.yaml", text);
        let refused = session.gaib("server validate --file f.yaml").await;
        assert_eq!(refused.code, 1, "{text}");
        let hint = "a `#` starts a comment in YAML; put colours into quotes, like \"#FFD700\"";
        assert!(
            refused.stderr.contains(hint) && refused.stderr.contains(position),
            "{text}{}",
            refused.stderr
        );
    }
    // A quoted colour and a comment do not cause this advice for another error.
    session.write(
        "f.yaml",
        "roles:\n  a: { color: \"#123456\" } # guards\n  b: { name: B\n",
    );
    let refused = session.gaib("server validate --file f.yaml").await;
    assert!(
        refused.code == 1 && !refused.stderr.contains("starts a comment"),
        "{}",
        refused.stderr
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn variable_without_quotes_in_braces_is_reported_with_advice() {
    let mut session = Session::start().await;
    let hint = "put variables into quotes, like \"${name}\"";
    let variables = "variables:\n  clan: { default: Tabr }\n  may: { type: list, default: [CONNECT] }\nroles:\n";
    for (role, is_valid) in [
        ("{ name: ${clan} }", false),
        ("{ name: Guard, permissions: [SPEAK, ${may}] }", false),
        ("{ name: \"${clan}\", permissions: [SPEAK, \"${may}\"] }", true),
        ("\n    name: ${clan}", true),
        // Another error of a line with a quoted variable.
        ("{ name: \"${clan}\" hoist: true }", false),
    ] {
        session.write("f.yaml", &format!("{variables}  a: {role}\n"));
        let outcome = session.gaib("server validate --file f.yaml").await;
        assert_eq!(outcome.code == 0, is_valid, "{role}: {}", outcome.stderr);
        let is_unquoted = !is_valid && !role.contains("\"$");
        assert_eq!(outcome.stderr.contains(hint), is_unquoted, "{role}: {}", outcome.stderr);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn missing_token_error_does_not_mention_other_services() {
    let mut session = Session::start().await;
    session.environment("DISCORD_TOKEN", None);
    session.gaib(&format!("server init --guild {GUILD}")).await;
    let refused = session.gaib("server plan").await;
    assert!(
        refused.code == 1 && refused.stderr.contains("DISCORD_TOKEN") && !refused.stderr.contains("workers"),
        "{}",
        refused.stderr
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn failed_read_names_the_api_base_and_states_that_nothing_was_changed() {
    let mut session = Session::start().await;
    session.gaib(&format!("server init --guild {GUILD}")).await;
    // Another server of this machine: it responds 404.
    let mut base: reqwest::Url = session.emulator.addresses().control.parse().unwrap();
    base.set_path("/api/v10");
    session.environment("DISCORD_API_BASE", Some(base.as_str()));
    let refused = session.gaib("server plan").await;
    assert!(
        refused.code == 1
            && refused.stderr.contains("404")
            && refused
                .stderr
                .contains(&format!("nothing was changed: check that DISCORD_API_BASE ({base})")),
        "{}",
        refused.stderr
    );
    for wrong in ["cannot be reached", "completed steps"] {
        assert!(!refused.stderr.contains(wrong), "{}", refused.stderr);
    }
}
