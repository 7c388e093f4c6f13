//! Query strings: numbers and ids with bounds, with the errors of form fields.

use std::collections::HashMap;

use crate::rest::errors::{ApiError, ApiResult};

/// The query of one request.
#[derive(Debug, Default)]
pub struct Query(HashMap<String, String>);

impl Query {
    /// Reads `a=b&c=d`.
    #[must_use]
    pub fn parse(query: Option<&str>) -> Self {
        Self(
            url::form_urlencoded::parse(query.unwrap_or_default().as_bytes())
                .into_owned()
                .collect(),
        )
    }

    /// The text of `key`.
    #[must_use]
    pub fn text(&self, key: &str) -> Option<&str> {
        self.0.get(key).map(String::as_str)
    }

    /// A snowflake.
    ///
    /// # Errors
    /// 50035 when it is not a number.
    pub fn snowflake(&self, key: &str) -> ApiResult<Option<u64>> {
        let Some(text) = self.text(key) else { return Ok(None) };
        text.parse()
            .map(Some)
            .map_err(|_| ApiError::field(key, "NUMBER_TYPE_COERCE", format!("Value \"{text}\" is not snowflake.")))
    }

    /// A whole number within bounds, or `default`.
    ///
    /// # Errors
    /// 50035 when it is not a number or out of bounds.
    pub fn number(&self, key: &str, min: u64, max: u64, default: u64) -> ApiResult<u64> {
        let Some(text) = self.text(key) else { return Ok(default) };
        let number: i64 = text
            .parse()
            .map_err(|_| ApiError::field(key, "NUMBER_TYPE_COERCE", format!("Value \"{text}\" is not int.")))?;
        match u64::try_from(number) {
            Ok(number) if number > max => Err(ApiError::field(
                key,
                "NUMBER_TYPE_MAX",
                format!("int value should be less than or equal to {max}."),
            )),
            Ok(number) if number >= min => Ok(number),
            _ => Err(ApiError::field(
                key,
                "NUMBER_TYPE_MIN",
                format!("int value should be greater than or equal to {min}."),
            )),
        }
    }

    /// True for `true`, `1` and `True`.
    #[must_use]
    pub fn flag(&self, key: &str) -> bool {
        matches!(self.text(key), Some("true" | "True" | "1"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_out_of_bounds_are_refused() {
        let query = Query::parse(Some("limit=0&after=x&with_counts=true"));
        assert!(query.number("limit", 1, 100, 50).is_err());
        assert!(query.snowflake("after").is_err());
        assert!(query.flag("with_counts"));
        assert_eq!(query.number("other", 1, 100, 50).unwrap(), 50);
    }
}
