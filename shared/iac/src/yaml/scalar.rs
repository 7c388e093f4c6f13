//! Types of values, with their JSON schemas.
//!
//! Any value may be a text with `${name}`, so each schema allows that too.

use std::borrow::Cow;
use std::marker::PhantomData;

use arrakis_domain::{Color, Permission, Permissions};
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};

use super::reader::{At, FromNode, Reader};
use super::tree::{Node, shortened};
use crate::values::{Clearable, permission_by_name};

/// The pattern of a text with a variable.
const VARIABLE: &str = r"\$\{[a-z][a-z0-9_]*\}";

/// The schema of a text with a variable, which each type allows.
pub(crate) fn or_variable(own: &Schema) -> Schema {
    json_schema!({ "anyOf": [own, { "type": "string", "pattern": VARIABLE }] })
}

/// Declares a schema that is inlined.
macro_rules! inline_schema {
    ([$($generics:tt)*] $type:ty, $name:literal, |$generator:ident| $body:expr) => {
        impl<$($generics)*> JsonSchema for $type {
            fn inline_schema() -> bool {
                true
            }

            fn schema_name() -> Cow<'static, str> {
                $name.into()
            }

            fn json_schema($generator: &mut SchemaGenerator) -> Schema {
                $body
            }
        }
    };
}

pub(crate) use inline_schema;

inline_schema!([T: JsonSchema] At<T>, "At", |generator| generator.subschema_for::<T>());

/// A text of a number of characters.
#[derive(Clone, Debug)]
pub(crate) struct Text<const MIN: usize, const MAX: usize>(pub(crate) String);

impl<const MIN: usize, const MAX: usize> FromNode for Text<MIN, MAX> {
    fn read(node: &Node, reader: &mut Reader<'_>) -> Option<Self> {
        let text = reader.text(node)?;
        let length = text.chars().count();
        if length < MIN || (MIN > 0 && text.trim().is_empty()) {
            let reason = if MIN == 1 {
                "a text is needed here".to_owned()
            } else {
                format!("at least {MIN} characters are needed here")
            };
            reader.refuse(node.at, reason);
            return None;
        }
        if length > MAX {
            reader.refuse(node.at, format!("the text has {length} characters; at most {MAX} fit"));
            return None;
        }
        Some(Self(text))
    }
}

inline_schema!([const MIN: usize, const MAX: usize] Text<MIN, MAX>, "Text", |_generator| {
    // A text that looks like a number or a boolean is a text here.
    or_variable(&json_schema!({ "type": ["string", "number", "boolean"], "minLength": MIN, "maxLength": MAX }))
});

/// A text whose length Discord limits. A shorter, longer or blank one is accepted and breaks a rule, since an existing server
/// may have it.
#[derive(Clone, Debug)]
pub(crate) struct Limited<const MIN: usize, const MAX: usize>(pub(crate) String);

impl<const MIN: usize, const MAX: usize> FromNode for Limited<MIN, MAX> {
    fn read(node: &Node, reader: &mut Reader<'_>) -> Option<Self> {
        let text = reader.text(node)?;
        let length = text.chars().count();
        if length > MAX {
            reader.break_rule(node.at, format!("the text has {length} characters; at most {MAX} fit"));
        } else if MIN == 1 && text.trim().is_empty() {
            reader.break_rule(node.at, "a text is needed here");
        } else if length < MIN || (MIN > 0 && text.trim().is_empty()) {
            reader.break_rule(node.at, format!("at least {MIN} characters are needed here"));
        }
        Some(Self(text))
    }
}

inline_schema!([const MIN: usize, const MAX: usize] Limited<MIN, MAX>, "Limited", |_generator| {
    or_variable(&json_schema!({ "type": ["string", "number", "boolean"], "minLength": MIN, "maxLength": MAX }))
});

/// An integer that Discord limits. One out of range is accepted and breaks a rule, since an existing server may have it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Number<const MIN: u32, const MAX: u32>(pub(crate) u32);

impl<const MIN: u32, const MAX: u32> FromNode for Number<MIN, MAX> {
    fn read(node: &Node, reader: &mut Reader<'_>) -> Option<Self> {
        let text = reader.text(node)?;
        let reason = || format!("`{}` is not a whole number from {MIN} to {MAX}", shortened(&text));
        let Ok(number) = text.parse() else {
            reader.refuse(node.at, reason());
            return None;
        };
        if !(MIN..=MAX).contains(&number) {
            reader.break_rule(node.at, reason());
        }
        Some(Self(number))
    }
}

inline_schema!([const MIN: u32, const MAX: u32] Number<MIN, MAX>, "Number", |_generator| {
    or_variable(&json_schema!({ "type": "integer", "minimum": MIN, "maximum": MAX }))
});

/// The version of the format.
#[derive(Clone, Copy, Debug)]
pub(crate) struct FormatVersion;

