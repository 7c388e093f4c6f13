//! twilight's client and model read the emulator's responses.

use discord_emulator::model::Id as EmulatorId;
use serde_json::json;
use twilight_http::{Client, request::AuditLogReason as _};
use twilight_model::{
    channel::{
        ChannelType,
        message::{Embed, MessageFlags, MessageType},
    },
    guild::Permissions,
    http::interaction::{InteractionResponse, InteractionResponseData, InteractionResponseType},
    id::Id,
};

use crate::rest_support::Bot;

fn client(bot: &Bot) -> Client {
    let address = bot
        .emulator
        .addresses()
        .rest
        .trim_start_matches("http://")
        .trim_end_matches("/api/v10")
        .to_owned();
    Client::builder()
        .token(bot.emulator.token())
        .proxy(address, true)
        .build()
}

fn id<T>(id: EmulatorId) -> Id<T> {
    Id::new(id.0)
}

fn embed(title: &str) -> Embed {
    serde_json::from_value(json!({"type": "rich", "title": title, "color": 255, "fields": [
        {"name": "n", "value": "v", "inline": true}]}))
    .unwrap()
}

#[tokio::test]
async fn servers_roles_and_members_decode() {
    let bot = Bot::start().await;
    let client = client(&bot);
    let guild = id(bot.guild());
    let me = client.current_user().await.unwrap().model().await.unwrap();
    assert!(me.bot);
    let server = client
        .guild(guild)
        .with_counts(true)
        .await
        .unwrap()
        .model()
        .await
        .unwrap();
    assert_eq!(server.name, "Sietch Tabr");
    assert!(server.approximate_member_count.unwrap() >= 4);
    let role = client
        .create_role(guild)
        .name("Water Bearer")
        .permissions(Permissions::SEND_MESSAGES)
        .reason("a test")
        .await
        .unwrap()
        .model()
        .await
        .unwrap();
    assert_eq!(role.permissions, Permissions::SEND_MESSAGES);
    let chani = id(bot.member("chani"));
    client.add_guild_member_role(guild, chani, role.id).await.unwrap();
    let member = client.guild_member(guild, chani).await.unwrap().model().await.unwrap();
    assert!(member.roles.contains(&role.id));
    let all = client
        .guild_members(guild)
        .limit(100)
        .await
        .unwrap()
        .models()
        .await
        .unwrap();
    assert_eq!(all.len(), bot.made.members.len() + 1);
    let log = client.audit_log(guild).await.unwrap().model().await.unwrap();
    assert_eq!(log.entries.last().unwrap().reason.as_deref(), Some("a test"));
    let channels = client.guild_channels(guild).await.unwrap().models().await.unwrap();
    assert!(
        channels
            .iter()
            .any(|channel| channel.kind == ChannelType::GuildAnnouncement)
    );
    let gone = client.role(guild, Id::new(5)).await.unwrap_err();
    assert!(gone.to_string().contains("10011"), "{gone}");
}

#[tokio::test]
async fn messages_decode() {
    let bot = Bot::start().await;
    let client = client(&bot);
    let channel = id(bot.channel("general"));
    let embeds = [embed("Stats")];
    let sent = client
        .create_message(channel)
        .content("hello")
        .embeds(&embeds)
        .await
        .unwrap()
        .model()
        .await
        .unwrap();
    assert_eq!((sent.content.as_str(), sent.embeds[0].fields.len()), ("hello", 1));
    let edited = client
        .update_message(channel, sent.id)
        .content(Some("bye"))
        .await
        .unwrap()
        .model()
        .await
        .unwrap();
    assert!(edited.edited_timestamp.is_some());
    let listed = client
        .channel_messages(channel)
        .limit(10)
        .await
        .unwrap()
        .models()
        .await
        .unwrap();
    assert_eq!(listed.len(), 1);
    let dm = client
        .create_private_channel(id(bot.member("chani")))
        .await
        .unwrap()
        .model()
        .await
        .unwrap();
    assert_eq!(dm.kind, ChannelType::Private);
    client
        .create_message(dm.id)
        .content("psst")
        .await
        .unwrap()
        .model()
        .await
        .unwrap();
}

#[tokio::test]
async fn commands_and_interactions_decode() {
    let bot = Bot::start().await;
    let client = client(&bot);
    let interactions = client.interaction(id(bot.application()));
    let commands = interactions
        .set_global_commands(&[serde_json::from_value(json!({
            "type": 1, "name": "stats", "description": "Your standing", "version": "1", "options": [
                {"type": 3, "name": "of", "description": "Whose", "required": false}]
        }))
        .unwrap()])
        .await
        .unwrap()
        .models()
        .await
        .unwrap();
    assert_eq!(commands[0].name, "stats");
    let (interaction, token) = bot.command();
    let defer = InteractionResponse {
        kind: InteractionResponseType::DeferredChannelMessageWithSource,
        data: Some(InteractionResponseData {
            flags: Some(MessageFlags::EPHEMERAL),
            ..InteractionResponseData::default()
        }),
    };
    interactions
        .create_response(id(interaction), &token, &defer)
        .await
        .unwrap();
    let embeds = [embed("Stats")];
    let answer = interactions
        .update_response(&token)
        .embeds(Some(&embeds))
        .await
        .unwrap()
        .model()
        .await
        .unwrap();
    assert_eq!(
        (answer.kind, answer.flags),
        (MessageType::ChatInputCommand, Some(MessageFlags::EPHEMERAL))
    );
    let more = interactions
        .create_followup(&token)
        .content("and more")
        .await
        .unwrap()
        .model()
        .await
        .unwrap();
    interactions.delete_followup(&token, more.id).await.unwrap();
    let original = interactions.response(&token).await.unwrap().model().await.unwrap();
    assert_eq!(original.id, answer.id);
}
