//! Screenshots of the emulator's page that the documentation shows: the wizard, `/badges`, the weekly digest, an alert. Each is checked for
//! its text, and written with `UPDATE_SCREENSHOT=1`.

use std::time::Duration;

use arrakis_config::Secret;
use arrakis_db::{CommunityId, NewNotification, NotificationKind, UserId};
use arrakis_domain::{AlertKind, AlertSettings};
use arrakis_test_support::{eventually, eventually_within};
use loadtests::platform::{Platform, WizardDialog};
use loadtests::seed::{self, Member, Plan, Server};
use serde_json::{Value, json};
use sqlx::{AssertSqlSafe, Connection as _, PgConnection};

use crate::browser::Browser;
use crate::page::{LAST, keep_screenshot, switch};

#[tokio::test]
async fn wizard_badges_digest_and_alert_are_shown_by_the_page() {
    arrakis_runtime::install_crypto_provider();
    let mut platform = Platform::prepare().await.unwrap();
    let plan = seed::run(&platform.discord, &Secret::new(platform.database().admin_url()), 1)
        .await
        .unwrap();
    write_a_week(&platform, &plan).await;
    platform.start().await.unwrap();
    let browser = Browser::open(&platform.page(), (1360, 860)).await;

    wizard(&platform, &plan, &browser).await;
    badges(&platform, &plan, &browser).await;
    digest(&platform, &plan, &browser).await;
    alert(&platform, &plan, &browser).await;

    browser.close().await;
    platform.stop().await;
}

/// The owner of the server that is not onboarded sets it up.
async fn wizard(platform: &Platform, plan: &Plan, browser: &Browser) {
    let server = &plan.servers[2];
    let (owner, channel) = (&server.members[0], channel(platform, server, "general").await);
    let place = (server.guild, channel);
    let mut dialog = WizardDialog::begin(platform.discord.clone(), place, owner.user)
        .await
        .unwrap();
    dialog.go_to_review().await.unwrap();
    show(browser, owner, server, channel).await;
    browser.sees(LAST, "The plan").await;
    keep_screenshot(browser, "wizard-review").await;
    dialog.send_press("Deploy").await.unwrap();
    sees_later(browser, LAST, "The server is set up").await;
    keep_screenshot(browser, "wizard-done").await;
}

/// A member's badges as a drawn card.
async fn badges(platform: &Platform, plan: &Plan, browser: &Browser) {
    let server = &plan.servers[0];
    let channel = channel(platform, server, "water-discipline").await;
    // The one who is longest there holds the badges of tenure.
    let member = server
        .members
        .iter()
        .max_by_key(|member| member.joined_days_ago)
        .unwrap();
    let place = (server.guild, channel);
    let id = platform.discord.command(place, member.user, "badges", json!([])).await;
    platform.discord.answer(&id.unwrap()).await.unwrap();
    show(browser, member, server, channel).await;
    browser.sees(LAST, &member.display).await;
    let drawn = "const image = [...document.querySelectorAll('#log > :last-child img')].find((one) => one.naturalWidth === 1080);
        return Boolean(image && image.complete)";
    eventually(
        || async { browser.script(drawn).await == true },
        "the card to be loaded",
    )
    .await;
    let in_view =
        "const log = document.getElementById('log'); return log.scrollHeight - log.scrollTop - log.clientHeight < 2";
    eventually(
        || async { browser.script(in_view).await == true },
        "the end of the newest message to be in view",
    )
    .await;
    let described =
        "return [...document.querySelectorAll('#log > :last-child img')].every((image) => image.alt !== '')";
    assert_eq!(browser.script(described).await, true);
    keep_screenshot(browser, "badges-page").await;
}

/// The digest of the week before, which is due when the first worker starts.
async fn digest(platform: &Platform, plan: &Plan, browser: &Browser) {
    let server = &plan.servers[0];
    let channel = channel(platform, server, "announcements").await;
    show(browser, &server.members[0], server, channel).await;
    sees_later(browser, "#log", "The week in review").await;
    browser.sees("#log", &server.members[2].display).await;
    keep_screenshot(browser, "digest").await;
}

