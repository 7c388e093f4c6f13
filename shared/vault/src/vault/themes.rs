//! The theme registry of a server: deployments of themes.

use std::cmp::Ordering;
use std::collections::BTreeSet;

use super::Vault;
use super::write::{MAX_WRITES, NameTimes};
use crate::damage::Damage;
use crate::error::VaultError;
use crate::key::ObjectKey;
use crate::paths;
use crate::sealed;
use crate::server::ServerId;
use crate::sign::SignError;
use crate::store::{Condition, NewObject};
use crate::theme_registry::{Deployment, DeploymentAudit, ThemeRegistry};

/// A theme registry that was made again.
#[derive(Debug)]
pub struct RebuiltRegistry {
    /// The registry with the deployments that are whole.
    pub registry: ThemeRegistry,
    /// Audit objects that were found to be damaged, which stay as they are, and deployments of the former registry that are not as they were
    /// signed. Such a deployment is in the registry only where the other one of the two is whole.
    pub damaged: Vec<VaultError>,
}

/// A theme registry that is to be made again.
#[derive(Debug)]
pub struct RegistryRebuild {
    /// The present registry; without deployments where there is none, or it is damaged.
    pub former: ThemeRegistry,
    /// What is wrong with the present registry.
    pub damage: Option<VaultError>,
    /// What takes its place.
    pub rebuilt: RebuiltRegistry,
    /// The present registry is replaced only as it was read.
    condition: Condition,
}

impl RegistryRebuild {
    /// Whether the present registry is whole, and has every deployment already.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.damage.is_none() && self.former == self.rebuilt.registry
    }
}

/// Checks that each deployment is in a registry once, and that the signed ones are in the order of their times: their signatures alone do not
/// show that one was repeated or moved.
fn check_order(registry: &ThemeRegistry) -> Result<(), String> {
    let mut ids = BTreeSet::new();
    let mut last: Option<&Deployment> = None;
    for deployment in &registry.deployments {
        if !ids.insert(deployment.id) {
            return Err(format!("it has the deployment {} twice", deployment.id));
        }
        if deployment.signature.is_none() {
            continue;
        }
        if let Some(last) = last
            && last.time > deployment.time
        {
            return Err(format!(
                "the deployment {} of {} follows the later one {} of {}, so they were put in another order",
                deployment.id,
                paths::time_text(deployment.time),
                last.id,
                paths::time_text(last.time)
            ));
        }
        last = Some(deployment);
    }
    Ok(())
}

/// How far the signature of a deployment is to be trusted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Trust {
    Unsigned,
    OtherKey,
    Trusted,
}

impl Vault {
    /// The theme registry of a server; empty before the first deployment. The signature of each deployment is checked, where it has one by a
    /// key that is trusted here: of the others, only [`Vault::verify_deployment`] decides.
    ///
    /// # Errors
    /// [`VaultError::Damaged`], [`VaultError::OtherServer`], or the store cannot be read.
    pub async fn theme_registry(&self, server: ServerId) -> Result<ThemeRegistry, VaultError> {
        let (registry, _) = self.registry_and_condition(server).await?;
        let key = paths::theme_registry(server);
        for deployment in &registry.deployments {
            self.refuse_forged(&key, server, deployment).await?;
        }
        check_order(&registry).map_err(|reason| self.damaged(&key, Damage::Content(reason)))?;
        Ok(registry)
    }

    /// Checks the signature of a deployment, before it is rolled back to. One without a signature passes: the caller decides.
    ///
    /// # Errors
    /// [`VaultError::Damaged`]: the signature is invalid. [`VaultError::NotTrusted`]: its key is not trusted here.
    pub async fn verify_deployment(&self, server: ServerId, deployment: &Deployment) -> Result<(), VaultError> {
        let Some(signature) = &deployment.signature else {
            return Ok(());
        };
        let checked = sealed::verify(&deployment.statement(server), signature, &*self.parts.signer).await;
        let object = format!("the deployment {}", deployment.id);
        checked.map_err(|damage| VaultError::of_damage(object, damage))
    }

    /// Refuses a deployment whose signature is not its own.
    async fn refuse_forged(
        &self,
        key: &ObjectKey,
        server: ServerId,
        deployment: &Deployment,
    ) -> Result<(), VaultError> {
        match self.verify_deployment(server, deployment).await {
            Err(VaultError::Damaged {
                damage: Damage::Signature(SignError::Invalid { key: signer }),
                ..
            }) => {
                let reason = format!("the deployment {} is not as the key {signer} signed it", deployment.id);
                Err(self.damaged(key, Damage::Content(reason)))
            }
            // A deployment of another machine is listed; a rollback to it requires its key.
            Err(error) if !error.is_of_unknown_key() => Err(error),
            _ => Ok(()),
        }
    }

