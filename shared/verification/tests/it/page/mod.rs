//! The wallet page in Chromium, by keyboard alone.

mod browser;
mod server;

use std::sync::Arc;

use arrakis_domain::U256;
use arrakis_verification::MoveAnswer;
use serde_json::json;
use time::Duration;

use crate::support::{accepting, address_of, discord, key, now, sign};
use browser::{Browser, DESKTOP, PHONE, Screen};
use server::Server;

/// When the wallet appears.
#[derive(Clone, Copy)]
enum Mode {
    /// Announces itself at the page's request.
    Announced,
    /// As `window.ethereum` only.
    Injected,
    /// Announces itself a second after the page has loaded, without a request.
    Late,
    /// Not at all.
    Missing,
}

fn script(mode: Mode) -> String {
    let how = match mode {
        Mode::Announced => "addEventListener('eip6963:requestProvider', announce); announce();",
        Mode::Injected => "window.ethereum = provider;",
        Mode::Late => "setTimeout(announce, 1000);",
        Mode::Missing => "void announce;",
    };
    include_str!("wallet.js").replace("/* MODE */", how)
}

async fn open(mode: Mode, screen: Screen) -> (Arc<Server>, String, Browser) {
    let server = Server::start().await;
    let (_, token) = server
        .service
        .begin(discord(1_300_000_000_000_000_001), "Chani 🐛")
        .await;
    let browser = Browser::open(&server.url(&token), screen, &script(mode)).await;
    browser.sees("#account", "Chani").await;
    (server, token, browser)
}

async fn connect(browser: &Browser) {
    browser.activate("Connect Fremen Wallet").await;
    browser.sees("#panel h2", "Sign the message").await;
    browser.sees("#panel", "Read the whole message").await;
}

async fn sign_message(browser: &Browser) {
    browser.activate("Sign the message").await;
}

#[tokio::test]
async fn member_links_a_wallet_by_keyboard_alone() {
    let (server, token, browser) = open(Mode::Announced, DESKTOP).await;
    browser.sees("#panel", "Connect Fremen Wallet").await;
    browser.check("choose").await;
    browser.activate("Connect Fremen Wallet").await;
    browser.sees("#status", "is connected").await;
    assert_eq!(
        browser.script("return document.activeElement.id").await,
        json!("panel-title")
    );
    browser.check("sign").await;
    browser.activate("Read the whole message").await;
    browser
        .sees("#panel pre", "wants you to sign in with your Ethereum account")
        .await;
    browser.sees("#panel pre", "Chani [U+1F41B]").await;
    browser.check("sign-message").await;
    browser.activate("Sign the message").await;
    browser.sees("#panel h2", "Your wallet is linked").await;
    browser.sees("#status", "Your wallet is linked.").await;
    browser.check("done").await;
    assert_eq!(server.service.state(&token).await, "completed");
    // `personal_sign` is [hexadecimal text, address], and nothing else was requested of the wallet.
    let mut requests = Vec::new();
    server.wallet(|wallet| requests = wallet.requests.clone());
    let signed = requests.iter().find(|(method, _)| method == "personal_sign").unwrap();
    assert_eq!(signed.1[1], address_of(&key(1)).to_string());
    let methods: Vec<&str> = requests.iter().map(|(method, _)| method.as_str()).collect();
    assert_eq!(
        methods,
        ["eth_requestAccounts", "eth_chainId", "eth_getCode", "personal_sign"]
    );
    // A script in the icon of a wallet does not run.
    assert_eq!(browser.script("return window.hacked ?? null").await, json!(null));
    // A second look at the link shows the result.
    browser.reload().await;
    browser.sees("#panel h2", "Your wallet is linked").await;
    browser.close().await;
}

