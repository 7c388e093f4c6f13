//! `gaib server plan` and `gaib server diff`, and what the other commands share with them.

use arrakis_iac::grammar::counted;
use arrakis_iac::live::LiveServer;
use arrakis_iac::model::{Address, Kind};
use arrakis_iac::plan::{self, Action, Finding, Mode, Options, Plan, PlanError};
use arrakis_iac::render::{self, Style};
use arrakis_iac::state::{State, StateError};
use arrakis_iac_apply::http::Discord;
use arrakis_iac_apply::{ImageFolder, unusable_images};
use serde_json::json;

use crate::arguments::server;
use crate::community;
use crate::configuration::{self, LoadedConfiguration};
use crate::connection::{connect_silently, read_failure, read_live};
use crate::context::Context;
use crate::error::{Failure, Result};
use crate::exit::ExitStatus;
use crate::files;
use crate::ownership;
use crate::printer::Severity;
use crate::settings::guild_option;
use crate::workspace::{Workspace, shell_quoted};
use crate::workspace_state;

/// Fewer resources than these are removed without a warning.
const FEW_RESOURCES: usize = 5;

pub(super) async fn run(context: &Context, arguments: &server::Plan) -> Result<ExitStatus> {
    let options = options(&arguments.planning, arguments.allow_replace)?;
    let purpose = match &arguments.out {
        Some(path) => {
            files::require_folder(path)?;
            Purpose::SavedPlan
        }
        None => Purpose::Plan,
    };
    let (plan, findings) = make(context, &arguments.configuration, &options, purpose).await?;
    show(context, &plan, &findings);
    if let Some(path) = &arguments.out {
        files::write(path, &plan.to_bytes())?;
        let digest = plan.digest();
        context
            .printer
            .message(&json!({"type": "plan_kept", "file": path.display().to_string(), "digest": digest}));
        context.printer.note(&format!(
            "Saved the plan to {}. Apply it with: gaib server apply {}",
            path.display(),
            shell_quoted(path)
        ));
    }
    Ok(exit_status(&plan, &findings, arguments.detailed_exitcode))
}

pub(super) async fn diff(context: &Context, arguments: &server::Diff) -> Result<ExitStatus> {
    let options = Options {
        targets: addresses(&arguments.target)?,
        ..Options::default()
    };
    let (plan, findings) = make(context, &arguments.configuration, &options, Purpose::Diff).await?;
    let printer = context.printer;
    for message in render::messages(&plan, &findings) {
        printer.message(&message);
    }
    printer.text(&render::differences(&plan, Style { color: printer.color() }));
    // A blocking finding concerns an apply, and a comparison is complete without it.
    print_findings(context, findings.iter().filter(|finding| !finding.blocking));
    Ok(exit_status(&plan, &[], arguments.detailed_exitcode))
}

/// A plan with a blocking finding is an error, so that a pipeline stops before its apply.
fn exit_status(plan: &Plan, findings: &[Finding], detailed: bool) -> ExitStatus {
    if findings.iter().any(|finding| finding.blocking) {
        ExitStatus::Error
    } else if detailed && !is_empty(plan) {
        ExitStatus::Changes
    } else {
        ExitStatus::Success
    }
}

const fn is_empty(plan: &Plan) -> bool {
    match plan.mode {
        Mode::RefreshOnly => plan.steps.is_empty(),
        _ => plan.changes.is_empty() && plan.reorders.is_empty(),
    }
}

/// The options of a plan.
pub(super) fn options(arguments: &server::PlanningArguments, allow_replace: bool) -> Result<Options> {
    let mode = match (arguments.destroy, arguments.refresh_only) {
        (true, _) => Mode::Destroy,
        (_, true) => Mode::RefreshOnly,
        _ => Mode::Apply,
    };
    Ok(Options {
        mode,
        targets: addresses(&arguments.target)?,
        allow_replace,
        drop_missing: arguments.drop_missing,
    })
}

fn addresses(texts: &[String]) -> Result<Vec<Address>> {
    texts.iter().map(|text| address(text)).collect()
}

