//! Roles. <https://discord.com/developers/docs/topics/permissions#role-object>

use serde::{Deserialize, Serialize, Serializer, ser::SerializeStruct};

use super::{Id, Permissions};

/// A role of a server. `@everyone` has the server's id and position 0.
#[derive(Clone, Debug, PartialEq)]
pub struct Role {
    /// Snowflake of the role.
    pub id: Id,
    /// 1–100 characters.
    pub name: String,
    /// RGB colours; `color` in JSON is the primary one.
    pub colors: RoleColors,
    /// Whether members are listed apart.
    pub hoist: bool,
    /// Hash of the icon.
    pub icon: Option<String>,
    /// Emoji instead of an icon.
    pub unicode_emoji: Option<String>,
    /// Higher positions rank above; of equal positions the lower id ranks above.
    pub position: i64,
    /// Permissions.
    pub permissions: Permissions,
    /// Whether it belongs to an integration and cannot be deleted or assigned.
    pub managed: bool,
    /// Whether anyone may mention it.
    pub mentionable: bool,
    /// Bit set.
    pub flags: u64,
    /// Owner of a managed role.
    pub tags: Option<RoleTags>,
}

/// The three colours of a role; secondary and tertiary need a boosted server.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct RoleColors {
    /// RGB.
    pub primary_color: u32,
    /// RGB of the gradient's end.
    pub secondary_color: Option<u32>,
    /// RGB, holographic style.
    pub tertiary_color: Option<u32>,
}

/// Owner of a managed role.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct RoleTags {
    /// Bot that has this role.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub bot_id: Option<Id>,
    /// Integration that has this role.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub integration_id: Option<Id>,
    /// Present as `null` for the boosters' role.
    #[serde(skip_serializing_if = "std::ops::Not::not", serialize_with = "as_null")]
    pub premium_subscriber: bool,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde's signature")]
fn as_null<S: Serializer>(_: &bool, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_none()
}

impl Role {
    /// A role with this name and no permissions.
    #[must_use]
    pub fn named(id: Id, name: &str) -> Self {
        Self {
            id,
            name: name.to_owned(),
            colors: RoleColors::default(),
            hoist: false,
            icon: None,
            unicode_emoji: None,
            position: 1,
            permissions: Permissions::empty(),
            managed: false,
            mentionable: false,
            flags: 0,
            tags: None,
        }
    }

    /// `@everyone` of a server, with Discord's default permissions.
    #[must_use]
    pub fn everyone(guild: Id) -> Self {
        Self {
            position: 0,
            permissions: Permissions::DEFAULT_EVERYONE,
            ..Self::named(guild, "@everyone")
        }
    }

    /// Order of rank: higher position first, then the lower id.
    #[must_use]
    pub fn rank(&self) -> (i64, std::cmp::Reverse<Id>) {
        (self.position, std::cmp::Reverse(self.id))
    }
}

impl Serialize for Role {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut out = serializer.serialize_struct("Role", 14)?;
        out.serialize_field("id", &self.id)?;
        out.serialize_field("name", &self.name)?;
        out.serialize_field("description", &None::<String>)?;
        out.serialize_field("color", &self.colors.primary_color)?;
        out.serialize_field("colors", &self.colors)?;
        out.serialize_field("hoist", &self.hoist)?;
        out.serialize_field("icon", &self.icon)?;
        out.serialize_field("unicode_emoji", &self.unicode_emoji)?;
        out.serialize_field("position", &self.position)?;
        out.serialize_field("permissions", &self.permissions)?;
        out.serialize_field("managed", &self.managed)?;
        out.serialize_field("mentionable", &self.mentionable)?;
        out.serialize_field("flags", &self.flags)?;
        if let Some(tags) = &self.tags {
            out.serialize_field("tags", tags)?;
        } else {
            out.skip_field("tags")?;
        }
        out.end()
    }
}