#[tokio::test]
async fn wallet_is_found_late_or_as_window_ethereum() {
    let (_, _, browser) = open(Mode::Late, DESKTOP).await;
    browser.sees("#panel h2", "No wallet found").await;
    browser.check("none").await;
    browser.sees("#panel", "Connect Fremen Wallet").await;
    browser.close().await;
    let (server, token, browser) = open(Mode::Injected, DESKTOP).await;
    browser.activate("Connect Browser wallet").await;
    browser.sees("#panel", "Read the whole message").await;
    sign_message(&browser).await;
    browser.sees("#panel h2", "Your wallet is linked").await;
    assert_eq!(server.service.state(&token).await, "completed");
    browser.close().await;
}

#[tokio::test]
async fn errors_of_the_wallet_have_texts_of_their_own_and_can_be_repeated() {
    let (server, token, browser) = open(Mode::Announced, DESKTOP).await;
    for (code, text) in [
        (4001, "You declined"),
        (-32002, "open request already"),
        (-32603, "code -32603"),
    ] {
        server.wallet(|wallet| wallet.errors = vec![("eth_requestAccounts", code)]);
        browser.activate("Connect Fremen Wallet").await;
        browser.sees("#panel .notice", text).await;
        browser.sees("#status", text).await;
    }
    server.wallet(|wallet| wallet.errors = vec![("personal_sign", 4001)]);
    connect(&browser).await;
    sign_message(&browser).await;
    browser.sees("#panel .notice", "Nothing was signed").await;
    browser.check("declined").await;
    server.wallet(|wallet| wallet.errors.clear());
    sign_message(&browser).await;
    browser.sees("#panel h2", "Your wallet is linked").await;
    assert_eq!(server.service.state(&token).await, "completed");
    browser.close().await;
}

#[tokio::test]
async fn wrong_account_high_s_and_replayed_signature_are_refused() {
    let (server, token, browser) = open(Mode::Announced, DESKTOP).await;
    let wallet = address_of(&key(1));
    let message = server.service.message(&token, wallet).await;
    connect(&browser).await;
    // The wallet signs with another account than it shares.
    server.wallet(|wallet| wallet.key = key(2));
    sign_message(&browser).await;
    browser.sees("#panel .notice", "not from this wallet").await;
    server.wallet(|wallet| wallet.key = key(1));
    // The signature's other form.
    let mut bytes = hex::decode(&sign(&key(1), &message)[2..]).unwrap();
    let order =
        U256::from_be_slice(&hex::decode("fffffffffffffffffffffffffffffffebaaedce6af48a03bbfd25e8cd0364141").unwrap());
    let s = order - U256::from_be_slice(&bytes[32..64]);
    bytes[32..64].copy_from_slice(&s.to_be_bytes::<32>());
    bytes[64] = 55 - bytes[64];
    server.wallet(|wallet| wallet.signature = Some(format!("0x{}", hex::encode(bytes))));
    sign_message(&browser).await;
    browser.sees("#panel .notice", "high s").await;
    // A signature of the account's earlier session.
    let earlier = sign(&key(1), &message.replace("Nonce: ", "Nonce: 0"));
    server.wallet(|wallet| wallet.signature = Some(earlier));
    sign_message(&browser).await;
    browser.sees("#panel .notice", "signs another text").await;
    assert_eq!(server.service.state(&token).await, "open");
    browser.close().await;
}

#[tokio::test]
async fn chain_is_switched_after_an_explanation() {
    let (server, _, browser) = open(Mode::Announced, DESKTOP).await;
    server.wallet(|wallet| {
        wallet.chain_id = 1;
        wallet.errors = vec![("wallet_switchEthereumChain", 4902)];
    });
    browser.activate("Connect Fremen Wallet").await;
    browser.sees("#panel h2", "Switch to Berachain").await;
    browser.sees("#panel", "Your wallet is on Ethereum").await;
    browser.check("chain").await;
    browser.activate("Switch to Berachain").await;
    browser.sees("#panel .notice", "does not have this chain").await;
    server.wallet(|wallet| wallet.errors.clear());
    browser.activate("Switch to Berachain").await;
    browser.sees("#panel h2", "Sign the message").await;
    // Back on another chain, a wallet with a key signs without switching.
    browser.script("window.testWallet.emit('chainChanged', '0x1')").await;
    browser.sees("#panel h2", "Switch to Berachain").await;
    browser.activate("Sign without switching").await;
    sign_message(&browser).await;
    browser.sees("#panel h2", "Your wallet is linked").await;
    browser.close().await;
}

