//! What a restore reports: before the confirmation, and at its end.

use arrakis_iac::grammar::counted;
use arrakis_iac::model::Address;
use arrakis_iac::snapshot::Restoration;
use arrakis_iac::state::State;
use arrakis_iac_apply::GivenRoles;
use serde_json::json;

use super::members::MembersToRestore;
use crate::backups::{Backups, time_text};
use crate::commands::snapshot::stored::StoredSnapshot;
use crate::context::Context;

/// What is kept, what is not restored, and the roles that members get back.
pub(super) fn before(context: &Context, restoration: &Restoration, members: &MembersToRestore) {
    let printer = context.printer;
    if !restoration.kept.is_empty() {
        let kept: Vec<String> = restoration.kept.iter().map(Address::to_string).collect();
        printer.message(&json!({"type": "kept", "addresses": kept}));
        printer.text(&format!(
            "\nManaged resources that the snapshot does not have stay as they are: {}.\n",
            kept.join(", ")
        ));
    }
    if !restoration.unmapped.is_empty() {
        printer.text("\nNot restored as it was:\n");
        for unmapped in &restoration.unmapped {
            printer.message(&json!({"type": "unmapped", "what": unmapped.what, "reason": unmapped.reason}));
            printer.text(&format!("  {}: {}\n", unmapped.what, unmapped.reason));
        }
    }
    if !members.is_empty() {
        let (grants, absent) = members.counts(restoration);
        printer.message(&json!({"type": "member_roles", "missing": grants, "absent_members": absent}));
        let left = match absent {
            0 => String::new(),
            count => format!("; {} of the snapshot left the server", counted(count, "member")),
        };
        printer.text(&format!(
            "\nMembers get back {}{left}.\n",
            counted(grants, "role assignment")
        ));
    }
}

/// There is nothing to do.
pub(super) fn unchanged(context: &Context, stored: &StoredSnapshot) {
    let message = json!({"type": "restore_complete", "snapshot": stored.record.id, "changed": false});
    context.printer.message(&message);
    context.printer.text(&format!(
        "The server is that of {}; nothing was changed.\n",
        stored.name()
    ));
}

/// The result, with the ids that changed.
pub(super) fn after(
    context: &Context,
    backups: &Backups,
    stored: &StoredSnapshot,
    restoration: &Restoration,
    working: &State,
    given: &GivenRoles,
) {
    let printer = context.printer;
    let mut mapped = 0;
    for (address, recorded, id) in restoration.new_ids(working) {
        if mapped == 0 {
            printer.text("\nNew ids, found by address or name:\n");
        }
        mapped += 1;
        printer.message(&json!({"type": "mapped", "address": address, "before_id": recorded, "after_id": id}));
        printer.text(&format!("  {address}: {recorded} -> {id}\n"));
    }
    if !given.absent.is_empty() {
        printer.note(&format!(
            "{} of the snapshot left the server.",
            counted(given.absent.len(), "member")
        ));
    }
    printer.message(&json!({
        "type": "restore_complete", "snapshot": stored.record.id, "changed": true, "serial": working.serial, "mapped": mapped,
        "unmapped": restoration.unmapped.len(), "kept": restoration.kept.len(), "roles_given": given.given,
        "roles_refused": given.refused.len(), "absent_members": given.absent.len(),
    }));
    printer.text(&format!(
        "\nRestored server {} to {} of {}.\n",
        backups.guild,
        stored.name(),
        time_text(stored.record.created)
    ));
    printer.note(&format!(
        "The configuration file was not changed: the next apply makes what it contains. `gaib server snapshot download {} -o \
         DIRECTORY` writes the configuration of the snapshot.",
        stored.record.id
    ));
}
