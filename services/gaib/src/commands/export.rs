//! `gaib server export`: the live server as configuration.

use std::collections::BTreeMap;
use std::path::Path;

use arrakis_iac::export::{self, ExportDetail};
use arrakis_iac::live::LiveServer;
use arrakis_iac::model::{Address, Configuration, Snowflake};
use arrakis_iac::plan::held;
use arrakis_iac::state::State;
use arrakis_iac::words::counted;
use arrakis_iac_apply::http::Discord;
use arrakis_iac_apply::{Cdn, ReadError, all_kinds, read};
use serde_json::json;
use time::OffsetDateTime;

use crate::arguments::server;
use crate::commands::Context;
use crate::error::{Failure, Result};
use crate::exit::ExitStatus;
use crate::images::{self, Images, Missing, Naming};
use crate::ownership;
use crate::printer::Severity;
use crate::project::{self, Project};
use crate::session::{Workspace, connect_quietly};

pub(super) async fn run(context: &Context, arguments: &server::Export) -> Result<ExitStatus> {
    let printer = context.printer;
    if let Some(path) = arguments
        .output
        .as_deref()
        .filter(|path| (path.is_file() || path.is_dir()) && !arguments.force)
    {
        return Err(Failure::new(format!("{} is there already", path.display()))
            .help("add --force to replace it, or name another file"));
    }
    let (named, said) = (
        arguments.workspace.workspace.as_deref(),
        arguments.guild.guild.as_deref(),
    );
    let workspace = Workspace::open_for(context, named, false, said).await?;
    let state = workspace.state().await?;
    let state = state.unwrap_or_else(|| State::new(uuid::Uuid::new_v4().to_string()));
    let guild = workspace.guild(said, context, Some(&state))?;
    if !state.manages(guild)
        && let Some(other) = ownership::suggestion(&workspace, Some(guild))
    {
        printer.note(&format!("Exported with workspace {}: {other}.", workspace.name));
    }
    let discord = connect_quietly(context, guild)?;
    let live = read_everything(context, &discord, guild).await?;
    let everything = arguments.include_unmanaged || state.resources.is_empty();
    let mut export = Exported::of(&live, &state, everything, ExportDetail::Readable);
    match &arguments.output {
        Some(file) => {
            let images = images(context, &workspace, file, Naming::Addresses, arguments.force)?;
            export.with_images(context, &images, &live, &state).await?;
        }
        None => export.without_images(context, &live),
    }
    let text = export.text();
    warn_of_unknown(context, &live);
    warn_of_unreadable(context, &live, &state);
    if export.left > 0 {
        printer.note(&format!(
            "Left out {} on the server, not managed here; --include-unmanaged writes everything.",
            counted(export.left, "resource")
        ));
    }
    if arguments.backup {
        let folder = workspace.path(format!("exports/{guild}"));
        let dated = folder.join(format!("config.{}.yaml", time_for_names()));
        keep(context, &workspace, &live, &state, &dated).await?;
        keep(context, &workspace, &live, &state, &folder.join("config.latest.yaml")).await?;
        printer.message(&json!({"type": "export_kept", "file": dated.display().to_string()}));
        printer.note(&format!("Kept a copy in {}.", dated.display()));
    }
    match &arguments.output {
        Some(path) => {
            project::write(path, text.as_bytes())?;
            printer.message(&json!({"type": "exported", "file": path.display().to_string()}));
            printer.note(&format!("Wrote server {guild} to {}.", path.display()));
        }
        None if printer.is_json() => printer.message(&json!({"type": "exported", "configuration": text})),
        None => printer.document(&text),
    }
    Ok(ExitStatus::Success)
}

/// Reads every kind that the bot may read.
pub(super) async fn read_everything(context: &Context, discord: &Discord, guild: Snowflake) -> Result<LiveServer> {
    let failed = |error: ReadError| Failure::new(format!("could not read server {guild}: {error}"));
    match read(discord, guild, &all_kinds()).await {
        Err(error @ ReadError::Forbidden { .. }) => {
            let why = format!("{error}; these are left out");
            context.printer.diagnostic(Severity::Warning, &why, None);
            let mut kinds = all_kinds();
            if let ReadError::Forbidden { kinds: forbidden, .. } = error {
                kinds.retain(|kind| !forbidden.contains(kind));
            }
            read(discord, guild, &kinds).await.map_err(failed)
        }
        other => other.map_err(failed),
    }
}

/// Values that this version does not know, and so does not manage.
pub(super) fn warn_of_unknown(context: &Context, live: &LiveServer) {
    for value in &live.unknown {
        context.printer.diagnostic(Severity::Warning, &value.to_string(), None);
    }
}

