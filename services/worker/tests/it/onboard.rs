//! `/onboard` and `/resume`: from the first step to the deployed server, twice where it matters.

use arrakis_db::{JobState, ProfileStandard, TokenProfile};
use arrakis_domain::{Address, RoleKey};
use arrakis_emulator_client::MemberEdit;
use arrakis_test_support::{Anvil, eventually};
use arrakis_worker::wizard::{Asset, Step};
use serde_json::{Value, json};

use crate::platform::{Dispatch, MANAGE_GUILD, Platform, Worker, assert_description, assert_refusal, embed};

/// A wizard in the server that is not onboarded.
pub(crate) struct Admin<'a> {
    platform: &'a Platform,
    /// The message with the wizard.
    message: Value,
}

impl<'a> Admin<'a> {
    pub(crate) async fn command(platform: &'a Platform, name: &str, options: Value) -> (String, Value) {
        let community = &platform.community;
        let id = platform
            .control
            .interact(json!({
                "kind": "command", "guild_id": community.other_guild, "channel_id": community.other_channel,
                "user_id": community.user("stranger"), "name": name, "options": options, "force": true,
            }))
            .await;
        platform.deliver_with_permissions(MANAGE_GUILD).await;
        let reply = platform.control.answered(&id).await;
        (id, reply["message"].clone())
    }

    pub(crate) async fn onboard(platform: &'a Platform) -> Self {
        let (_, message) = Self::command(platform, "onboard", json!({})).await;
        Self { platform, message }
    }

    /// The custom id of a component of the present message that begins so.
    fn custom_id(&self, action: &str) -> String {
        let rows = self.message["components"].as_array().unwrap();
        let all = rows.iter().flat_map(|row| row["components"].as_array().unwrap());
        let mut ids = all.filter_map(|one| one["custom_id"].as_str());
        let wanted = format!("onboard:{action}:");
        ids.find(|id| id.starts_with(&wanted))
            .unwrap_or_else(|| panic!("no {action} in {:#}", self.message))
            .to_owned()
    }

    pub(crate) fn session(&self) -> String {
        self.custom_id("cancel").split(':').nth(2).unwrap().to_owned()
    }

    /// Uses a component; the message is then the edited one. Returns the dispatch.
    async fn use_component(&mut self, custom_id: &str, values: &[&str]) -> Dispatch {
        let community = &self.platform.community;
        let mut request = json!({
            "kind": "component", "guild_id": community.other_guild, "channel_id": community.other_channel,
            "user_id": community.user("stranger"), "message_id": self.message["id"], "custom_id": custom_id, "force": true,
        });
        if !values.is_empty() {
            request["values"] = json!(values);
        }
        let id = self.platform.control.interact(request).await;
        let dispatch = self.platform.deliver_with_permissions(MANAGE_GUILD).await;
        let reply = self.platform.control.answered(&id).await;
        self.message = reply["message"].clone();
        dispatch
    }

    pub(crate) async fn press(&mut self, action: &str) -> Dispatch {
        let custom_id = self.custom_id(action);
        self.use_component(&custom_id, &[]).await
    }

    async fn choose(&mut self, action: &str, value: &str) {
        let custom_id = self.custom_id(action);
        self.use_component(&custom_id, &[value]).await;
    }

    /// Opens the modal of the token and submits it; returns the record of the submission.
    async fn submit_contract(&self, contract: &str) -> Value {
        let (platform, community) = (self.platform, &self.platform.community);
        let opened = platform
            .control
            .interact(json!({
                "kind": "component", "guild_id": community.other_guild, "channel_id": community.other_channel,
                "user_id": community.user("stranger"), "message_id": self.message["id"],
                "custom_id": self.custom_id("contract"), "force": true,
            }))
            .await;
        platform.deliver_with_permissions(MANAGE_GUILD).await;
        platform.until(&opened, |view| view["callback_type"] == 9).await;
        let submitted = platform
            .control
            .interact(json!({
                "kind": "modal", "guild_id": community.other_guild, "channel_id": community.other_channel,
                "user_id": community.user("stranger"), "custom_id": format!("onboard:asset:{}", self.session()),
                "fields": {"contract": contract, "standard": "", "start_block": ""},
            }))
            .await;
        platform.deliver_with_permissions(MANAGE_GUILD).await;
        platform.control.answered(&submitted).await
    }

