//! Writes the plan's communities and members to Postgres with the operations that the services use.

use anyhow::Context as _;
use arrakis_db::{Activity, Admin, BadgeSource, CommunityId, GuildId, NewCommunity, TenantTx, UserId};
use arrakis_domain::{BadgeId, BadgeRule, Ladder, RoleId, RoleKey, RuleSetId, Standing, Theme, ThemeId};
use arrakis_themes::Registry;
use time::{Duration, OffsetDateTime};

use super::discord::role_id;
use super::plan::{Community, Member, Newcomer, Plan, Server, TOKEN_PROFILE};

/// Days since a newcomer left.
const AWAY: Duration = Duration::days(30);

/// Writes everything that does not exist yet: a second run finds its communities and leaves them unchanged.
///
/// # Errors
/// When the database cannot be reached, or its schema is not the one of this build.
pub(super) async fn write(admin: &Admin, plan: &Plan, themes: &Registry, now: OffsetDateTime) -> anyhow::Result<()> {
    for server in &plan.servers {
        let Some(community) = &server.community else { continue };
        let is_known = admin.database().route(GuildId::new(server.guild)?).await?.is_some();
        if !is_known {
            let theme = themes.theme(community.theme)?;
            write_community(admin, plan, server, community, theme, now)
                .await
                .context(server.name)?;
        }
    }
    Ok(())
}

async fn write_community(
    admin: &Admin,
    plan: &Plan,
    server: &Server,
    community: &Community,
    theme: &Theme,
    now: OffsetDateTime,
) -> anyhow::Result<()> {
    let mut tx = admin.tenant(CommunityId::from_uuid(community.id)).await?;
    let rule_set = RuleSetId::new(community.rule_set)?;
    let new = NewCommunity {
        guild: GuildId::new(server.guild)?,
        name: server.name.to_owned(),
        theme: ThemeId::new(community.theme)?,
        theme_plan: theme.plan,
        rule_set: rule_set.clone(),
        plan: theme.plan,
        token_profile: TOKEN_PROFILE.parse()?,
    };
    tx.communities().create(&new).await?;
    for (index, role) in theme
        .roles
        .iter()
        .enumerate()
        .filter(|(_, role)| role.given_to.is_automatic())
    {
        bind(&mut tx, &role.key, role_id(server.guild, index)).await?;
    }
    let ladder = theme
        .ladder(Some(&rule_set))
        .with_context(|| format!("{} has no rules {rule_set}", theme.id))?;
    let writer = Writer {
        plan,
        theme,
        ladder,
        now,
    };
    let owner = server.members.first().context("a server without members")?.user;
    for member in &server.members {
        writer
            .member(&mut tx, member, UserId::new(owner)?)
            .await
            .with_context(|| member.name.clone())?;
    }
    if server
        .community
        .as_ref()
        .is_some_and(|community| community.theme == "sietch")
    {
        for newcomer in &plan.newcomers {
            writer
                .newcomer(&mut tx, newcomer)
                .await
                .with_context(|| newcomer.name)?;
        }
    }
    Ok(tx.commit().await?)
}

async fn bind(tx: &mut TenantTx, key: &RoleKey, role: u64) -> anyhow::Result<()> {
    Ok(tx.communities().bind_role(key, RoleId(role)).await?)
}

/// Writes the members of one community.
struct Writer<'a> {
    plan: &'a Plan,
    theme: &'a Theme,
    ladder: &'a Ladder,
    now: OffsetDateTime,
}

impl Writer<'_> {
    async fn member(&self, tx: &mut TenantTx, member: &Member, admin: UserId) -> anyhow::Result<()> {
        let user = UserId::new(member.user)?;
        let joined = self.now - Duration::days(i64::from(member.joined_days_ago));
        tx.profiles().join(user, &member.display, joined).await?;
        self.standing(tx, user, member.holder, joined).await?;
        for day in 0..member.active_days {
            tx.profiles()
                .count_activity(user, Activity::Message, self.now - Duration::days(i64::from(day)))
                .await?;
        }
        if let Some(badge) = self.given_badge().filter(|_| member.contributor) {
            tx.badges()
                .award(user, badge, BadgeSource::Admin(admin), joined, Some("wrote the guide"))
                .await?;
        }
        Ok(())
    }

    /// A former member with a wallet, whose roles are assigned on the next join.
    async fn newcomer(&self, tx: &mut TenantTx, newcomer: &Newcomer) -> anyhow::Result<()> {
        let user = UserId::new(newcomer.user)?;
        let left = self.now - AWAY;
        tx.profiles().join(user, newcomer.name, left - AWAY).await?;
        let wallet = newcomer
            .holder
            .and_then(|index| self.plan.holders.get(index))
            .map(|holder| holder.address);
        tx.profiles().link_wallet(user, wallet).await?;
        tx.profiles().leave(user, left).await?;
        Ok(())
    }

    async fn standing(
        &self,
        tx: &mut TenantTx,
        user: UserId,
        index: Option<usize>,
        at: OffsetDateTime,
    ) -> anyhow::Result<()> {
        let Some((index, holder)) = index.and_then(|index| Some((index, self.plan.holders.get(index)?))) else {
            return Ok(());
        };
        tx.profiles().link_wallet(user, Some(holder.address)).await?;
        let tier = self.ladder.tier_of(Standing::new(Plan::rank(index), holder.held));
        tx.profiles().record_tier(user, tier, tier, at).await?;
        Ok(())
    }

    fn given_badge(&self) -> Option<&BadgeId> {
        self.theme
            .badges
            .iter()
            .find(|badge| badge.earned_by == BadgeRule::Given)
            .map(|badge| &badge.id)
    }
}
