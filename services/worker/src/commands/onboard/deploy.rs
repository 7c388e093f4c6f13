//! Stores the community of a wizard and requests its deploy.
//!
//! The session's id is the id of a new community and part of the job's id. So a deploy that runs twice, for two presses or after a
//! SIGKILL at any point, finds the community and the job, and stores nothing further: manifest, job, audit entry and claim commit in one
//! transaction with the community.

use arrakis_cache::Session;
use arrakis_db::{
    Actor, Community, CommunityId, DbError, GuildId, NewAuditEntry, NewCommunity, PLAN_CONSTRAINT, RuleChangeEnd,
    TenantTx, TokenProfile, TokenProfileId, UserId, VersionCause,
};
use arrakis_domain::{RuleSetId, Theme};
use arrakis_runtime::fail_point;
use serde_json::json;

use super::input::plan_of;
use super::{SESSION_TTL, count, guild, show};
use crate::commands::role_grant::RoleGranter;
use crate::commands::{CommandContext, outdated_component};
use crate::community::{guild_id, user_id};
use crate::configuration;
use crate::failure::Failure;
use crate::interaction::refusal::Refusal;
use crate::interaction::reply::{CommandError, CommandResult};
use crate::jobs::synthesis::{self, deploy_id};
use crate::jobs::{JobOwner, publish};
use crate::render::admin_takeover;
use crate::render::onboard::NAME;
use crate::synthesis::{Manifest, Purpose, ReplyHandle};
use crate::theme_change::ThemeChange;
use crate::wizard::{Asset, Step, Wizard};

/// Constraint of two communities for one server.
const ROUTE_UNIQUE: &str = "guild_routes_pkey";

/// What a deploy stores.
struct Deploy<'a> {
    session: uuid::Uuid,
    wizard: &'a Wizard,
    manifest: Manifest,
    guild: GuildId,
    theme: &'a Theme,
    rule_set: RuleSetId,
    admin: UserId,
}

/// Requests the deploy and shows that it waits. The progress replaces this reply.
pub(super) async fn deploy(context: &CommandContext<'_>, mut session: Session<Wizard>) -> CommandResult {
    let stored = store(context, &session).await;
    if let Err(error) = &stored {
        count(context, Step::Review, "failed");
        tracing::warn!(?error, "a deploy is not requested");
    }
    let community = stored?;
    let id = session.id;
    session.data.step = Step::Deploy;
    // The deploy is requested already: without the session, `/resume` with its id shows the job.
    match context.services.cache.update_session(session, SESSION_TTL).await {
        Ok(_) => {
            count(context, Step::Review, "left");
            count(context, Step::Deploy, "entered");
        }
        Err(error) => tracing::info!(%error, "the session of a deploy was not updated"),
    }
    let job = deploy_id(id);
    ReplyHandle::new(context.services, community, &job)
        .remember(&context.invocation.token)
        .await;
    let request = synthesis::request(job, Purpose::Deploy);
    publish(
        &context.services.publisher,
        JobOwner::Community(community),
        &request.id,
        request.kind,
    )
    .await;
    let shown = show::deployed(context, id).await?;
    shown.ok_or_else(|| Failure::permanent("the deploy has no job").into())
}

/// Stores the deploy of a session; returns its community.
async fn store(context: &CommandContext<'_>, session: &Session<Wizard>) -> Result<CommunityId, CommandError> {
    let deploy = Deploy::new(context, session)?;
    // Another admin may have chosen the roles.
    let granter = RoleGranter::read(context, guild(context)?).await?;
    granter.check_setup(deploy.theme, &deploy.manifest.roles)?;
    context.without_tx(Box::pin(deploy.store(context))).await?
}

impl<'a> Deploy<'a> {
    fn new(context: &CommandContext<'a>, session: &'a Session<Wizard>) -> Result<Self, CommandError> {
        let wizard = &session.data;
        let manifest = wizard.manifest().ok_or_else(outdated_component)?;
        let theme = context
            .services
            .themes
            .theme(&manifest.theme)
            .map_err(Failure::permanent)?;
        if !plan_of(context).includes(theme) {
            return Err(not_in_plan().into());
        }
        Ok(Self {
            session: session.id,
            wizard,
            guild: guild_id(guild(context)?)?,
            theme,
            rule_set: manifest.rule_set.parse().map_err(Failure::permanent)?,
            admin: user_id(context.invocation.author.id)?,
            manifest,
        })
    }

