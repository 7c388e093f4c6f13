//! Converts column values to domain types. A value that the domain refuses is an error that names table and column.

use std::fmt::Display;
use std::str::FromStr;

use arrakis_domain::{Balance, Rank};
use time::OffsetDateTime;

use crate::{DbError, UserId};

/// A table and a column of it.
#[derive(Clone, Copy)]
pub(crate) struct Column(pub(crate) &'static str, pub(crate) &'static str);

impl Column {
    pub(crate) fn corrupt(self, value: impl Display, reason: impl Display) -> DbError {
        DbError::corrupt(self.0, self.1, value, reason)
    }

    pub(crate) fn parse<T: FromStr<Err: Display>>(self, text: &str) -> Result<T, DbError> {
        text.parse().map_err(|why| self.corrupt(text, why))
    }

    pub(crate) fn parse_some<T: FromStr<Err: Display>>(self, text: Option<&str>) -> Result<Option<T>, DbError> {
        text.map(|text| self.parse(text)).transpose()
    }

    /// A time from microseconds since 1970, PostgreSQL's resolution.
    pub(crate) fn time(self, us: i64) -> Result<OffsetDateTime, DbError> {
        OffsetDateTime::from_unix_timestamp_nanos(i128::from(us) * 1000).map_err(|why| self.corrupt(us, why))
    }

    pub(crate) fn user(self, id: i64) -> Result<UserId, DbError> {
        UserId::try_from(id).map_err(|why| self.corrupt(id, why))
    }

    /// A balance from raw units as text: the query casts `numeric` to text, so that no library rounds it.
    pub(crate) fn balance(self, units: &str) -> Result<Balance, DbError> {
        Balance::from_units_text(units).map_err(|why| self.corrupt(units, why))
    }

    pub(crate) fn rank(self, number: i32) -> Result<Rank, DbError> {
        Rank::try_from(i64::from(number)).map_err(|why| self.corrupt(number, why))
    }

    /// A number as a `bigint` column stores it.
    pub(crate) fn bigint(self, number: u64) -> Result<i64, DbError> {
        i64::try_from(number).map_err(|_| self.corrupt(number, "larger than a bigint"))
    }

    /// A number that is never negative.
    pub(crate) fn count<T: TryFrom<i64>>(self, number: i64) -> Result<T, DbError> {
        T::try_from(number).map_err(|_| self.corrupt(number, "out of range"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn invalid_value_is_an_error_with_table_and_column() {
        let error = Column("eligibility_current", "rank").rank(0).unwrap_err().to_string();
        assert!(
            error.starts_with("eligibility_current.rank holds `0`: a rank is"),
            "{error}"
        );
        let error = Column("eligibility_current", "held")
            .balance("1.5")
            .unwrap_err()
            .to_string();
        assert!(error.starts_with("eligibility_current.held holds `1.5`:"), "{error}");
        assert!(Column("profiles", "user_id").user(-3).is_err());
        assert!(Column("jobs", "attempts").count::<u32>(-1).is_err());
    }
}