    fn title(&self) -> &str {
        embed(&self.message)["title"].as_str().unwrap()
    }

    /// From the first step to the review, with the stored token and the free theme.
    pub(crate) async fn go_to_review(&mut self) {
        self.press("next").await;
        assert_eq!(self.title(), "The chain");
        self.choose("chain", "80094").await;
        assert_eq!(self.title(), "The token");
        self.choose("token", "bgt").await;
        assert_eq!(embed(&self.message)["fields"][0]["value"], "BGT");
        self.press("next").await;
        self.choose("rules", "basic/ranked").await;
        self.press("next").await;
        assert_eq!(self.title(), "The roles");
        self.press("next").await;
        assert_eq!(self.title(), "The channels");
        let whole = format!("onboard:structure:{}:whole", self.session());
        self.use_component(&whole, &[]).await;
        assert_eq!(self.title(), "The plan");
    }
}

async fn until_deployed(platform: &Platform, session: &str) {
    let guild = platform.community.other_guild.parse().unwrap();
    let id = format!("synthesis:deploy:{session}");
    eventually(
        || async {
            let community = platform.database.route(guild).await.unwrap()?;
            let mut tx = platform.database.tenant(community).await.unwrap();
            let job = tx.jobs().get(&id).await.unwrap()?;
            assert_ne!(job.state, JobState::Failed, "{job:?}");
            (job.state == JobState::Succeeded).then_some(())
        },
        "the deploy to end",
    )
    .await;
}

/// How often this event of a step was counted.
fn counted(worker: &Worker, step: Step, event: &str) -> f64 {
    worker.metric(&line(step, event)).unwrap_or_default()
}

