//! Every command, by a table with a row for each (`uses.rs`): definition, reply and effect here, the cooldown and the refusals without
//! permission or second factor in `refused.rs`, a worker that is killed between effect and acknowledgement in `killed.rs`. A command without
//! a row fails `every_command_has_a_row_that_agrees_with_its_definition`.

mod killed;
mod refused;
mod uses;

use arrakis_db::registry::{Account, Cause, EventSource, VerifiedWallet};
use arrakis_db::{BadgeSource, TenantTx};
use arrakis_domain::BadgeId;
use arrakis_emulator_client::MemberEdit;
use arrakis_worker::commands::Commands;
use serde_json::{Value, json};
use time::OffsetDateTime;

use self::uses::{CommandUse, Effect, FirstResponse, Input, Opener, Step, uses};
use crate::platform::{Dispatch, Platform, Worker, follow_ups};

/// The commands of the specification. There may be more.
const SPECIFIED: [&str; 22] = [
    "stats",
    "position",
    "threshold",
    "leaderboard",
    "directory",
    "profile",
    "badges",
    "alerts",
    "naib",
    "register-waitlist",
    "check-eligibility",
    "verify",
    "water-share",
    "onboard",
    "resume",
    "admin-stats",
    "admin-badge",
    "admin-water-share",
    "admin-migrate",
    "admin-takeover",
    "help",
    "reconcile",
];

/// Liet's wallet, as the seed has it.
const WALLET: &str = "0x00000000000000000000000000000000000003eb";

/// A key that encrypts the secrets of second factors.
const MFA_KEY: &str = "test:MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY=";

/// The environment of a worker that permits admin commands without MFA.
fn environment(platform: &Platform) -> Vec<(&'static str, String)> {
    let mut environment = platform.environment();
    environment.push(("ADMIN_COMMANDS_WITHOUT_MFA", "yes".to_owned()));
    environment.push(("MFA_ENCRYPTION_KEY", MFA_KEY.to_owned()));
    environment
}

async fn worker(platform: &Platform) -> Worker {
    Worker::start(&environment(platform)).await
}

/// A platform with what the rows need, and a worker: Harah has the role of another tool, Chani a badge that she may share, and Liet a
/// wallet that he has verified.
async fn prepared() -> (Platform, Worker) {
    let platform = Platform::start().await;
    let guild = platform.community.guild.as_str();
    let role = json!({"name": "Holder"});
    platform.control.create_role(guild, &role).await.unwrap();
    let edit = MemberEdit {
        add_roles: vec!["Holder".to_owned()],
        ..MemberEdit::default()
    };
    let harah = platform.community.user("harah");
    platform.control.edit_member(guild, harah, &edit).await.unwrap();
    let water = BadgeId::new("water-sharer").unwrap();
    let by = BadgeSource::Admin(platform.community.user_id("harah"));
    let (chani, now) = (platform.community.user_id("chani"), OffsetDateTime::now_utc());
    let mut tx = platform.tenant().await;
    assert!(tx.badges().award(chani, &water, by, now, None).await.unwrap());
    verify_wallet(&mut tx, Account::Discord(platform.community.user_id("liet"))).await;
    tx.commit().await.unwrap();
    let worker = worker(&platform).await;
    platform.commands_registered().await;
    (platform, worker)
}

/// Stores the wallet of the seed in the identity registry, as a verification does.
async fn verify_wallet(tx: &mut TenantTx, account: Account) {
    let now = OffsetDateTime::now_utc();
    let cause = Cause {
        source: EventSource::DiscordVerification,
        at: now,
    };
    let wallet = VerifiedWallet {
        address: WALLET.parse().unwrap(),
        chain_id: 80_094,
        signature: None,
        verified_at: now,
    };
    let mut registry = tx.registry();
    let identity = registry.create(account, "liet", cause).await.unwrap();
    registry.verify_wallet(identity.id, &wallet, cause).await.unwrap();
}

/// The dispatch of an interaction as that of a member with these permissions, which the members of its options have as well.
async fn dispatch_as(platform: &Platform, id: &str, permissions: &str) -> Dispatch {
    let mut dispatch = platform.dispatch_of(id).await;
    let mut body = dispatch.json();
    body["member"]["permissions"] = json!(permissions);
    let selected = body.pointer_mut("/data/resolved/members");
    if let Some(members) = selected.and_then(Value::as_object_mut) {
        for member in members.values_mut() {
            member["permissions"] = json!(permissions);
        }
    }
    dispatch.body = serde_json::to_vec(&body).unwrap();
    dispatch
}