/// What is managed and exists, and cannot be read: it is not in the export, and what refers to it names its id.
fn warn_of_unreadable(context: &Context, live: &LiveServer, state: &State) {
    for (address, entry) in &state.resources {
        if let Some(why) = held(address, entry, live).filter(|_| live.get(address.kind(), entry.id).is_none()) {
            let reason = format!(
                "{address} (id {}) is left out: {why}. It stays managed; what refers to it names its id",
                entry.id
            );
            context.printer.diagnostic(Severity::Warning, &reason, None);
        }
    }
}

/// A server, about to be written.
pub(super) struct Exported {
    configuration: Configuration,
    addresses: BTreeMap<Address, Snowflake>,
    comment: String,
    /// How many resources are left out.
    left: usize,
}

impl Exported {
    /// The server: what is managed, or everything.
    pub(super) fn of(live: &LiveServer, state: &State, everything: bool, detail: ExportDetail) -> Self {
        let managed: BTreeMap<Address, Snowflake> = state
            .resources
            .iter()
            .map(|(address, entry)| (address.clone(), entry.id))
            .collect();
        let mut addresses = export::assign(live, &managed);
        let all = addresses.len();
        if !everything {
            addresses.retain(|address, _| managed.contains_key(address));
        }
        Self {
            configuration: export::from_live(live, &addresses, detail),
            comment: format!(
                "Server {} as it was at Discord when `gaib server export` read it.",
                live.guild_id
            ),
            left: all - addresses.len(),
            addresses,
        }
    }

    /// The YAML.
    pub(super) fn text(&self) -> String {
        export::to_yaml(&self.configuration, &self.comment)
    }

    /// Writes the images beside the file and names them. What is missing is told, and noted in the file.
    pub(super) async fn with_images(
        &mut self,
        context: &Context,
        images: &Images<'_>,
        live: &LiveServer,
        state: &State,
    ) -> Result<()> {
        let missing = images
            .export(live, &self.addresses, state, &mut self.configuration)
            .await?;
        for Missing { address, why } in &missing {
            let what = format!("the image of {address} was not exported: {why}");
            context
                .printer
                .message(&json!({"type": "image_missing", "address": address, "reason": why}));
            context
                .printer
                .diagnostic(Severity::Warning, &what, Some(NEEDED_ELSEWHERE));
        }
        if !missing.is_empty() {
            let lines = missing
                .iter()
                .map(|Missing { address, why }| format!("  {address}: {why}"));
            self.note_missing("These images could not be exported:", lines);
        }
        Ok(())
    }

    /// On stdout there is no folder to write images into.
    fn without_images(&mut self, context: &Context, live: &LiveServer) {
        let missing = images::addresses(live, &self.addresses, &self.configuration);
        if missing.is_empty() {
            return;
        }
        context.printer.note(&format!(
            "Left out {} images; --output FILE downloads them into a folder beside FILE.",
            missing.len()
        ));
        let lines = missing.iter().map(|address| format!("  {address}"));
        self.note_missing("Exported without images (`--output FILE` downloads them):", lines);
    }

    fn note_missing(&mut self, heading: &str, lines: impl Iterator<Item = String>) {
        let lines: Vec<String> = lines.collect();
        self.comment.push_str(&format!(
            "\n\n{heading}\n{}\nOn this server nothing is missing. To make an emoji on another server, write `image: FILE` under it.",
            lines.join("\n")
        ));
    }
}

const NEEDED_ELSEWHERE: &str = "this server needs no image for what it has; for another server put one beside the file and write `image: FILE` under the resource";

/// Where the images of a file go.
pub(super) fn images<'a>(
    context: &Context,
    workspace: &Workspace,
    file: &'a Path,
    naming: Naming,
    force: bool,
) -> Result<Images<'a>> {
    let configuration = workspace.project.as_ref().map(Project::configuration);
    let sources = configuration.and_then(|path| path.parent().map(Path::to_owned));
    Ok(Images {
        cdn: Cdn::for_api(&context.environment.api_base()?).map_err(Failure::new)?,
        file,
        naming,
        force,
        sources: sources.unwrap_or_default(),
    })
}

/// Keeps the whole server, every attribute of it.
pub(super) async fn keep(
    context: &Context,
    workspace: &Workspace,
    live: &LiveServer,
    state: &State,
    path: &Path,
) -> Result<()> {
    let mut export = Exported::of(live, state, true, ExportDetail::Complete);
    let images = images(context, workspace, path, Naming::Contents, true)?;
    export.with_images(context, &images, live, state).await?;
    project::write(path, export.text().as_bytes())
}

/// Now, as file names take it: `20261121T141500Z`.
pub(super) fn time_for_names() -> String {
    let now = OffsetDateTime::now_utc();
    let (year, month, day) = (now.year(), u8::from(now.month()), now.day());
    format!(
        "{year:04}{month:02}{day:02}T{:02}{:02}{:02}Z",
        now.hour(),
        now.minute(),
        now.second()
    )
}
