//! `gaib server plan` and `gaib server diff`.

use std::collections::BTreeSet;
use std::path::Path;

use arrakis_iac::live::LiveServer;
use arrakis_iac::model::{Address, Configuration};
use arrakis_iac::plan::{self, Finding, Mode, Options, Plan};
use arrakis_iac::render::{self, Style};
use arrakis_iac::state::{State, StateError};
use arrakis_iac_apply::http::Discord;
use arrakis_iac_apply::{ImageFolder, unusable_images};
use serde_json::json;

use crate::arguments::server;
use crate::commands::{Context, theme};
use crate::community;
use crate::configuration::{self, Source};
use crate::error::{Failure, Result};
use crate::exit::ExitStatus;
use crate::ownership;
use crate::printer::Severity;
use crate::project::{self, CONFIGURATION, Project};
use crate::session::{Workspace, connect_quietly, read_live};

pub(super) async fn run(context: &Context, arguments: &server::Plan) -> Result<ExitStatus> {
    let options = options(&arguments.scope, arguments.allow_replace)?;
    let wanted = Wanted {
        options: &options,
        keep: arguments.out.is_some(),
        carry_out: true,
    };
    let (plan, findings) = make(context, &arguments.sources, &wanted).await?;
    show(context, &plan, &findings);
    if let Some(path) = &arguments.out {
        project::write(path, &plan.to_bytes())?;
        let digest = plan.digest();
        context
            .printer
            .message(&json!({"type": "plan_kept", "file": path.display().to_string(), "digest": digest}));
        context.printer.note(&format!(
            "Kept the plan in {}. Carry it out with: gaib server apply {}",
            path.display(),
            path.display()
        ));
    }
    Ok(exit(&plan, &findings, arguments.detailed_exitcode))
}

pub(super) async fn diff(context: &Context, arguments: &server::Diff) -> Result<ExitStatus> {
    let options = Options {
        targets: addresses(&arguments.target)?,
        ..Options::default()
    };
    let wanted = Wanted {
        options: &options,
        keep: false,
        carry_out: false,
    };
    let (plan, findings) = make(context, &arguments.sources, &wanted).await?;
    let printer = context.printer;
    for message in render::messages(&plan, &findings) {
        printer.message(&message);
    }
    printer.text(&render::differences(&plan, Style { color: printer.color() }));
    Ok(exit(&plan, &[], arguments.detailed_exitcode))
}

/// A plan that cannot succeed is an error, so that a pipeline stops before its apply.
fn exit(plan: &Plan, findings: &[Finding], detailed: bool) -> ExitStatus {
    if findings.iter().any(|finding| finding.blocking) {
        ExitStatus::Error
    } else if detailed && !empty(plan) {
        ExitStatus::Changes
    } else {
        ExitStatus::Success
    }
}

const fn empty(plan: &Plan) -> bool {
    match plan.mode {
        Mode::RefreshOnly => plan.steps.is_empty(),
        _ => plan.changes.is_empty() && plan.reorders.is_empty(),
    }
}

/// What is asked of a plan.
pub(super) fn options(scope: &server::Scope, allow_replace: bool) -> Result<Options> {
    let mode = match (scope.destroy, scope.refresh_only) {
        (true, _) => Mode::Destroy,
        (_, true) => Mode::RefreshOnly,
        _ => Mode::Apply,
    };
    Ok(Options {
        mode,
        targets: addresses(&scope.target)?,
        allow_replace,
        drop_missing: scope.drop_missing,
    })
}

/// Addresses as they are typed.
pub(super) fn addresses(texts: &[String]) -> Result<Vec<Address>> {
    texts.iter().map(|text| address(text)).collect()
}

/// An address as it is typed.
pub(super) fn address(text: &str) -> Result<Address> {
    text.parse().map_err(|error| {
        Failure::new(error).help(
            "an address is a kind and a name, as in `role.naib`; `gaib server state ls` lists those that are managed",
        )
    })
}

/// The configuration that the command line names, in a mode that has one.
pub(super) fn sources(
    context: &Context,
    workspace: &Workspace,
    sources: &server::Sources,
    mode: Mode,
) -> Result<Source> {
    if mode != Mode::Apply {
        let folder = workspace.project.as_ref().map(Project::configuration);
        let folder = folder
            .and_then(|path| path.parent().map(Path::to_owned))
            .unwrap_or_default();
        return Ok(Source {
            configuration: Configuration::default(),
            folder,
            theme_announcements: BTreeSet::new(),
        });
    }
    let values = context.environment.values(&sources.variables)?;
    let path = sources
        .file
        .clone()
        .or_else(|| workspace.project.as_ref().map(Project::configuration));
    let path = path.unwrap_or_else(|| CONFIGURATION.into());
    configuration::read(&path, &theme::registry(context)?, &values, context.printer)
}