/// Sends a command as its row states; returns the interaction's id and its dispatch, unpublished.
async fn sent(platform: &Platform, usage: &CommandUse) -> (String, Dispatch) {
    let options = usage.options.clone();
    let id = platform.send_command(usage.user, usage.run, options).await;
    let dispatch = dispatch_as(platform, &id, usage.access.sufficient()).await;
    (id, dispatch)
}

/// A use of a command that was replied to.
struct Used<'a> {
    usage: &'a CommandUse,
    id: String,
    record: Value,
}

impl Used<'_> {
    fn custom_id(&self, platform: &Platform, template: &str) -> String {
        template
            .replace("{stilgar}", platform.community.user("stilgar"))
            .replace("{chani}", platform.community.user("chani"))
            .replace("{jamis}", platform.community.user("jamis"))
            .replace("{wallet}", WALLET)
            .replace("{use}", &self.id)
    }

    async fn interact(&self, platform: &Platform, mut request: Value) -> (String, Dispatch) {
        request["guild_id"] = json!(platform.community.guild);
        request["channel_id"] = json!(platform.community.channel);
        request["user_id"] = json!(self.usage.user);
        request["force"] = json!(true);
        let id = platform.control.interact(request).await;
        let dispatch = dispatch_as(platform, &id, self.usage.access.sufficient()).await;
        (id, dispatch)
    }

    async fn press(&self, platform: &Platform, custom_id: &str, values: &[&str]) -> (String, Dispatch) {
        let custom_id = self.custom_id(platform, custom_id);
        let mut request =
            json!({"kind": "component", "message_id": self.record["message"]["id"], "custom_id": custom_id});
        if !values.is_empty() {
            request["values"] = json!(values);
        }
        self.interact(platform, request).await
    }

    /// Opens the modal of a step, if the use of the command has not. A worker must be running.
    async fn open_modal(&self, platform: &Platform, step: &Step) {
        let (id, dispatch) = match step.input.opener() {
            None | Some(Opener::Use) => return,
            Some(Opener::Button(button)) => self.press(platform, button, &[]).await,
            Some(Opener::SecondUse) => {
                platform.delete_cooldowns();
                let id = platform.send_command(self.usage.user, self.usage.run, json!({})).await;
                let dispatch = dispatch_as(platform, &id, self.usage.access.sufficient()).await;
                (id, dispatch)
            }
        };
        platform.publish(&dispatch).await;
        let opened = platform.until(&id, is_complete).await;
        assert!(!opened["modal"].is_null(), "{}: {opened:#}", step.custom_id);
    }

    /// Sends a step; returns the interaction's id and its dispatch, unpublished.
    async fn sent(&self, platform: &Platform, step: &Step) -> (String, Dispatch) {
        match &step.input {
            Input::Button => self.press(platform, step.custom_id, &[]).await,
            Input::Menu(values) => self.press(platform, step.custom_id, values).await,
            Input::Modal { fields, .. } => {
                let custom_id = self.custom_id(platform, step.custom_id);
                let request = json!({"kind": "modal", "custom_id": custom_id, "fields": fields});
                self.interact(platform, request).await
            }
        }
    }
}

/// Whether the member has the whole reply: an edited or first response, a follow-up, a modal, or suggestions.
fn is_complete(view: &Value) -> bool {
    let is_message = view["state"] == "answered" && !view["message"].is_null();
    is_message || !follow_ups(view).is_empty() || !view["modal"].is_null() || !view["choices"].is_null()
}

/// Everything that the member was sent.
fn reply_text(view: &Value) -> String {
    format!("{} {} {}", view["message"], view["followups"], view["modal"])
}

/// What one use must leave, beside what was there before.
struct Expected<'a> {
    what: String,
    user: &'a str,
    reply: &'a str,
    effect: Effect,
    counted: bool,
    audited_before: usize,
    removed_before: usize,
    commands_before: u64,
}

impl<'a> Expected<'a> {
    async fn of_command(platform: &Platform, usage: &'a CommandUse) -> Self {
        Self {
            what: format!("/{}", usage.run),
            user: usage.user,
            reply: usage.reply,
            effect: usage.effect,
            counted: usage.counted,
            audited_before: audited(platform, usage.effect).await,
            removed_before: removed_wallets(platform).await,
            commands_before: commands_of(platform, usage.user).await,
        }
    }

    async fn of_step(platform: &Platform, used: &Used<'a>, step: &'a Step) -> Self {
        Self {
            what: step.custom_id.to_owned(),
            reply: step.reply,
            effect: step.effect,
            // Components and modals are not counted.
            counted: false,
            audited_before: audited(platform, step.effect).await,
            ..Self::of_command(platform, used.usage).await
        }
    }

