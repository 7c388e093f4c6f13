//! A bot with a server of its own, for tests of REST. Every call that it makes is checked against Discord's OpenAPI
//! document, where that is present.

use std::{path::Path, sync::OnceLock};

use discord_emulator::{
    Emulator, Options,
    model::{Id, InteractionKind},
    openapi::{Checker, Exchange},
    seed::{self, CreatedGuild, spec::GuildSpec},
    world::NewInteraction,
};
use reqwest::{Client, Method, Response, header::HeaderMap, multipart::Form};
use serde_json::{Value, json};

/// The checker of this run, or `None` where Discord's document is absent.
pub(crate) fn checker() -> Option<&'static Checker> {
    static CHECKER: OnceLock<Option<Checker>> = OnceLock::new();
    let checkout = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    CHECKER.get_or_init(|| Checker::find(&checkout).unwrap()).as_ref()
}

/// A response of the emulator.
#[derive(Debug)]
pub(crate) struct Reply {
    pub(crate) status: u16,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Value,
}

impl Reply {
    /// The body; the response must have this status.
    #[track_caller]
    pub(crate) fn ok(self, status: u16) -> Value {
        assert_eq!(self.status, status, "{}", self.body);
        self.body
    }

    /// Checks a refusal by status and Discord's code.
    #[track_caller]
    pub(crate) fn refused(self, status: u16, code: u32) -> Value {
        assert_eq!(
            (self.status, self.body["code"].as_u64()),
            (status, Some(u64::from(code))),
            "{}",
            self.body
        );
        self.body
    }

    /// Checks a form error: Discord's code of the field at this JSON pointer below `errors`.
    #[track_caller]
    pub(crate) fn form_error(self, pointer: &str, code: &str) {
        let body = self.refused(400, 50035);
        let found = body["errors"]
            .pointer(pointer)
            .unwrap_or_else(|| panic!("no {pointer} in {body}"));
        assert_eq!(found["_errors"][0]["code"], code, "{body}");
    }

    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).and_then(|value| value.to_str().ok())
    }
}

/// The emulator, one server in it, and a client with the bot's token.
pub(crate) struct Bot {
    pub(crate) emulator: Emulator,
    pub(crate) made: CreatedGuild,
    pub(crate) client: Client,
}

/// A server with a bot that is not an administrator, roles above and below it, and members.
pub(crate) fn sietch() -> Value {
    json!({
        "name": "Sietch Tabr",
        "community": true,
        "bot": {"below": "Naib", "permissions": [
            "VIEW_CHANNEL", "SEND_MESSAGES", "EMBED_LINKS", "ATTACH_FILES", "READ_MESSAGE_HISTORY", "ADD_REACTIONS",
            "MANAGE_MESSAGES", "PIN_MESSAGES", "MANAGE_CHANNELS", "MANAGE_ROLES", "MANAGE_GUILD", "MANAGE_WEBHOOKS",
            "MANAGE_NICKNAMES", "CHANGE_NICKNAME", "KICK_MEMBERS", "BAN_MEMBERS", "MODERATE_MEMBERS", "VIEW_AUDIT_LOG",
            "MANAGE_GUILD_EXPRESSIONS", "CREATE_GUILD_EXPRESSIONS", "CREATE_PUBLIC_THREADS", "CREATE_PRIVATE_THREADS", "SEND_MESSAGES_IN_THREADS",
            "MANAGE_THREADS", "USE_APPLICATION_COMMANDS", "CONNECT", "MENTION_EVERYONE"]},
        "roles": [
            {"name": "Naib", "permissions": ["ADMINISTRATOR"]},
            {"name": "Fremen", "color": "#c19a6b", "mentionable": true},
            {"name": "Booster", "managed": true},
            {"name": "Guest"}
        ],
        "channels": [
            {"name": "Halls", "kind": "category", "channels": [{"name": "general"}, {"name": "water"}]},
            {"name": "council", "overwrites": [{"role": "@everyone", "deny": ["VIEW_CHANNEL"]}]},
            {"name": "voice", "kind": "voice"},
            {"name": "news", "kind": "announcement"},
            {"name": "rules"}
        ],
        "members": [
            {"name": "stilgar", "roles": ["Naib"]},
            {"name": "chani", "display": "Chani", "roles": ["Fremen"]},
            {"name": "jamis", "roles": ["Guest"], "refuses_dms": true}
        ]
    })
}

