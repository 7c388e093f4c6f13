//! `gaib server apply`, `gaib server destroy` and `gaib apply FILE`: from a plan to a changed server.

use std::path::Path;
use std::sync::Arc;

use arrakis_iac::live::LiveServer;
use arrakis_iac::model::Snowflake;
use arrakis_iac::plan::{self, Finding, Mode, Options, Plan, Step};
use arrakis_iac::render;
use arrakis_iac::state::State;
use arrakis_iac::words::counted;
use arrakis_iac_apply::store::{StateLock, WorkspaceName};
use arrakis_iac_apply::{ApplyError, Executor, ImageFolder, unusable_images};
use serde_json::json;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio_util::sync::CancellationToken;

use crate::arguments::{ApplyFile, server};
use crate::commands::{Context, export, plan as planning, theme};
use crate::community;
use crate::configuration::{self, Source};
use crate::error::{ABOUT_THE_DISK, Failure, Result};
use crate::exit::ExitStatus;
use crate::ownership;
use crate::progress::Reporter;
use crate::project::{self, Project};
use crate::recovery;
use crate::session::{Workspace, connect, read_live};
use crate::settings::guild_id;

/// What is to be done, and how.
struct Job<'a> {
    workspace: &'a Workspace,
    guild: Option<&'a str>,
    source: Source,
    options: Options,
    auto_approve: bool,
    snapshot: bool,
}

pub(super) async fn run(context: &Context, arguments: &server::Apply) -> Result<ExitStatus> {
    let sources = &arguments.sources;
    let has_source = arguments.theme.is_some() || sources.file.is_some();
    let guild = sources.guild.guild.as_deref();
    let named = sources.workspace.workspace.as_deref();
    if let Some(path) = &arguments.plan {
        let saved = SavedPlan {
            path,
            plan: read_plan(path)?,
            guild,
            snapshot: arguments.snapshot,
            allow_replace: arguments.consent.allow_replace,
        };
        let workspace = Workspace::open(named, true).await?;
        return saved.apply(context, &workspace).await;
    }
    let workspace = Workspace::open_for(context, named, !has_source, guild).await?;
    let workspace = workspace.with_source(sources.file.as_deref());
    let options = planning::options(&arguments.scope, arguments.consent.allow_replace)?;
    let source = match &arguments.theme {
        Some(name) => {
            let values = context.environment.values(&sources.variables)?;
            configuration::of_theme(name, &theme::registry(context)?, &values, context.printer)?
        }
        None => planning::sources(context, &workspace, sources, options.mode)?,
    };
    let auto_approve = arguments.consent.auto_approve;
    apply(
        context,
        Job {
            workspace: &workspace,
            guild,
            source,
            options,
            auto_approve,
            snapshot: arguments.snapshot,
        },
    )
    .await
}

pub(super) async fn destroy(context: &Context, arguments: &server::Destroy) -> Result<ExitStatus> {
    let (named, said) = (
        arguments.workspace.workspace.as_deref(),
        arguments.guild.guild.as_deref(),
    );
    let workspace = Workspace::open_for(context, named, false, said).await?;
    let options = Options {
        mode: Mode::Destroy,
        targets: planning::addresses(&arguments.target)?,
        ..Options::default()
    };
    let source = planning::sources(context, &workspace, &server::Sources::default(), Mode::Destroy)?;
    let (guild, auto_approve) = (arguments.guild.guild.as_deref(), arguments.auto_approve);
    apply(
        context,
        Job {
            workspace: &workspace,
            guild,
            source,
            options,
            auto_approve,
            snapshot: false,
        },
    )
    .await
}

pub(super) async fn file(context: &Context, arguments: &ApplyFile) -> Result<ExitStatus> {
    let values = context.environment.values(&arguments.variables)?;
    let source = configuration::read(&arguments.file, &theme::registry(context)?, &values, context.printer)?;
    let guild = match arguments.guild.guild.as_deref() {
        Some(said) => Some(guild_id("--guild", said)?),
        None => context.environment.guild()?,
    };
    let guild = guild.ok_or_else(|| {
        Failure::new("no server is named to apply the file to").help("add --guild ID, or set DISCORD_GUILD_ID")
    })?;
    let workspace = Workspace::beside(&source.folder, guild)
        .await?
        .with_source(Some(&arguments.file));
    let text = guild.to_string();
    let options = Options {
        allow_replace: arguments.consent.allow_replace,
        drop_missing: arguments.drop_missing,
        ..Options::default()
    };
    let auto_approve = arguments.consent.auto_approve;
    apply(
        context,
        Job {
            workspace: &workspace,
            guild: Some(&text),
            source,
            options,
            auto_approve,
            snapshot: false,
        },
    )
    .await
}

