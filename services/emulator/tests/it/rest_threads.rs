//! Threads: archiving, members and lists.

use discord_emulator::gateway::Intents;
use reqwest::Method;
use serde_json::{Value, json};

use crate::{rest_support::Bot, support::Client};

/// Creates a public thread in #general. Returns its path.
async fn thread(bot: &Bot, name: &str, kind: u64) -> String {
    let path = format!("/channels/{}/threads", bot.channel("general"));
    let made = bot.post(&path, json!({"name": name, "type": kind})).await.ok(201);
    format!("/channels/{}", made["id"].as_str().unwrap())
}

async fn archive(bot: &Bot, thread: &str, locked: bool) {
    bot.patch(thread, json!({"archived": true, "locked": locked}))
        .await
        .ok(200);
}

async fn is_archived(bot: &Bot, thread: &str) -> bool {
    bot.get(thread).await.ok(200)["thread_metadata"]["archived"] == true
}

async fn listen(bot: &Bot, intents: Intents) -> Client {
    let gateway = &bot.emulator.addresses().gateway;
    let mut client = Client::open(&format!("{gateway}/?v=10&encoding=json"))
        .await
        .past_hello()
        .await;
    let identify = json!({"op": 2, "d": {"token": bot.emulator.token(), "intents": intents.bits(),
        "properties": {"os": "linux", "browser": "test", "device": "test"}}});
    client.send(identify).await;
    client.event("GUILD_CREATE").await;
    client
}

fn ids(list: &Value) -> Vec<String> {
    let list = list["threads"].as_array().unwrap();
    list.iter()
        .map(|thread| format!("/channels/{}", thread["id"].as_str().unwrap()))
        .collect()
}

#[tokio::test]
async fn message_unarchives_a_thread_for_every_author() {
    let bot = Bot::start().await;
    let path = thread(&bot, "talk", 11).await;
    let id = path.trim_start_matches("/channels/").to_owned();
    let hook = bot
        .post(
            &format!("/channels/{}/webhooks", bot.channel("general")),
            json!({"name": "w"}),
        )
        .await
        .ok(200);
    let hook = format!(
        "/webhooks/{}/{}?thread_id={id}",
        hook["id"].as_str().unwrap(),
        hook["token"].as_str().unwrap()
    );
    let mut client = listen(&bot, Intents::all()).await;
    for sender in ["bot", "webhook", "member"] {
        archive(&bot, &path, false).await;
        let received = client.event("THREAD_UPDATE").await;
        assert_eq!(received["thread_metadata"]["archived"], true);
        match sender {
            "bot" => drop(
                bot.post(&format!("{path}/messages"), json!({"content": "x"}))
                    .await
                    .ok(200),
            ),
            "webhook" => drop(
                bot.open_call(Method::POST, &hook, Some(json!({"content": "x"})))
                    .await
                    .ok(204),
            ),
            _ => {
                let said = json!({"user_id": "chani", "content": "x"});
                let place = format!("/guilds/{}/channels/{id}/messages", bot.guild());
                bot.control(Method::POST, &place, said).await;
            }
        }
        // The thread is unarchived before the message is added.
        let received = client.event("THREAD_UPDATE").await;
        assert_eq!(received["thread_metadata"]["archived"], false, "{sender}");
        assert_eq!(
            client.event("MESSAGE_CREATE").await["channel_id"],
            id.as_str(),
            "{sender}"
        );
        assert!(!is_archived(&bot, &path).await, "{sender}");
    }
}

#[tokio::test]
async fn a_locked_thread_takes_messages_of_moderators_alone() {
    let bot = Bot::start().await;
    let path = thread(&bot, "talk", 11).await;
    let messages = format!("{path}/messages");
    let sent = bot.post(&messages, json!({"content": "x"})).await.ok(200);
    let hook = bot
        .post(
            &format!("/channels/{}/webhooks", bot.channel("general")),
            json!({"name": "w"}),
        )
        .await
        .ok(200);
    let hook = format!(
        "/webhooks/{}/{}?thread_id={}",
        hook["id"].as_str().unwrap(),
        hook["token"].as_str().unwrap(),
        path.trim_start_matches("/channels/")
    );
    archive(&bot, &path, true).await;
    // The bot has MANAGE_THREADS.
    bot.post(&messages, json!({"content": "y"})).await.ok(200);
    assert!(!is_archived(&bot, &path).await);
    archive(&bot, &path, true).await;
    let say = json!({"content": "x"});
    bot.open_call(Method::POST, &hook, Some(say.clone()))
        .await
        .refused(400, 160_005);
    bot.forbid(&["MANAGE_THREADS"]).await;
    bot.post(&messages, say.clone()).await.refused(400, 160_005);
    let one = format!("{messages}/{}", sent["id"].as_str().unwrap());
    bot.patch(&one, say.clone()).await.refused(400, 160_005);
    bot.patch(&path, json!({"archived": false})).await.refused(400, 160_005);
    let place = format!("/guilds/{}{path}/messages", bot.guild());
    let (status, refusal) = bot
        .try_control(Method::POST, &place, json!({"user_id": "chani", "content": "x"}))
        .await;
    assert_eq!(status, 403, "{refusal}");
    assert!(refusal["error"].as_str().unwrap().contains("locked"), "{refusal}");
    assert!(is_archived(&bot, &path).await);
    // A moderator may.
    bot.control(Method::POST, &place, json!({"user_id": "stilgar", "content": "x"}))
        .await;
    assert!(!is_archived(&bot, &path).await);
    // The bot cannot write in a locked thread that is not archived.
    bot.post(&messages, say).await.refused(400, 160_005);
}