impl Bot {
    /// An emulator without rate limits and the server of [`sietch`].
    pub(crate) async fn start() -> Self {
        Self::with(
            Options {
                rate_limits: false,
                ..Options::default()
            },
            &sietch(),
        )
        .await
    }

    pub(crate) async fn with(options: Options, server: &Value) -> Self {
        let emulator = Emulator::start(options).await.unwrap();
        let spec: GuildSpec = serde_json::from_value(server.clone()).unwrap();
        let made = emulator.app().world.write(|state| seed::build(state, &spec)).unwrap();
        // Loopback needs no proxy; the environment may name one.
        let client = Client::builder().no_proxy().build().unwrap();
        Self { emulator, made, client }
    }

    pub(crate) fn url(&self, path: &str) -> String {
        format!("{}{path}", self.emulator.addresses().rest)
    }

    pub(crate) fn authorization(&self) -> String {
        format!("Bot {}", self.emulator.token())
    }

    pub(crate) async fn call(&self, method: Method, path: &str, body: Option<Value>) -> Reply {
        self.call_with(method, path, body, None).await
    }

    /// A call with an audit reason.
    pub(crate) async fn call_with(
        &self,
        method: Method,
        path: &str,
        body: Option<Value>,
        reason: Option<&str>,
    ) -> Reply {
        let mut request = self
            .client
            .request(method.clone(), self.url(path))
            .header("authorization", self.authorization());
        if let Some(reason) = reason {
            request = request.header("x-audit-log-reason", reason);
        }
        if let Some(body) = &body {
            request = request.json(body);
        }
        self.read(method, path, body.as_ref(), request.send().await.unwrap())
            .await
    }

    /// A call without `Authorization`, as interaction endpoints are called.
    pub(crate) async fn open_call(&self, method: Method, path: &str, body: Option<Value>) -> Reply {
        let mut request = self.client.request(method.clone(), self.url(path));
        if let Some(body) = &body {
            request = request.json(body);
        }
        self.read(method, path, body.as_ref(), request.send().await.unwrap())
            .await
    }

    /// A multipart call: `payload_json` and files by name.
    pub(crate) async fn upload(&self, method: Method, path: &str, payload: Value, files: &[(&str, &[u8])]) -> Reply {
        let mut form = Form::new().text("payload_json", payload.to_string());
        for (index, (name, bytes)) in files.iter().enumerate() {
            let part = reqwest::multipart::Part::bytes(bytes.to_vec()).file_name((*name).to_owned());
            form = form.part(format!("files[{index}]"), part);
        }
        let request = self
            .client
            .request(method.clone(), self.url(path))
            .header("authorization", self.authorization())
            .multipart(form);
        self.read(method, path, Some(&payload), request.send().await.unwrap())
            .await
    }

    pub(crate) async fn read(&self, method: Method, path: &str, request: Option<&Value>, response: Response) -> Reply {
        let (status, headers) = (response.status().as_u16(), response.headers().clone());
        assert!(headers.contains_key("date"), "no Date header");
        let text = response.text().await.unwrap();
        let body = (!text.is_empty()).then(|| serde_json::from_str(&text).unwrap_or_else(|_| json!(text)));
        if let Some(checker) = checker() {
            let exchange = Exchange {
                method: method.as_str(),
                path,
                request,
                status,
                response: body.as_ref(),
            };
            let findings = checker.check(&exchange);
            let words: Vec<String> = findings.iter().map(ToString::to_string).collect();
            assert!(
                findings.is_empty(),
                "{}\n{}",
                words.join("\n"),
                body.unwrap_or_default()
            );
        }
        Reply {
            status,
            headers,
            body: body.unwrap_or_default(),
        }
    }

