//! `document!`: declares a map of the file as a struct, with its reader and its JSON schema.

/// Declares a struct whose fields are optional keys. Unknown keys are reported with the most similar known one.
macro_rules! document {
    (
        $(#[doc = $doc:literal])*
        pub(crate) struct $name:ident {
            $($(#[doc = $field_doc:literal])* $field:ident: $type:ty,)*
        }
    ) => {
        $(#[doc = $doc])*
        #[derive(Clone, Debug, Default)]
        pub(crate) struct $name {
            $($(#[doc = $field_doc])* pub(crate) $field: Option<$crate::yaml::reader::At<$type>>,)*
        }

        impl $name {
            /// The allowed keys.
            pub(crate) const KEYS: &'static [&'static str] = &[$($crate::yaml::macros::key(stringify!($field)),)*];

            /// The present keys.
            #[allow(dead_code, reason = "used for resources only")]
            pub(crate) fn written(&self) -> Vec<&'static str> {
                let written = [$((self.$field.is_some(), $crate::yaml::macros::key(stringify!($field))),)*];
                written.into_iter().filter(|(written, _)| *written).map(|(_, key)| key).collect()
            }
        }

        impl $crate::yaml::reader::FromNode for $name {
            fn read(
                node: &$crate::yaml::tree::Node,
                reader: &mut $crate::yaml::reader::Reader<'_>,
            ) -> Option<Self> {
                let mut read = Self::default();
                for (name, value) in reader.entries(node)? {
                    let before = reader.broken.len();
                    $(if name.text == $crate::yaml::macros::key(stringify!($field)) {
                        read.$field = $crate::yaml::reader::FromNode::read(value, reader);
                        reader.prefix_broken_rules(before, &name.text);
                        continue;
                    })*
                    $crate::yaml::macros::refuse_key(name, value, Self::KEYS, reader);
                }
                Some(read)
            }
        }

        impl schemars::JsonSchema for $name {
            fn schema_name() -> std::borrow::Cow<'static, str> {
                stringify!($name).trim_end_matches("Entry").into()
            }

            fn json_schema(generator: &mut schemars::SchemaGenerator) -> schemars::Schema {
                let mut properties = serde_json::Map::new();
                $(
                    let mut property = generator.subschema_for::<$type>();
                    property.insert("description".into(), concat!($($field_doc),*).trim().into());
                    properties.insert($crate::yaml::macros::key(stringify!($field)).into(), property.into());
                )*
                schemars::json_schema!({
                    "type": ["object", "null"],
                    "description": concat!($($doc),*).trim(),
                    "properties": properties,
                    "additionalProperties": false,
                })
            }
        }
    };
}

use super::reader::Reader;
use super::tree::{Name, Node, shortened};

/// The key of a field.
pub(crate) const fn key(field: &'static str) -> &'static str {
    // A field `type` is written `r#type` in Rust.
    match field.as_bytes() {
        [b'r', b'#', ..] => field.split_at(2).1,
        _ => field,
    }
}

/// Reports an unknown key.
pub(crate) fn refuse_key(name: &Name, value: &Node, known: &[&str], reader: &mut Reader<'_>) {
    if reader.is_full() {
        return;
    }
    let at = if name.at.line == 0 { value.at } else { name.at };
    let quoted: Vec<String> = known.iter().map(|key| format!("`{key}`")).collect();
    let reason = format!(
        "unknown key `{}`; expected one of {}",
        shortened(&name.text),
        quoted.join(", ")
    );
    reader.refuse_near(at, reason, &name.text, known.iter().copied());
}
