//! Forms of roles. <https://discord.com/developers/docs/resources/guild#create-guild-role>

use arrakis_domain::Color;
use arrakis_iac::model::{Clearable, Role};
use serde_json::{Value, json};

use super::form::{Form, Names, is_wanted, text_or_null};

/// Permissions are always sent: Discord would else copy those of @everyone.
pub(super) fn create(role: &Role) -> Form {
    let mut form = form(role, None);
    if role.permissions.is_none() {
        form.set("permissions", "0");
    }
    form
}

pub(super) fn update(role: &Role, fields: &[String]) -> Form {
    form(role, Some(fields))
}

fn form(role: &Role, wanted: Names<'_>) -> Form {
    let mut form = Form::default();
    form.put(wanted, "name", "name", role.name.as_ref(), |name| json!(name));
    form.put(
        wanted,
        "permissions",
        "permissions",
        role.permissions.as_ref(),
        |bits| json!(bits.to_string()),
    );
    form.put(wanted, "hoist", "hoist", role.hoist.as_ref(), |flag| json!(flag));
    form.put(
        wanted,
        "mentionable",
        "mentionable",
        role.mentionable.as_ref(),
        |flag| json!(flag),
    );
    form.put(
        wanted,
        "unicode_emoji",
        "unicode_emoji",
        role.unicode_emoji.as_ref(),
        |text| text_or_null(text),
    );
    let colors = ["color", "secondary_color", "tertiary_color"];
    let given = role.color.is_some() || role.secondary_color.is_some() || role.tertiary_color.is_some();
    if given && colors.iter().any(|field| is_wanted(wanted, field)) {
        form.set("colors", colors_of(role));
    }
    form
}

/// Colours go together: what is left out of them is taken away.
fn colors_of(role: &Role) -> Value {
    let optional = |color: Option<Clearable<Color>>| color.as_ref().and_then(Clearable::value).map(|color| color.rgb());
    json!({
        "primary_color": role.color.map_or(0, Color::rgb),
        "secondary_color": optional(role.secondary_color),
        "tertiary_color": optional(role.tertiary_color),
    })
}