impl FromNode for FormatVersion {
    fn read(node: &Node, reader: &mut Reader<'_>) -> Option<Self> {
        let text = reader.text(node)?;
        if text != "1" {
            let reason = format!(
                "`{}` is not a supported format version; the only version is 1",
                shortened(&text)
            );
            reader.refuse(node.at, reason);
            return None;
        }
        Some(Self)
    }
}

inline_schema!([] FormatVersion, "Version", |_generator| or_variable(&json_schema!({ "const": 1 })));

/// `true` or `false`.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Truth(pub(crate) bool);

impl FromNode for Truth {
    fn read(node: &Node, reader: &mut Reader<'_>) -> Option<Self> {
        let text = reader.text(node)?;
        let near = match text.as_str() {
            "true" => return Some(Self(true)),
            "false" => return Some(Self(false)),
            other => match other.to_ascii_lowercase().as_str() {
                "true" | "yes" | "on" | "y" | "1" => Some("true"),
                "false" | "no" | "off" | "n" | "0" => Some("false"),
                _ => None,
            },
        };
        let reason = format!("`{}` is neither `true` nor `false`", shortened(&text));
        match near {
            Some(near) => reader.refuse_for(node.at, reason, near),
            None => reader.refuse(node.at, reason),
        }
        None
    }
}

inline_schema!([] Truth, "Truth", |_generator| or_variable(&json_schema!({ "type": "boolean" })));

impl FromNode for Color {
    fn read(node: &Node, reader: &mut Reader<'_>) -> Option<Self> {
        let text = reader.text(node)?;
        let parsed = shortened(&text).parse::<Self>();
        match parsed {
            Ok(color) => return Some(color),
            Err(error) => match format!("#{text}").parse::<Self>() {
                Ok(meant) => reader.refuse_for(node.at, error.to_string(), meant.to_string()),
                Err(_) => reader.refuse(node.at, error.to_string()),
            },
        }
        None
    }
}

/// The schema of a colour.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Hue(pub(crate) Color);

impl FromNode for Hue {
    fn read(node: &Node, reader: &mut Reader<'_>) -> Option<Self> {
        Color::read(node, reader).map(Self)
    }
}

inline_schema!([] Hue, "Color", |_generator| {
    or_variable(&json_schema!({ "type": "string", "pattern": "^#[0-9A-Fa-f]{6}$" }))
});

/// A value of an enumeration of the model.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Pick<T>(pub(crate) T);

impl<T: crate::values::Choice> FromNode for Pick<T> {
    fn read(node: &Node, reader: &mut Reader<'_>) -> Option<Self> {
        let text = reader.text(node)?;
        if let Some(one) = T::all().iter().copied().find(|one| one.text() == text) {
            return Some(Self(one));
        }
        let names: Vec<&str> = T::all().iter().map(|one| one.text()).collect();
        let quoted: Vec<String> = names.iter().map(|name| format!("`{name}`")).collect();
        let reason = format!(
            "`{}` is unknown; expected one of {}",
            shortened(&text),
            quoted.join(", ")
        );
        reader.refuse_near(node.at, reason, &text, names);
        None
    }
}

inline_schema!([T: crate::values::Choice] Pick<T>, "Choice", |_generator| {
    let names: Vec<&str> = T::all().iter().map(|one| one.text()).collect();
    or_variable(&json_schema!({ "enum": names }))
});

/// A section that was read before the others, since they depend on it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Early<T>(PhantomData<T>);

impl<T> FromNode for Early<T> {
    fn read(_node: &Node, _reader: &mut Reader<'_>) -> Option<Self> {
        Some(Self(PhantomData))
    }
}

inline_schema!([T: JsonSchema] Early<T>, "Early", |generator| generator.subschema_for::<T>());

/// A value, or `none`.
#[derive(Clone, Debug)]
pub(crate) struct OrNone<T>(pub(crate) Clearable<T>);

impl<T: FromNode> FromNode for OrNone<T> {
    fn read(node: &Node, reader: &mut Reader<'_>) -> Option<Self> {
        if reader.text(node)? == "none" {
            return Some(Self(Clearable::Cleared));
        }
        T::read(node, reader).map(|value| Self(Clearable::Set(value)))
    }
}

inline_schema!([T: JsonSchema] OrNone<T>, "OrNone", |generator| {
    let own = generator.subschema_for::<T>();
    json_schema!({ "anyOf": [{ "const": "none" }, own] })
});

/// A reference by logical name, address or id. Resolved when all resources are known.
#[derive(Clone, Debug)]
pub(crate) struct Link(pub(crate) String);

impl FromNode for Link {
    fn read(node: &Node, reader: &mut Reader<'_>) -> Option<Self> {
        Text::<1, 100>::read(node, reader).map(|text| Self(text.0))
    }
}

inline_schema!([] Link, "Reference", |_generator| {
    or_variable(&json_schema!({ "type": ["string", "integer"], "pattern": r"^([a-z_]+\.)?[a-z][a-z0-9_-]*$|^[0-9]+$" }))
});

/// A Unicode emoji or a reference to an emoji of the server.
#[derive(Clone, Debug)]
pub(crate) struct EmojiLink(pub(crate) String);

