//! Who may replace a state.

use super::State;

/// Why a state may not replace the one that is there.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PushError {
    /// It began elsewhere.
    #[error("its lineage is {pushed}, and the current state has lineage {present}: they are not versions of one state")]
    Lineage {
        /// Of the one that is pushed.
        pushed: String,
        /// Of the one that is there.
        present: String,
    },
    /// It is older.
    #[error(
        "its serial is {pushed}, and the current state has serial {present}: it is older, and later changes would be lost"
    )]
    Older {
        /// Of the one that is pushed.
        pushed: u64,
        /// Of the one that is there.
        present: u64,
    },
    /// Both claim the same serial and say different things.
    #[error("both have serial {0} and differ: one was edited")]
    Differs(u64),
    /// It belongs to another server.
    #[error("it belongs to server {pushed}, and the current state belongs to server {present}")]
    Guild {
        /// Of the one that is pushed.
        pushed: String,
        /// Of the one that is there.
        present: String,
    },
}

/// Whether `pushed` may replace `present`. Anything may where there is nothing.
///
/// # Errors
/// Says why not.
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
    fn only_a_later_state_of_the_same_beginning_replaces() {
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
