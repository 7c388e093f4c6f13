//! A resource of a live server.

use serde::{Deserialize, Serialize};

use super::Attributes;
use crate::values::Snowflake;

/// A resource as it exists on the server. All attributes that Discord returned are set.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LiveResource {
    /// Its id. @everyone, the server and kinds of which every server has exactly one have the server's id.
    pub id: Snowflake,
    /// The attributes, with references by id and text as Discord stores it.
    pub attributes: Attributes,
    /// Discord's position of a role (a greater one is higher), category or channel (a lesser one is higher); 0 for other kinds.
    #[serde(default)]
    pub position: i64,
    /// Whether an integration manages it: a role of an application, a subscription or boosting cannot be deleted or assigned.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub managed: bool,
}

impl LiveResource {
    /// A resource that has no position and that no integration manages.
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
