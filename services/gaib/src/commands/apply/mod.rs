//! `gaib server apply`, `gaib server destroy` and `gaib apply FILE`.
//!
//! Each command becomes one [`Job`], from a configuration or from a saved plan. [`Job::run`] then takes the lock, makes or checks
//! the plan, requests a confirmation and executes it.

mod saved_plan;

use std::path::Path;

use arrakis_iac::grammar::counted;
use arrakis_iac::live::LiveServer;
use arrakis_iac::model::Snowflake;
use arrakis_iac::plan::{self, Finding, Mode, Options, Plan, Step};
use arrakis_iac::state::State;
use arrakis_iac_apply::ImageFolder;
use arrakis_iac_apply::store::StateLock;

use self::saved_plan::SavedPlan;
use crate::arguments::{ApplyFile, server};
use crate::commands::deployment::{self, Deployed, DeploymentInProgress, DeploymentOptions, note_without_snapshot};
use crate::commands::execution::Execution;
use crate::commands::plan as planning;
use crate::community;
use crate::configuration::{self, LoadedConfiguration};
use crate::connection::read_live;
use crate::context::Context;
use crate::error::{Failure, Result};
use crate::exit::ExitStatus;
use crate::guard;
use crate::ownership::{self, Ownership};
use crate::settings::guild_option;
use crate::workspace::{Workspace, release_after, shell_quoted};
use crate::workspace_state;

pub(super) async fn run(context: &Context, arguments: &server::Apply) -> Result<ExitStatus> {
    let options = planning::options(&arguments.planning, arguments.approval.allow_replace)?;
    let arguments_of_configuration = &arguments.configuration;
    let name = arguments_of_configuration.workspace.workspace.as_deref();
    let guild = guild_option(&arguments_of_configuration.guild)?;
    let (workspace, input) = match (&arguments.plan, &arguments.theme) {
        (Some(path), _) => {
            let saved = Box::new(SavedPlan::read(path)?);
            (Workspace::open(context, name, true).await?, Input::SavedPlan(saved))
        }
        (None, theme) => {
            let has_configuration = theme.is_some() || arguments_of_configuration.file.is_some();
            let requires_project = !has_configuration && options.mode != Mode::Destroy;
            let workspace = Workspace::open_for_guild(context, name, requires_project, guild).await?;
            let workspace = workspace.with_configuration_file(arguments_of_configuration.file.as_deref());
            let loaded = match theme {
                Some(theme) => configuration::of_theme(context, theme, &arguments_of_configuration.variables)?,
                None => configuration::for_mode(context, &workspace, arguments_of_configuration, options.mode)?,
            };
            (workspace, Input::Configuration(Box::new(loaded)))
        }
    };
    Job::new(arguments, workspace, guild, input, options).run(context).await
}

pub(super) async fn destroy(context: &Context, arguments: &server::Destroy) -> Result<ExitStatus> {
    run(context, &server::Apply::from(arguments)).await
}

pub(super) async fn file(context: &Context, arguments: &ApplyFile) -> Result<ExitStatus> {
    let loaded = configuration::read(context, &arguments.file, &arguments.variables)?;
    let guild = match guild_option(&arguments.guild)? {
        Some(guild) => Some(guild),
        None => context.environment.guild()?,
    };
    let guild = guild.ok_or_else(|| {
        Failure::new("no server is given to which the file is applied").help("add --guild ID, or set DISCORD_GUILD_ID")
    })?;
    let workspace = Workspace::beside_file(context, &loaded.folder, guild).await?;
    let workspace = workspace.with_configuration_file(Some(&arguments.file));
    let arguments = server::Apply::from(arguments);
    let options = planning::options(&arguments.planning, arguments.approval.allow_replace)?;
    let job = Job::new(
        &arguments,
        workspace.clone(),
        Some(guild),
        Input::Configuration(Box::new(loaded)),
        options,
    );
    let result = job.run(context).await;
    if workspace.is_new {
        // After a refusal, the new workspace is removed.
        workspace.remove_unused().await;
    }
    if result.is_ok() {
        name_other_folder(context, &workspace, &arguments);
    }
    result
}

