//! Every command of the demo, typed into the emulator's page by keyboard only, through every real service.

use std::time::Duration;

use arrakis_config::Secret;
use arrakis_test_support::eventually;
use fantoccini::key::Key;
use loadtests::platform::Platform;
use loadtests::seed;

use crate::browser::Browser;

/// Ctrl+K, a few letters, Enter: switches to another member or server.
pub(crate) async fn switch(browser: &Browser, to: &str, shown: &str) {
    browser.ctrl('k').await;
    browser.type_text(to).await;
    browser.sees("#switcher-list [aria-selected=true]", shown).await;
    browser.press(Key::Enter).await;
}

/// Types a command, chooses it from the list and sends it without options.
async fn run(browser: &Browser, command: &str) {
    choose(browser, command).await;
    browser.press(Key::Enter).await;
    eventually(
        || async { browser.text("#command-chip").await.is_empty() },
        format!("/{command} to be sent"),
    )
    .await;
}

async fn choose(browser: &Browser, command: &str) {
    browser.type_text(&format!("/{command}")).await;
    browser
        .sees("#suggestions [aria-selected=true]", &format!("/{command}"))
        .await;
    browser.press(Key::Enter).await;
    browser.sees("#command-chip", &format!("/{command}")).await;
}

/// The newest message.
pub(crate) const LAST: &str = "#log > :last-child";

#[tokio::test]
async fn every_command_of_the_demo_works_by_keyboard_alone() {
    arrakis_runtime::install_crypto_provider();
    let mut platform = Platform::prepare().await.unwrap();
    let plan = seed::run(&platform.discord, &Secret::new(platform.database().admin_url()), 1)
        .await
        .unwrap();
    platform.start().await.unwrap();
    let browser = Browser::open(&platform.page(), (1360, 860)).await;

    browser.sees("#guild-name", "Sietch Tabr").await;
    switch(&browser, "@chani", "Chani").await;
    browser.sees("#viewer", "Chani").await;
    browser.sees("#log", "is in no server yet").await;
    switch(&browser, "*Sietch", "Sietch Tabr").await;
    browser.sees("#guild-name", "Sietch Tabr").await;
    // The role arrived through gateway, ingestor, broker, worker and proxy.
    browser.sees("#viewer", "Fedaykin").await;

    run(&browser, "position").await;
    browser.sees(LAST, "Rank 8").await;
    browser.sees(LAST, "Only you can see this").await;
    run(&browser, "stats").await;
    let members = plan.servers[0].members.len() + 1;
    browser.sees(LAST, &members.to_string()).await;
    run(&browser, "threshold").await;
    browser.sees(LAST, "Rank 69 holds 1,500 BGT").await;
    run(&browser, "help").await;
    browser.sees(LAST, "/leaderboard").await;

    // A command with an option.
    choose(&browser, "profile").await;
    browser.back_to("member").await;
    let other = &plan.servers[0].members[5];
    browser.type_text(&other.display).await;
    browser.sees("#suggestions [aria-selected=true]", &other.display).await;
    browser.press(Key::Enter).await;
    browser.press(Key::Enter).await;
    browser.sees(LAST, &other.display).await;

    // Options as text: by name, and without one after the command was chosen.
    let third = &plan.servers[0].members[6];
    // The cooldown of /profile.
    tokio::time::sleep(Duration::from_millis(3_200)).await;
    browser.type_text(&format!("/profile member:{}", third.display)).await;
    browser.press(Key::Enter).await;
    browser.sees(LAST, &third.display).await;
    choose(&browser, "check-eligibility").await;
    browser.type_text("0x12").await;
    browser.press(Key::Enter).await;
    browser.sees(LAST, "That is not the address of a wallet.").await;
    choose(&browser, "help").await;
    browser.type_text("me").await;
    browser.press(Key::Enter).await;
    browser.sees("#hint", "has no options").await;
    browser.press(Key::Escape).await;

    // An invalid option is refused before it is sent, with the reason.
    choose(&browser, "leaderboard").await;
    browser.back_to("page").await;
    browser.type_text("soon").await;
    browser.press(Key::Enter).await;
    browser.sees("#hint", "page").await;
    browser.press(Key::Escape).await;

    // Buttons, reached by Shift+Tab from the input box.
    run(&browser, "leaderboard").await;
    browser.sees(LAST, "Page 1 of").await;
    browser.back_to("Next page").await;
    browser.press(Key::Enter).await;
    browser.sees(LAST, "Page 2 of").await;
    browser.back_to("Jump to me").await;
    browser.press(Key::Enter).await;
    browser.sees(LAST, "(you)").await;
    keep_screenshot(&browser, "page").await;

    // The panel with gateway frames and REST calls.
    browser.ctrl('.').await;
    browser.sees("#traffic-list", "INTERACTION_CREATE").await;
    browser.sees("#traffic-list", "/callback").await;
    browser.ctrl('.').await;

    browser.ctrl('k').await;
    browser.type_text("@newbie").await;
    browser.sees("#switcher-empty", "No such person").await;
    browser.press(Key::Escape).await;

    // A server that is not onboarded.
    switch(&browser, "*Polar", "Polar Outpost").await;
    browser.sees("#guild-name", "Polar Outpost").await;
    browser.script("document.getElementById('composer').focus()").await;
    run(&browser, "position").await;
    browser.sees(LAST, "set up").await;

    // A command that is not in the list: Enter keeps the reason.
    browser.type_text("/nosuch").await;
    browser.sees("#hint", "No such command here").await;
    browser.press(Key::Enter).await;
    browser.sees("#hint", "No such command here").await;
    let unescaped =
        "return import('/assets/markdown.js').then(({ inline }) => inline('snake\\\\_case \\\\*', {}).join(''))";
    assert_eq!(browser.script(unescaped).await, "snake_case *");

    browser.close().await;
    platform.stop().await;
}

