//! The member about whom a command replies: the one that its option `member` selects, or the one who ran it.

use arrakis_db::UserId;

use super::CommandContext;
use crate::community::user_id;
use crate::interaction::invocation::InvocationData;
use crate::interaction::refusal::Refusal;
use crate::interaction::reply::CommandError;
use crate::render::profile;

/// The member about whom a command replies.
pub(super) struct Subject {
    /// Discord's id.
    pub(super) user: UserId,
    /// Name as Discord sent it.
    pub(super) name: String,
    /// Whether it is the member who ran the command.
    pub(super) own: bool,
}

impl Subject {
    /// Reads the option `member`.
    pub(super) fn of(context: &CommandContext<'_>) -> Result<Self, CommandError> {
        let author = &context.invocation.author;
        let selected = match &context.invocation.data {
            InvocationData::Command { options, .. } => options.user("member"),
            _ => None,
        };
        let (id, name) = selected.map_or((author.id, Some(author.name.as_str())), |(id, name)| (id, name));
        Ok(Self {
            user: user_id(id)?,
            name: name.unwrap_or("That user").to_owned(),
            own: id == author.id,
        })
    }

    /// The refusal when the subject is no member of the community.
    pub(super) fn unknown(&self) -> Refusal {
        let (what, next) = profile::unknown_member(&self.name, self.own);
        Refusal::new(what, next)
    }
}
