//! Configurations that `init --theme` writes: with all resources of the theme, or with a reference to it.

use serde_json::{Value, json};

use crate::session::{GUILD, Session};

const VALUES: &str = "--var \"community_name=Sietch Carthag\" --var color_naib=#112233 --flag enable_voice=false";

#[tokio::test(flavor = "multi_thread")]
async fn merged_configuration_plans_as_the_linked_one() {
    for theme in ["basic", "sietch"] {
        for community in [true, false] {
            let mut session = Session::with(json!({ "name": "New server", "community": community })).await;
            let values = if theme == "sietch" {
                VALUES
            } else {
                "--flag enable_voice=false"
            };
            let mut plans = Vec::new();
            let mut shown = Vec::new();
            for option in ["--link", "--force"] {
                let line = format!("server init --theme {theme} --guild {GUILD} {values} {option}");
                let made = session.gaib(&line).await;
                assert_eq!(made.code, 0, "{}", made.stderr);
                let valid = session.gaib("server validate").await;
                assert!(valid.code == 0 && valid.stderr.is_empty(), "{valid:?}");
                let plan = session.gaib("server plan").await;
                assert_eq!(plan.code, 0, "{}", plan.stderr);
                plans.push((without_places(&plan.stdout), plan.stderr));
                shown.push(session.gaib("server config show").await.stdout);
            }
            assert_eq!(plans[0], plans[1]);
            assert_eq!(shown[0], shown[1]);
            // What `config show` prints is a configuration that plans to the same.
            session.write("shown.yaml", &shown[1]);
            let plan = session.gaib("server plan --file shown.yaml").await;
            assert_eq!((without_places(&plan.stdout), plan.stderr), plans[0]);
        }
    }
}

/// A plan without the lines that name the place of a change in its file, which a resource of a theme does not have.
fn without_places(plan: &str) -> String {
    let lines = plan.lines().filter(|line| !line.starts_with("  # ("));
    lines.collect::<Vec<_>>().join("\n")
}

#[tokio::test(flavor = "multi_thread")]
async fn file_of_a_theme_names_it_and_contains_its_resources_or_refers_to_it() {
    let mut session = Session::start().await;
    session.environment("DISCORD_TOKEN", None);
    let made = session.gaib(&format!("server init --theme sietch {VALUES}")).await;
    assert_eq!(made.code, 0, "{}", made.stderr);
    let merged = session.read("discord-server.yaml");
    for part in [
        "# Sietch 3.0.0: ",
        "\nfrom_theme:\n  name: sietch\n  version: \"3.0.0\"\n  digest: ",
        "\n  variables: { color_naib: \"#112233\", community_name: Sietch Carthag }\n  flags: { enable_voice: false }\n",
        "\n  naib: { name: Naib, color: \"#112233\", hoist: true, mentionable: false, permissions: [ADMINISTRATOR] }\n",
        "\n  # Seen by Hajra and above.\n  cave-entrance:\n",
    ] {
        assert!(merged.contains(part), "no {part} in\n{merged}");
    }
    assert!(!merged.contains("cave-voices") && !merged.contains("${"), "{merged}");
    let refused = session.gaib("server validate --var community_name=Tabr").await;
    assert!(
        refused.code == 1 && refused.stderr.contains("the file contains the values of the theme"),
        "{refused:?}"
    );

    let alone = session.gaib("server init --link --force").await;
    assert_eq!(alone.code, 1);
    let linked = session
        .gaib(&format!("server init --theme sietch --link --force {VALUES}"))
        .await;
    assert_eq!(linked.code, 0, "{}", linked.stderr);
    let text = session.read("discord-server.yaml");
    assert!(
        text.contains("theme:\n  name: sietch\n") && text.lines().count() < 30,
        "{text}"
    );
    assert_eq!(session.gaib("server validate --var community_name=Tabr").await.code, 0);
    assert_eq!(session.read("discord-server.yaml.bak"), merged);
}

#[tokio::test(flavor = "multi_thread")]
async fn config_show_prints_the_resolved_configuration_without_token_and_network() {
    let mut session = Session::start().await;
    session.environment("DISCORD_TOKEN", None);
    session.environment("DISCORD_API_BASE", None);
    session.write(
        "discord-server.yaml",
        "variables: { clan: { default: Tabr } }\nflags: { staff: { default: true } }\n\
         roles:\n  host: { name: \"Host of ${clan}\", flag: staff }\n  guard: {}\n",
    );
    let shown = session.gaib("server config show --var clan=Carthag").await;
    assert_eq!(
        (shown.stdout.as_str(), shown.stderr.as_str(), shown.code),
        (
            "# discord-server.yaml with its theme, variables and flags replaced by their values (`gaib server config show`).\n\n\
             roles:\n  host: { name: Host of Carthag, permissions: [] }\n  guard: { name: guard, permissions: [] }\n",
            "",
            0
        )
    );
    let shown = session.gaib("server config show --json --flag staff=false").await;
    let messages: Vec<Value> = shown
        .stdout
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    assert_eq!(messages.len(), 2, "{messages:?}");
    let (mut message, digest) = (messages[1].clone(), messages[1]["digest"].clone());
    assert_eq!(digest.as_str().unwrap().len(), 64);
    message.as_object_mut().unwrap().remove("digest");
    assert_eq!(
        message,
        json!({
            "type": "configuration", "file": "discord-server.yaml", "theme": null, "defaults": "unmanaged",
            "resources": [{"address": "role.guard", "attributes": {"name": "guard", "permissions": []}}],
        })
    );
    session.write("discord-server.yaml", "roles:\n  guard: { colour: red }\n");
    let broken = session.gaib("server config show").await;
    assert!(broken.code == 1 && broken.stdout.is_empty(), "{broken:?}");
    assert!(broken.stderr.contains("1 problem"), "{}", broken.stderr);
}

#[tokio::test(flavor = "multi_thread")]
async fn changed_theme_is_reported_and_the_file_stays_as_it_is() {
    let mut session = Session::start().await;
    session
        .gaib(&format!("server init --theme basic --guild {GUILD}"))
        .await;
    let text = session.read("discord-server.yaml");
    let version = "version: \"1.0.0\"";
    assert!(text.contains(version), "{text}");
    session.write("discord-server.yaml", &text.replacen(version, "version: 0.9.0", 1));
    for line in ["server validate", "server plan"] {
        let noted = session.gaib(line).await;
        assert_eq!(noted.code, 0, "{}", noted.stderr);
        let note = "discord-server.yaml was written from the theme basic 0.9.0, and the theme is at version 1.0.0 now.";
        assert!(noted.stderr.contains(note), "{line}: {}", noted.stderr);
    }
    let digest = text.lines().find(|line| line.starts_with("  digest: ")).unwrap();
    let other = format!("  digest: \"{}\"", "0".repeat(64));
    session.write("discord-server.yaml", &text.replacen(digest, &other, 1));
    let noted = session.gaib("server validate --json").await;
    assert!(
        noted.stderr.contains("basic 1.0.0, which has changed since"),
        "{}",
        noted.stderr
    );
    assert!(noted.stdout.contains("\"theme_changed\""), "{}", noted.stdout);
}
