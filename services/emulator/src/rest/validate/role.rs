//! Role forms: create, edit, positions.
//!
//! Source: <https://discord.com/developers/docs/resources/guild#create-guild-role>.

use super::{
    form::{Form, FormField, Length},
    image::{Image, read_image},
};
use crate::model::Permissions;

/// Primary, secondary and tertiary colour.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ColorsForm {
    /// `0xRRGGBB`, 0 for none.
    pub primary: u32,
    /// Second colour of a gradient.
    pub secondary: Option<u32>,
    /// Third colour of the holographic style.
    pub tertiary: Option<u32>,
}

/// Fields of a role that a bot may set.
#[derive(Clone, Debug)]
pub struct RoleForm {
    /// 1 to 100 characters; `null` is the default name.
    pub name: FormField<String>,
    /// Permission bits.
    pub permissions: FormField<Permissions>,
    /// The deprecated single colour.
    pub color: FormField<u32>,
    /// The three colours.
    pub colors: FormField<ColorsForm>,
    /// Whether members are listed apart.
    pub hoist: FormField<bool>,
    /// Whether everyone may mention it.
    pub mentionable: FormField<bool>,
    /// Icon, only with the server feature `ROLE_ICONS`.
    pub icon: FormField<Image>,
    /// Emoji as icon, only with the server feature `ROLE_ICONS`.
    pub unicode_emoji: FormField<String>,
}

/// Reads a role form.
pub fn read_role(form: &Form<'_>) -> RoleForm {
    RoleForm {
        name: form.text("name", Length::between(1, 100)),
        permissions: form.permissions("permissions"),
        color: color(form, "color"),
        colors: form.form("colors").map(|colors| read_colors(&colors)),
        hoist: form.flag("hoist"),
        mentionable: form.flag("mentionable"),
        icon: read_image(form, "icon", 256 * 1_024),
        unicode_emoji: form.text("unicode_emoji", Length::up_to(100)),
    }
}

fn color(form: &Form<'_>, key: &str) -> FormField<u32> {
    form.integer(key, 0, 0xFF_FFFF)
        .map(|value| u32::try_from(value).unwrap_or(0))
}

fn read_colors(form: &Form<'_>) -> ColorsForm {
    form.require("primary_color");
    ColorsForm {
        primary: color(form, "primary_color").value().unwrap_or(0),
        secondary: color(form, "secondary_color").value(),
        tertiary: color(form, "tertiary_color").value(),
    }
}

/// One entry of a bulk change of positions.
pub struct RolePosition {
    /// Role.
    pub id: u64,
    /// New position; unchanged when absent.
    pub position: Option<i64>,
}

/// Reads one entry of `PATCH /guilds/{guild}/roles`.
pub fn read_position(form: &Form<'_>) -> RolePosition {
    form.require("id");
    RolePosition {
        id: form.snowflake("id").value().unwrap_or(0),
        position: form.integer("position", 0, i64::from(i32::MAX)).value(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::rest::validate::form::read_body;

    #[test]
    fn unknown_bits_are_dropped_and_known_kept() {
        let bits = ((1_u64 << 60) | (1 << 54) | (1 << 52) | (1 << 47) | 8).to_string();
        let role = read_body(&json!({ "permissions": bits }), read_role).unwrap();
        let known = Permissions::from_bits_retain((1 << 52) | (1 << 47) | 8);
        assert_eq!(role.permissions, FormField::Value(known));
    }

    #[test]
    fn wrong_fields_are_named() {
        let body = json!({"name": "x".repeat(101), "color": -1, "colors": {"secondary_color": 5}, "hoist": "yes"});
        let errors = read_body(&body, read_role).unwrap_err().errors.unwrap();
        assert_eq!(errors["name"]["_errors"][0]["code"], "BASE_TYPE_BAD_LENGTH");
        assert_eq!(errors["color"]["_errors"][0]["code"], "NUMBER_TYPE_MIN");
        assert_eq!(
            errors["colors"]["primary_color"]["_errors"][0]["code"],
            "BASE_TYPE_REQUIRED"
        );
        assert_eq!(errors["hoist"]["_errors"][0]["code"], "BOOLEAN_TYPE_CONVERT");
    }
}
