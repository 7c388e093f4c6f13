//! A community that a lost database had, from the newest intact shadow of its server.
//!
//! One transaction creates it with the id, settings, gates, bindings, manifest and state that it had, records the version, and
//! enqueues a reconcile, which creates the profiles of the members who are in the server. So a run that was killed is repeated: servers whose
//! community exists are left as they are. Where newer versions are damaged, the configuration is recorded again above all numbers of the store,
//! so that the database is not older than the store. Identities, wallets, badges and histories are not in the store: they come from a backup of PostgreSQL.

use anyhow::{Context as _, anyhow};
use arrakis_db::{
    Actor, CommunityConfiguration, CommunityId, ConfigurationVersion, Database, GuildId, NewAuditEntry, NewCommunity,
    PostKind, RunningConfiguration, TenantTx, UserId,
};
use arrakis_domain::{Plan, RoleBindings, RoleId, Theme, TierRoles};
use arrakis_themes::Registry;
use serde_json::json;
use time::OffsetDateTime;

use crate::configuration::{Shadow, ShadowStore};
use crate::jobs::reconcile;

/// What communities are rebuilt from.
#[derive(Debug)]
pub(crate) struct Rebuild<'a> {
    /// The database.
    pub(crate) database: &'a Database,
    /// The shadows.
    pub(crate) shadows: &'a ShadowStore,
    /// The themes.
    pub(crate) themes: &'a Registry,
    /// The operator.
    pub(crate) by: &'a str,
    /// Whether nothing is written.
    pub(crate) dry_run: bool,
    /// The present time.
    pub(crate) now: OffsetDateTime,
}

/// Result for one server.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Rebuilt {
    /// The community exists, and was not changed.
    Exists,
    /// The community was created, or would be, from this version; `damaged` are newer versions that could not be used.
    Created {
        /// The version.
        version: u32,
        /// What is wrong with newer ones.
        damaged: Vec<String>,
    },
}

impl Rebuild<'_> {
    /// Rebuilds the community of a server.
    ///
    /// # Errors
    /// When no version is intact, its theme does not exist, or store or database are unavailable.
    pub(crate) async fn server(&self, server: GuildId) -> anyhow::Result<Rebuilt> {
        if self.database.route(server).await?.is_some() {
            return Ok(Rebuilt::Exists);
        }
        let (shadow, running, damaged) = self.newest_intact(server).await?;
        let next = self.shadows.next_number(server, shadow.version).await?;
        let theme = &running.configuration.theme;
        let theme = self
            .themes
            .theme(theme.as_str())
            .context("the theme of the community")?;
        if !self.dry_run {
            let version = self.version(&shadow, next);
            if let Err(error) = self.create(&version, &running, theme).await {
                // Another rebuild has created it meanwhile, and this transaction was rolled back.
                if self.database.route(server).await?.is_some() {
                    return Ok(Rebuilt::Exists);
                }
                return Err(error);
            }
        }
        Ok(Rebuilt::Created {
            version: shadow.version,
            damaged,
        })
    }

    async fn newest_intact(&self, server: GuildId) -> anyhow::Result<(Shadow, RunningConfiguration, Vec<String>)> {
        let mut damaged = Vec::new();
        for version in self.shadows.versions(server).await? {
            let read = match self.shadows.read(server, version).await {
                Ok(shadow) => RunningConfiguration::from_json(&shadow.content).map(|running| (shadow, running)),
                Err(error) if error.is_of_store() => return Err(error.into()),
                Err(error) => Err(error.to_string()),
            };
            match read {
                Ok((_, running)) if running.server != server => {
                    damaged.push(format!("version {version} is of server {}", running.server));
                }
                Ok((shadow, running)) => return Ok((shadow, running, damaged)),
                Err(reason) => damaged.push(format!("version {version}: {reason}")),
            }
        }
        Err(anyhow!("no version in the store is intact: {}", damaged.join("; ")))
    }

    /// The version that the database gets: the intact one, or a new one of the same configuration above damaged ones.
    /// `next` is the number for a version above all of the store.
    fn version(&self, intact: &Shadow, next: u32) -> ConfigurationVersion {
        let mut version = ConfigurationVersion {
            version: intact.version,
            cause: intact.cause.clone(),
            recorded_by: intact.recorded_by.clone(),
            recorded_at: intact.recorded_at,
            content: intact.content.clone(),
            checksum: intact.checksum(),
            // The leader writes what the store may lack: a process that was killed has written the version, and not the pointer.
            shadowed_at: None,
        };
        if next - 1 > intact.version {
            version.version = next;
            version.cause = "rebuild".to_owned();
            version.recorded_by = self.by.chars().take(200).collect();
            version.recorded_at = self.now;
        }
        version
    }

    async fn create(
        &self,
        version: &ConfigurationVersion,
        running: &RunningConfiguration,
        theme: &Theme,
    ) -> anyhow::Result<()> {
        let configuration = &running.configuration;
        let mut global = self.database.global().await?;
        let token = &configuration.token_profile;
        // Profiles that exist are those of other communities, or newer.
        if global.eligibility().token_profile(&token.id).await?.is_none() {
            global.eligibility().put_token_profile(token).await?;
        }
        let mut tx = global.enter(running.community).await?;
        tx.communities().create(&new_community(running, theme)?).await?;
        tx.restore_onboarded_at(running.onboarded_at).await?;
        store_settings(&mut tx, configuration).await?;
        store_freeze(&mut tx, running).await?;
        if let Some(manifest) = &configuration.manifest {
            tx.manifests().put(manifest, self.by).await?;
        }
        if let Some(state) = &running.state {
            tx.server_state().restore(state).await?;
        }
        tx.configuration_versions().put(version).await?;
        self.finish(tx, version, running.community).await
    }

    async fn finish(
        &self,
        mut tx: TenantTx,
        version: &ConfigurationVersion,
        community: CommunityId,
    ) -> anyhow::Result<()> {
        tx.audit(&NewAuditEntry {
            actor: Actor::Operator(self.by.to_owned()),
            action: "configuration.rebuild",
            subject: &version.version.to_string(),
            reason: None,
            detail: json!({"cause": version.cause, "checksum": version.checksum.to_string()}),
        })
        .await?;
        let job = reconcile::request(&format!("reconcile:rebuild:{community}"));
        tx.jobs().enqueue(&job.row(self.now)).await?;
        tx.commit().await?;
        Ok(())
    }
}

