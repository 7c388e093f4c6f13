//! Every call of `arrakis-discord`, as the failure matrix makes it, with objects of its own at Discord.

use std::pin::Pin;
use std::sync::atomic::{AtomicU64, Ordering};

use arrakis_discord::{Calls, Endpoint, Error};
use arrakis_emulator_client::{ControlClient, InteractionRequest, MemberEdit};
use serde_json::{Value, json};
use twilight_model::application::command::{Command, CommandType};
use twilight_model::guild::Permissions;
use twilight_model::http::channel_position::Position;
use twilight_model::http::interaction::InteractionResponseData;
use twilight_model::id::Id;
use twilight_util::builder::command::CommandBuilder;

use crate::platform::Platform;

type Called = Pin<Box<dyn Future<Output = Result<(), Error>> + Send>>;

/// A call that is ready to be made.
pub struct CallCase {
    /// A part of its path that differs from all other calls of its route.
    pub path: String,
    pub make: Box<dyn FnOnce(Calls) -> Called + Send>,
}

macro_rules! case {
    ($path:expr, |$calls:ident| $body:expr) => {
        CallCase {
            path: $path.to_string(),
            make: Box::new(move |$calls: Calls| Box::pin(async move { $body.await.map(drop) })),
        }
    };
}

fn id<T>(value: &Value) -> Id<T> {
    value.as_str().unwrap().parse().unwrap()
}

fn text(content: &str) -> InteractionResponseData {
    InteractionResponseData {
        content: Some(content.to_owned()),
        ..InteractionResponseData::default()
    }
}

/// The command that members run.
pub fn command() -> Command {
    CommandBuilder::new("matrix", "A command of the failure matrix", CommandType::ChatInput).build()
}

impl Platform {
    /// Creates an interaction without a response; returns its id and token.
    pub async fn interaction(&self) -> (String, String) {
        let request = InteractionRequest {
            kind: "command".to_owned(),
            guild_id: Some(self.community.guild.clone()),
            channel_id: Some(self.community.channel.clone()),
            user_id: "chani".to_owned(),
            name: Some("matrix".to_owned()),
            force: true,
            ..InteractionRequest::default()
        };
        let client: &ControlClient = &self.control;
        let made = client.interact(&request).await.unwrap();
        (made.id.to_string(), made.token)
    }

    /// Creates an interaction with a first response of this type, sent without faults; returns its token.
    async fn responded_interaction(&self, kind: u8) -> String {
        let body = json!({"type": kind, "data": {"content": "first"}});
        // On a slow machine the three seconds may be over before the callback is sent.
        for _ in 0..5 {
            let (id, token) = self.interaction().await;
            let base = &self.emulator.addresses().rest;
            let url = format!("{base}/interactions/{id}/{token}/callback");
            let response = reqwest::Client::new().post(url).json(&body).send().await.unwrap();
            if response.status().is_success() {
                return token;
            }
        }
        panic!("no interaction was responded to within its three seconds");
    }

    /// Creates a role or a channel; returns its id.
    async fn create(&self, kind: &str, name: &str) -> Value {
        let (guild, named) = (&self.community.guild, json!({ "name": name }));
        let made = match kind {
            "roles" => self.control.create_role(guild, &named).await,
            _ => self.control.create_channel(guild, &named).await,
        };
        made.unwrap()["id"].clone()
    }
}