const fn operation(options: &Options) -> &'static str {
    match options.mode {
        Mode::Destroy => "destroy",
        _ => "apply",
    }
}

/// Plans, shows, asks, carries out; all of it under the lock.
async fn apply(context: &Context, job: Job<'_>) -> Result<ExitStatus> {
    let mut guard = job.workspace.lock(context, operation(&job.options)).await?;
    let result = under_lock(context, job, &mut *guard).await;
    let released = guard.release().await.map_err(Failure::of_store);
    result.and_then(|status| released.map(|()| status))
}

async fn under_lock(context: &Context, mut job: Job<'_>, guard: &mut dyn StateLock) -> Result<ExitStatus> {
    let mut state = job.workspace.state_or_new(context).await?;
    let guild = job.workspace.guild(job.guild, context, Some(&state))?;
    let claim = ownership::claim(context, job.workspace, guild, &state, operation(&job.options))?;
    let work = Work::new(context, guild)?;
    let live = read_live(&work.discord, guild, &plan::kinds(&job.source.configuration, &state)).await?;
    community::fit(&mut job.source, &live, context.printer);
    let (plan, mut findings) = planning::decide(job.workspace, &job.source, &state, &live, &job.options)?;
    findings.extend(planning::absent_members(&work.discord, &plan).await?);
    planning::show(context, &plan, &findings);
    community::advise(&plan, &job.source.configuration, &live, context.printer);
    if plan.steps.is_empty() {
        return Ok(ExitStatus::Success);
    }
    check(&plan, &findings, job.options.allow_replace)?;
    // Bringing the state up to date touches nothing of anybody's.
    let touches = plan.steps.iter().any(Step::is_request) || !plan.changes.is_empty();
    if touches && !job.auto_approve {
        let (question, instead) = question(&plan, guild);
        context.prompt.confirm(&question, "yes", instead)?;
    }
    if job.snapshot {
        keep_snapshot(context, job.workspace, &live, &state).await?;
    }
    job.workspace.begin_locked(guard, &state).await?;
    claim.record(context, job.workspace, &state);
    if job.workspace.is_beside_a_file {
        job.workspace.select_if_first(context).await?;
    }
    work.carry_out(context, (&plan, &live), &mut state, guard, &job.source.folder)
        .await?;
    claim.settle(context, &state);
    Ok(ExitStatus::Success)
}

fn question(plan: &Plan, guild: Snowflake) -> (String, &'static str) {
    match plan.mode {
        Mode::Destroy => (
            format!("Do you really want to remove all of this from server {guild}? There is no undo."),
            "consent beforehand with --auto-approve",
        ),
        Mode::RefreshOnly => (
            "Do you want to bring the state up to date?".to_owned(),
            "consent beforehand with --auto-approve",
        ),
        Mode::Apply => (
            format!("Do you want to make these changes on server {guild}?"),
            "consent beforehand with --auto-approve, or keep a plan with `gaib server plan --out FILE` and apply that",
        ),
    }
}

/// Nothing is sent when something stands in the way.
fn check(plan: &Plan, findings: &[Finding], allow_replace: bool) -> Result<()> {
    let blocking = findings.iter().filter(|finding| finding.blocking).count();
    if blocking > 0 {
        return Err(Failure::new(format!(
            "nothing was changed: this plan cannot succeed, for {} (above)",
            counted(blocking, "reason")
        ))
        .help("do what is written there and apply again"));
    }
    if !allow_replace && plan.losses().next().is_some() {
        let lost: Vec<String> = plan.losses().map(|change| change.address.to_string()).collect();
        return Err(Failure::new(format!(
            "nothing was changed: the messages in {} would be lost, since Discord cannot change {} kind in place",
            lost.join(", "),
            if lost.len() == 1 { "its" } else { "their" }
        ))
        .help("add --allow-replace if that is meant; else give the new channel another logical name and remove the old one later"));
    }
    Ok(())
}

fn read_plan(path: &Path) -> Result<Plan> {
    let bytes = project::read(path).map_err(|error| {
        Failure::new(format!("could not read the plan {}: {error}", path.display()))
            .help("`gaib server plan --out FILE` writes one; without a file, `gaib server apply` plans by itself")
    })?;
    Plan::from_bytes(&bytes).map_err(|error| {
        Failure::new(format!("{} cannot be carried out: {error}", path.display()))
            .help("a plan is what `gaib server plan --out FILE` wrote; a configuration is named by --file")
    })
}

