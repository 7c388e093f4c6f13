//! A double of Telegram's Bot API with real HTTP: updates with confirmation by offset, messages with edits, and faults.

use std::collections::{HashMap, VecDeque};
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use arrakis_test_support::eventually;
use axum::body::Body;
use axum::extract::{Path, State};
use axum::response::{IntoResponse as _, Response};
use axum::routing::post;
use axum::{Json, Router};
use http::StatusCode;
use parking_lot::Mutex;
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::time::Instant;

/// The bot's token.
pub(crate) const TOKEN: &str = "123456:SEKRET_token-of-the-bot";
/// The bot's name.
pub(crate) const BOT: &str = "ArrakisBot";
/// The double answers a poll without updates after this time, although the service permits 25 s: a process is ready only after the answer to
/// its first poll.
const LONGEST_POLL: Duration = Duration::from_secs(1);

/// What becomes of the next call of a method.
#[derive(Debug, Clone)]
pub(crate) enum Fault {
    /// The call is refused: this status and body, and nothing happens.
    Refuse(u16, Value),
    /// The call takes effect, and the connection is cut within the answer.
    Cut,
    /// The call takes effect, and is never answered.
    Hang,
    /// The call takes effect, and the body of the answer has no end.
    Endless,
}

/// A message of the bot.
#[derive(Debug, Clone)]
pub(crate) struct Sent {
    pub(crate) chat: i64,
    pub(crate) id: i64,
    pub(crate) text: String,
    pub(crate) keyboard: Value,
    pub(crate) edits: usize,
}

impl Sent {
    /// The data or the URL of the button whose label begins so.
    pub(crate) fn button(&self, label: &str) -> String {
        let rows = self.keyboard["inline_keyboard"].as_array().unwrap();
        let found = rows.iter().flat_map(|row| row.as_array().unwrap());
        let button = found
            .into_iter()
            .find(|button| button["text"].as_str().unwrap().starts_with(label));
        let button = button.unwrap_or_else(|| panic!("no button {label} in {self:?}"));
        let data = button["callback_data"].as_str().or(button["url"].as_str());
        data.unwrap().to_owned()
    }

    /// The token of the link in the text.
    pub(crate) fn session_token(&self) -> String {
        let (_, rest) = self
            .text
            .split_once("/verify/")
            .unwrap_or_else(|| panic!("no link in {self:?}"));
        rest.split_whitespace().next().unwrap().to_owned()
    }
}

#[derive(Debug, Default)]
struct Inner {
    next_update: i64,
    next_message: i64,
    /// Updates that are not confirmed.
    pending: Vec<Value>,
    sent: Vec<Sent>,
    faults: HashMap<String, VecDeque<Fault>>,
    /// Chats to which messages are refused with 429, and the pause in seconds.
    limited: HashMap<i64, u64>,
    webhook: Option<Value>,
    calls: Vec<(String, Value)>,
}

/// The double.
#[derive(Debug, Clone)]
pub(crate) struct Telegram {
    pub(crate) address: SocketAddr,
    token: &'static str,
    inner: Arc<Mutex<Inner>>,
}

impl Telegram {
    pub(crate) async fn start() -> Self {
        Self::of_bot(TOKEN).await
    }