fn new_community(running: &RunningConfiguration, theme: &Theme) -> anyhow::Result<NewCommunity> {
    let configuration = &running.configuration;
    let plan = running.plan.parse::<Plan>();
    let plan = plan.map_err(|error| anyhow!("plan {}: {error}", running.plan))?;
    // A theme that the plan does not include was in its grace period, which the leader begins again.
    let theme_plan = theme.plan.min(plan);
    Ok(NewCommunity {
        guild: running.server,
        name: configuration.name.clone(),
        theme: configuration.theme.clone(),
        theme_plan,
        rule_set: configuration.rule_set.clone(),
        plan,
        token_profile: configuration.token_profile.id.clone(),
    })
}

async fn store_settings(tx: &mut TenantTx, configuration: &CommunityConfiguration) -> anyhow::Result<()> {
    if let Some(policy) = &configuration.tier_roles {
        let policy = policy.parse::<TierRoles>().context("the role policy")?;
        tx.communities().set_tier_roles(Some(policy)).await?;
    }
    if let Some(channel) = &configuration.welcome_channel {
        tx.communities().set_welcome_channel(Some(channel.id)).await?;
    }
    for gate in &configuration.gates {
        let set_by = UserId::new(gate.set_by).context("who set a gate")?;
        tx.feature_gates().set(&gate.key, &gate.tier, set_by).await?;
    }
    let bindings: RoleBindings = configuration
        .roles
        .iter()
        .map(|role| (role.key.clone(), RoleId(role.id)))
        .collect();
    tx.replace_role_bindings(&bindings).await?;
    for setting in configuration.posts.iter().filter(|setting| !setting.enabled) {
        let post: PostKind = setting.post.parse()?;
        tx.posts().set_enabled(post, false).await?;
    }
    Ok(())
}

/// A community that was frozen stays so.
async fn store_freeze(tx: &mut TenantTx, running: &RunningConfiguration) -> anyhow::Result<()> {
    let Some(frozen) = &running.frozen else {
        return Ok(());
    };
    match &frozen.controlled_by {
        Some(admin) => {
            let admin: UserId = admin.parse().context("who controls the community")?;
            tx.communities().take_over(admin, &frozen.reason).await?;
        }
        None => tx.communities().set_frozen(Some(&frozen.reason)).await?,
    }
    Ok(())
}
