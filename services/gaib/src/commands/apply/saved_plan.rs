//! A plan that `gaib server plan --out FILE` saved: it is applied unchanged, or refused.

use std::path::{Path, PathBuf};

use arrakis_iac::live::LiveServer;
use arrakis_iac::model::Snowflake;
use arrakis_iac::plan::{self, Finding, Plan};
use arrakis_iac::state::State;
use arrakis_iac_apply::store::WorkspaceName;
use arrakis_iac_apply::{ImageFolder, unusable_images};

use crate::commands::plan::check_ids;
use crate::context::Context;
use crate::error::{Failure, Result};
use crate::files;
use crate::workspace::{Workspace, shell_quoted};
use crate::workspace_state;

/// A saved plan and the path of its file.
pub(super) struct SavedPlan {
    path: PathBuf,
    pub(super) plan: Plan,
}

impl SavedPlan {
    /// Reads a saved plan.
    pub(super) fn read(path: &Path) -> Result<Self> {
        let bytes = files::read(path).map_err(|error| {
            Failure::new(format!("could not read the plan {}: {error}", path.display())).help(
                "`gaib server plan --out FILE` saves a plan; without a file, `gaib server apply` creates one itself",
            )
        })?;
        let plan = Plan::from_bytes(&bytes).map_err(|error| {
            Failure::new(format!("{} cannot be applied: {error}", path.display()))
                .help("a plan is a file that `gaib server plan --out FILE` saved; --file takes a configuration")
        })?;
        Ok(Self {
            path: path.to_owned(),
            plan,
        })
    }

    /// The state from which the plan was created. A plan belongs to one workspace and one server; `guild` is the value of
    /// `--guild`.
    pub(super) async fn state(
        &self,
        context: &Context,
        workspace: &Workspace,
        guild: Option<Snowflake>,
    ) -> Result<State> {
        let from = &self.plan.made_from;
        if let Some(guild) = guild.filter(|guild| *guild != from.guild_id) {
            let summary = format!("the plan is for server {}, not for {guild}", from.guild_id);
            return Err(Failure::new(summary).help("remove --guild"));
        }
        if let Some(recorded) = workspace.recorded_guild()?.filter(|guild| *guild != from.guild_id) {
            let detail = format!(", which belongs to server {recorded}");
            return Err(self.of_another_workspace(workspace, &detail).await);
        }
        if workspace.name.as_str() != from.workspace {
            return Err(self.of_another_workspace(workspace, "").await);
        }
        let Some(state) = workspace_state::read(workspace).await? else {
            workspace_state::refuse_missing(context, workspace).await?;
            return Err(self.of_another_workspace(workspace, ", which has no state").await);
        };
        if state.lineage != from.lineage {
            let lineage = format!(", whose state has lineage {}", state.lineage);
            return Err(self.of_another_workspace(workspace, &lineage).await);
        }
        if state.serial != from.serial {
            return Err(stale(&format!(
                "the state has changed since the plan was created (serial {}, and the plan was created from {})",
                state.serial, from.serial
            )));
        }
        Ok(state)
    }

    /// Whether the plan can still succeed.
    pub(super) fn check(&self, state: &State, live: &LiveServer) -> Result<Vec<Finding>> {
        if live.fingerprint() != self.plan.made_from.live {
            return Err(stale("the server has changed since the plan was created"));
        }
        check_ids(state)?;
        let mut findings = plan::preflight(&self.plan, live, state);
        findings.extend(unusable_images(&self.plan, &self.images()));
        Ok(findings)
    }

    /// The folder of the configuration from which the plan was created. Its images are beside that file.
    pub(super) fn images(&self) -> ImageFolder {
        let folder = self.plan.made_from.folder.as_deref().unwrap_or_default();
        ImageFolder(PathBuf::from(folder))
    }

    async fn of_another_workspace(&self, workspace: &Workspace, detail: &str) -> Failure {
        let from = &self.plan.made_from;
        let is_its_own = |(name, state): &(WorkspaceName, State)| {
            name.as_str() == from.workspace && state.lineage == from.lineage && *name != workspace.name
        };
        let help = match workspace.readable_states().await.iter().any(is_its_own) {
            true => format!(
                "apply it in its own workspace: `gaib server apply {} --workspace {}`; for this workspace create another plan with \
                 `gaib server plan --out FILE`",
                shell_quoted(&self.path),
                from.workspace
            ),
            false => "apply it in the folder and workspace where it was created, with the state.json of that workspace; for this \
                      workspace create another plan with `gaib server plan --out FILE`"
                .to_owned(),
        };
        Failure::new(format!(
            "nothing was changed: the plan {} belongs to workspace {} (server {}, state with lineage {}), and this is workspace \
             {}{detail}",
            self.path.display(),
            from.workspace,
            from.guild_id,
            from.lineage,
            workspace.name
        ))
        .help(help)
    }
}

fn stale(reason: &str) -> Failure {
    Failure::new(format!("the plan is stale, and nothing was changed: {reason}"))
        .help("create a new plan with `gaib server plan --out FILE`, and review it")
}