#[tokio::test]
async fn lists_of_a_narrow_window_open_and_close_by_keyboard() {
    arrakis_runtime::install_crypto_provider();
    let emulator = discord_emulator::Emulator::start(discord_emulator::Options::default())
        .await
        .unwrap();
    let seed = format!("{}/control/seed", emulator.addresses().control);
    let seeded = reqwest::Client::new()
        .post(seed)
        .body(r#"{"kind":"lively"}"#)
        .send()
        .await
        .unwrap();
    assert!(seeded.status().is_success(), "{seeded:?}");
    // Chromium's windows are at least 500 pixels wide.
    let browser = Browser::open(&emulator.addresses().page, (500, 800)).await;
    browser.sees("#guild-name", "Sietch Tabr").await;
    let is = async |script: &str| browser.script(&format!("return {script}")).await == true;
    assert!(is("document.querySelector('main').offsetWidth === innerWidth").await);

    for (label, list) in [("Members", "members"), ("Channels", "channels")] {
        let shown = format!("document.getElementById('{list}').getClientRects().length > 0");
        let focused = format!("document.getElementById('{list}').contains(document.activeElement)");
        assert!(!is(&shown).await, "{list}");
        browser.back_to(label).await;
        browser.press(Key::Enter).await;
        eventually(|| is(&focused), format!("the focus in {list}")).await;
        assert!(is(&shown).await, "{list}");
        browser.press(Key::Escape).await;
        eventually(|| async { !is(&shown).await }, format!("{list} to close")).await;
        let back = format!("document.activeElement.dataset.drawer === '{list}'");
        assert!(is(&back).await, "the focus returns to the button");
    }

    browser.close().await;
    emulator.shutdown().await;
}

/// Checks a screenshot of the documentation and writes it with `UPDATE_SCREENSHOT=1`.
pub(crate) async fn keep_screenshot(browser: &Browser, name: &str) {
    let picture = browser.screenshot().await;
    assert!(picture.len() > 10_000, "an empty page");
    if std::env::var_os("UPDATE_SCREENSHOT").is_some() {
        let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/images");
        std::fs::create_dir_all(folder).unwrap();
        std::fs::write(format!("{folder}/{name}.png"), picture).unwrap();
    }
}