/// The call of an endpoint. An endpoint without one fails the matrix.
pub async fn case(platform: &Platform, endpoint: Endpoint) -> CallCase {
    static NUMBER: AtomicU64 = AtomicU64::new(1);
    let number = NUMBER.fetch_add(1, Ordering::Relaxed);
    let name = format!("case-{number}");
    let guild = platform.community.guild.parse().unwrap();
    let channel = platform.community.channel.clone();
    let user = platform.community.user("stilgar").parse().unwrap();
    match endpoint.route() {
        "POST /interactions/{interaction}/{token}/callback" => {
            let (interaction, token) = platform.interaction().await;
            case!(interaction.clone(), |calls| calls.reply(
                interaction.parse().unwrap(),
                &token,
                text("answered")
            ))
        }
        "PATCH /webhooks/{application}/{token}/messages/@original" => {
            let token = platform.responded_interaction(5).await;
            case!(token.clone(), |calls| calls.edit_original(&token, &text("edited")))
        }
        "DELETE /webhooks/{application}/{token}/messages/@original" => {
            let token = platform.responded_interaction(4).await;
            case!(token.clone(), |calls| calls.delete_original(&token))
        }
        "POST /webhooks/{application}/{token}" => {
            let token = platform.responded_interaction(4).await;
            case!(token.clone(), |calls| calls.send_followup(&token, &text("more")))
        }
        "POST /users/@me/channels" => case!("/users/@me/channels", |calls| calls.send_dm(
            user,
            &text("hello"),
            number
        )),
        "POST /channels/{channel}/messages" => case!(channel.clone(), |calls| calls.send_message(
            channel.parse().unwrap(),
            &text("hello"),
            number
        )),
        "PATCH /channels/{channel}/messages/{message}" => {
            // In a channel of its own: faults of the other cases are injected into the messages of the shared one.
            let channel = platform.create("channels", &name).await;
            let channel = channel.as_str().unwrap().parse().unwrap();
            let calls = platform.discord(platform.proxy).bulk(None);
            let message = calls.send_message(channel, &text("first"), number).await.unwrap().id;
            case!(message, |calls| calls.edit_message(channel, message, &text("edited")))
        }
        "GET /channels/{channel}/messages" => {
            case!(channel.clone(), |calls| calls.latest_messages(channel.parse().unwrap()))
        }
        "GET /users/@me" => case!("/users/@me", |calls| calls.probe()),
        "GET /guilds/{guild}" => case!("/guilds/", |calls| calls.guild(guild)),
        "GET /guilds/{guild}/roles" => case!("/roles", |calls| calls.roles(guild)),
        "GET /guilds/{guild}/channels" => case!("/channels", |calls| calls.channels(guild)),
        "POST /guilds/{guild}/roles" => case!("/roles", |calls| calls.create_role(
            guild,
            &name,
            Permissions::empty(),
            "matrix",
            |role| role
        )),
        "PATCH /guilds/{guild}/roles/{role}" => {
            let role = platform.create("roles", &name).await;
            case!(role.as_str().unwrap(), |calls| calls.edit_role(
                guild,
                id(&role),
                "matrix",
                |role| role.hoist(true)
            ))
        }
        "PATCH /guilds/{guild}/roles" => {
            let role = platform.create("roles", &name).await;
            let position = serde_json::from_value(json!([{"id": role, "position": 1}])).unwrap();
            let position: Vec<twilight_model::guild::RolePosition> = position;
            case!("/roles", |calls| calls.move_roles(guild, &position, "matrix"))
        }
        "POST /guilds/{guild}/channels" => case!("/channels", |calls| calls.create_channel(
            guild,
            &name,
            "matrix",
            |channel| channel
        )),
        "PATCH /channels/{channel}" => {
            let channel = platform.create("channels", &name).await;
            case!(channel.as_str().unwrap(), |calls| calls.edit_channel(
                id(&channel),
                "matrix",
                |channel| channel.nsfw(true)
            ))
        }
        "PATCH /guilds/{guild}/channels" => {
            let position = [Position::from((channel.parse().unwrap(), 0))];
            case!("/channels", |calls| calls.move_channels(guild, &position))
        }
        "PUT /guilds/{guild}/members/{user}/roles/{role}" => {
            let role = platform.create("roles", &name).await;
            case!(role.as_str().unwrap(), |calls| calls.assign_role(
                guild,
                user,
                id(&role),
                None,
                "matrix"
            ))
        }
        "DELETE /guilds/{guild}/members/{user}/roles/{role}" => {
            let role = platform.create("roles", &name).await;
            let edit = MemberEdit {
                add_roles: vec![role.as_str().unwrap().to_owned()],
                ..MemberEdit::default()
            };
            platform.control.edit_member(guild, user, &edit).await.unwrap();
            case!(role.as_str().unwrap(), |calls| calls.remove_role(
                guild,
                user,
                id(&role),
                None,
                "matrix"
            ))
        }
        "GET /guilds/{guild}/members/{user}" => case!("/members/", |calls| calls.member(guild, user)),
        "GET /guilds/{guild}/members" => case!("/members", |calls| calls.members(guild, None)),
        "GET /applications/{application}/commands" => case!("/commands", |calls| calls.global_commands()),
        "PUT /applications/{application}/commands" => {
            case!("/commands", |calls| calls.set_global_commands(&[command()]))
        }
        other => panic!("{other} has no call in the failure matrix; add one to matrix/calls.rs"),
    }
}
