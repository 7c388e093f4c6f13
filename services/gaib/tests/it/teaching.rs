//! What gaib says of itself.

use crate::session::Session;

#[tokio::test(flavor = "multi_thread")]
async fn help_teaches() {
    let mut session = Session::start().await;
    let long = session.gaib("--help").await;
    assert!(long.stdout.contains("gaib server init --theme sietch"));
    session.gaib("server --help").await;
    session.gaib("server apply --help").await;
    insta::assert_snapshot!(session.transcript());
}

#[tokio::test(flavor = "multi_thread")]
async fn completions_and_manual_are_made_from_the_grammar() {
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