    /// Records a deployment, signed: its audit object, then the registry. Recording the same deployment again changes nothing.
    ///
    /// # Errors
    /// The registry is damaged, or the store cannot be written.
    pub async fn record_deployment(&self, server: ServerId, deployment: &Deployment) -> Result<(), VaultError> {
        let key = paths::theme_registry(server);
        let present = match self.registry_and_condition(server).await {
            Ok((registry, _)) => registry,
            // The audit object is written nevertheless: the registry is made again from it.
            Err(error) if error.is_damage() => ThemeRegistry::new(server),
            Err(error) => return Err(error),
        };
        let mut signed = self.signed_after(&key, &present, deployment).await?;
        self.write_audit(server, &signed).await?;
        let mut attempt = 1;
        loop {
            let (mut registry, condition) = self.registry_and_condition(server).await?;
            // Another process may have recorded one meanwhile.
            if registry.deployments.last().is_some_and(|last| last.time > signed.time) {
                signed = self.signed_after(&key, &registry, deployment).await?;
            }
            if !registry.add(signed.clone()) {
                return Ok(());
            }
            let bytes = self.seal(&key, &registry)?;
            match self.parts.store.put(&key, NewObject::new(bytes), &condition).await {
                Ok(_) => return Ok(()),
                Err(error) if error.is_condition_failed() && attempt < MAX_WRITES => attempt += 1,
                Err(error) => return Err(error.into()),
            }
        }
    }

    /// A deployment as it follows the last one of a registry, signed. Its time is not earlier, also where the clock of this machine is behind: by their times
    /// a reader finds that deployments were put in another order.
    async fn signed_after(
        &self,
        key: &ObjectKey,
        registry: &ThemeRegistry,
        deployment: &Deployment,
    ) -> Result<Deployment, VaultError> {
        let mut following = deployment.clone();
        let is_recorded = registry.deployments.iter().any(|other| other.id == deployment.id);
        if let (false, Some(last)) = (is_recorded, registry.deployments.last()) {
            following.time = following.time.max(last.time);
        }
        let signature = sealed::sign(&following.statement(registry.server), &*self.parts.signer).await;
        following.signature = Some(signature.map_err(|error| self.unsealed(key, error))?);
        Ok(following)
    }

    /// Makes the theme registry again from the audit objects, for a registry that is damaged. Deployments of a registry that can be read
    /// stay, also without an audit object.
    ///
    /// # Errors
    /// The store cannot be read or written.
    pub async fn rebuild_theme_registry(&self, server: ServerId) -> Result<RebuiltRegistry, VaultError> {
        let mut attempt = 1;
        loop {
            let rebuild = self.plan_registry_rebuild(server).await?;
            match self.complete_registry_rebuild(&rebuild).await {
                Ok(()) => return Ok(rebuild.rebuilt),
                Err(VaultError::Store(error)) if error.is_condition_failed() && attempt < MAX_WRITES => attempt += 1,
                Err(error) => return Err(error),
            }
        }
    }

    /// What [`Vault::rebuild_theme_registry`] would store. Nothing is written.
    ///
    /// # Errors
    /// The store cannot be read.
    pub async fn plan_registry_rebuild(&self, server: ServerId) -> Result<RegistryRebuild, VaultError> {
        // Before the audit objects: a deployment that is recorded meanwhile either has its audit object when they are listed, or
        // changes the registry after this.
        let (former, damage, condition) = match self.registry_and_condition(server).await {
            Err(error) if error.is_damage() => {
                let head = self.parts.store.head(&paths::theme_registry(server)).await?;
                let condition = Condition::Version(head.version);
                (ThemeRegistry::new(server), Some(error), condition)
            }
            read => {
                let (registry, condition) = read?;
                (registry, None, condition)
            }
        };
        let rebuilt = self.of_audits(server, former.clone()).await?;
        Ok(RegistryRebuild {
            former,
            damage,
            rebuilt,
            condition,
        })
    }

    /// Stores the registry of a plan, if the present one has not changed since.
    ///
    /// # Errors
    /// [`crate::StoreError::ConditionFailed`] where it has changed; the store cannot be written.
    pub async fn complete_registry_rebuild(&self, rebuild: &RegistryRebuild) -> Result<(), VaultError> {
        let registry = &rebuild.rebuilt.registry;
        let key = paths::theme_registry(registry.server);
        let object = NewObject::new(self.seal(&key, registry)?);
        self.parts.store.put(&key, object, &rebuild.condition).await?;
        Ok(())
    }

