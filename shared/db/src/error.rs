//! What may go wrong at the database, sorted by what a caller does about it.

/// An error of the database. `doing` is the query's name, `<entity>.<verb>`.
#[derive(Debug, thiserror::Error)]
pub enum DbError {
    /// Postgres cannot be reached, or no connection came free in time. Try again later.
    #[error("{doing}: Postgres is away: {source}")]
    Away {
        /// Name of the query.
        doing: &'static str,
        /// What the driver says.
        source: sqlx::Error,
    },
    /// Another transaction was in the way, or it took longer than allowed. Try the transaction again.
    #[error("{doing}: given up ({source}); the transaction may be tried again")]
    Contended {
        /// Name of the query.
        doing: &'static str,
        /// What Postgres says.
        source: sqlx::Error,
    },
    /// A rule of the schema says no: something is there already, or what it refers to is not.
    #[error("{doing}: refused by `{constraint}`: {source}")]
    Conflict {
        /// Name of the query.
        doing: &'static str,
        /// Name of the constraint.
        constraint: String,
        /// What Postgres says.
        source: sqlx::Error,
    },
    /// A stored value that the domain refuses.
    #[error("{table}.{column} holds `{value}`: {why}")]
    Corrupt {
        /// Table that holds it.
        table: &'static str,
        /// Column that holds it.
        column: &'static str,
        /// The value, cut short.
        value: String,
        /// What is wrong with it.
        why: String,
    },
    /// The schema is not the one that this build needs.
    #[error("{0}")]
    Schema(String),
    /// The login is not the one that is meant: it may do more, or less, than its purpose needs.
    #[error("{0}")]
    Login(String),
    /// Refused for good: a right is missing, or the query is wrong.
    #[error("{doing}: {source}")]
    Refused {
        /// Name of the query.
        doing: &'static str,
        /// What Postgres says.
        source: sqlx::Error,
    },
}

impl DbError {
    /// True when the same transaction may succeed later.
    #[must_use]
    pub fn is_passing(&self) -> bool {
        matches!(self, Self::Away { .. } | Self::Contended { .. })
    }

    /// True when there was no connection, or it broke.
    #[must_use]
    pub fn is_away(&self) -> bool {
        matches!(self, Self::Away { .. })
    }

    /// True when the rule of this name said no.
    #[must_use]
    pub fn violates(&self, name: &str) -> bool {
        matches!(self, Self::Conflict { constraint, .. } if constraint == name)
    }

    pub(crate) fn new(doing: &'static str, source: sqlx::Error) -> Self {
        use sqlx::Error as E;
        let sorted = match &source {
            E::Io(_) | E::Tls(_) | E::PoolTimedOut | E::PoolClosed | E::WorkerCrashed | E::Protocol(_) => Sorted::Away,
            E::Database(error) => match error.constraint() {
                Some(constraint) => Sorted::Conflict(constraint.to_owned()),
                None => sort(error.code().as_deref().unwrap_or_default()),
            },
            _ => Sorted::Refused,
        };
        match sorted {
            Sorted::Away => Self::Away { doing, source },
            Sorted::Contended => Self::Contended { doing, source },
            Sorted::Conflict(constraint) => Self::Conflict {
                doing,
                constraint,
                source,
            },
            Sorted::Refused => Self::Refused { doing, source },
        }
    }

    pub(crate) fn corrupt(
        table: &'static str,
        column: &'static str,
        value: impl std::fmt::Display,
        why: impl std::fmt::Display,
    ) -> Self {
        let value = value.to_string().chars().take(80).collect();
        Self::Corrupt {
            table,
            column,
            value,
            why: why.to_string(),
        }
    }
}

enum Sorted {
    Away,
    Contended,
    Conflict(String),
    Refused,
}

/// By SQLSTATE: <https://www.postgresql.org/docs/current/errcodes-appendix.html>.
fn sort(code: &str) -> Sorted {
    match code {
        // Connection exceptions, shutdown, crash, start-up, too many connections.
        "57P01" | "57P02" | "57P03" | "53300" => Sorted::Away,
        code if code.starts_with("08") => Sorted::Away,
        // Serialization failure, deadlock, lock and statement timeouts, idle in transaction for too long; and a statement, such
        // as the one before a commit, in a transaction that had failed: nothing of it was kept.
        "40001" | "40P01" | "55P03" | "57014" | "25P02" | "25P03" => Sorted::Contended,
        _ => Sorted::Refused,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_passes_is_told_from_what_stays() {
        assert!(DbError::new("profile.join", sqlx::Error::PoolTimedOut).is_passing());
        assert!(!DbError::new("profile.join", sqlx::Error::RowNotFound).is_passing());
        assert!(matches!(sort("57014"), Sorted::Contended));
        assert!(matches!(sort("42501"), Sorted::Refused));
        assert!(matches!(sort("08006"), Sorted::Away));
    }

    #[test]
    fn a_corrupt_value_is_named_and_cut_short() {
        let error = DbError::corrupt("profiles", "wallet", "x".repeat(500), "no address").to_string();
        assert!(error.starts_with("profiles.wallet holds `xxx"), "{error}");
        assert!(error.len() < 150);
    }
}