    /// The Bot API of the bot with this token.
    pub(crate) async fn of_bot(token: &'static str) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let inner = Inner {
            next_update: 1000,
            next_message: 1,
            ..Inner::default()
        };
        let telegram = Self {
            address: listener.local_addr().unwrap(),
            token,
            inner: Arc::new(Mutex::new(inner)),
        };
        let router = Router::new()
            .route("/{bot}/{method}", post(call))
            .with_state(telegram.clone());
        tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
        telegram
    }

    pub(crate) fn base(&self) -> String {
        format!("http://{}", self.address)
    }

    /// The next call of a method has this fault.
    pub(crate) fn fail(&self, method: &str, fault: Fault) {
        self.inner
            .lock()
            .faults
            .entry(method.to_owned())
            .or_default()
            .push_back(fault);
    }

    /// Messages to this chat are refused with 429, until `unlimit`.
    pub(crate) fn limit(&self, chat: i64, retry_after: u64) {
        self.inner.lock().limited.insert(chat, retry_after);
    }

    pub(crate) fn unlimit(&self, chat: i64) {
        self.inner.lock().limited.remove(&chat);
    }

    /// An update as it is given, also without an id.
    pub(crate) fn raw_update(&self, update: Value) {
        self.inner.lock().pending.push(update);
    }

    /// An update with these fields; returns its id.
    pub(crate) fn update(&self, mut fields: Value) -> i64 {
        let mut inner = self.inner.lock();
        let id = inner.next_update;
        inner.next_update += 1;
        fields["update_id"] = json!(id);
        inner.pending.push(fields);
        id
    }

    /// A user writes to the bot.
    pub(crate) fn write(&self, user: i64, text: &str) -> i64 {
        self.update(message(user, json!({"id": user, "type": "private"}), text))
    }

    /// A user presses a button of a message of the bot.
    pub(crate) fn press(&self, user: i64, message: &Sent, data: &str) -> i64 {
        self.update(json!({"callback_query": {
            "id": "77", "from": person(user), "chat_instance": "1", "data": data,
            "message": {"message_id": message.id, "date": 1, "chat": {"id": message.chat, "type": "private"}},
        }}))
    }

    /// The updates that are not confirmed.
    pub(crate) fn unconfirmed(&self) -> Vec<Value> {
        self.inner.lock().pending.clone()
    }

    pub(crate) fn sent(&self) -> Vec<Sent> {
        self.inner.lock().sent.clone()
    }

    /// The messages of a chat, once there are so many.
    pub(crate) async fn messages(&self, chat: i64, count: usize) -> Vec<Sent> {
        let of_chat = || {
            self.sent()
                .into_iter()
                .filter(|sent| sent.chat == chat)
                .collect::<Vec<_>>()
        };
        eventually(
            || async { of_chat().len() >= count },
            format!("{count} messages in chat {chat}"),
        )
        .await;
        of_chat()
    }

    /// The last message of a chat, once its text contains this.
    pub(crate) async fn until_text(&self, chat: i64, text: &str) -> Sent {
        let last = || self.sent().into_iter().rfind(|sent| sent.chat == chat);
        eventually(
            || async { last().is_some_and(|sent| sent.text.contains(text)) },
            format!("a message with {text:?} in {:?}", last()),
        )
        .await;
        last().unwrap()
    }

    /// Waits until every update is confirmed.
    pub(crate) async fn until_confirmed(&self) {
        eventually(
            || async { self.unconfirmed().is_empty() },
            "all updates to be confirmed",
        )
        .await;
    }

    /// The user deletes a message.
    pub(crate) fn delete(&self, message: i64) {
        self.inner.lock().sent.retain(|sent| sent.id != message);
    }

    /// The bodies of the calls of a method.
    pub(crate) fn calls(&self, method: &str) -> Vec<Value> {
        let inner = self.inner.lock();
        let calls = inner.calls.iter().filter(|(called, _)| called == method);
        calls.map(|(_, body)| body.clone()).collect()
    }

    /// The webhook that is set.
    pub(crate) fn webhook(&self) -> Option<Value> {
        self.inner.lock().webhook.clone()
    }

    pub(crate) fn set_webhook(&self, url: &str) {
        self.inner.lock().webhook = Some(json!({"url": url}));
    }

    fn apply(&self, method: &str, body: &Value) -> Result<Value, (u16, &'static str)> {
        let mut inner = self.inner.lock();
        match method {
            "getMe" => Ok(json!({"id": 1, "is_bot": true, "first_name": "Arrakis", "username": BOT})),
            "setWebhook" => {
                inner.webhook = Some(body.clone());
                Ok(json!(true))
            }
            "deleteWebhook" => {
                inner.webhook = None;
                Ok(json!(true))
            }
            "sendMessage" => {
                let sent = Sent {
                    chat: body["chat_id"].as_i64().unwrap(),
                    id: inner.next_message,
                    text: text_of(body)?,
                    keyboard: body["reply_markup"].clone(),
                    edits: 0,
                };
                inner.next_message += 1;
                let result = json!({"message_id": sent.id, "date": 1, "chat": {"id": sent.chat, "type": "private"}, "text": sent.text});
                inner.sent.push(sent);
                Ok(result)
            }
            "editMessageText" => {
                let text = text_of(body)?;
                let found = inner
                    .sent
                    .iter_mut()
                    .find(|sent| Some(sent.id) == body["message_id"].as_i64());
                let sent = found.ok_or((400, "Bad Request: message to edit not found"))?;
                if sent.text == text {
                    return Err((
                        400,
                        "Bad Request: message is not modified: specified new message content",
                    ));
                }
                sent.text = text;
                sent.keyboard = body["reply_markup"].clone();
                sent.edits += 1;
                Ok(json!({"message_id": sent.id, "date": 1, "chat": {"id": sent.chat, "type": "private"}}))
            }
            _ => Ok(json!(true)),
        }
    }

    async fn updates(&self, body: &Value) -> Result<Value, (u16, &'static str)> {
        let wait = Duration::from_secs(body["timeout"].as_u64().unwrap());
        let until = Instant::now() + wait.min(LONGEST_POLL);
        loop {
            {
                let mut inner = self.inner.lock();
                if inner.webhook.is_some() {
                    return Err((
                        409,
                        "Conflict: can't use getUpdates method while webhook is active; use deleteWebhook",
                    ));
                }
                if let Some(offset) = body["offset"].as_i64() {
                    inner
                        .pending
                        .retain(|update| update["update_id"].as_i64() >= Some(offset));
                }
                if !inner.pending.is_empty() || Instant::now() >= until {
                    let limit = usize::try_from(body["limit"].as_u64().unwrap()).unwrap();
                    return Ok(json!(inner.pending[..limit.min(inner.pending.len())]));
                }
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }
}

/// The text of a message within Telegram's limit.
fn text_of(body: &Value) -> Result<String, (u16, &'static str)> {
    let text = body["text"].as_str().unwrap();
    if text.is_empty() || text.encode_utf16().count() > 4096 {
        return Err((400, "Bad Request: message is too long"));
    }
    Ok(text.to_owned())
}

pub(crate) fn person(user: i64) -> Value {
    json!({"id": user, "is_bot": false, "first_name": format!("User {user}")})
}

/// The fields of an update with a message.
pub(crate) fn message(user: i64, chat: Value, text: &str) -> Value {
    json!({"message": {"message_id": 5, "date": 1, "from": person(user), "chat": chat, "text": text}})
}

fn refusal(status: u16, body: &Value) -> Response {
    (StatusCode::from_u16(status).unwrap(), Json(body.clone())).into_response()
}

async fn call(
    State(telegram): State<Telegram>,
    Path((bot, method)): Path<(String, String)>,
    body: Json<Value>,
) -> Response {
    if bot != format!("bot{}", telegram.token) {
        return refusal(
            401,
            &json!({"ok": false, "error_code": 401, "description": "Unauthorized"}),
        );
    }
    telegram.inner.lock().calls.push((method.clone(), body.0.clone()));
    let fault = telegram
        .inner
        .lock()
        .faults
        .get_mut(&method)
        .and_then(VecDeque::pop_front);
    if let Some(Fault::Refuse(status, body)) = &fault {
        return refusal(*status, body);
    }
    let chat = body["chat_id"].as_i64().filter(|_| method == "sendMessage");
    let limited = chat.and_then(|chat| telegram.inner.lock().limited.get(&chat).copied());
    if let Some(pause) = limited {
        return refusal(
            429,
            &json!({"ok": false, "error_code": 429, "description": "Too Many Requests", "parameters": {"retry_after": pause}}),
        );
    }
    let result = if method == "getUpdates" {
        telegram.updates(&body.0).await
    } else {
        telegram.apply(&method, &body.0)
    };
    match fault {
        Some(Fault::Hang) => std::future::pending().await,
        Some(Fault::Cut) => {
            let cut = futures_util::stream::iter([Ok::<_, io::Error>("{\"ok\":tr"), Err(io::Error::other("cut"))]);
            return Body::from_stream(cut).into_response();
        }
        Some(Fault::Endless) => {
            let spaces = futures_util::stream::repeat_with(|| Ok::<_, io::Error>(vec![b' '; 1 << 16]));
            return Body::from_stream(spaces).into_response();
        }
        _ => {}
    }
    match result {
        Ok(result) => Json(json!({"ok": true, "result": result})).into_response(),
        Err((code, description)) => refusal(
            code,
            &json!({"ok": false, "error_code": code, "description": description}),
        ),
    }
}