/// Prints the command that continues after `gaib apply FILE`, where the file and therefore the state are in another folder.
fn name_other_folder(context: &Context, workspace: &Workspace, arguments: &server::Apply) {
    let command = workspace.server_command();
    let file = arguments.configuration.file.as_deref().and_then(Path::file_name);
    let (true, Some(file)) = (command != "gaib server", file) else {
        return;
    };
    let missing = match arguments.planning.drop_missing {
        true => " --drop-missing",
        false => "",
    };
    context.printer.note(&format!(
        "The state of the server is beside the file. Next: {command} plan --file {}{missing}{}",
        shell_quoted(Path::new(file)),
        workspace.workspace_option()
    ));
}

/// What is applied.
enum Input {
    /// A plan that is created from this configuration, and applied after a confirmation.
    Configuration(Box<LoadedConfiguration>),
    /// A plan from a file, which is applied unchanged and without a confirmation.
    SavedPlan(Box<SavedPlan>),
}

/// One apply.
struct Job {
    workspace: Workspace,
    /// The value of `--guild`.
    guild: Option<Snowflake>,
    input: Input,
    options: Options,
    auto_approve: bool,
    /// The value of `--mfa`.
    mfa: Option<String>,
    deployment: DeploymentOptions,
}

/// A plan that is ready to be shown.
struct Planned {
    plan: Plan,
    findings: Vec<Finding>,
    live: LiveServer,
}

impl Job {
    fn new(
        arguments: &server::Apply,
        workspace: Workspace,
        guild: Option<Snowflake>,
        input: Input,
        options: Options,
    ) -> Self {
        Self {
            workspace,
            guild,
            input,
            options,
            auto_approve: arguments.approval.auto_approve,
            mfa: arguments.approval.mfa.clone(),
            deployment: DeploymentOptions {
                snapshot: arguments.snapshot,
                message: arguments.message.clone(),
            },
        }
    }

    /// The operation, as the lock shows it to refused commands.
    const fn operation(&self) -> &'static str {
        match (&self.input, self.options.mode) {
            (Input::SavedPlan(_), _) => "apply a saved plan",
            (_, Mode::Destroy) => "destroy",
            _ => "apply",
        }
    }

    async fn run(mut self, context: &Context) -> Result<ExitStatus> {
        let mut guard = self.workspace.lock(context, self.operation()).await?;
        let result = self.under_lock(context, &mut *guard).await;
        release_after(guard, result).await?;
        Ok(ExitStatus::Success)
    }

    async fn under_lock(&mut self, context: &Context, guard: &mut dyn StateLock) -> Result<()> {
        let (state, guild) = self.state_and_guild(context).await?;
        let ownership = ownership::acquire(context, &self.workspace, guild, &state, guard.record()).await?;
        let result = Box::pin(self.as_owner(context, guard, &ownership, guild, state)).await;
        ownership.unlock(result).await
    }

    /// Plans and executes, while no other operation changes the server.
    async fn as_owner(
        &mut self,
        context: &Context,
        guard: &mut dyn StateLock,
        ownership: &Ownership,
        guild: Snowflake,
        mut state: State,
    ) -> Result<()> {
        if self.deployment.snapshot {
            Box::pin(deployment::require_writable(context, &self.workspace, guild)).await?;
        }
        let execution = Execution::new(context, guild)?;
        let Planned { plan, findings, live } = self.plan(context, &execution, guild, &state).await?;
        planning::show(context, &plan, &findings);
        let deployed = Deployed {
            workspace: &self.workspace,
            guild,
            discord: &execution.discord,
        };
        if let Input::Configuration(loaded) = &self.input {
            community::print_advice(&plan, &loaded.configuration, &live, context.printer);
            planning::warn_of_lost_configuration(context, &plan, &state);
            if plan.steps.is_empty() {
                return Box::pin(complete_interrupted(context, deployed, &state, &self.deployment)).await;
            }
        }
        refuse_blocked(&plan, &findings, self.options.allow_replace || plan.allow_replace)?;
        self.confirm(context, &plan, guild).await?;
        let permit = Box::pin(guard::permit(context, &plan, guild, self.mfa.as_deref())).await?;
        let begun = DeploymentInProgress::begin(context, deployed, &plan, &state, &self.deployment);
        let deployment = Box::pin(begun).await?;
        workspace_state::write_first(&self.workspace, guard, &state).await?;
        ownership.write_marker(context, &self.workspace, &state).await?;
        if self.workspace.is_beside_file {
            self.workspace.select_if_first(context).await?;
        }
        let images = self.images();
        execution
            .run(context, (&plan, &permit), &live, &mut state, guard, &images)
            .await?;
        ownership.remove_marker_if_empty(context, &state).await?;
        match deployment {
            Some(deployment) => Box::pin(deployment.complete(context, &state)).await,
            None => Ok(()),
        }
    }

    async fn state_and_guild(&self, context: &Context) -> Result<(State, Snowflake)> {
        match &self.input {
            Input::Configuration(_) => {
                let state = workspace_state::read_or_empty(context, &self.workspace).await?;
                let guild = ownership::required_guild(context, &self.workspace, self.guild, &state).await?;
                Ok((state, guild))
            }
            Input::SavedPlan(saved) => {
                let state = saved.state(context, &self.workspace, self.guild).await?;
                Ok((state, saved.plan.made_from.guild_id))
            }
        }
    }

    async fn plan(
        &mut self,
        context: &Context,
        execution: &Execution,
        guild: Snowflake,
        state: &State,
    ) -> Result<Planned> {
        let discord = &execution.discord;
        match &mut self.input {
            Input::Configuration(loaded) => {
                let live = read_live(context, discord, guild, &plan::kinds(&loaded.configuration, state)).await?;
                let (workspace, options) = (&self.workspace, &self.options);
                let planned =
                    planning::plan_with_findings(context, workspace, loaded, discord, state, &live, options).await?;
                let (plan, findings) = planned;
                Ok(Planned { plan, findings, live })
            }
            Input::SavedPlan(saved) => {
                let live = read_live(context, discord, guild, &saved.plan.made_from.kinds).await?;
                let findings = saved.check(state, &live)?;
                let plan = saved.plan.clone();
                Ok(Planned { plan, findings, live })
            }
        }
    }

    /// The folder of the images that the plan uploads.
    fn images(&self) -> ImageFolder {
        match &self.input {
            Input::Configuration(loaded) => ImageFolder(loaded.folder.clone()),
            Input::SavedPlan(saved) => saved.images(),
        }
    }

    /// Requests a confirmation, except for a saved plan, with `--auto-approve`, and when only the state changes.
    async fn confirm(&self, context: &Context, plan: &Plan, guild: Snowflake) -> Result<()> {
        let is_approved = self.auto_approve || matches!(self.input, Input::SavedPlan(_));
        let has_changes = plan.steps.iter().any(Step::is_request) || !plan.changes.is_empty();
        if is_approved || !has_changes {
            return Ok(());
        }
        let (question, alternative) = question(plan, guild);
        context.prompt.confirm(&question, alternative).await
    }
}

