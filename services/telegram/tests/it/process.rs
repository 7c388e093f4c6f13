//! The service as a process: refused starts, SIGKILL, and what its log contains.

use std::time::Duration;

use arrakis_test_support::{Process, eventually};
use serde_json::json;

use crate::support::{BOT, Fault, Setup, TOKEN, free_address, key, message, program};

const LIMIT: Duration = Duration::from_secs(30);

#[tokio::test]
async fn missing_variables_are_named_with_exit_code_78() {
    let nothing: [(&str, &str); 0] = [];
    let (status, text) = Process::start_at(program(), &[], nothing).output(LIMIT).await;
    assert_eq!(status.code(), Some(78), "{text}");
    for variable in [
        "TELEGRAM_BOT_TOKEN",
        "API_URL",
        "API_CREDENTIAL",
        "REDIS_URL",
        "VERIFY_BASE_URL",
    ] {
        assert!(text.contains(&format!("{variable} is not set")), "{text}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn value_that_cannot_be_used_is_exit_code_78() {
    let setup = Setup::start().await;
    let used = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let used_address = used.local_addr().unwrap().to_string();
    for (changes, reason) in [
        (
            vec![("TELEGRAM_BOT_TOKEN", "123456:SEKRET-other".to_owned())],
            "TELEGRAM_BOT_TOKEN is not accepted",
        ),
        (
            vec![
                ("TELEGRAM_WEBHOOK_URL", "https://bot.example.org/telegram".to_owned()),
                ("TELEGRAM_WEBHOOK_ADDR", used_address),
            ],
            "TELEGRAM_WEBHOOK_ADDR",
        ),
        (
            vec![("VERIFY_BASE_URL", "https://verify.example.org/page".to_owned())],
            "did you mean https://verify.example.org ?",
        ),
        (
            vec![("VERIFY_BASE_URL", "http://verify.example.org".to_owned())],
            "this machine only",
        ),
        (
            vec![(
                "TELEGRAM_WEBHOOK_URL",
                "https://bot.example.org:8080/telegram".to_owned(),
            )],
            "port 443, 80, 88 or 8443",
        ),
    ] {
        let mut variables = setup.environment();
        variables.retain(|(name, _)| changes.iter().all(|(changed, _)| changed != name));
        variables.push(("HEALTH_ADDR", free_address().to_string()));
        variables.extend(changes);
        let pairs: Vec<(&str, &str)> = variables.iter().map(|(name, value)| (*name, value.as_str())).collect();
        let (status, text) = Process::start_at(program(), &[], pairs).output(LIMIT).await;
        assert_eq!(status.code(), Some(78), "{text}");
        assert!(text.contains(reason) && !text.contains("SEKRET"), "{text}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn log_at_the_finest_level_has_no_token_and_no_link() {
    let setup = Setup::start().await;
    let mut process = setup.process(&[("RUST_LOG", "trace".to_owned())]).await;
    setup.telegram.fail("sendMessage", Fault::Cut);
    setup.telegram.write(42, "/help");
    setup.telegram.write(42, "/verify");
    let link = setup.telegram.until_text(42, "/verify/").await.session_token();
    setup.sign(&link, &key(1)).await;
    setup.telegram.until_text(42, "is linked to you").await;
    process.terminate();
    process.ended(LIMIT).await;
    let log = process.lines().join("\n");
    assert!(log.len() > 1000, "{log}");
    assert!(
        !log.contains("SEKRET") && !log.contains(TOKEN),
        "the log contains the bot token"
    );
    assert!(!log.contains(&link), "the log contains the token of a session");
}

/// Killed while Telegram has the message and the answer of the call is not there yet.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn update_of_a_killed_process_is_not_answered_twice() {
    let setup = Setup::start().await;
    let telegram = &setup.telegram;
    let mut process = setup.process(&[]).await;
    telegram.fail("sendMessage", Fault::Hang);
    telegram.write(42, "/help");
    telegram.messages(42, 1).await;
    process.kill().await;
    assert_eq!(telegram.unconfirmed().len(), 1, "it was not confirmed");
    let _process = setup.process(&[]).await;
    telegram.until_confirmed().await;
    assert_eq!(telegram.sent().len(), 1);
}

/// Killed while an earlier update is in progress, so that Telegram delivers 14 answered messages again.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn updates_that_are_delivered_again_take_nothing_of_the_rate_limit() {
    let setup = Setup::start().await;
    let telegram = &setup.telegram;
    let mut process = setup.process(&[]).await;
    telegram.limit(41, 12);
    telegram.write(41, "/help");
    for _ in 0..14 {
        telegram.write(42, "/help");
    }
    telegram.messages(42, 14).await;
    process.kill().await;
    telegram.unlimit(41);
    telegram.write(42, "/status");
    let _process = setup.process(&[]).await;
    telegram.until_text(42, "No wallet is linked").await;
    telegram.messages(41, 1).await;
    telegram.until_confirmed().await;
    assert_eq!(telegram.sent().len(), 16, "none is lost, and none is answered twice");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn exceeded_rate_limit_is_logged() {
    let setup = Setup::start().await;
    let process = setup.process(&[]).await;
    for _ in 0..30 {
        setup.telegram.write(42, "/help");
    }
    process.line("updates exceed the rate limit of their user").await;
    setup.telegram.until_confirmed().await;
    let sent = setup.telegram.sent().len();
    assert!((15..30).contains(&sent), "{sent}");
}

/// Ended while Telegram demands a pause of the group: the reply was certainly not sent.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn reply_in_a_group_of_an_ended_process_is_not_lost_while_telegram_limits() {
    const GROUP: i64 = -100_500;
    for is_killed in [true, false] {
        let setup = Setup::start().await;
        let telegram = &setup.telegram;
        let mut process = setup.process(&[]).await;
        telegram.limit(GROUP, 12);
        let group = json!({"id": GROUP, "type": "supergroup", "title": "Sietch"});
        telegram.update(message(42, group, &format!("/verify@{BOT}")));
        eventually(
            || async { !telegram.calls("sendMessage").is_empty() },
            "the reply to be refused with 429",
        )
        .await;
        let is_claimed = || setup.redis.keys().iter().any(|key| key.contains("telegram-update"));
        eventually(|| async { !is_claimed() }, "the claim of the answer to be released").await;
        if is_killed {
            process.kill().await;
        } else {
            process.terminate();
            process.ended(LIMIT).await;
        }
        telegram.unlimit(GROUP);
        let _process = setup.process(&[]).await;
        telegram.messages(GROUP, 1).await;
        telegram.until_confirmed().await;
        assert_eq!(telegram.sent().len(), 1, "killed: {is_killed}");
    }
}

/// Killed before the message was claimed: while a request to the api is in progress.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn update_of_a_killed_process_is_not_lost() {
    let setup = Setup::start().await;
    let telegram = &setup.telegram;
    // An address that accepts connections and never answers.
    let silent = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", silent.local_addr().unwrap());
    let mut process = setup.process(&[("API_URL", url)]).await;
    telegram.write(42, "/status");
    // The poll has delivered it, and its handling waits for the api.
    eventually(|| async { !telegram.calls("getUpdates").is_empty() }, "a poll").await;
    tokio::time::sleep(Duration::from_millis(500)).await;
    process.kill().await;
    assert_eq!((telegram.unconfirmed().len(), telegram.sent().len()), (1, 0));
    let _process = setup.process(&[]).await;
    telegram.until_text(42, "No wallet is linked").await;
    telegram.until_confirmed().await;
    assert_eq!(telegram.sent().len(), 1);
}

/// Killed while Telegram has the edit: the next process repeats it, which changes nothing.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn result_of_a_killed_process_is_shown_once() {
    let setup = Setup::start().await;
    let telegram = &setup.telegram;
    let mut process = setup.process(&[]).await;
    telegram.write(42, "/verify");
    let link = telegram.until_text(42, "/verify/").await;
    telegram.until_confirmed().await;
    telegram.fail("editMessageText", Fault::Hang);
    setup.sign(&link.session_token(), &key(1)).await;
    telegram.until_text(42, "is linked to you").await;
    process.kill().await;
    // The lease of the notice ends.
    setup.end_leases().await;
    let _process = setup.process(&[]).await;
    eventually(
        || async { telegram.calls("editMessageText").len() == 2 },
        "the edit to be repeated",
    )
    .await;
    assert_eq!(telegram.sent().len(), 1);
    assert_eq!(telegram.sent()[0].edits, 1);
}