/// What is asked of [`make`].
struct Wanted<'a> {
    options: &'a Options,
    /// The plan is written to a file.
    keep: bool,
    /// The plan is meant to be carried out, so what would refuse the apply refuses the plan.
    carry_out: bool,
}

async fn make(context: &Context, arguments: &server::Sources, wanted: &Wanted<'_>) -> Result<(Plan, Vec<Finding>)> {
    let options = wanted.options;
    let said = arguments.guild.guild.as_deref();
    let workspace = workspace_of(context, arguments).await?;
    let mut source = sources(context, &workspace, arguments, options.mode)?;
    let mut state = workspace.state_or_new(context).await?;
    let guild = workspace.guild(said, context, Some(&state))?;
    if wanted.carry_out {
        ownership::check(context, &workspace, guild, &state)?;
    } else if !state.manages(guild)
        && let Some(other) = ownership::suggestion(&workspace, Some(guild))
    {
        context
            .printer
            .note(&format!("Compared with workspace {}: {other}.", workspace.name));
    }
    let discord = connect_quietly(context, guild)?;
    let live = read_live(&discord, guild, &plan::kinds(&source.configuration, &state)).await?;
    community::fit(&mut source, &live, context.printer);
    if wanted.keep {
        // A kept plan names the state that it belongs to, so there must be one.
        state = workspace.begin_state(context, state).await?;
    }
    let (plan, mut findings) = decide(&workspace, &source, &state, &live, options)?;
    findings.extend(absent_members(&discord, &plan).await?);
    if wanted.carry_out {
        community::advise(&plan, &source.configuration, &live, context.printer);
    }
    Ok((plan, findings))
}

/// The workspace that a command with a configuration works in.
pub(super) async fn workspace_of(context: &Context, arguments: &server::Sources) -> Result<Workspace> {
    let named = arguments.workspace.workspace.as_deref();
    let guild = arguments.guild.guild.as_deref();
    let workspace = Workspace::open_for(context, named, arguments.file.is_none(), guild).await?;
    Ok(workspace.with_source(arguments.file.as_deref()))
}

/// A warning of users in overwrites who are not on the server, which Discord has to be asked for.
pub(super) async fn absent_members(discord: &Discord, plan: &Plan) -> Result<Option<Finding>> {
    let absent = arrakis_iac_apply::absent_members(discord, plan.made_from.guild_id, &plan::members(plan)).await;
    let absent = absent.map_err(|error| Failure::new(format!("could not look for members: {error}")))?;
    Ok(plan::absent_members(plan, &absent))
}

/// Plans, and looks whether the plan can succeed.
pub(super) fn decide(
    workspace: &Workspace,
    source: &Source,
    state: &State,
    live: &LiveServer,
    options: &Options,
) -> Result<(Plan, Vec<Finding>)> {
    check_ids(state)?;
    let mut plan = plan::plan(&source.configuration, state, live, options).map_err(|error| {
        Failure::new(&error).help(match error {
            plan::PlanError::OtherServer { .. } => {
                "name the right server with --guild, or use another workspace for this one"
            }
            plan::PlanError::Unread(_) => {
                "Discord has no such collection for this server, or the bot may not read it; `gaib server state rm ADDRESS` \
                 stops managing what is in it"
            }
            plan::PlanError::UnknownTarget { .. } => {
                "`gaib server state ls` lists what is managed; the configuration has the rest"
            }
        })
    })?;
    plan.made_from.workspace = workspace.name.as_str().to_owned();
    let mut findings = plan::preflight(&plan, live, state);
    findings.extend(unusable_images(&plan, &ImageFolder(source.folder.clone())));
    Ok((plan, findings))
}

/// Refuses a state in which two addresses have one id: each would be changed, and removed, by the other's configuration.
pub(super) fn check_ids(state: &State) -> Result<()> {
    state.check_ids().map_err(|error| {
        let address = match &error {
            StateError::SameId { other, .. } => other.to_string(),
            _ => "ADDRESS".to_owned(),
        };
        Failure::new(format!("the state is wrong: {error}")).help(format!(
            "`gaib server state rm {address}` forgets one of them; nothing is removed from the server"
        ))
    })
}

/// Shows a plan with what stands in its way.
pub(super) fn show(context: &Context, plan: &Plan, findings: &[Finding]) {
    let printer = context.printer;
    for message in render::messages(plan, findings) {
        printer.message(&message);
    }
    printer.text(&render::plan(plan, Style { color: printer.color() }));
    for finding in findings {
        let severity = if finding.blocking {
            Severity::Error
        } else {
            Severity::Warning
        };
        let lead = if finding.blocking {
            "this plan cannot succeed: "
        } else {
            ""
        };
        if !printer.is_json() {
            printer.diagnostic(severity, &format!("{lead}{}", finding.what), Some(&finding.what_to_do));
        }
    }
}