/// The funnel's metric of this event of a step.
pub(crate) fn line(step: Step, event: &str) -> String {
    let step = step.name();
    format!("arrakis_worker_onboarding_steps_total{{event=\"{event}\",step=\"{step}\"}}")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn server_is_set_up_once_however_often_deploy_is_pressed() {
    let (platform, worker) = Platform::with_worker().await;
    let mut admin = Admin::onboard(&platform).await;
    let session = admin.session();
    admin.go_to_review().await;
    let fields = embed(&admin.message)["fields"].as_array().unwrap().clone();
    let steps = fields.iter().find(|field| field["name"] == "Steps").unwrap();
    let steps = steps["value"].as_str().unwrap();
    assert!(steps.contains("order the roles"), "{steps}");
    let steps = steps.lines().count();
    // Nothing exists before the deploy.
    let guild = platform.community.other_guild.parse().unwrap();
    assert_eq!(platform.database.route(guild).await.unwrap(), None);
    let pressed = admin.press("deploy").await;
    platform.delete_done_markers();
    platform.publish(&pressed).await;
    until_deployed(&platform, &session).await;
    for step in Step::ALL {
        let events = ["entered", "left", "back", "failed", "cancelled"];
        let counts = events.map(|event| counted(&worker, step, event));
        assert_eq!(counts, [1.0, 1.0, 0.0, 0.0, 0.0], "{step:?}: {events:?}");
    }
    let community = platform.database.route(guild).await.unwrap().unwrap();
    assert_eq!(community.to_string(), session);
    let mut tx = platform.database.tenant(community).await.unwrap();
    let record = tx.communities().get().await.unwrap().unwrap();
    assert_eq!((record.theme.as_str(), record.rule_set.as_str()), ("basic", "ranked"));
    assert_eq!(record.token_profile.as_str(), "bgt");
    let job = tx
        .jobs()
        .get(&format!("synthesis:deploy:{session}"))
        .await
        .unwrap()
        .unwrap();
    assert_eq!(job.progress_total, Some(steps.try_into().unwrap()));
    let bindings = tx.communities().role_bindings().await.unwrap();
    assert!(
        bindings.contains_key(&"gold".parse::<RoleKey>().unwrap()),
        "{bindings:?}"
    );
    let entries = tx.audit_entries(100).await.unwrap();
    let deploys = entries.iter().filter(|entry| entry.action == "server.deploy").count();
    assert_eq!(deploys, 1);
    drop(tx);
    // The theme has six roles, each created once.
    let roles = format!("/guilds/{}/roles", platform.community.other_guild);
    assert_eq!(platform.control.count("POST", &roles, 200).await, 6);
    // `/resume` shows the result by the session's id.
    let (_, message) = Admin::command(&platform, "resume", json!({"session": session})).await;
    assert_eq!(embed(&message)["title"], "The server is set up");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn wizard_continues_on_another_worker() {
    let (platform, worker) = Platform::with_worker().await;
    let mut admin = Admin::onboard(&platform).await;
    admin.press("next").await;
    admin.choose("chain", "80094").await;
    worker.stop().await.unwrap();
    let second = platform.worker().await;
    let (_, message) = Admin::command(&platform, "resume", json!({})).await;
    admin.message = message;
    assert_eq!(admin.title(), "The token");
    admin.press("back").await;
    assert_eq!(admin.title(), "The chain");
    admin.press("cancel").await;
    assert_description(&admin.message, "Cancelled. Nothing was changed.");
    let counts = (
        counted(&second, Step::AssetConfig, "back"),
        counted(&second, Step::ChainSelect, "entered"),
        counted(&second, Step::ChainSelect, "cancelled"),
    );
    assert_eq!(counts, (1.0, 1.0, 1.0));
    let (_, message) = Admin::command(&platform, "resume", json!({})).await;
    assert_refusal(&message, "You have no setup in progress here.");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn second_run_of_a_press_shows_the_present_step() {
    let (platform, worker) = Platform::with_worker().await;
    let mut admin = Admin::onboard(&platform).await;
    let pressed = admin.press("next").await;
    assert_eq!(admin.title(), "The chain");
    platform.delete_done_markers();
    platform.publish(&pressed).await;
    let event = pressed.labels().event_id;
    eventually(
        || async { platform.has_done_marker(event.as_str()) },
        "the second run of the press to end",
    )
    .await;
    assert_eq!(counted(&worker, Step::ChainSelect, "entered"), 1.0);
    let (_, message) = Admin::command(&platform, "resume", json!({})).await;
    admin.message = message;
    assert_eq!(admin.title(), "The chain");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn premium_theme_is_not_offered_to_a_free_server() {
    let (platform, _worker) = Platform::with_worker().await;
    let mut admin = Admin::onboard(&platform).await;
    admin.press("next").await;
    admin.choose("chain", "80094").await;
    admin.choose("token", "bgt").await;
    admin.press("next").await;
    assert!(!admin.message.to_string().contains("sietch/"));
    let menu = admin.custom_id("rules");
    let community = &platform.community;
    let id = platform
        .control
        .interact(json!({
            "kind": "component", "guild_id": community.other_guild, "channel_id": community.other_channel,
            "user_id": community.user("stranger"), "message_id": admin.message["id"], "custom_id": menu,
            "values": ["sietch/balance"], "force": true,
        }))
        .await;
    platform.deliver_with_permissions(MANAGE_GUILD).await;
    let view = platform.control.answered(&id).await;
    assert_refusal(&view["followups"][0], "That theme is not part of your plan.");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn session_of_another_server_is_not_found() {
    let (platform, _worker) = Platform::with_worker().await;
    let admin = Admin::onboard(&platform).await;
    let id = platform
        .send_command("chani", "resume", json!({"session": admin.session()}))
        .await;
    platform.deliver_with_permissions(MANAGE_GUILD).await;
    let reply = platform.control.answered(&id).await;
    assert_refusal(&reply["message"], "This setup has ended");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn member_without_the_permission_cannot_set_a_server_up() {
    let (platform, _worker) = Platform::with_worker().await;
    for command in ["onboard", "resume"] {
        let id = platform.run_command("chani", command, json!({})).await;
        let reply = platform.control.answered(&id).await;
        assert_refusal(&reply["message"], "This command is for the server's admins.");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn session_that_redis_loses_is_refused_and_changes_nothing() {
    let (platform, _worker) = Platform::with_worker().await;
    let mut admin = Admin::onboard(&platform).await;
    admin.press("next").await;
    platform.delete_sessions();
    let custom_id = admin.custom_id("cancel");
    let community = &platform.community;
    let id = platform
        .control
        .interact(json!({
            "kind": "component", "guild_id": community.other_guild, "channel_id": community.other_channel,
            "user_id": community.user("stranger"), "message_id": admin.message["id"], "custom_id": custom_id, "force": true,
        }))
        .await;
    platform.deliver_with_permissions(MANAGE_GUILD).await;
    let view = platform.control.answered(&id).await;
    assert_refusal(&view["followups"][0], "This setup has ended");
    let guild = community.other_guild.parse().unwrap();
    assert_eq!(platform.database.route(guild).await.unwrap(), None);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn deploy_whose_session_redis_loses_is_completed_and_shown() {
    let (platform, _worker) = Platform::with_worker().await;
    let mut admin = Admin::onboard(&platform).await;
    let session = admin.session();
    admin.go_to_review().await;
    admin.press("deploy").await;
    platform.delete_sessions();
    until_deployed(&platform, &session).await;
    let (_, message) = Admin::command(&platform, "resume", json!({"session": session})).await;
    assert_eq!(embed(&message)["title"], "The server is set up");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn symbol_and_decimals_are_read_from_the_contract() {
    let anvil = Anvil::start().await;
    let token = anvil.deploy_erc20("Spice Melange", "SPICE", 6).await;
    let platform = Platform::start().await;
    let mut environment = platform.environment();
    environment.push(("CHAIN_RPC_URLS", format!("80094={}", anvil.url())));
    let worker = Worker::start(&environment).await;
    platform.commands_registered().await;
    let mut admin = Admin::onboard(&platform).await;
    admin.press("next").await;
    admin.choose("chain", "80094").await;
    let no_contract = admin
        .submit_contract("0x00000000000000000000000000000000000000aa")
        .await;
    assert_refusal(
        &no_contract["followups"][0],
        "I could not read a token at that address.",
    );
    let no_address = admin.submit_contract("spice").await;
    assert_refusal(&no_address["followups"][0], "That is no address of a contract.");
    assert_eq!(counted(&worker, Step::AssetConfig, "failed"), 2.0);
    let read = admin.submit_contract(&token.address().to_string()).await;
    admin.message = read["message"].clone();
    let fields = embed(&admin.message)["fields"].as_array().unwrap();
    let value = |name: &str| fields.iter().find(|field| field["name"] == name).unwrap()["value"].clone();
    assert_eq!((value("Symbol"), value("Decimals")), (json!("SPICE"), json!("6")));
    assert_eq!(value("Name"), "Spice Melange");
    admin.press("next").await;
    assert_eq!(admin.title(), "The tiers");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn token_of_another_servers_wizard_is_not_offered() {
    let (platform, _worker) = Platform::with_worker().await;
    let asset = Asset {
        profile: None,
        contract: Address::from_bytes([7; 20]),
        standard: ProfileStandard::Erc20,
        name: "Spice Melange".to_owned(),
        symbol: "SPICE".to_owned(),
        decimals: 18,
        start_block: 1_000_000,
    };
    let profile = TokenProfile {
        id: asset.wizard_profile_id(80_094).unwrap(),
        name: asset.name,
        symbol: asset.symbol,
        standard: asset.standard,
        chain_id: 80_094,
        contract: asset.contract,
        decimals: asset.decimals,
        claims_from: None,
        burns_to: None,
        token_ids: Vec::new(),
        start_block: asset.start_block,
    };
    let mut tx = platform.database.global().await.unwrap();
    tx.eligibility().put_token_profile(&profile).await.unwrap();
    tx.commit().await.unwrap();
    let mut admin = Admin::onboard(&platform).await;
    admin.press("next").await;
    admin.choose("chain", "80094").await;
    let shown = admin.message.to_string();
    assert!(shown.contains("BGT") && !shown.contains("SPICE"), "{shown}");
    let menu = admin.custom_id("token");
    let community = &platform.community;
    let id = platform
        .control
        .interact(json!({
            "kind": "component", "guild_id": community.other_guild, "channel_id": community.other_channel,
            "user_id": community.user("stranger"), "message_id": admin.message["id"], "custom_id": menu,
            "values": [profile.id.as_str()], "force": true,
        }))
        .await;
    platform.deliver_with_permissions(MANAGE_GUILD).await;
    let view = platform.control.answered(&id).await;
    assert_refusal(&view["followups"][0], "This button belongs to an older version of me.");
}

/// A wizard at the choice of roles, for the theme with the free plan.
async fn at_roles(platform: &Platform) -> Admin<'_> {
    let mut admin = Admin::onboard(platform).await;
    admin.press("next").await;
    admin.choose("chain", "80094").await;
    admin.choose("token", "bgt").await;
    admin.press("next").await;
    admin.choose("rules", "basic/ranked").await;
    admin.press("next").await;
    assert_eq!(admin.title(), "The roles");
    admin
}

impl Admin<'_> {
    /// Uses a component with these permissions; returns the record of the interaction.
    async fn use_as(&self, permissions: &str, custom_id: &str, values: &[&str]) -> Value {
        let community = &self.platform.community;
        let request = json!({
            "kind": "component", "guild_id": community.other_guild, "channel_id": community.other_channel,
            "user_id": community.user("stranger"), "message_id": self.message["id"], "custom_id": custom_id,
            "values": values, "force": true,
        });
        let id = self.platform.control.interact(request).await;
        self.platform.deliver_with_permissions(permissions).await;
        self.platform.control.answered(&id).await
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn key_that_is_none_of_the_theme_is_not_picked() {
    let (platform, _worker) = Platform::with_worker().await;
    let admin = at_roles(&platform).await;
    let pick = admin.custom_id("pick");
    for key in ["nope", "everyone", "bot"] {
        let view = admin.use_as(MANAGE_GUILD, &pick, &[key]).await;
        assert_refusal(&view["followups"][0], "This button belongs to an older version of me.");
    }
}

/// Administrator.
const ADMINISTRATOR: &str = "8";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn role_that_the_admin_may_not_grant_is_neither_chosen_nor_deployed() {
    let (platform, _worker) = Platform::with_worker().await;
    let community = &platform.community;
    let create = async |role: Value| {
        let role = platform
            .control
            .create_role(&community.other_guild, &role)
            .await
            .unwrap();
        role["id"].as_str().unwrap().to_owned()
    };
    let boss = create(json!({"name": "Boss", "permissions": ADMINISTRATOR, "position": 1})).await;
    let top = create(json!({"name": "Top", "position": 2})).await;
    let mut admin = at_roles(&platform).await;
    let pick = admin.custom_id("pick");
    admin.use_component(&pick, &["gold"]).await;
    let choose = format!("onboard:role:{}:gold", admin.session());
    // Manage Roles of the channel counts no more than none.
    for permissions in [MANAGE_GUILD, "268435488"] {
        let view = admin.use_as(permissions, &choose, &[&boss]).await;
        assert_refusal(&view["followups"][0], "you lack the permission Manage Roles");
    }
    // An administrator with a higher role chooses it, and leaves the rest to another admin.
    let edit = MemberEdit {
        add_roles: vec![top],
        ..MemberEdit::default()
    };
    let (guild, stranger) = (&community.other_guild, community.user("stranger"));
    platform.control.edit_member(guild, stranger, &edit).await.unwrap();
    let chosen = admin.use_as(ADMINISTRATOR, &choose, &[&boss]).await;
    admin.message = chosen["message"].clone();
    admin.press("next").await;
    let roles_only = format!("onboard:structure:{}:roles-only", admin.session());
    admin.use_component(&roles_only, &[]).await;
    assert_eq!(admin.title(), "The plan");
    let shown = admin.message.to_string();
    assert!(shown.contains("You cannot deploy this"), "{shown}");
    assert!(!shown.contains("onboard:deploy:"), "{shown}");
    let deploy = format!("onboard:deploy:{}", admin.session());
    let view = admin.use_as(MANAGE_GUILD, &deploy, &[]).await;
    assert_refusal(&view["followups"][0], "you lack the permission Manage Roles");
    let guild = guild.parse().unwrap();
    assert_eq!(platform.database.route(guild).await.unwrap(), None);
}