    /// Checks an interaction that was replied to: the reply, one first response, no follow-up, and the effect once.
    async fn check(&self, platform: &Platform, id: &str) -> Value {
        let what = &self.what;
        let view = platform.control.interaction(id).await;
        assert!(reply_text(&view).contains(self.reply), "{what}: {view:#}");
        assert_eq!(view["followups"], json!([]), "{what}: {view:#}");
        let files = view["message"]["attachments"].as_array().map_or(0, Vec::len);
        assert!(files <= 1, "{what}: {view:#}");
        let responses = platform
            .control
            .count("POST", &format!("/interactions/{id}/"), 204)
            .await;
        assert_eq!(responses, 1, "{what}");
        let entries = usize::from(self.effect.audited.is_some());
        assert_eq!(
            audited(platform, self.effect).await,
            self.audited_before + entries,
            "{what}"
        );
        assert_eq!(
            removed_wallets(platform).await,
            self.removed_before + self.effect.removed_wallets,
            "{what}"
        );
        if let Some(beginning) = self.effect.job {
            let job = format!("{beginning}{id}");
            assert!(
                platform.tenant().await.jobs().get(&job).await.unwrap().is_some(),
                "{what}: {job}"
            );
        }
        if self.counted {
            let commands = commands_of(platform, self.user).await;
            assert_eq!(commands, self.commands_before + 1, "{what}");
        }
        view
    }
}

/// Number of audit entries with the effect's action.
async fn audited(platform: &Platform, effect: Effect) -> usize {
    let entries = platform.tenant().await.audit_entries(1_000).await.unwrap();
    let of_effect = entries
        .iter()
        .filter(|entry| Some(entry.action.as_str()) == effect.audited);
    of_effect.count()
}

/// Number of wallets that were removed from Liet's identity.
async fn removed_wallets(platform: &Platform) -> usize {
    let liet = Account::Discord(platform.community.user_id("liet"));
    let mut tx = platform.database.global().await.unwrap();
    let record = tx.registry().by_account(liet).await.unwrap().unwrap();
    let wallets = record.wallets.iter();
    wallets.filter(|wallet| wallet.removed_at.is_some()).count()
}

/// Number of uses that are counted for a member.
async fn commands_of(platform: &Platform, user: &str) -> u64 {
    let user = platform.community.user_id(user);
    let profile = platform.tenant().await.profiles().by_user(user).await.unwrap();
    profile.unwrap().commands
}

#[test]
fn every_command_has_a_row_that_agrees_with_its_definition() {
    let (commands, table) = (Commands::default(), uses());
    let mut defined: Vec<&str> = commands.definitions().map(|definition| definition.name).collect();
    let mut rows: Vec<&str> = table.iter().map(|usage| usage.name).collect();
    defined.sort_unstable();
    rows.sort_unstable();
    rows.dedup();
    assert_eq!(rows, defined);
    for name in SPECIFIED {
        assert!(defined.contains(&name), "{name}");
    }
    for usage in &table {
        let name = usage.name;
        let definition = &commands.get(name).unwrap().definition;
        assert_eq!(definition.permissions, usage.access.required(), "{name}");
        assert_eq!(definition.requires_mfa.is_some(), usage.mfa, "{name}");
        assert_eq!(definition.cooldown, usage.cooldown, "{name}");
        assert_eq!(definition.response, usage.response.mode(), "{name}");
        assert_eq!(usage.run.split(' ').next(), Some(name));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_command_replies_and_has_its_effect_once() {
    let (platform, _worker) = prepared().await;
    for usage in &uses() {
        let expected = Expected::of_command(&platform, usage).await;
        let (id, dispatch) = sent(&platform, usage).await;
        platform.publish(&dispatch).await;
        platform.until(&id, is_complete).await;
        let record = expected.check(&platform, &id).await;
        assert_eq!(record["callback_type"], usage.response.callback_type(), "{}", usage.run);
        let is_private = matches!(usage.response, FirstResponse::Private | FirstResponse::Immediate);
        assert_eq!(record["ephemeral"], is_private, "{}", usage.run);
        let used = Used { usage, id, record };
        for step in &usage.steps {
            used.open_modal(&platform, step).await;
            let expected = Expected::of_step(&platform, &used, step).await;
            let (id, dispatch) = used.sent(&platform, step).await;
            platform.publish(&dispatch).await;
            platform.until(&id, is_complete).await;
            expected.check(&platform, &id).await;
        }
    }
}
