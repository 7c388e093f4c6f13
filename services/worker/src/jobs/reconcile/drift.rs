//! Drift: the configuration in PostgreSQL, its shadow in the object store, and the server. Reported, and not repaired here: a server that differs
//! is repaired by the check of its structure, a shadow that is behind by the leader.

use std::time::Duration;

use arrakis_db::RunningConfiguration;
use serde_json::Value;

use super::super::JobRun;
use super::structure;
use crate::configuration::{self, ConfigurationDrift, Shadow};
use crate::failure::Failure;
use crate::synthesis::{Manifest, PlannedServer, plan_live};

/// Time limit of reading the shadow: a store that does not respond must not hold each reconcile for minutes.
const READ_LIMIT: Duration = Duration::from_secs(10);

/// A shadow with its configuration, or why there is none to compare with.
type ReadShadow = Result<(Shadow, RunningConfiguration), String>;

/// Compares the settings of a community whose server is not managed.
pub(super) async fn of_settings(run: &JobRun<'_>) -> Result<ConfigurationDrift, Failure> {
    compare(run, None).await
}

/// Compares configuration, shadow and server. `planned` is the plan for the configuration, `state` the stored state of the server.
pub(super) async fn of_server(
    run: &JobRun<'_>,
    planned: &PlannedServer,
    state: Option<&Value>,
) -> Result<ConfigurationDrift, Failure> {
    compare(run, Some((planned, state))).await
}

async fn compare(
    run: &JobRun<'_>,
    server: Option<(&PlannedServer, Option<&Value>)>,
) -> Result<ConfigurationDrift, Failure> {
    let (shadow, stored) = match read_shadow(run).await {
        Ok(read) => read,
        Err(reason) => return Ok(ConfigurationDrift::NoShadow { reason }),
    };
    let desired = running(run).await?;
    let settings = configuration::changed_settings(&desired.configuration, &stored.configuration);
    let (lacks, shadow_lacks) = match server {
        None => (Vec::new(), Vec::new()),
        Some((planned, state)) => {
            let lacks = structure::changes(planned);
            let is_same =
                stored.configuration.manifest == desired.configuration.manifest && stored.state.as_ref() == state;
            if is_same {
                (lacks.clone(), lacks)
            } else {
                match shadow_changes(run, planned, &stored) {
                    Ok(shadow_lacks) => (lacks, shadow_lacks),
                    // The shadow is of another time, and the reconcile does not depend on it.
                    Err(failure) => {
                        let reason = format!("version {} cannot be planned: {failure}", shadow.version);
                        return Ok(ConfigurationDrift::NoShadow { reason });
                    }
                }
            }
        }
    };
    Ok(configuration::three_way(
        shadow.version,
        settings,
        &lacks,
        &shadow_lacks,
    ))
}

async fn running(run: &JobRun<'_>) -> Result<RunningConfiguration, Failure> {
    let record = &run.community.record;
    // Not the theme of the run, which has the role policy of the community.
    let theme = run.services.themes.theme(record.theme.as_str()).ok();
    let mut tx = run.services.database.tenant(run.community.id()).await?;
    let running = tx.running_configuration(record, theme.map(|theme| &**theme)).await?;
    tx.commit().await?;
    Ok(running)
}

async fn read_shadow(run: &JobRun<'_>) -> ReadShadow {
    let Some(shadows) = &run.services.shadows else {
        return Err("no object store is configured (BACKUP_STORE)".to_owned());
    };
    let read = shadows.latest(run.community.record.guild);
    let shadow = tokio::time::timeout(READ_LIMIT, read)
        .await
        .map_err(|_| format!("the object store has not responded within {} s", READ_LIMIT.as_secs()))?
        .map_err(|error| error.to_string())?;
    let shadow = shadow.ok_or("no version is in the object store yet")?;
    let running = RunningConfiguration::from_json(&shadow.content)?;
    Ok((shadow, running))
}

/// What the server lacks for the shadow's configuration.
fn shadow_changes(
    run: &JobRun<'_>,
    planned: &PlannedServer,
    stored: &RunningConfiguration,
) -> Result<Vec<String>, Failure> {
    let Some(manifest) = &stored.configuration.manifest else {
        return Ok(Vec::new());
    };
    let manifest = Manifest::read(manifest)?;
    let theme = run.services.themes.theme(&manifest.theme).map_err(Failure::permanent)?;
    let lineage = run.community.id().to_string();
    let planned = plan_live(planned.live.clone(), &manifest, theme, stored.state.as_ref(), &lineage)?;
    Ok(structure::changes(&planned))
}
