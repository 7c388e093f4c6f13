//! `gaib server export`: writes the live server as a configuration, and works with the copies of it that are stored.

mod delete;
mod download;
mod stored;
mod verify;

use std::collections::BTreeMap;
use std::path::Path;

use arrakis_iac::export::{self, ExportDetail};
use arrakis_iac::grammar::counted;
use arrakis_iac::live::LiveServer;
use arrakis_iac::model::{Address, Configuration, Snowflake};
use arrakis_iac::plan::held;
use arrakis_iac::state::State;
use arrakis_iac_apply::http::Discord;
use arrakis_iac_apply::{Cdn, ReadError, all_kinds, read};
use serde_json::json;
use time::OffsetDateTime;

use crate::arguments::backup::OfServer;
use crate::arguments::export::{Export, ExportCommand};
use crate::commands::deployment;
use crate::connection::{connect_silently, read_failure};
use crate::context::Context;
use crate::error::{Failure, Result};
use crate::exit::ExitStatus;
use crate::files;
use crate::images::{self, ImageExport, ImageNames, MissingImage};
use crate::ownership;
use crate::printer::Severity;
use crate::settings::guild_option;
use crate::workspace::Workspace;
use crate::workspace_state;

pub(super) use verify::{ExportCounts, all as verify_all};

pub(super) async fn run(context: &Context, arguments: &Export) -> Result<ExitStatus> {
    match &arguments.command {
        Some(ExportCommand::Verify(arguments)) => Box::pin(verify::run(context, arguments)).await,
        Some(ExportCommand::Download(arguments)) => {
            Box::pin(download::run(context, arguments)).await?;
            Ok(ExitStatus::Success)
        }
        Some(ExportCommand::Delete(arguments)) => {
            Box::pin(delete::run(context, arguments)).await?;
            Ok(ExitStatus::Success)
        }
        None => export_server(context, arguments).await,
    }
}

async fn export_server(context: &Context, arguments: &Export) -> Result<ExitStatus> {
    let printer = context.printer;
    if arguments.copies.list {
        let server = OfServer {
            guild: arguments.guild.clone(),
            workspace: arguments.workspace.clone(),
        };
        Box::pin(stored::list(context, &server)).await?;
        return Ok(ExitStatus::Success);
    }
    if let Some(path) = arguments
        .output
        .as_deref()
        .filter(|path| (path.is_file() || path.is_dir()) && !arguments.force)
    {
        return Err(Failure::new(format!("{} already exists", path.display()))
            .help("add --force to replace it, or name another file"));
    }
    let option = guild_option(&arguments.guild)?;
    let workspace = Workspace::open_for_guild(context, arguments.workspace.workspace.as_deref(), false, option).await?;
    let state = workspace_state::read(&workspace).await?;
    let state = state.unwrap_or_else(workspace_state::empty);
    let guild = ownership::required_guild(context, &workspace, option, &state).await?;
    if !state.manages(guild)
        && let Some(others) = ownership::other_workspaces(&workspace, Some(guild)).await
    {
        printer.note(&format!(
            "Exported in workspace {}, which does not manage this server; {others}.",
            workspace.name
        ));
    }
    if arguments.copies.backup {
        Box::pin(deployment::require_writable(context, &workspace, guild)).await?;
    }
    let discord = connect_silently(context, guild)?;
    let live = read_everything(context, &discord, guild).await?;
    if arguments.copies.backup && arguments.output.is_none() {
        // The copy is the result: the configuration on stdout would be another export, without images.
        warn_of_unknown(context, &live);
        warn_of_unreadable(context, &live, &state);
        Box::pin(stored::store(context, &workspace, &live, &state)).await?;
        return Ok(ExitStatus::Success);
    }
    let everything = arguments.include_unmanaged || state.resources.is_empty();
    let mut export = ServerExport::new(&live, &state, everything, ExportDetail::Readable);
    match &arguments.output {
        Some(file) => {
            let images = images(context, &workspace, file, ImageNames::ByAddress, arguments.force)?;
            export.with_images(context, &images, &live, &state).await?;
        }
        None => export.without_images(context, &live),
    }
    let text = export.text();
    warn_of_unknown(context, &live);
    warn_of_unreadable(context, &live, &state);
    if export.omitted > 0 {
        printer.note(&format!(
            "Omitted {} of the server; --include-unmanaged exports everything.",
            counted(export.omitted, "unmanaged resource")
        ));
    }
    if arguments.copies.backup {
        stored::store(context, &workspace, &live, &state).await?;
    }
    match &arguments.output {
        Some(path) => {
            files::write(path, text.as_bytes())?;
            printer.message(&json!({"type": "exported", "file": path.display().to_string()}));
            printer.note(&format!("Wrote server {guild} to {}.", path.display()));
        }
        None if printer.is_json() => printer.message(&json!({"type": "exported", "configuration": text})),
        None => printer.document(&text),
    }
    Ok(ExitStatus::Success)
}

/// Reads all resources of the server. Warns of kinds that the bot may not read, and omits them.
pub(super) async fn read_everything(context: &Context, discord: &Discord, guild: Snowflake) -> Result<LiveServer> {
    let failed = |error: ReadError| read_failure(context, &format!("server {guild}"), &error);
    match read(discord, guild, &all_kinds()).await {
        Err(error @ ReadError::Forbidden { .. }) => {
            let summary = format!("{error}; they are omitted");
            context.printer.diagnostic(Severity::Warning, &summary, None);
            let mut kinds = all_kinds();
            if let ReadError::Forbidden { kinds: forbidden, .. } = error {
                kinds.retain(|kind| !forbidden.contains(kind));
            }
            read(discord, guild, &kinds).await.map_err(failed)
        }
        other => other.map_err(failed),
    }
}

