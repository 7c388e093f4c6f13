//! `gaib server snapshot compare`: the differences between two snapshots by attribute.

use arrakis_iac::render::{self, Style};
use arrakis_iac::snapshot::{compare_members, compare_servers};
use arrakis_vault::RecordKind;

use super::stored::StoredSnapshot;
use crate::arguments::snapshot::Compare;
use crate::backups::Backups;
use crate::context::Context;
use crate::error::Result;
use crate::exit::ExitStatus;

pub(super) async fn run(context: &Context, arguments: &Compare) -> Result<ExitStatus> {
    let backups = Backups::open(context, &arguments.server).await?;
    let before = backups.id_of(RecordKind::Snapshot, &arguments.before).await?;
    let after = backups.id_of(RecordKind::Snapshot, &arguments.after).await?;
    let before = StoredSnapshot::for_reading(&backups, before).await?;
    let after = StoredSnapshot::for_reading(&backups, after).await?;
    let names = (before.name(), after.name());
    let mut comparison = compare_servers((names.0.as_str(), &before.server), (names.1.as_str(), &after.server));
    match (&before.members, &after.members) {
        (Some(one), Some(other)) => {
            comparison.members = compare_members((&before.server, one), (&after.server, other));
        }
        (None, None) => {}
        (one, _) => comparison.notes.push(format!(
            "the roles of members were not compared: {} does not have them",
            if one.is_none() { names.0 } else { names.1 }
        )),
    }
    for message in render::comparison_messages(&comparison) {
        context.printer.message(&message);
    }
    let style = Style {
        color: context.printer.color(),
    };
    context.printer.text(&render::comparison(&comparison, style));
    Ok(match arguments.detailed_exitcode && !comparison.is_empty() {
        true => ExitStatus::Changes,
        false => ExitStatus::Success,
    })
}