#[tokio::test]
async fn only_deleting_and_sending_work_in_an_archived_thread() {
    let bot = Bot::start().await;
    let path = thread(&bot, "talk", 11).await;
    let messages = format!("{path}/messages");
    let sent = bot.post(&messages, json!({"content": "x"})).await.ok(200);
    let one = format!("{messages}/{}", sent["id"].as_str().unwrap());
    archive(&bot, &path, false).await;
    bot.patch(&one, json!({"content": "y"})).await.refused(400, 50083);
    bot.put(&format!("{one}/reactions/%F0%9F%91%8D/@me"), None)
        .await
        .refused(400, 50083);
    let chani = format!("{path}/thread-members/{}", bot.member("chani"));
    bot.put(&chani, None).await.refused(400, 50083);
    bot.delete(&chani).await.refused(400, 50083);
    bot.delete(&format!("{path}/thread-members/@me"))
        .await
        .refused(400, 50083);
    bot.delete(&one).await.ok(204);
    assert!(is_archived(&bot, &path).await);
}

#[tokio::test]
async fn members_are_added_listed_and_removed() {
    let bot = Bot::start().await;
    let mut client = listen(&bot, Intents::GUILDS | Intents::GUILD_MEMBERS).await;
    let path = thread(&bot, "talk", 11).await;
    let members = format!("{path}/thread-members");
    let (chani, jamis) = (bot.member("chani").to_string(), bot.member("jamis").to_string());
    bot.advance(5_000);
    for _ in 0..2 {
        bot.put(&format!("{members}/{chani}"), None).await.ok(204);
    }
    let received = client.event("THREAD_MEMBERS_UPDATE").await;
    let added = &received["added_members"][0];
    assert_eq!(
        (&received["member_count"], &added["user_id"]),
        (&json!(2), &json!(chani))
    );
    assert_eq!(added["member"]["user"]["username"], "chani");
    bot.put(&format!("{members}/{jamis}"), None).await.ok(204);
    // The second call changed nothing, so the next event is about jamis.
    assert_eq!(
        client.event("THREAD_MEMBERS_UPDATE").await["added_members"][0]["user_id"],
        json!(jamis)
    );
    let all = bot.get(&members).await.ok(200);
    let all: Vec<&str> = all
        .as_array()
        .unwrap()
        .iter()
        .map(|one| one["user_id"].as_str().unwrap())
        .collect();
    assert_eq!(all, [&bot.application().to_string(), &chani, &jamis]);
    let page = bot
        .get(&format!("{members}?with_member=true&limit=1&after={chani}"))
        .await
        .ok(200);
    assert_eq!(page[0]["member"]["user"]["username"], "jamis");
    let one = bot.get(&format!("{members}/{chani}")).await.ok(200);
    assert!(
        one.get("member").is_none()
            && one["join_timestamp"] != bot.get(&path).await.ok(200)["thread_metadata"]["create_timestamp"]
    );
    assert_eq!(
        bot.get(&format!("{members}/{chani}?with_member=true")).await.ok(200)["member"]["user"]["id"],
        json!(chani)
    );
    assert_eq!(
        bot.get(&format!("{members}/@me")).await.body["user_id"],
        json!(bot.application().to_string())
    );
    bot.delete(&format!("{members}/{chani}")).await.ok(204);
    assert_eq!(
        client.event("THREAD_MEMBERS_UPDATE").await["removed_member_ids"],
        json!([chani])
    );
    bot.get(&format!("{members}/{chani}")).await.refused(404, 10007);
    bot.delete(&format!("{members}/{chani}")).await.refused(404, 10007);
    bot.put(&format!("{members}/77"), None).await.refused(404, 10013);
    // A member who leaves the server leaves its threads.
    bot.delete(&format!("/guilds/{}/members/{jamis}", bot.guild()))
        .await
        .ok(204);
    bot.get(&format!("{members}/{jamis}")).await.refused(404, 10007);
    bot.forbid(&["MANAGE_THREADS"]).await;
    bot.put(&format!("{members}/{chani}"), None).await.ok(204);
    bot.delete(&format!("{members}/{chani}")).await.refused(403, 50013);
    bot.delete(&format!("{members}/@me")).await.ok(204);
    bot.get(&format!("/channels/{}/thread-members", bot.channel("general")))
        .await
        .refused(400, 50024);
}