/// Warns of values that this version of gaib does not support and therefore does not manage.
pub(super) fn warn_of_unknown(context: &Context, live: &LiveServer) {
    for value in &live.unknown {
        context.printer.diagnostic(Severity::Warning, &value.to_string(), None);
    }
}

/// Warns of managed resources that exist and cannot be read. The export omits them; references to them contain their ids.
fn warn_of_unreadable(context: &Context, live: &LiveServer, state: &State) {
    for (address, entry) in &state.resources {
        if let Some(reason) = held(address, entry, live).filter(|_| live.get(address.kind(), entry.id).is_none()) {
            let summary = format!(
                "{address} (id {}) is omitted: {reason}. It stays managed; references to it contain its id",
                entry.id
            );
            context.printer.diagnostic(Severity::Warning, &summary, None);
        }
    }
}

/// A live server as a configuration.
pub(super) struct ServerExport {
    configuration: Configuration,
    addresses: BTreeMap<Address, Snowflake>,
    comment: String,
    /// Number of unmanaged resources that are not in the configuration.
    omitted: usize,
}

impl ServerExport {
    /// The managed resources of the server, or everything.
    pub(super) fn new(live: &LiveServer, state: &State, everything: bool, detail: ExportDetail) -> Self {
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
            comment: format!("Server {} as `gaib server export` read it from Discord.", live.guild_id),
            omitted: all - addresses.len(),
            addresses,
        }
    }

    /// The configuration as YAML.
    pub(super) fn text(&self) -> String {
        export::to_yaml(&self.configuration, &self.comment)
    }

    /// Downloads the images to a folder beside the file. Warns of missing images, and lists them in a comment. Returns how many are
    /// missing.
    pub(super) async fn with_images(
        &mut self,
        context: &Context,
        images: &ImageExport<'_>,
        live: &LiveServer,
        state: &State,
    ) -> Result<usize> {
        let missing = images
            .run(live, &self.addresses, state, &mut self.configuration)
            .await?;
        for MissingImage { address, reason } in &missing {
            let summary = format!("the image of {address} was not exported: {reason}");
            context
                .printer
                .message(&json!({"type": "image_missing", "address": address, "reason": reason}));
            context
                .printer
                .diagnostic(Severity::Warning, &summary, Some(MISSING_IMAGE_HELP));
        }
        if !missing.is_empty() {
            let lines = missing
                .iter()
                .map(|MissingImage { address, reason }| format!("  {address}: {reason}"));
            self.add_comment("These images could not be exported:", lines);
        }
        Ok(missing.len())
    }

    /// Lists the images in a comment, for an export to stdout.
    fn without_images(&mut self, context: &Context, live: &LiveServer) {
        let missing = images::addresses(live, &self.addresses, &self.configuration);
        if missing.is_empty() {
            return;
        }
        context.printer.note(&format!(
            "Omitted {}; --output FILE downloads images into a folder beside FILE.",
            counted(missing.len(), "image")
        ));
        let lines = missing.iter().map(|address| format!("  {address}"));
        self.add_comment("Exported without images (`--output FILE` downloads them):", lines);
    }

    fn add_comment(&mut self, heading: &str, lines: impl Iterator<Item = String>) {
        let lines: Vec<String> = lines.collect();
        self.comment.push_str(&format!(
            "\n\n{heading}\n{}\nThis server needs no image files. To create an emoji on another server, write `image: FILE` under it.",
            lines.join("\n")
        ));
    }
}

const MISSING_IMAGE_HELP: &str = "an existing resource needs no image; for another server put a file beside the configuration and write `image: FILE` under \
                                  the resource";

/// The image export of a file.
pub(super) fn images<'a>(
    context: &Context,
    workspace: &Workspace,
    file: &'a Path,
    names: ImageNames,
    force: bool,
) -> Result<ImageExport<'a>> {
    Ok(ImageExport {
        cdn: Cdn::for_api(&context.environment.api_base()?).map_err(Failure::new)?,
        file,
        names,
        force,
        configuration_folder: workspace.configuration_folder(),
    })
}

/// Saves an export of the whole server with every attribute. Returns how many images are missing.
pub(super) async fn save(
    context: &Context,
    workspace: &Workspace,
    live: &LiveServer,
    state: &State,
    path: &Path,
    names: ImageNames,
) -> Result<usize> {
    let mut export = ServerExport::new(live, state, true, ExportDetail::Complete);
    let images = images(context, workspace, path, names, true)?;
    let missing = export.with_images(context, &images, live, state).await?;
    files::write(path, export.text().as_bytes())?;
    Ok(missing)
}

/// The current time for a file name: `20261121T141500Z`.
pub(super) fn timestamp() -> String {
    let now = OffsetDateTime::now_utc();
    let (year, month, day) = (now.year(), u8::from(now.month()), now.day());
    format!(
        "{year:04}{month:02}{day:02}T{:02}{:02}{:02}Z",
        now.hour(),
        now.minute(),
        now.second()
    )
}