fn question(plan: &Plan, guild: Snowflake) -> (String, &'static str) {
    match plan.mode {
        Mode::Destroy => (
            format!("Do you really want to delete all of this from server {guild}? This cannot be undone."),
            "add --auto-approve to skip the confirmation",
        ),
        Mode::RefreshOnly => (
            "Do you want to update the state?".to_owned(),
            "add --auto-approve to skip the confirmation",
        ),
        Mode::Apply => (
            format!("Do you want to make these changes on server {guild}?"),
            "add --auto-approve to skip the confirmation, or save a plan with `gaib server plan --out FILE` and apply it",
        ),
    }
}

/// Refuses a plan with a blocking finding, and a plan that deletes messages without `--allow-replace`.
pub(super) fn refuse_blocked(plan: &Plan, findings: &[Finding], allow_replace: bool) -> Result<()> {
    let blocking = findings.iter().filter(|finding| finding.blocking).count();
    if blocking > 0 {
        return Err(Failure::new(format!(
            "nothing was changed: this plan cannot succeed, for {} (above)",
            counted(blocking, "reason")
        ))
        .help("correct what is reported above and apply again"));
    }
    if !allow_replace && plan.losses().next().is_some() {
        let lost: Vec<String> = plan.losses().map(|change| change.address.to_string()).collect();
        return Err(Failure::new(format!(
            "nothing was changed: the messages in {} would be deleted, because Discord cannot change {} kind in place",
            lost.join(", "),
            if lost.len() == 1 { "its" } else { "their" }
        ))
        .help(
            "add --allow-replace to delete them; or give the new channel another logical name and remove the old one later",
        ));
    }
    Ok(())
}

/// Completes a deployment that was interrupted after its last change.
async fn complete_interrupted(
    context: &Context,
    deployed: Deployed<'_>,
    state: &State,
    options: &DeploymentOptions,
) -> Result<()> {
    let interrupted = DeploymentInProgress::interrupted(deployed)?;
    note_without_snapshot(context, options, interrupted.as_ref());
    match interrupted {
        Some(deployment) => deployment.complete(context, state).await,
        None => Ok(()),
    }
}