#[tokio::test]
async fn only_creator_and_moderators_add_members_to_a_private_thread() {
    let bot = Bot::start().await;
    let hidden = format!("/channels/{}/threads", bot.channel("council"));
    bot.post(&hidden, json!({"name": "t", "type": 11}))
        .await
        .refused(403, 50001);
    let path = thread(&bot, "secret", 12).await;
    let chani = format!("{path}/thread-members/{}", bot.member("chani"));
    bot.forbid(&["MANAGE_THREADS"]).await;
    bot.put(&chani, None).await.ok(204);
    bot.delete(&chani).await.ok(204);
}

#[tokio::test]
async fn thread_member_events_of_others_need_the_members_intent() {
    let bot = Bot::start().await;
    let mut client = listen(&bot, Intents::GUILDS).await;
    let path = thread(&bot, "talk", 11).await;
    bot.put(&format!("{path}/thread-members/{}", bot.member("chani")), None)
        .await
        .ok(204);
    bot.delete(&format!("{path}/thread-members/@me")).await.ok(204);
    let received = client.event("THREAD_MEMBERS_UPDATE").await;
    assert_eq!(received["removed_member_ids"], json!([bot.application().to_string()]));
}

#[tokio::test]
async fn archived_threads_are_listed_newest_first_and_in_pages() {
    let bot = Bot::start().await;
    let mut public = Vec::new();
    for index in 0..3 {
        public.push(thread(&bot, &format!("p{index}"), 11).await);
    }
    let open = thread(&bot, "open", 11).await;
    let private = [thread(&bot, "s0", 12).await, thread(&bot, "s1", 12).await];
    bot.delete(&format!("{}/thread-members/@me", private[0])).await.ok(204);
    // The order is that of archiving: 2, 0, 1.
    for index in [1, 0, 2] {
        bot.advance(1_000);
        archive(&bot, &public[index], false).await;
    }
    for path in &private {
        bot.advance(1_000);
        archive(&bot, path, false).await;
    }
    let general = format!("/channels/{}", bot.channel("general"));
    let list = format!("{general}/threads/archived/public");
    let page = bot.get(&format!("{list}?limit=2")).await.ok(200);
    assert_eq!(
        (ids(&page), &page["has_more"]),
        (vec![public[2].clone(), public[0].clone()], &json!(true))
    );
    assert_eq!(page["members"].as_array().unwrap().len(), 2);
    let last = page["threads"][1]["thread_metadata"]["archive_timestamp"]
        .as_str()
        .unwrap()
        .to_owned();
    // With an escaped plus sign, and as some clients send it, unescaped.
    for before in [last.replace('+', "%2B"), last] {
        let rest = bot.get(&format!("{list}?before={before}")).await.ok(200);
        assert_eq!(
            (ids(&rest), &rest["has_more"]),
            (vec![public[1].clone()], &json!(false))
        );
    }
    bot.get(&format!("{list}?before=yesterday"))
        .await
        .form_error("/before", "DATE_TIME_TYPE_PARSE");
    bot.get(&format!("{list}?limit=1"))
        .await
        .form_error("/limit", "NUMBER_TYPE_MIN");
    let all = bot.get(&format!("{general}/threads/archived/private")).await.ok(200);
    assert_eq!(ids(&all), [private[1].clone(), private[0].clone()]);
    let joined = format!("{general}/users/@me/threads/archived/private");
    assert_eq!(ids(&bot.get(&joined).await.ok(200)), [private[1].clone()]);
    let own = private[1].trim_start_matches("/channels/");
    assert_eq!(
        ids(&bot.get(&format!("{joined}?before={own}")).await.ok(200)),
        Vec::<String>::new()
    );
    bot.forbid(&["MANAGE_THREADS"]).await;
    bot.get(&format!("{general}/threads/archived/private"))
        .await
        .refused(403, 50013);
    bot.get(&list).await.ok(200);
    bot.forbid(&["MANAGE_THREADS", "READ_MESSAGE_HISTORY"]).await;
    let everyone = format!("/guilds/{0}/roles/{0}", bot.guild());
    bot.control(Method::PATCH, &everyone, json!({"permissions": ["VIEW_CHANNEL"]}))
        .await;
    bot.get(&list).await.refused(403, 50013);
    // A new session receives active threads only.
    let gateway = &bot.emulator.addresses().gateway;
    let mut client = Client::open(&format!("{gateway}/?v=10")).await.past_hello().await;
    let properties = json!({"os": "linux", "browser": "test", "device": "test"});
    let d = json!({"token": bot.emulator.token(), "intents": 1, "properties": properties});
    client.send(json!({"op": 2, "d": d})).await;
    assert_eq!(ids(&client.event("GUILD_CREATE").await), [open]);
}