#[tokio::test]
async fn change_of_account_changes_the_message() {
    let (server, _, browser) = open(Mode::Announced, DESKTOP).await;
    connect(&browser).await;
    let other = address_of(&key(2));
    server.wallet(|wallet| {
        wallet.addresses = vec![other];
        wallet.key = key(2);
    });
    browser
        .script(&format!("window.testWallet.emit('accountsChanged', ['{other}'])"))
        .await;
    browser.sees("#status", "The account changed").await;
    browser.sees("#panel", "Read the whole message").await;
    sign_message(&browser).await;
    browser.sees("#panel h2", "Your wallet is linked").await;
    browser.sees("#panel .address", &other.to_string()).await;
    browser.close().await;
    let (_, _, browser) = open(Mode::Announced, DESKTOP).await;
    connect(&browser).await;
    browser.script("window.testWallet.emit('accountsChanged', [])").await;
    browser.sees("#panel .notice", "no longer shares an account").await;
    browser.close().await;
}

#[tokio::test]
async fn expired_replaced_and_unknown_links_show_what_to_do() {
    let (server, token, browser) = open(Mode::Announced, DESKTOP).await;
    connect(&browser).await;
    *server.later.lock().unwrap() = Duration::minutes(14);
    sign_message(&browser).await;
    browser.sees("#panel h2", "This link has expired").await;
    browser.sees("#panel", "/verify start").await;
    browser.check("expired").await;
    // The time that is left comes from the service: at its end, the page shows it by itself.
    let view = server.service.verification.session(&token, now()).await.unwrap();
    *server.later.lock().unwrap() = Duration::seconds(view.seconds_left - 6);
    browser.reload().await;
    browser.sees("#time", "0:0").await;
    browser.sees("#panel h2", "This link has expired").await;
    *server.later.lock().unwrap() = Duration::ZERO;
    server.service.begin(discord(1_300_000_000_000_000_001), "Chani").await;
    browser.reload().await;
    browser.sees("#panel h2", "There is a newer link").await;
    assert_eq!(server.service.state(&token).await, "replaced");
    browser.close().await;
    let unknown = server.url(&"A".repeat(43));
    let browser = Browser::open(&unknown, DESKTOP, &script(Mode::Announced)).await;
    browser.sees("#panel h2", "This link is not valid").await;
    let text = browser
        .script("return document.querySelector('#panel').textContent")
        .await;
    let text = text.as_str().unwrap();
    assert_eq!(text.matches("tart the verification again").count(), 1, "{text}");
    // The clock is the sign of an expired link alone.
    let clocks = "return document.querySelectorAll('#panel path[d=\"M24 14v11l7 5\"]').length";
    assert_eq!(browser.script(clocks).await, json!(0));
    browser.close().await;
}

#[tokio::test]
async fn wallet_of_another_member_moves_after_both_consent() {
    let (server, _, browser) = open(Mode::Announced, DESKTOP).await;
    server
        .service
        .record
        .holders
        .lock()
        .unwrap()
        .insert(address_of(&key(1)), discord(9));
    connect(&browser).await;
    sign_message(&browser).await;
    browser.sees("#panel h2", "Another member holds this wallet").await;
    browser.check("held").await;
    browser.activate("Ask to move the wallet").await;
    browser.sees("#panel h2", "Waiting for the other account").await;
    browser.check("consent").await;
    let session = server.service.record.requested.lock().unwrap()[0].session;
    let answered = server
        .service
        .verification
        .answer_move(session, discord(9), true, now())
        .await
        .unwrap();
    assert!(matches!(answered, MoveAnswer::Moved(_)));
    browser.sees("#panel h2", "Your wallet is linked").await;
    browser.close().await;
}