/// A plan from a file: carried out as it is, without a question, or not at all.
struct SavedPlan<'a> {
    path: &'a Path,
    plan: Plan,
    guild: Option<&'a str>,
    snapshot: bool,
    allow_replace: bool,
}

impl SavedPlan<'_> {
    async fn apply(&self, context: &Context, workspace: &Workspace) -> Result<ExitStatus> {
        let mut guard = workspace.lock(context, "apply a saved plan").await?;
        let result = self.under_lock(context, workspace, &mut *guard).await;
        let released = guard.release().await.map_err(Failure::of_store);
        result.and_then(|status| released.map(|()| status))
    }

    async fn under_lock(
        &self,
        context: &Context,
        workspace: &Workspace,
        guard: &mut dyn StateLock,
    ) -> Result<ExitStatus> {
        let (plan, guild) = (&self.plan, self.plan.made_from.guild_id);
        let mut state = self.own_state(context, workspace).await?;
        let claim = ownership::claim(context, workspace, guild, &state, "apply a saved plan")?;
        let work = Work::new(context, guild)?;
        let live = read_live(&work.discord, guild, &plan.made_from.kinds).await?;
        if live.fingerprint() != plan.made_from.live {
            return Err(stale("the server was changed since"));
        }
        planning::check_ids(&state)?;
        let folder = workspace.project.as_ref().map(Project::configuration);
        let folder = folder
            .and_then(|path| path.parent().map(Path::to_owned))
            .unwrap_or_default();
        let mut findings = plan::preflight(plan, &live, &state);
        findings.extend(unusable_images(plan, &ImageFolder(folder.clone())));
        planning::show(context, plan, &findings);
        check(plan, &findings, plan.allow_replace || self.allow_replace)?;
        if self.snapshot {
            keep_snapshot(context, workspace, &live, &state).await?;
        }
        claim.record(context, workspace, &state);
        work.carry_out(context, (plan, &live), &mut state, guard, &folder)
            .await?;
        claim.settle(context, &state);
        Ok(ExitStatus::Success)
    }

    /// The state that the plan was made from; anything else is refused. A plan belongs to one workspace and one server.
    async fn own_state(&self, context: &Context, workspace: &Workspace) -> Result<State> {
        let from = &self.plan.made_from;
        let named = self.guild.map(|said| guild_id("--guild", said)).transpose()?;
        if let Some(named) = named.filter(|named| *named != from.guild_id) {
            let what = format!("the plan is for server {}, not for {named}", from.guild_id);
            return Err(Failure::new(what).help("leave --guild out"));
        }
        let remembered = workspace.remembered_guild()?;
        if let Some(remembered) = remembered.filter(|remembered| *remembered != from.guild_id) {
            return Err(self.foreign(workspace, &format!("which belongs to server {remembered}")));
        }
        if workspace.name.as_str() != from.workspace {
            return Err(self.foreign(workspace, "another workspace"));
        }
        let Some(state) = workspace.state().await? else {
            recovery::refuse_lost_state(context, workspace)?;
            return Err(self.foreign(workspace, "which has no state"));
        };
        if state.lineage != from.lineage {
            return Err(self.foreign(workspace, &format!("whose state has lineage {}", state.lineage)));
        }
        if state.serial != from.serial {
            return Err(stale(&format!(
                "the state was written since (serial {}, and the plan was made from {})",
                state.serial, from.serial
            )));
        }
        Ok(state)
    }

    fn foreign(&self, workspace: &Workspace, what_this_is: &str) -> Failure {
        let from = &self.plan.made_from;
        let is_its = |(name, state): &(WorkspaceName, State)| {
            name.as_str() == from.workspace && state.lineage == from.lineage && *name != workspace.name
        };
        let help = match workspace.states().iter().any(is_its) {
            true => format!(
                "apply it there: `gaib server apply {} --workspace {}`; for this workspace make a plan of its own with `gaib \
                 server plan --out FILE`",
                ownership::shell_word(&self.path.to_string_lossy()),
                from.workspace
            ),
            false => "apply it in the folder and workspace where it was made, with the state.json from there; for this workspace \
                      make a plan of its own with `gaib server plan --out FILE`"
                .to_owned(),
        };
        Failure::new(format!(
            "nothing was changed: the plan {} belongs to workspace {} (server {}, state with lineage {}), and this is workspace \
             {}, {what_this_is}",
            self.path.display(),
            from.workspace,
            from.guild_id,
            from.lineage,
            workspace.name
        ))
        .help(help)
    }
}

fn stale(why: &str) -> Failure {
    Failure::new(format!("the plan is stale, and nothing was changed: {why}"))
        .help("make it again with `gaib server plan --out FILE`, and look at it again")
}

