use arrakis_db::{JobOutcome, NewJob};
use serde_json::json;
use time::{Duration, OffsetDateTime};

use super::{ADMIN, OPERATOR, link, operator, read, signed_in};
use crate::support::browser::Browser;
use crate::support::{TestApi, holder};

/// A running job with progress, and one that failed.
async fn jobs(api: &TestApi, community: arrakis_db::CommunityId, prefix: &str) {
    let now = OffsetDateTime::now_utc();
    let mut tx = api.database.tenant(community).await.unwrap();
    for (id, kind) in [("running", "tier-sync"), ("failed", "reconcile")] {
        let id = format!("{prefix}-{id}");
        let job = NewJob {
            id: &id,
            kind,
            payload: json!({}),
            due_at: now - Duration::minutes(1),
        };
        assert!(tx.jobs().enqueue(&job).await.unwrap());
        tx.jobs().start(&id, now).await.unwrap();
        assert!(tx.jobs().progress(&id, 1, 3, Some(10)).await.unwrap());
    }
    let failed = JobOutcome::Failed {
        error: "role <Naib> is above the bot's: PATCH /webhooks/1/aW50ZXJhY3Rpb246c2VjcmV0",
    };
    assert!(tx.jobs().end(&format!("{prefix}-failed"), 1, &failed).await.unwrap());
    tx.commit().await.unwrap();
}

#[tokio::test]
async fn admin_sees_one_community_and_an_operator_all() {
    let api = TestApi::start_with(|config| config.kill_switch.operators = vec![OPERATOR]).await;
    let (one, other) = (api.community(100).await, api.community(200).await);
    jobs(&api, one, "one").await;
    jobs(&api, other, "other").await;
    api.ranking("bgt", &[holder(1, 500)], Duration::minutes(3)).await;

    let cookie = signed_in(&api, one, ADMIN).await;
    let page = read(&api, "/status", &cookie).await.text;
    for shown in [
        "Community 100",
        "one-running",
        "3 of 10",
        "role &lt;Naib&gt; is above",
        "3 min ago",
    ] {
        assert!(page.contains(shown), "{shown}: {page}");
    }
    for hidden in [
        "other-running",
        "Community 200",
        "arrakis.interactions",
        "Dead letters",
        "aW50ZXJhY3Rpb246c2VjcmV0",
    ] {
        assert!(!page.contains(hidden), "{hidden}: {page}");
    }

    let cookie = signed_in(&api, one, OPERATOR).await;
    let page = read(&api, "/status", &cookie).await.text;
    for shown in [
        "Status of the platform",
        "one-running",
        "other-failed",
        "Community 200",
        "arrakis.interactions",
        "arrakis.jobs.tier-sync",
        "no worker consumes",
        "No shard has a queue yet.",
        "BGT",
    ] {
        assert!(page.contains(shown), "{shown}: {page}");
    }
}

#[tokio::test]
async fn former_operator_sees_the_community_only() {
    let api = TestApi::start().await;
    let community = api.community(100).await;
    let cookie = signed_in(&api, community, OPERATOR).await;
    let page = read(&api, "/status", &cookie).await;
    assert!(
        page.status == 200 && page.text.contains("Community 100"),
        "{}",
        page.text
    );
    assert!(!page.text.contains("Status of the platform"), "{}", page.text);
}

/// In a real browser: the cookie, the forms, the style sheet under the policy, and a narrow window.
#[tokio::test]
async fn operator_signs_in_looks_around_and_signs_out_in_chromium() {
    let api = TestApi::start_for_browser(|config| config.kill_switch.operators = vec![OPERATOR]).await;
    let community = api.community(100).await;
    jobs(&api, community, "one").await;
    api.enrol(operator()).await;
    let base = format!("http://{}", api.address);
    let link = link(&api, community, OPERATOR).await;
    let browser = Browser::open(&format!("{base}{link}"), 500).await;
    browser.sees("It works once").await;
    browser.click("button").await;
    browser.sees("Status of the platform").await;
    browser.sees("one-running").await;
    // The style sheet is loaded, and the page does not scroll sideways as a whole.
    assert_eq!(browser.script("return document.styleSheets.length").await, json!(1));
    assert_eq!(
        browser.script("return document.cookie").await,
        json!(""),
        "scripts cannot read the cookie"
    );
    let wide = "return document.documentElement.scrollWidth - document.documentElement.clientWidth";
    assert_eq!(browser.script(wide).await, json!(0));
    browser.click("a[href='/status/dead-letters']").await;
    browser.sees("There are none.").await;
    browser.click("header form button").await;
    browser.sees("You are not signed in").await;
    browser.goto(&format!("{base}{link}")).await;
    browser.click("button").await;
    browser.sees("This link does not work any more").await;
    browser.close().await;
}

/// A form of another page is refused, although the browser has signed in.
#[tokio::test]
async fn form_of_another_site_is_refused_in_chromium() {
    let api = TestApi::start_for_browser(|config| config.kill_switch.operators = vec![OPERATOR]).await;
    let community = api.community(100).await;
    let base = format!("http://{}", api.address);
    let browser = Browser::open(&format!("{base}{}", link(&api, community, OPERATOR).await), 900).await;
    browser.click("button").await;
    browser.sees("Status of the platform").await;
    let form = format!(
        "data:text/html,<form method=post action=\"{base}/status/sign-out\"><input name=form_token value=x><button>Win</button></form>"
    );
    browser.goto(&form).await;
    browser.click("button").await;
    browser.sees("not").await;
    browser.goto(&format!("{base}/status")).await;
    browser.sees("Status of the platform").await;
    browser.close().await;
}
