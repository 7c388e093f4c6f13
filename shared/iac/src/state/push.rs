//! The check before one state replaces another.

use super::State;

/// A state that may not replace the current one.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PushError {
    /// It has another lineage.
    #[error("its lineage is {pushed}, and the current state has lineage {present}: they are not versions of one state")]
    Lineage {
        /// Value of the pushed state.
        pushed: String,
        /// Value of the current state.
        present: String,
    },
    /// It is older than the current state.
    #[error(
        "its serial is {pushed}, and the current state has serial {present}: it is older, and later changes would be lost"
    )]
    Older {
        /// Value of the pushed state.
        pushed: u64,
        /// Value of the current state.
        present: u64,
    },
    /// Both have the same serial and differ.
    #[error("both have serial {0} and differ: one was edited")]
    Differs(u64),
    /// It belongs to another server.
    #[error("it belongs to server {pushed}, and the current state belongs to server {present}")]
    Guild {
        /// Value of the pushed state.
        pushed: String,
        /// Value of the current state.
        present: String,
    },
}

/// Checks whether `pushed` may replace `present`. Any state may replace an absent one.
///
/// # Errors
/// Another lineage, an older serial, a different document of the same serial, or another server.
pub fn check_push(present: Option<&State>, pushed: &State) -> Result<(), PushError> {
    let Some(present) = present else { return Ok(()) };
    if present.lineage != pushed.lineage {
        return Err(PushError::Lineage {
            pushed: pushed.lineage.clone(),
            present: present.lineage.clone(),
        });
    }
    if let (Some(one), Some(other)) = (pushed.guild_id, present.guild_id)
        && one != other
    {
        return Err(PushError::Guild {
            pushed: one.to_string(),
            present: other.to_string(),
        });
    }
    if pushed.serial < present.serial {
        return Err(PushError::Older {
            pushed: pushed.serial,
            present: present.serial,
        });
    }
    if pushed.serial == present.serial && pushed != present {
        return Err(PushError::Differs(pushed.serial));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_later_state_of_the_same_lineage_replaces_another() {
        let mut present = State::new("a");
        present.serial = 4;
        assert_eq!(check_push(None, &present), Ok(()));
        assert_eq!(check_push(Some(&present), &present), Ok(()));
        let mut later = present.clone();
        later.serial = 5;
        assert_eq!(check_push(Some(&present), &later), Ok(()));
        assert!(matches!(
            check_push(Some(&later), &present),
            Err(PushError::Older { pushed: 4, present: 5 })
        ));
        assert!(matches!(
            check_push(Some(&present), &State::new("b")),
            Err(PushError::Lineage { .. })
        ));
        let mut forged = present.clone();
        forged.guild_id = crate::model::Snowflake::new(7);
        assert_eq!(check_push(Some(&present), &forged), Err(PushError::Differs(4)));
    }
}
