//! A resource as it is on a server.

use serde::{Deserialize, Serialize};

use super::Attributes;
use crate::values::Snowflake;

/// A resource as it is. All attributes that Discord tells of are given.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LiveResource {
    /// Its id. @everyone, the server and what it has one of go by the server's id.
    pub id: Snowflake,
    /// What it is, with references by id. Text as Discord stores it.
    pub attributes: Attributes,
    /// Discord's position of a role (the greater is the higher), category or channel (the lesser is the higher); else 0.
    #[serde(default)]
    pub position: i64,
    /// A role that belongs to an application, a subscription or boosting: nobody may delete it or give it away.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub managed: bool,
}

impl LiveResource {
    /// A resource with an id and attributes, in no order, that nobody but the server manages.
    #[must_use]
    pub const fn new(id: Snowflake, attributes: Attributes) -> Self {
        Self {
            id,
            attributes,
            position: 0,
            managed: false,
        }
    }
}
