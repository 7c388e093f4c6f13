//! Whether a plan can succeed, told before the first write.
//!
//! Owns what Discord would refuse halfway: the bot's permissions and place among the roles, kinds of channels that only a
//! community has, limits. Each finding says what would be needed. To add a check: a method in the file of its concern, and a
//! line in [`preflight`].

mod community;
mod limits;
mod permissions;
mod references;
mod roles;
mod rules;

pub(super) use references::exists;
pub use references::{absent_members, members};

use arrakis_domain::Permissions;
use serde::{Deserialize, Serialize};

use super::document::{Action, Mode, Plan};
use crate::live::{Live, LiveResource};
use crate::model::{Address, Attributes, Channel};

/// Something that stands in the way of a plan, or is likely to surprise.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Finding {
    /// Discord would refuse: nothing must be sent.
    pub blocking: bool,
    /// What is wrong, and why.
    pub what: String,
    /// What would be needed.
    pub what_to_do: String,
    /// Whom it concerns.
    pub addresses: Vec<Address>,
}

/// Everything that stands in the way of `plan` on the server that it was made from.
#[must_use]
pub fn preflight(plan: &Plan, live: &Live) -> Vec<Finding> {
    if plan.mode == Mode::RefreshOnly {
        return Vec::new();
    }
    let check = Check {
        plan,
        live,
        permissions: live.bot_permissions(),
    };
    let mut findings = Vec::new();
    check.rules(&mut findings);
    check.references(&mut findings);
    check.own_permissions(&mut findings);
    check.hierarchy(&mut findings);
    check.granted(&mut findings);
    check.community(&mut findings);
    check.limits(&mut findings);
    check.boosts(&mut findings);
    check.shut_out(&mut findings);
    findings
}

/// A plan against the server that it was made from.
struct Check<'a> {
    plan: &'a Plan,
    live: &'a Live,
    permissions: Permissions,
}

fn finding(what: String, what_to_do: impl Into<String>, addresses: Vec<Address>) -> Finding {
    Finding {
        blocking: true,
        what,
        what_to_do: what_to_do.into(),
        addresses,
    }
}

/// At most five by name, and how many more.
fn list(items: &[String]) -> String {
    match items.len() {
        0..=5 => items.join(", "),
        count => format!("{} and {} more", items[..5].join(", "), count - 5),
    }
}

impl Check<'_> {
    fn of_address(&self, address: &Address) -> Option<&LiveResource> {
        let change = self.plan.changes.iter().find(|change| change.address == *address);
        let id = change.and_then(|change| change.id)?;
        self.live.get(address.kind(), id)
    }

    /// Categories and channels that are made or changed, as they will be.
    fn written_channels(&self) -> impl Iterator<Item = (&Address, &Channel)> {
        let written = self.plan.changes.iter().filter(|change| {
            matches!(
                change.action,
                Action::Create | Action::Update | Action::Replace | Action::Adopt
            )
        });
        written.filter_map(|change| match &change.after {
            Some(Attributes::Channel(channel) | Attributes::Category(channel)) => Some((&change.address, channel)),
            _ => None,
        })
    }
}