impl FromNode for EmojiLink {
    fn read(node: &Node, reader: &mut Reader<'_>) -> Option<Self> {
        Text::<1, 100>::read(node, reader).map(|text| Self(text.0))
    }
}

inline_schema!([] EmojiLink, "Emoji", |_generator| json_schema!({ "type": ["string", "integer"], "maxLength": 100 }));

/// A permission by its name at Discord.
#[derive(Clone, Copy, Debug)]
pub(crate) struct PermissionName(pub(crate) Permissions);

/// Other names of permissions: Discord's old names, and those of its settings.
const FORMER_NAMES: [(&str, &str); 11] = [
    ("CREATE_INSTANT_INVITE", "CREATE_INVITE"),
    ("MANAGE_SERVER", "MANAGE_GUILD"),
    ("READ_MESSAGES", "VIEW_CHANNEL"),
    ("VIEW_CHANNELS", "VIEW_CHANNEL"),
    ("TIMEOUT_MEMBERS", "MODERATE_MEMBERS"),
    ("USE_VOICE_ACTIVITY", "USE_VAD"),
    ("VIDEO", "STREAM"),
    ("MANAGE_EMOJIS", "MANAGE_GUILD_EXPRESSIONS"),
    ("MANAGE_EMOJIS_AND_STICKERS", "MANAGE_GUILD_EXPRESSIONS"),
    ("USE_SLASH_COMMANDS", "USE_APPLICATION_COMMANDS"),
    ("START_EMBEDDED_ACTIVITIES", "USE_EMBEDDED_ACTIVITIES"),
];

impl FromNode for PermissionName {
    fn read(node: &Node, reader: &mut Reader<'_>) -> Option<Self> {
        let text = reader.text(node)?;
        if let Some(bits) = permission_by_name(&text) {
            return Some(Self(bits));
        }
        let plain = text.to_ascii_uppercase().replace([' ', '-'], "_");
        let reason = format!("`{}` is not a permission of Discord's", shortened(&text));
        match FORMER_NAMES.iter().find(|(former, _)| *former == plain) {
            Some((_, today)) => reader.refuse_for(node.at, reason, *today),
            None => reader.refuse_near(node.at, reason, &plain, Permission::ALL.iter().map(|one| one.name())),
        }
        None
    }
}

inline_schema!([] PermissionName, "Permission", |generator| {
    generator.subschema_for::<PermissionEnum>()
});

/// The names of all permissions; defined once in the schema.
struct PermissionEnum;

impl JsonSchema for PermissionEnum {
    fn schema_name() -> Cow<'static, str> {
        "Permission".into()
    }

    fn json_schema(_generator: &mut SchemaGenerator) -> Schema {
        let names: Vec<&str> = Permission::ALL.iter().map(|permission| permission.name()).collect();
        // Not part of JSON Schema; supported by some editors.
        let descriptions: Vec<&str> = Permission::ALL
            .iter()
            .map(|permission| permission.description())
            .collect();
        json_schema!({
            "anyOf": [
                { "enum": names, "enumDescriptions": descriptions },
                { "type": "string", "pattern": format!("^BIT_[0-9]+$|{VARIABLE}") },
            ],
        })
    }
}

/// A list without its invalid items.
#[derive(Clone, Debug)]
pub(crate) struct List<T>(pub(crate) Vec<At<T>>);

impl<T: FromNode> FromNode for List<T> {
    fn read(node: &Node, reader: &mut Reader<'_>) -> Option<Self> {
        let items = reader.items(node)?;
        Some(Self(items.iter().filter_map(|item| At::read(item, reader)).collect()))
    }
}

inline_schema!([T: JsonSchema] List<T>, "List", |generator| {
    let item = generator.subschema_for::<T>();
    or_variable(&json_schema!({ "type": "array", "items": item }))
});

/// A map with arbitrary keys, in the order of the file.
#[derive(Clone, Debug)]
pub(crate) struct Named<T>(pub(crate) Vec<(At<String>, At<T>)>);

/// Not derived, since `T` need not be `Default`.
impl<T> Default for Named<T> {
    fn default() -> Self {
        Self(Vec::new())
    }
}

impl<T: FromNode> FromNode for Named<T> {
    fn read(node: &Node, reader: &mut Reader<'_>) -> Option<Self> {
        let entries = reader.entries(node)?;
        let mut read = Vec::with_capacity(entries.len());
        for (name, value) in entries {
            // A merged key is reported at the position of its value.
            let at = if name.at.line == 0 { value.at } else { name.at };
            let before = reader.broken.len();
            let entry = T::read(value, reader);
            reader.prefix_broken_rules(before, &name.text);
            if let Some(value) = entry {
                read.push((
                    At {
                        value: name.text.clone(),
                        at,
                    },
                    At { value, at },
                ));
            }
        }
        Some(Self(read))
    }
}

inline_schema!([T: JsonSchema] Named<T>, "Map", |generator| {
    let value = generator.subschema_for::<T>();
    json_schema!({ "type": ["object", "null"], "additionalProperties": value })
});
