//! An admin suspends and restores the stranger through the api, with an API key.

use std::io::Write;

use anyhow::Context as _;
use reqwest::Method;
use serde_json::{Value, json};

use super::{Act, NAME, STRANGER, Transcript};
use crate::demo::commands::show;

/// An admin's requests.
struct AdminApi<'a> {
    act: &'a Act<'a>,
    key: String,
}

/// The key, the suspension, its end, and what the history keeps.
pub(super) async fn and_restoring<W: Write>(act: &Act<'_>, transcript: &mut Transcript<W>) -> anyhow::Result<()> {
    transcript.scene("An admin suspends and restores");
    let admin = AdminApi::new(act).await?;
    transcript.act("an operator creates an API key with the scopes users:read and users:write");
    let (status, body) = admin.with_key("", Method::GET, "/admin/users", None).await?;
    transcript.same(
        "without it the api refuses",
        &(status, &body["code"]),
        &(401, &json!("key-required")),
    );

    let (status, body) = admin
        .request(Method::GET, &format!("/admin/users?discord_id={STRANGER}"), None)
        .await?;
    let user = &body["users"][0];
    let found = (
        status,
        &body["total"],
        &user["name"],
        &user["status"],
        &user["wallets"][0]["address"],
    );
    let (name, address) = (json!(NAME), json!(act.wallet.address().to_string()));
    transcript.same(
        format!("with it, it finds {NAME}, active, with the wallet"),
        &found,
        &(200, &json!(1), &name, &json!("active"), &address),
    );
    let id = user["id"].as_str().context("a user without an id")?.to_owned();
    suspend(&admin, &id, transcript).await?;
    restore(&admin, &id, transcript).await?;
    history(&admin, &id, transcript).await
}

async fn suspend<W: Write>(admin: &AdminApi<'_>, id: &str, transcript: &mut Transcript<W>) -> anyhow::Result<()> {
    let demo = admin.act.demo;
    transcript.act(format!("the admin suspends {NAME}"));
    let reason = json!({"reason": "a demonstration"});
    let (status, body) = admin
        .request(Method::POST, &format!("/admin/users/{id}/suspend"), Some(reason))
        .await?;
    transcript.same(
        "the user is suspended",
        &(status, &body["user"]["status"], &body["communities"]),
        &(200, &json!("suspended"), &json!(1)),
    );
    let found = demo.roles_become(&demo.tabr, STRANGER, &[]).await?;
    transcript.same(format!("{NAME} has no role within seconds"), &found, &Vec::new());
    transcript.act(format!("{NAME}: /verify status, once the cooldown of /verify is over"));
    let options = json!([{"name": "status", "type": 1, "options": []}]);
    let answer = demo.run_after_cooldown(&demo.tabr, STRANGER, "verify", options).await?;
    show(transcript, &answer);
    transcript.expect(
        "it states the suspension",
        answer.text().contains("suspended"),
        answer.text(),
    );
    Ok(())
}

async fn restore<W: Write>(admin: &AdminApi<'_>, id: &str, transcript: &mut Transcript<W>) -> anyhow::Result<()> {
    let demo = admin.act.demo;
    transcript.act(format!("the admin restores {NAME}"));
    let (status, body) = admin
        .request(
            Method::POST,
            &format!("/admin/users/{id}/restore"),
            Some(json!({"reason": "it was one"})),
        )
        .await?;
    transcript.same(
        "the user is active",
        &(status, &body["user"]["status"]),
        &(200, &json!("active")),
    );
    let found = demo.roles_become(&demo.tabr, STRANGER, &["Fedaykin"]).await?;
    transcript.same(
        format!("{NAME} is Fedaykin again"),
        &found,
        &vec!["Fedaykin".to_owned()],
    );
    Ok(())
}

/// The user's events, and the hash chain over all events.
async fn history<W: Write>(admin: &AdminApi<'_>, id: &str, transcript: &mut Transcript<W>) -> anyhow::Result<()> {
    let (_, body) = admin.request(Method::GET, &format!("/admin/users/{id}"), None).await?;
    let events = body["history"].as_array().cloned().unwrap_or_default();
    let mut types: Vec<_> = events.iter().filter_map(|event| event["type"].as_str()).collect();
    types.reverse();
    for event in &types {
        transcript.see(event);
    }
    let last = ["WALLET_VERIFIED", "IDENTITY_SUSPENDED", "IDENTITY_RESTORED"];
    let kept: Vec<_> = types.iter().copied().filter(|event| last.contains(event)).collect();
    transcript.same(
        "the history has the wallet, the suspension and its end",
        &kept.as_slice(),
        &last.as_slice(),
    );
    let report = admin
        .act
        .platform
        .worker_task(&["registry", "verify", "--json"])
        .await?;
    let report: Value = serde_json::from_str(&report)?;
    transcript.same(
        "and the registry's hash chain is unbroken",
        &report["problem"],
        &Value::Null,
    );
    Ok(())
}

impl<'a> AdminApi<'a> {
    async fn new(act: &'a Act<'a>) -> anyhow::Result<Self> {
        let scopes = "users:read,users:write";
        let arguments = [
            "api-key",
            "create",
            "--name",
            "demo",
            "--by",
            "stilgar",
            "--all-communities",
            "--scope",
            scopes,
        ];
        let key = act.platform.worker_task(&arguments).await?;
        Ok(Self {
            act,
            key: key.trim().to_owned(),
        })
    }

    async fn request(&self, method: Method, path: &str, body: Option<Value>) -> anyhow::Result<(u16, Value)> {
        self.with_key(&self.key, method, path, body).await
    }

    async fn with_key(
        &self,
        key: &str,
        method: Method,
        path: &str,
        body: Option<Value>,
    ) -> anyhow::Result<(u16, Value)> {
        let url = format!("{}{path}", self.act.platform.api_url());
        let mut request = self.act.http.request(method, url);
        if !key.is_empty() {
            request = request.bearer_auth(key);
        }
        if let Some(body) = body {
            request = request.json(&body);
        }
        let response = request.send().await.context("the api")?;
        Ok((response.status().as_u16(), response.json().await?))
    }
}
