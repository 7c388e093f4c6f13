//! The status page: links, sessions, forms, what an admin and an operator see, replays; and the page in Chromium.

mod dead_letters;
mod page;
mod sign_in;

use arrakis_cache::{Cache, CacheOptions, SessionName, Ttl};
use arrakis_config::Secret;
use arrakis_contracts::status::{LINK, StatusAccess, token};
use arrakis_db::{CommunityId, UserId};
use arrakis_security::mfa::GrantToken;
use reqwest::Method;

use crate::support::{Answer, TestApi};

/// An operator of the platform, as `KILL_SWITCH_OPERATORS` has it.
pub(crate) const OPERATOR: u64 = 7;
/// An admin of a community.
pub(crate) const ADMIN: u64 = 8;

pub(crate) fn operator() -> UserId {
    UserId::new(OPERATOR).unwrap()
}

/// A link, as a worker makes it.
pub(crate) async fn link(api: &TestApi, community: CommunityId, user: u64) -> String {
    let cache = Cache::new(&Secret::new(api.redis_url()), CacheOptions::default()).unwrap();
    let secret = GrantToken::generate();
    let access = StatusAccess {
        user,
        community: community.uuid(),
        secret_hash: secret.hash(),
    };
    let name = SessionName::new(community, LINK, user);
    let session = cache.begin_session(name, access, Ttl::seconds(300)).await.unwrap();
    format!("/status/sign-in/{}", token(session.id, secret.expose()))
}

/// The public origin of the api of a test.
pub(crate) const ORIGIN: &str = "https://verify.example.org";

/// Submits a form of the page, with the cookie of a browser.
pub(crate) async fn submit(api: &TestApi, path: &str, cookie: &str, form: &str) -> Answer {
    let request = api
        .request(Method::POST, path)
        .header("origin", ORIGIN)
        .header("cookie", cookie)
        .header("content-type", "application/x-www-form-urlencoded")
        .body(form.to_owned());
    api.browse(request).await
}

/// Reads a page with the cookie of a browser.
pub(crate) async fn read(api: &TestApi, path: &str, cookie: &str) -> Answer {
    api.browse(api.request(Method::GET, path).header("cookie", cookie))
        .await
}

/// Signs in; returns the cookie.
pub(crate) async fn signed_in(api: &TestApi, community: CommunityId, user: u64) -> String {
    let link = link(api, community, user).await;
    let answer = submit(api, &link, "", "").await;
    assert_eq!(
        (answer.status, answer.header("location")),
        (303, Some("/status")),
        "{}",
        answer.text
    );
    let cookie = answer.header("set-cookie").unwrap();
    cookie.split(';').next().unwrap().to_owned()
}

/// The text that the forms of a page contain.
pub(crate) fn form_token(page: &Answer) -> String {
    let (_, rest) = page.text.split_once("name=\"form_token\" value=\"").unwrap();
    rest.split('"').next().unwrap().to_owned()
}