/// A subscriber's alert, as a direct message.
async fn alert(platform: &Platform, plan: &Plan, browser: &Browser) {
    let server = &plan.servers[0];
    let (member, channel) = (&server.members[4], channel(platform, server, "water-discipline").await);
    let admin = platform.database().admin().await;
    let community = CommunityId::from_uuid(server.community.as_ref().unwrap().id);
    let user = UserId::new(member.user).unwrap();
    let mut tx = admin.tenant(community).await.unwrap();
    let settings = AlertSettings {
        kinds: [AlertKind::Rank, AlertKind::Tier].into(),
        ..AlertSettings::default()
    };
    tx.alerts().subscribe(user, &settings).await.unwrap();
    tx.commit().await.unwrap();
    let event = |kind: NotificationKind, payload: Value| NewNotification {
        id: format!("screenshot:{}", kind.as_str()),
        kind,
        user: Some(user),
        payload,
    };
    let mut tx = admin.tenant(community).await.unwrap();
    let events = [
        event(
            NotificationKind::Rank,
            json!({"before": place(74, 1_470), "after": place(58, 1_620)}),
        ),
        event(NotificationKind::Tier, json!({"before": "usul", "after": "fedaykin"})),
    ];
    tx.notifications().add(&events).await.unwrap();
    tx.commit().await.unwrap();
    show(browser, member, server, channel).await;
    // The channel of direct messages appears with the first one.
    sees_later(browser, "#channels", "Direct messages").await;
    switch(browser, "#Arrakis", "Arrakis").await;
    browser.sees("#log", "what changed").await;
    keep_screenshot(browser, "alert").await;
}

/// Stores what a week of a community consists of: changed ranks and a new entry threshold. The community is older than that week.
async fn write_a_week(platform: &Platform, plan: &Plan) {
    let server = &plan.servers[0];
    let community = server.community.as_ref().unwrap().id;
    // In the week that ended on Monday at nine, whatever day it is.
    let middle = "date_trunc('week', now() - interval '9 hours') + interval '9 hours' - interval '3 days'";
    let moves = [(1, 9, 4), (2, 31, 12), (3, 5, 8), (5, 70, 61), (6, 18, 40)];
    let mut statements = vec![
        format!("set app.current_tenant = '{community}'"),
        "update communities set onboarded_at = now() - interval '60 days'".to_owned(),
    ];
    let mut event = |id: String, kind: &str, user: String, payload: Value| {
        statements.push(format!(
            "insert into notification_events (community_id, event_id, kind, user_id, payload, created_at) \
             values ('{community}', '{id}', '{kind}', {user}, '{payload}', {middle})"
        ));
    };
    for (index, before, after) in moves {
        let user = server.members[index].user.to_string();
        let payload = json!({"before": place(before, 1_600), "after": place(after, 1_900)});
        event(format!("week:rank:{user}"), "rank", user, payload);
    }
    let threshold = json!({"before": {"held": tokens(1_420)}, "after": {"held": tokens(1_500)}});
    event("week:threshold".to_owned(), "threshold", "null".to_owned(), threshold);
    let mut connection = PgConnection::connect(&platform.database().app_url()).await.unwrap();
    for statement in statements {
        sqlx::raw_sql(AssertSqlSafe(statement))
            .execute(&mut connection)
            .await
            .unwrap();
    }
    connection.close().await.unwrap();
}

/// A place in the ranking, as the sync stores it.
fn place(rank: u32, held: u32) -> Value {
    json!({"rank": rank, "held": tokens(held)})
}

/// An amount in the token's smallest unit.
fn tokens(number: u32) -> String {
    format!("{number}{}", "0".repeat(18))
}

/// The id of a server's channel.
async fn channel(platform: &Platform, server: &Server, name: &str) -> u64 {
    let view = platform.discord.guild(server.guild).await.unwrap();
    let mut channels = view["channels"].as_array().unwrap().iter();
    let found = channels.find(|channel| channel["name"] == name);
    let id = found.unwrap_or_else(|| panic!("{} has no channel {name}", server.name))["id"].as_str();
    id.unwrap().parse().unwrap()
}

/// Waits until an element shows the text, for as long as the leader's tasks and a deploy may take.
async fn sees_later(browser: &Browser, selector: &str, text: &str) {
    let shown = || async { browser.text(selector).await.contains(text) };
    eventually_within(
        Duration::from_secs(120),
        shown,
        format!("{selector} to show \"{text}\""),
    )
    .await;
}

/// Shows a channel as a member sees it.
async fn show(browser: &Browser, member: &Member, server: &Server, channel: u64) {
    let (user, guild) = (member.user, server.guild);
    browser
        .script(&format!(
            "location.hash = 'viewer={user}&guild={guild}&channel={channel}'"
        ))
        .await;
    browser.sees("#viewer", &member.display).await;
    browser.sees("#guild-name", server.name).await;
}
