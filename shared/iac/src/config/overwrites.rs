//! Overwrites as they are written: a map by target, or `synced`.

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};

use super::reader::{FromNode, Reader};
use super::scalar::{List, Named, PermissionName};
use super::tree::{Node, Tree};

/// The word for "as the category has them".
const SYNCED: &str = "synced";

/// Who may do what.
#[derive(Clone, Debug)]
pub(crate) enum OverwritesEntry {
    /// The same as the category.
    Synced,
    /// These.
    Own(Named<OverwriteEntry>),
}

document! {
    /// What one target is granted and denied.
    pub(crate) struct OverwriteEntry {
        /// Granted.
        allow: List<PermissionName>,
        /// Denied.
        deny: List<PermissionName>,
    }
}

impl FromNode for OverwritesEntry {
    fn read(node: &Node, reader: &mut Reader<'_>) -> Option<Self> {
        match &node.tree {
            Tree::Scalar { text, .. } if text == SYNCED => Some(Self::Synced),
            Tree::Scalar { .. } if !node.is_nothing() => {
                reader.refuse(
                    node.at,
                    "a map of targets is expected here, like `everyone: { deny: [VIEW_CHANNEL] }`, or `synced`",
                );
                None
            }
            _ => Named::read(node, reader).map(Self::Own),
        }
    }
}

impl JsonSchema for OverwritesEntry {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Overwrites".into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let own = generator.subschema_for::<Named<OverwriteEntry>>();
        json_schema!({
            "description": "By target: `everyone`, `bot`, a role's logical name, `role:ID` or `member:ID`; or `synced`.",
            "anyOf": [{ "const": SYNCED }, own],
        })
    }
}
