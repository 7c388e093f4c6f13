//! Requests that write roles. <https://discord.com/developers/docs/resources/guild#create-guild-role>

use arrakis_domain::Color;
use arrakis_iac::model::{Clearable, Role, Snowflake};
use serde_json::{Value, json};

use super::form::{FieldFilter, Form, FormError, is_wanted, text_or_null};
use super::{Context, Current, Requests, WriteRequest};

impl Requests for Role {
    fn create(&self, context: &Context<'_>) -> Result<WriteRequest, FormError> {
        let mut form = form(self, None);
        // Without permissions in the request, Discord copies those of @everyone.
        if self.permissions.is_none() {
            form.set("permissions", "0");
        }
        Ok(WriteRequest::post(format!("/guilds/{}/roles", context.guild), form))
    }

    fn update(
        &self,
        id: Snowflake,
        fields: &[String],
        _: &Value,
        context: &Context<'_>,
    ) -> Result<WriteRequest, FormError> {
        let form = form(self, Some(fields));
        Ok(WriteRequest::patch(
            format!("/guilds/{}/roles/{id}", context.guild),
            form,
        ))
    }

    fn delete(id: Snowflake, guild: Snowflake) -> Option<WriteRequest> {
        Some(WriteRequest::delete(format!("/guilds/{guild}/roles/{id}")))
    }

    fn current(_: Snowflake, _: Snowflake, _: &[String]) -> Option<Current> {
        None
    }

    fn fields_after_create(&self) -> Vec<String> {
        Vec::new()
    }
}

fn form(role: &Role, wanted: FieldFilter<'_>) -> Form {
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

/// Discord replaces all colours together: one that is left out is removed.
fn colors_of(role: &Role) -> Value {
    let optional = |color: Option<Clearable<Color>>| color.as_ref().and_then(Clearable::value).map(|color| color.rgb());
    json!({
        "primary_color": role.color.map_or(0, Color::rgb),
        "secondary_color": optional(role.secondary_color),
        "tertiary_color": optional(role.tertiary_color),
    })
}