    pub(crate) async fn get(&self, path: &str) -> Reply {
        self.call(Method::GET, path, None).await
    }

    pub(crate) async fn post(&self, path: &str, body: Value) -> Reply {
        self.call(Method::POST, path, Some(body)).await
    }

    /// A POST without a body.
    pub(crate) async fn post_empty(&self, path: &str) -> Reply {
        self.call(Method::POST, path, None).await
    }

    pub(crate) async fn patch(&self, path: &str, body: Value) -> Reply {
        self.call(Method::PATCH, path, Some(body)).await
    }

    pub(crate) async fn put(&self, path: &str, body: Option<Value>) -> Reply {
        self.call(Method::PUT, path, body).await
    }

    pub(crate) async fn delete(&self, path: &str) -> Reply {
        self.call(Method::DELETE, path, None).await
    }

    /// Names of the bot's permissions in the server of [`sietch`].
    pub(crate) fn bot_permissions(&self) -> Vec<String> {
        serde_json::from_value(sietch()["bot"]["permissions"].clone()).unwrap()
    }

    /// Removes permissions from the bot's role.
    pub(crate) async fn forbid(&self, permissions: &[&str]) {
        let role = format!("/guilds/{}/roles/{}", self.guild(), self.made.bot_role_id);
        let mut left = self.bot_permissions();
        left.retain(|name| !permissions.contains(&name.as_str()));
        self.control(Method::PATCH, &role, json!({ "permissions": left })).await;
    }

    /// A call of the control API; status and response.
    pub(crate) async fn try_control(&self, method: Method, path: &str, body: Value) -> (u16, Value) {
        let url = format!("{}/control{path}", self.emulator.addresses().control);
        let answer = self.client.request(method, url).json(&body).send().await.unwrap();
        (answer.status().as_u16(), answer.json().await.unwrap())
    }

    /// A call of the control API that must succeed.
    pub(crate) async fn control(&self, method: Method, path: &str, body: Value) -> Value {
        let (status, answer) = self.try_control(method, path, body).await;
        assert_eq!(status, 200, "{path}: {answer}");
        answer
    }

    pub(crate) fn guild(&self) -> Id {
        self.made.guild_id
    }

    pub(crate) fn channel(&self, name: &str) -> Id {
        self.made.channels[name]
    }

    pub(crate) fn role(&self, name: &str) -> Id {
        self.made.roles[name]
    }

    pub(crate) fn member(&self, name: &str) -> Id {
        self.made.members[name]
    }

    pub(crate) fn application(&self) -> Id {
        self.emulator.app().options.application_id
    }

    /// Moves the emulator's clock forward.
    pub(crate) fn advance(&self, ms: u64) {
        self.emulator.app().clock.advance(ms);
    }

    /// Creates an interaction of a member. Returns its id and token.
    pub(crate) fn interact(&self, kind: InteractionKind, data: Value, message: Option<Id>) -> (Id, String) {
        let new = NewInteraction {
            kind,
            channel_id: self.channel("general"),
            user_id: self.member("chani"),
            command: data["name"].as_str().map(str::to_owned),
            data,
            message_id: message,
        };
        self.emulator.app().world.write(|state| {
            let id = state.create_interaction(new).unwrap();
            (id, state.interaction(id).unwrap().token.clone())
        })
    }

    /// A slash command without options.
    pub(crate) fn command(&self) -> (Id, String) {
        self.interact(
            InteractionKind::Command,
            json!({"id": "1", "name": "stats", "type": 1}),
            None,
        )
    }

    /// Newest audit log entries of this action.
    pub(crate) async fn audit(&self, action: u16) -> Vec<Value> {
        let path = format!("/guilds/{}/audit-logs?action_type={action}", self.guild());
        self.get(&path).await.ok(200)["audit_log_entries"]
            .as_array()
            .unwrap()
            .clone()
    }
}
