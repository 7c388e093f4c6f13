//! `gaib server export`: the live server as configuration.

use std::collections::BTreeMap;
use std::path::Path;

use arrakis_iac::export::{self, Detail};
use arrakis_iac::live::Live;
use arrakis_iac::model::{Address, Snowflake};
use arrakis_iac::state::State;
use arrakis_iac::words::counted;
use arrakis_iac_apply::http::Discord;
use arrakis_iac_apply::{ReadError, all_kinds, read};
use serde_json::json;
use time::OffsetDateTime;

use crate::arguments::server;
use crate::commands::Context;
use crate::error::{Failure, Result};
use crate::exit::ExitStatus;
use crate::ownership;
use crate::printer::Severity;
use crate::project;
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
    let (text, left) = to_yaml(&live, &state, everything, Detail::Readable);
    warn_of_unknown(context, &live);
    if left > 0 {
        printer.note(&format!(
            "Left out {} on the server, not managed here; --include-unmanaged writes everything.",
            counted(left, "resource")
        ));
    }
    if arguments.backup {
        let folder = workspace.path(format!("exports/{guild}"));
        let dated = folder.join(format!("config.{}.yaml", time_for_names()));
        keep(&live, &state, &dated)?;
        keep(&live, &state, &folder.join("config.latest.yaml"))?;
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
pub(super) async fn read_everything(context: &Context, discord: &Discord, guild: Snowflake) -> Result<Live> {
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
pub(super) fn warn_of_unknown(context: &Context, live: &Live) {
    for value in &live.unknown {
        context.printer.diagnostic(Severity::Warning, &value.to_string(), None);
    }
}

/// YAML of a server, and how much of it is left out.
pub(super) fn to_yaml(live: &Live, state: &State, everything: bool, detail: Detail) -> (String, usize) {
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
    let left = all - addresses.len();
    let configuration = export::from_live(live, &addresses, detail);
    let comment = format!(
        "Server {} as it was at Discord when `gaib server export` read it.",
        live.guild_id
    );
    (export::to_yaml(&configuration, &comment), left)
}

/// Keeps the whole server, every attribute of it.
pub(super) fn keep(live: &Live, state: &State, path: &Path) -> Result<()> {
    project::write(path, to_yaml(live, state, true, Detail::Complete).0.as_bytes())
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