async fn keep_snapshot(context: &Context, workspace: &Workspace, live: &LiveServer, state: &State) -> Result<()> {
    let path = workspace.path(format!("snapshots/{}.yaml", export::time_for_names()));
    export::keep(context, workspace, live, state, &path).await?;
    context
        .printer
        .message(&json!({"type": "snapshot_kept", "file": path.display().to_string()}));
    context
        .printer
        .note(&format!("Kept the server as it is in {}.", path.display()));
    Ok(())
}

/// The signals that ask a process to stop: Ctrl-C, a cancelled job (SIGTERM), a closed terminal (SIGHUP).
struct StopSignals {
    interrupt: Signal,
    terminate: Signal,
    hangup: Signal,
}

impl StopSignals {
    fn listen() -> std::io::Result<Self> {
        Ok(Self {
            interrupt: signal(SignalKind::interrupt())?,
            terminate: signal(SignalKind::terminate())?,
            hangup: signal(SignalKind::hangup())?,
        })
    }

    async fn next(&mut self) {
        tokio::select! {
            _ = self.interrupt.recv() => {}
            _ = self.terminate.recv() => {}
            _ = self.hangup.recv() => {}
        }
    }
}

/// A client that can be stopped, and tells what it does.
struct Work {
    discord: arrakis_iac_apply::http::Discord,
    reporter: Arc<Reporter>,
    cancelled: CancellationToken,
}

impl Work {
    fn new(context: &Context, guild: Snowflake) -> Result<Self> {
        let reporter = Arc::new(Reporter::new(context.printer));
        let cancelled = CancellationToken::new();
        let discord = connect(context, guild, reporter.clone(), cancelled.clone())?;
        Ok(Self {
            discord,
            reporter,
            cancelled,
        })
    }

    /// Ctrl-C, SIGTERM or SIGHUP ends it between two requests; a second one ends it at once, which loses nothing either.
    async fn carry_out(
        &self,
        context: &Context,
        (plan, live): (&Plan, &LiveServer),
        state: &mut State,
        guard: &mut dyn StateLock,
        pictures: &Path,
    ) -> Result<()> {
        let printer = context.printer;
        let pictures = ImageFolder(pictures.to_owned());
        let mut executor = Executor::new(&self.discord, guard, &pictures);
        let cancelled = self.cancelled.clone();
        let watch = tokio::spawn(async move {
            let Ok(mut signals) = StopSignals::listen() else { return };
            loop {
                signals.next().await;
                if cancelled.is_cancelled() {
                    printer.note(
                        "Ended at once. The request in flight may have taken effect; the next apply looks for it.",
                    );
                    std::process::exit(i32::from(ExitStatus::Error.code()));
                }
                printer.note("Stopping after the request in flight. Ctrl-C again ends it at once.");
                cancelled.cancel();
            }
        });
        let outcome = executor.run(plan, live, state).await;
        watch.abort();
        outcome.map_err(|error| self.ended(plan, &error))?;
        let counts = plan.counts();
        printer.message(&json!({
            "type": "apply_complete", "added": counts.add, "changed": counts.change, "destroyed": counts.destroy,
            "reordered": counts.reorder, "adopted": counts.adopt, "forgotten": counts.forget, "serial": state.serial,
        }));
        let word = if plan.mode == Mode::Destroy { "Destroy" } else { "Apply" };
        printer.text(&match plan.is_empty() || plan.mode == Mode::RefreshOnly {
            true => "The state is up to date.\n".to_owned(),
            false => format!("\n{}\n", render::outcome(word, &counts)),
        });
        Ok(())
    }

    fn ended(&self, plan: &Plan, error: &ApplyError) -> Failure {
        let (done, steps) = (self.reporter.done(), counted(plan.steps.len(), "step"));
        if matches!(error, ApplyError::Store(_)) {
            return Failure::new(format!(
                "ended after {done} of {steps}, and the state does not have the last one: {error}"
            ))
            .help(format!(
                "{ABOUT_THE_DISK}; then run the same again: it looks on the server for what the last step made"
            ));
        }
        let again = match plan.mode {
            Mode::Destroy => "the same command goes on from there: what is done is in the state",
            _ => "the same command goes on from there: what is done is in the state, and nothing is done twice",
        };
        match error.is_cancelled() {
            true => Failure::new(format!("stopped after {done} of {steps}")).help(again),
            false if error.stays() => Failure::new(format!("ended after {done} of {steps}: {error}")).help(format!(
                "run again unchanged, it ends at the same step: correct what is named here first; then {again}"
            )),
            false => Failure::new(format!("ended after {done} of {steps}: {error}")).help(again),
        }
    }
}