/// An address from the command line.
pub(super) fn address(text: &str) -> Result<Address> {
    text.parse().map_err(|error| {
        Failure::new(error).help(
            "an address is a kind and a name, for example `role.naib`; `gaib server state ls` lists the managed addresses",
        )
    })
}

/// What a plan is made for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Purpose {
    /// A comparison, also with a server that another workspace manages.
    Diff,
    /// A plan to read. What would refuse its apply refuses the plan.
    Plan,
    /// A plan that is saved. It contains lineage and serial of the state, so the state must exist.
    SavedPlan,
}

async fn make(
    context: &Context,
    arguments: &server::ConfigurationArguments,
    options: &Options,
    purpose: Purpose,
) -> Result<(Plan, Vec<Finding>)> {
    let workspace = open_workspace(context, arguments).await?;
    let mut loaded = configuration::for_mode(context, &workspace, arguments, options.mode)?;
    let mut state = workspace_state::read_or_empty(context, &workspace).await?;
    let guild = ownership::required_guild(context, &workspace, guild_option(&arguments.guild)?, &state).await?;
    if purpose != Purpose::Diff {
        ownership::check(context, &workspace, guild, &state).await?;
    } else if !state.manages(guild)
        && let Some(others) = ownership::other_workspaces(&workspace, Some(guild)).await
    {
        context.printer.note(&format!(
            "Compared in workspace {}, which does not manage this server; {others}.",
            workspace.name
        ));
    }
    let discord = connect_silently(context, guild)?;
    let live = read_live(context, &discord, guild, &plan::kinds(&loaded.configuration, &state)).await?;
    if purpose != Purpose::Diff && options.mode == Mode::Apply && state.is_empty() {
        propose_import(context, &live);
    }
    if purpose == Purpose::SavedPlan {
        state = workspace_state::create(context, &workspace, state).await?;
    }
    let made = plan_with_findings(context, &workspace, &mut loaded, &discord, &state, &live, options).await?;
    if purpose != Purpose::Diff {
        community::print_advice(&made.0, &loaded.configuration, &live, context.printer);
        warn_of_lost_configuration(context, &made.0, &state);
    }
    Ok(made)
}

/// Warns of a plan that ends the management of nearly everything, for the configuration may be lost, or another one.
pub(super) fn warn_of_lost_configuration(context: &Context, plan: &Plan, state: &State) {
    let removed = plan.changes.iter();
    let removed = removed.filter(|change| matches!(change.action, Action::Delete | Action::Forget));
    let (removed, total) = (removed.count(), state.resources.len());
    let is_nearly_all = removed >= FEW_RESOURCES && removed * 10 >= total * 9;
    if plan.mode != Mode::Apply || !plan.targets.is_empty() || !is_nearly_all {
        return;
    }
    let summary = format!(
        "the configuration does not have {removed} of the {} that this workspace manages: an apply deletes those that exist, and manages \
         none of them any more",
        counted(total, "resource")
    );
    let help = "where the configuration was lost, get it back before an apply: from version control, or `gaib server snapshot download ID \
                -o DIRECTORY`, which writes that of a snapshot to DIRECTORY/config.yaml";
    context.printer.diagnostic(Severity::Warning, &summary, Some(help));
}

/// Proposes the import of a server with roles or channels of which the workspace manages none.
fn propose_import(context: &Context, live: &LiveServer) {
    let is_own = |id| id == live.guild_id || live.bot.roles.contains(&id);
    let roles = live
        .of_kind(Kind::Role)
        .filter(|role| !role.managed && !is_own(role.id));
    let count = roles.count() + live.of_kind(Kind::Category).count() + live.of_kind(Kind::Channel).count();
    if count > 0 {
        context.printer.note(&format!(
            "Server {} has {} that this workspace does not manage: `gaib server import --all` imports those that the configuration \
             contains, and writes all of them to an empty configuration.",
            live.guild_id,
            counted(count, "resource")
        ));
    }
}