    /// Stores token profile, community, manifest and job; returns the community.
    async fn store(&self, context: &CommandContext<'_>) -> Result<CommunityId, CommandError> {
        let services = context.services;
        let token = self.token_profile(context).await?;
        let found = services.database.route(self.guild).await?;
        let community = match found {
            Some(community) => community,
            None => self.session.to_string().parse().map_err(Failure::permanent)?,
        };
        let mut tx = services.database.tenant(community).await?;
        if found.is_none() {
            let new = NewCommunity {
                guild: self.guild,
                name: self.wizard.name.clone(),
                theme: self.theme.id.clone(),
                theme_plan: self.theme.plan,
                rule_set: self.rule_set.clone(),
                plan: plan_of(context),
                token_profile: token,
            };
            tx.communities().create(&new).await.map_err(|error| {
                // A second press, or another admin, was first at this moment: the retry finds the community.
                if error.violates(ROUTE_UNIQUE) || error.violates("communities_pkey") {
                    Failure::retry(error).into()
                } else {
                    refuse_plan(error)
                }
            })?;
        }
        if tx.claim(&format!("{NAME}:{}", self.session)).await? {
            let tier_sync = match found {
                Some(_) => self.change(context, &mut tx).await?,
                None => None,
            };
            let admin = self.admin.to_string();
            let version = tx.manifests().put(&self.manifest.to_value(), &admin).await?;
            let id = deploy_id(self.session);
            let request = match tier_sync {
                Some(tier_sync) => synthesis::request_before(id, Purpose::Deploy, &tier_sync),
                None => synthesis::request(id, Purpose::Deploy),
            };
            tx.jobs().enqueue(&request.row(services.now())).await?;
            tx.audit(&NewAuditEntry {
                actor: Actor::Member(self.admin),
                action: "server.deploy",
                subject: &self.session.to_string(),
                reason: None,
                detail: json!({"manifest": version, "theme": self.theme.id.as_str(), "rule_set": self.rule_set.as_str()}),
            })
            .await?;
            let cause = VersionCause {
                cause: "wizard",
                by: &admin,
                at: services.now(),
            };
            configuration::record_with_theme(&mut tx, self.theme, cause).await?;
        }
        fail_point::hit("worker.onboard.storing").await;
        tx.commit().await?;
        fail_point::hit("worker.onboard.stored").await;
        Ok(community)
    }

    /// Stores token, theme and rules of a community that exists. Returns the id of the tier sync that follows a change of the theme.
    async fn change(&self, context: &CommandContext<'_>, tx: &mut TenantTx) -> Result<Option<String>, CommandError> {
        let services = context.services;
        let record = tx.communities().get().await?;
        let record = record.ok_or_else(|| Failure::permanent("the community does not exist"))?;
        self.check_controller(&record)?;
        tx.communities().set_token_profile(&self.token_id()?).await?;
        if record.theme == self.theme.id {
            if record.rule_set != self.rule_set
                && let Some(pending) = tx.rule_changes().pending().await?
            {
                tx.rule_changes().end(pending.id, RuleChangeEnd::Cancelled).await?;
            }
            let stored = tx
                .communities()
                .set_theme(&self.theme.id, self.theme.plan, &self.rule_set)
                .await;
            return stored.map(|()| None).map_err(refuse_plan);
        }
        if record.frozen.is_some() {
            return Err(Refusal::new(
                "This community is frozen: its roles would not follow another theme.",
                "Deploy when its admins have ended the freeze.",
            )
            .into());
        }
        let change = ThemeChange {
            from: services.themes.theme(record.theme.as_str()).ok().map(|theme| &**theme),
            to: self.theme,
            rule_set: &self.rule_set,
            actor: Actor::Member(self.admin),
            reason: None,
            now: services.now(),
        };
        let tier_sync = change
            .store_before_synthesis(tx, &format!("theme:{}", self.session))
            .await;
        tier_sync.map(Some).map_err(refuse_plan)
    }

    /// After a takeover one admin controls the community. The check before the command does not see a community that it could not read in
    /// time.
    fn check_controller(&self, record: &Community) -> Result<(), Refusal> {
        let controller = record.controlled_by.filter(|controller| *controller != self.admin);
        controller.map_or(Ok(()), |controller| {
            let since = record.frozen.as_ref().map(|frozen| frozen.at);
            let (what, next) = admin_takeover::controlled(controller.get(), since);
            Err(Refusal::new(what, next))
        })
    }

    fn asset(&self) -> Result<&Asset, CommandError> {
        self.wizard.asset.as_ref().ok_or_else(|| outdated_component().into())
    }

    fn token_id(&self) -> Result<TokenProfileId, CommandError> {
        let asset = self.asset()?;
        if let Some(stored) = &asset.profile {
            return Ok(stored.clone());
        }
        let chain = self.wizard.chain_id.ok_or_else(outdated_component)?;
        Ok(asset.wizard_profile_id(chain).map_err(Failure::permanent)?)
    }

    /// The token profile of the community, which is stored if it is new. Two deploys of one token store the same.
    async fn token_profile(&self, context: &CommandContext<'_>) -> Result<TokenProfileId, CommandError> {
        let (asset, id) = (self.asset()?, self.token_id()?);
        let mut tx = context.services.database.global().await?;
        if tx.eligibility().token_profile(&id).await?.is_none() {
            let profile = TokenProfile {
                id: id.clone(),
                name: asset.name.clone(),
                symbol: asset.symbol.clone(),
                standard: asset.standard,
                chain_id: self.wizard.chain_id.ok_or_else(outdated_component)?,
                contract: asset.contract,
                decimals: asset.decimals,
                claims_from: None,
                burns_to: None,
                token_ids: Vec::new(),
                start_block: asset.start_block,
            };
            tx.eligibility().put_token_profile(&profile).await?;
        }
        tx.commit().await?;
        Ok(id)
    }
}

/// The plan may have changed since it was read: the constraint of the database decides.
fn refuse_plan(error: DbError) -> CommandError {
    if error.violates(PLAN_CONSTRAINT) {
        not_in_plan().into()
    } else {
        error.into()
    }
}

fn not_in_plan() -> Refusal {
    Refusal::new(
        "That theme is not part of your plan any more.",
        "Go back and choose another one, or ask the operator for the premium plan.",
    )
}