/// A session of user 42 whose message was deleted, so that its result is a message of its own; returns the session's token.
async fn session_without_a_message(setup: &Setup) -> String {
    let telegram = &setup.telegram;
    telegram.write(42, "/verify");
    let link = telegram.until_text(42, "/verify/").await;
    telegram.until_confirmed().await;
    telegram.delete(link.id);
    link.session_token()
}

/// Ends the process while Telegram demands a pause: the notice was certainly not sent.
async fn notice_is_sent_once_by_the_next_process(is_killed: bool) {
    let setup = Setup::start().await;
    let telegram = &setup.telegram;
    let mut process = setup.process(&[]).await;
    let token = session_without_a_message(&setup).await;
    telegram.limit(42, 5);
    setup.sign(&token, &key(1)).await;
    eventually(
        || async { telegram.calls("sendMessage").len() == 2 },
        "the notice to be refused with 429",
    )
    .await;
    tokio::time::sleep(Duration::from_millis(300)).await;
    if is_killed {
        process.kill().await;
    } else {
        process.terminate();
        process.ended(Duration::from_secs(10)).await;
    }
    telegram.unlimit(42);
    setup.end_leases().await;
    let _process = setup.process(&[]).await;
    telegram.until_text(42, "is linked to you").await;
    setup.until_no_notice().await;
    assert_eq!(telegram.sent().len(), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn notice_of_a_killed_process_is_not_lost_while_telegram_limits() {
    notice_is_sent_once_by_the_next_process(true).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn notice_of_an_ended_process_is_not_lost_while_telegram_limits() {
    notice_is_sent_once_by_the_next_process(false).await;
}

/// Killed while the outcome of the question is unknown: without the question, the session would end without an answer of the holder.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn question_of_a_killed_process_is_sent_again() {
    let setup = Setup::start().await;
    let telegram = &setup.telegram;
    let mut process = setup.process(&[]).await;
    telegram.write(42, "/verify");
    let link = telegram.until_text(42, "/verify/").await;
    setup.sign(&link.session_token(), &key(1)).await;
    telegram.until_text(42, "is linked to you").await;
    telegram.write(43, "/verify");
    let link = telegram.until_text(43, "/verify/").await;
    assert_eq!(setup.sign(&link.session_token(), &key(1)).await, "signed");
    telegram.until_confirmed().await;
    telegram.fail("sendMessage", Fault::Hang);
    setup.request_move(&link.session_token()).await;
    telegram.until_text(42, "requests it").await;
    telegram.until_text(43, "was asked").await;
    // The notice to the requester is deleted.
    tokio::time::sleep(Duration::from_millis(500)).await;
    process.kill().await;
    setup.end_leases().await;
    let _process = setup.process(&[]).await;
    telegram.messages(42, 3).await;
    setup.until_no_notice().await;
    assert_eq!(telegram.messages(42, 3).await.len(), 3);
}

/// Killed after a wallet was unlinked; the member verifies it again before the press is delivered again.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn press_that_is_delivered_again_does_not_unlink_a_wallet_that_was_verified_again() {
    let setup = Setup::start().await;
    let telegram = &setup.telegram;
    let mut process = setup.process(&[]).await;
    telegram.write(42, "/verify");
    let link = telegram.until_text(42, "/verify/").await;
    setup.sign(&link.session_token(), &key(1)).await;
    telegram.until_text(42, "is linked to you").await;
    telegram.write(42, "/verify");
    let second_link = telegram.until_text(42, "/verify/").await;
    telegram.write(42, "/unlink");
    let question = telegram.until_text(42, "Which wallet").await;
    telegram.until_confirmed().await;
    telegram.fail("editMessageText", Fault::Hang);
    telegram.press(42, &question, &question.button("Unlink"));
    telegram.until_text(42, "is not linked to you any more").await;
    assert_eq!(setup.sign(&second_link.session_token(), &key(1)).await, "completed");
    process.kill().await;
    assert_eq!(telegram.unconfirmed().len(), 1, "the press was not confirmed");
    let _process = setup.process(&[]).await;
    telegram.until_text(42, "was verified again").await;
    telegram.until_confirmed().await;
    assert_eq!(setup.identity(42).await.unwrap().held().count(), 1);
}