/// Opens the workspace of a command that reads the configuration.
pub(super) async fn open_workspace(context: &Context, arguments: &server::ConfigurationArguments) -> Result<Workspace> {
    let name = arguments.workspace.workspace.as_deref();
    let requires_project = arguments.file.is_none();
    let guild = guild_option(&arguments.guild)?;
    let workspace = Workspace::open_for_guild(context, name, requires_project, guild).await?;
    Ok(workspace.with_configuration_file(arguments.file.as_deref()))
}

/// Makes a plan and checks whether it can succeed.
pub(super) async fn plan_with_findings(
    context: &Context,
    workspace: &Workspace,
    loaded: &mut LoadedConfiguration,
    discord: &Discord,
    state: &State,
    live: &LiveServer,
    options: &Options,
) -> Result<(Plan, Vec<Finding>)> {
    let configuration = &mut loaded.configuration;
    let converted = community::convert_announcements(configuration, &loaded.theme_announcements, state, live);
    check_ids(state)?;
    let plan = plan::plan(configuration, state, live, options);
    let mut plan = plan.map_err(|error| plan_failure(&error))?;
    plan.made_from.workspace = workspace.name.as_str().to_owned();
    let folder = loaded.folder.to_string_lossy();
    plan.made_from.folder = (!folder.is_empty()).then(|| folder.into_owned());
    let mut findings = plan::preflight(&plan, live, state);
    findings.extend(unusable_images(&plan, &ImageFolder(loaded.folder.clone())));
    findings.extend(absent_members(context, discord, &plan).await?);
    findings.extend(converted);
    Ok((plan, findings))
}

/// The error of a plan that cannot be made.
pub(super) fn plan_failure(error: &PlanError) -> Failure {
    Failure::new(error).help(match error {
        PlanError::OtherServer { .. } => {
            "set --guild to the server of the state, or use another workspace for this server"
        }
        PlanError::Unread(_) => {
            "Discord has no such resources for this server, or the bot may not read them; `gaib server state rm ADDRESS` stops \
             managing a resource"
        }
        PlanError::UnknownTarget { .. } => {
            "`gaib server state ls` lists the managed addresses; the configuration contains the others"
        }
    })
}

/// The warning about users in overwrites who are not members of the server.
pub(super) async fn absent_members(context: &Context, discord: &Discord, plan: &Plan) -> Result<Option<Finding>> {
    let absent = arrakis_iac_apply::absent_members(discord, plan.made_from.guild_id, &plan::members(plan)).await;
    let absent = absent.map_err(|error| read_failure(context, "members", &error.into()))?;
    Ok(plan::absent_members(plan, &absent))
}

/// Refuses a state in which two addresses have one id, because the configuration of each would change or delete the resource.
pub(super) fn check_ids(state: &State) -> Result<()> {
    state.check_ids().map_err(|error| {
        let address = match &error {
            StateError::SameId { other, .. } => other.to_string(),
            _ => "ADDRESS".to_owned(),
        };
        Failure::new(format!("the state is invalid: {error}")).help(format!(
            "`gaib server state rm {address}` removes one of them from the state; the server does not change"
        ))
    })
}

/// Prints a plan and its findings.
pub(super) fn show(context: &Context, plan: &Plan, findings: &[Finding]) {
    let printer = context.printer;
    for message in render::messages(plan, findings) {
        printer.message(&message);
    }
    printer.text(&render::plan(plan, Style { color: printer.color() }));
    print_findings(context, findings);
}

/// Prints findings as diagnostics. With `--json`, [`render::messages`] contains them.
fn print_findings<'a>(context: &Context, findings: impl IntoIterator<Item = &'a Finding>) {
    if context.printer.is_json() {
        return;
    }
    for finding in findings {
        let (severity, prefix) = match finding.blocking {
            true => (Severity::Error, "this plan cannot succeed: "),
            false => (Severity::Warning, ""),
        };
        let summary = format!("{prefix}{}", finding.what);
        context
            .printer
            .diagnostic(severity, &summary, Some(&finding.what_to_do));
    }
}