#[tokio::test]
async fn contract_wallet_waits_for_its_owners_and_for_the_chain() {
    let (server, token, browser) = open(Mode::Announced, DESKTOP).await;
    server.wallet(|wallet| {
        wallet.code = "0x608060";
        wallet.holds = true;
        wallet.signature = Some(format!("0x{}", "1b".repeat(195)));
    });
    connect(&browser).await;
    sign_message(&browser).await;
    browser.sees("#panel .notice", "until all have signed").await;
    browser.check("contract").await;
    *server.service.chain.down.lock().unwrap() = true;
    server.wallet(|wallet| wallet.holds = false);
    browser.sees("#panel .notice", "The chain does not respond").await;
    *server.service.chain.down.lock().unwrap() = false;
    server
        .service
        .chain
        .contracts
        .lock()
        .unwrap()
        .insert(address_of(&key(1)), accepting());
    // The owners need not sign again.
    browser.activate("Send the signature again").await;
    browser.sees("#panel h2", "Your wallet is linked").await;
    assert_eq!(server.service.state(&token).await, "completed");
    browser.close().await;
}

#[tokio::test]
async fn suspended_member_is_refused_without_a_button_to_sign() {
    let (server, _, browser) = open(Mode::Announced, DESKTOP).await;
    server.service.suspend(1_300_000_000_000_000_001, None).await;
    browser.reload().await;
    browser.sees("#panel h2", "Your account is suspended").await;
    browser
        .sees(
            "#panel",
            "no tier, no roles, and wallets cannot change. Contact the admins of the server.",
        )
        .await;
    let buttons = "return document.querySelectorAll('#panel button').length";
    assert_eq!(browser.script(buttons).await, json!(0));
    browser.close().await;
}

#[tokio::test]
async fn phone_without_a_wallet_gets_steps_and_no_link_of_others() {
    let (server, token, browser) = open(Mode::Missing, PHONE).await;
    browser.sees("#panel h2", "Open this page in your wallet").await;
    browser.sees("#panel ol", "Paste the link").await;
    browser
        .sees("#panel", "Copy the link and open it in your wallet app's browser.")
        .await;
    browser.check("phone-none").await;
    // Nothing on the page leads anywhere with the token.
    let targets =
        "return [...document.querySelectorAll('[href], [src], form')].map((e) => e.href || e.src || e.action)";
    let targets = browser.script(targets).await;
    for target in targets.as_array().unwrap() {
        let target = target.as_str().unwrap();
        assert!(
            target.starts_with(&format!("{}/assets/", server.base)) && !target.contains(&token),
            "{target}"
        );
    }
    // What is copied is the link itself.
    let copied = "window.copied = []; Object.defineProperty(navigator, 'clipboard',
        { value: { writeText: async (text) => window.copied.push(text) } })";
    browser.script(copied).await;
    browser.activate("Copy the link").await;
    browser.sees("#panel .notice", "copied").await;
    assert_eq!(
        browser.script("return window.copied").await,
        json!([server.url(&token)])
    );
    browser.close().await;
}

#[tokio::test]
async fn page_fits_a_phone_in_light_and_dark() {
    for dark in [false, true] {
        let name = |step: &str| format!("phone-{}-{step}", if dark { "dark" } else { "light" });
        let (_, _, browser) = open(Mode::Announced, Screen { dark, ..PHONE }).await;
        browser.sees("#panel", "Connect Fremen Wallet").await;
        browser.check(&name("choose")).await;
        connect(&browser).await;
        browser.activate("Read the whole message").await;
        browser.check(&name("sign")).await;
        sign_message(&browser).await;
        browser.sees("#panel h2", "Your wallet is linked").await;
        browser.check(&name("done")).await;
        browser.close().await;
    }
    let (_, _, browser) = open(Mode::Announced, Screen { dark: true, ..DESKTOP }).await;
    connect(&browser).await;
    browser.check("dark-sign").await;
    browser.close().await;
}
