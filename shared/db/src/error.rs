//! [`DbError`]: errors of the database, classified by what a caller does about them.

use sqlx::postgres::PgConnectOptions;

/// An error of the database. `query` is the query's name, `<entity>.<verb>`.
#[derive(Debug, thiserror::Error)]
pub enum DbError {
    /// PostgreSQL is unreachable, or no connection became free in time. Try again later.
    #[error("{query}: PostgreSQL is unavailable: {}", text(.error))]
    Unavailable {
        /// Name of the query.
        query: &'static str,
        /// The driver's error.
        error: sqlx::Error,
    },
    /// The transaction conflicted with another one or exceeded a time limit. Try the transaction again.
    #[error("{query}: transaction failed and can be retried: {}", text(.error))]
    Contended {
        /// Name of the query.
        query: &'static str,
        /// PostgreSQL's error.
        error: sqlx::Error,
    },
    /// A constraint is violated: the row exists already, or the row that it refers to does not.
    #[error("{query}: violates the constraint `{constraint}`: {}", text(.error))]
    Conflict {
        /// Name of the query.
        query: &'static str,
        /// Name of the constraint.
        constraint: String,
        /// PostgreSQL's error.
        error: sqlx::Error,
    },
    /// A stored value is not valid in the domain.
    #[error("{table}.{column} holds `{value}`: {reason}")]
    Corrupt {
        /// Table that holds it.
        table: &'static str,
        /// Column that holds it.
        column: &'static str,
        /// The value, at most 80 characters of it.
        value: String,
        /// What is wrong with it.
        reason: String,
    },
    /// The schema is not the one that this build needs.
    #[error("{0}")]
    Schema(String),
    /// The login has more rights, or fewer, than its purpose needs.
    #[error("{0}")]
    Login(String),
    /// A permanent error: a right is missing, or the query is wrong.
    #[error("{query}: {}", text(.error))]
    Refused {
        /// Name of the query.
        query: &'static str,
        /// PostgreSQL's error.
        error: sqlx::Error,
    },
}

impl DbError {
    /// Whether the same transaction may succeed later.
    #[must_use]
    pub fn is_transient(&self) -> bool {
        matches!(self, Self::Unavailable { .. } | Self::Contended { .. })
    }

    /// Whether there was no connection, or it was lost.
    #[must_use]
    pub fn is_unavailable(&self) -> bool {
        matches!(self, Self::Unavailable { .. })
    }

    /// Whether the constraint of this name is violated.
    #[must_use]
    pub fn violates(&self, name: &str) -> bool {
        matches!(self, Self::Conflict { constraint, .. } if constraint == name)
    }

    pub(crate) fn new(query: &'static str, error: sqlx::Error) -> Self {
        use sqlx::Error as E;
        let class = match &error {
            E::Io(_) | E::Tls(_) | E::PoolTimedOut | E::PoolClosed | E::WorkerCrashed | E::Protocol(_) => {
                Class::Unavailable
            }
            E::Database(response) => match response.constraint() {
                Some(constraint) => Class::Conflict(constraint.to_owned()),
                None => classify(response.code().as_deref().unwrap_or_default()),
            },
            _ => Class::Refused,
        };
        match class {
            Class::Unavailable => Self::Unavailable { query, error },
            Class::Contended => Self::Contended { query, error },
            Class::Conflict(constraint) => Self::Conflict {
                query,
                constraint,
                error,
            },
            Class::Refused => Self::Refused { query, error },
        }
    }

    pub(crate) fn corrupt(
        table: &'static str,
        column: &'static str,
        value: impl std::fmt::Display,
        reason: impl std::fmt::Display,
    ) -> Self {
        let value = value.to_string().chars().take(80).collect();
        Self::Corrupt {
            table,
            column,
            value,
            reason: reason.to_string(),
        }
    }
}

/// The text of the driver's error. Of PostgreSQL's errors without the line, which is one of PostgreSQL's source code.
fn text(error: &sqlx::Error) -> String {
    match error {
        sqlx::Error::Database(response) => format!("error returned from database: {}", response.message()),
        other => other.to_string(),
    }
}

/// Adds the address of the server, without login and database, to an error of connecting.
pub(crate) fn with_address(options: &PgConnectOptions, error: sqlx::Error) -> sqlx::Error {
    match error {
        sqlx::Error::Io(error) => {
            let (host, port) = (options.get_host(), options.get_port());
            let text = match options.get_socket() {
                Some(socket) => format!("{}: {error}", socket.display()),
                None if host.contains(':') => format!("[{host}]:{port}: {error}"),
                None => format!("{host}:{port}: {error}"),
            };
            sqlx::Error::Io(std::io::Error::new(error.kind(), text))
        }
        other => other,
    }
}

enum Class {
    Unavailable,
    Contended,
    Conflict(String),
    Refused,
}

/// By SQLSTATE: <https://www.postgresql.org/docs/current/errcodes-appendix.html>.
fn classify(code: &str) -> Class {
    match code {
        // Connection exceptions, shutdown, crash, start-up, too many connections.
        "57P01" | "57P02" | "57P03" | "53300" => Class::Unavailable,
        code if code.starts_with("08") => Class::Unavailable,
        // Serialization failure, deadlock, lock and statement timeouts, idle in transaction for too long; and a statement
        // after a failed one, such as the savepoint before a commit: the transaction was rolled back.
        "40001" | "40P01" | "55P03" | "57014" | "25P02" | "25P03" => Class::Contended,
        _ => Class::Refused,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn transient_errors_are_distinguished_from_permanent_ones() {
        assert!(DbError::new("profile.join", sqlx::Error::PoolTimedOut).is_transient());
        assert!(!DbError::new("profile.join", sqlx::Error::RowNotFound).is_transient());
        assert!(matches!(classify("57014"), Class::Contended));
        assert!(matches!(classify("42501"), Class::Refused));
        assert!(matches!(classify("08006"), Class::Unavailable));
    }

    #[test]
    fn error_of_connecting_has_the_address_and_no_password() {
        let options: PgConnectOptions = "postgres://arrakis_app:spice@db.example.org:5433/arrakis"
            .parse()
            .unwrap();
        let refused = std::io::Error::from(std::io::ErrorKind::ConnectionRefused);
        let error = DbError::new("database.connect", with_address(&options, sqlx::Error::Io(refused)));
        assert!(error.is_unavailable());
        assert_eq!(
            error.to_string(),
            "database.connect: PostgreSQL is unavailable: error communicating with database: db.example.org:5433: connection refused"
        );
    }

    #[test]
    fn corrupt_value_is_named_and_truncated() {
        let error = DbError::corrupt("profiles", "wallet", "x".repeat(500), "no address").to_string();
        assert!(error.starts_with("profiles.wallet holds `xxx"), "{error}");
        assert!(error.len() < 150);
    }
}
