//! Help, completions and the manual.

use crate::session::Session;

#[tokio::test(flavor = "multi_thread")]
async fn help_shows_examples_and_commands() {
    let mut session = Session::start().await;
    let long = session.gaib("--help").await;
    assert!(long.stdout.contains("gaib server init --theme sietch"));
    session.gaib("server --help").await;
    session.gaib("server apply --help").await;
    insta::assert_snapshot!(session.transcript());
}

#[tokio::test(flavor = "multi_thread")]
async fn completions_and_manual_contain_all_commands() {
    let mut session = Session::start().await;
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        let script = session.gaib(&format!("completions {shell}")).await;
        assert!(script.code == 0 && script.stdout.contains("force-unlock"), "{shell}");
    }
    let page = session.gaib("man").await.stdout;
    assert!(page.contains(".TH gaib 1") && page.contains("DISCORD_TOKEN"), "{page}");
    assert_eq!(session.gaib("man --out manual").await.code, 0);
    let pages = std::fs::read_dir(session.folder.path().join("manual")).unwrap().count();
    assert!(pages > 25, "{pages}");
}
