//! What every reply states to a member whose identity is suspended: the consequences, the end, and whom to contact.

use arrakis_db::registry::{Identity, IdentityStatus};
use arrakis_verification::suspended_text;
use time::OffsetDateTime;

use super::text;

/// The next step of a suspended member.
pub const NEXT: &str = "Contact the admins of the server.";

/// A suspension that applies now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Suspended {
    /// When it ends by itself; `None`: when an admin ends it.
    pub until: Option<OffsetDateTime>,
}

impl Suspended {
    /// The suspension of an identity at `now`; `None` when it is not suspended.
    pub fn of(identity: &Identity, now: OffsetDateTime) -> Option<Self> {
        match identity.status {
            IdentityStatus::Suspended { until } if identity.is_suspended(now) => Some(Self { until }),
            _ => None,
        }
    }

    /// The consequences, with the end if there is one.
    pub fn text(self) -> String {
        let until = self
            .until
            .map(|until| format!("{} {}", text::date(until), text::time(until)));
        suspended_text(until.as_deref())
    }
}

#[cfg(test)]
mod tests {
    use super::super::samples::SYNCED;
    use super::*;

    #[test]
    fn text_has_the_end_if_there_is_one() {
        assert_eq!(
            Suspended { until: None }.text(),
            "Your account is suspended here: no tier, no roles, and wallets cannot change."
        );
        let at = SYNCED.unix_timestamp();
        assert_eq!(
            Suspended { until: Some(SYNCED) }.text(),
            format!(
                "Your account is suspended here until <t:{at}:D> <t:{at}:t>: no tier, no roles, and wallets cannot change."
            )
        );
    }
}