    /// The deployments of the audit objects and of the former registry.
    async fn of_audits(&self, server: ServerId, former: ThemeRegistry) -> Result<RebuiltRegistry, VaultError> {
        let mut found: Vec<(ObjectKey, Deployment)> = Vec::new();
        let mut damaged = Vec::new();
        // Sorted by time, since their names are.
        for listed in self.parts.store.list(&paths::theme_audits(server)).await? {
            match self.read_audit(server, &listed.key).await {
                Ok(deployment) => {
                    self.add_or_prefer(server, &mut found, (listed.key, deployment), &mut damaged)
                        .await?;
                }
                Err(error) if error.is_unusable() => damaged.push(error),
                Err(error) => return Err(error),
            }
        }
        let key = paths::theme_registry(server);
        for deployment in former.deployments {
            // One that is not as it was signed would make the new registry damaged, too.
            match self.refuse_forged(&key, server, &deployment).await {
                Ok(()) => {
                    self.add_or_prefer(server, &mut found, (key.clone(), deployment), &mut damaged)
                        .await?;
                }
                Err(error) if error.is_damage() => damaged.push(error),
                Err(error) => return Err(error),
            }
        }
        let mut registry = ThemeRegistry::new(server);
        registry.deployments = found.into_iter().map(|(_, deployment)| deployment).collect();
        registry.deployments.sort_by_key(|deployment| deployment.time);
        Ok(RebuiltRegistry { registry, damaged })
    }

    /// Adds a deployment with its object. Of two with one id, the one that is signed stays, and the other one is named: write access to the
    /// store is enough to write a deployment without a signature.
    async fn add_or_prefer(
        &self,
        server: ServerId,
        found: &mut Vec<(ObjectKey, Deployment)>,
        one: (ObjectKey, Deployment),
        damaged: &mut Vec<VaultError>,
    ) -> Result<(), VaultError> {
        let Some(at) = found.iter().position(|(_, other)| other.id == one.1.id) else {
            found.push(one);
            return Ok(());
        };
        let (present, offered) = (
            self.trust_of(server, &found[at].1).await?,
            self.trust_of(server, &one.1).await?,
        );
        let (weaker, stronger) = match offered.cmp(&present) {
            // A repeated record of one deployment has another time.
            Ordering::Equal => return Ok(()),
            Ordering::Less => (one, &found[at].0),
            Ordering::Greater => {
                let weaker = std::mem::replace(&mut found[at], one);
                (weaker, &found[at].0)
            }
        };
        let (key, deployment) = weaker;
        let signature = match deployment.signature {
            None => "without a signature",
            Some(_) => "with the signature of a key that is not trusted here",
        };
        let reason = format!(
            "it has the deployment {} {signature}, and {} has it signed",
            deployment.id,
            self.name(stronger)
        );
        damaged.push(self.damaged(&key, Damage::Content(reason)));
        Ok(())
    }

    /// How far a deployment can be trusted that is as it was signed.
    async fn trust_of(&self, server: ServerId, deployment: &Deployment) -> Result<Trust, VaultError> {
        if deployment.signature.is_none() {
            return Ok(Trust::Unsigned);
        }
        match self.verify_deployment(server, deployment).await {
            Ok(()) => Ok(Trust::Trusted),
            Err(error) if error.is_of_unknown_key() => Ok(Trust::OtherKey),
            Err(error) => Err(error),
        }
    }

    /// The registry as it is stored, for a snapshot; that of a server without deployments is empty.
    pub(super) async fn theme_registry_bytes(&self, server: ServerId) -> Result<Vec<u8>, VaultError> {
        let key = paths::theme_registry(server);
        let registry = self.theme_registry(server).await?;
        self.seal(&key, &registry)
    }

    /// The registry, and the condition under which it may be replaced.
    async fn registry_and_condition(&self, server: ServerId) -> Result<(ThemeRegistry, Condition), VaultError> {
        let key = paths::theme_registry(server);
        let (registry, condition) = self.read_document::<ThemeRegistry>(&key).await?;
        let registry = registry.unwrap_or_else(|| ThemeRegistry::new(server));
        if registry.server != server {
            return Err(self.other_server(&key, registry.server, server));
        }
        Ok((registry, condition))
    }

    async fn write_audit(&self, server: ServerId, deployment: &Deployment) -> Result<(), VaultError> {
        let mut times = NameTimes::from_now(deployment.time);
        let audit = DeploymentAudit {
            server,
            deployment: deployment.clone(),
        };
        loop {
            let key = paths::theme_audit(server, times.current())?;
            let object = NewObject::new(self.seal(&key, &audit)?);
            let written = self.parts.store.put(&key, object, &Condition::Absent).await;
            if times.is_written(written)? {
                return Ok(());
            }
            match self.read_audit(server, &key).await {
                Ok(other) if other.id == deployment.id => return Ok(()),
                Err(error) if !error.is_unusable() => return Err(error),
                // Another deployment, or an object that cannot be used, which stays as it is.
                _ => {}
            }
        }
    }

    async fn read_audit(&self, server: ServerId, key: &ObjectKey) -> Result<Deployment, VaultError> {
        let bytes = self.bytes_of(key).await?;
        let opened: Result<DeploymentAudit, Damage> = sealed::open(&bytes);
        let audit = opened.map_err(|damage| self.damaged(key, damage))?;
        if audit.server != server {
            return Err(self.other_server(key, audit.server, server));
        }
        self.refuse_forged(key, server, &audit.deployment).await?;
        Ok(audit.deployment)
    }
}
