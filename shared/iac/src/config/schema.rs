//! The JSON schema of a configuration, for editors.

use schemars::Schema;
use schemars::generate::SchemaSettings;

use super::document::ServerFile;

/// The JSON schema (2020-12) of `discord-server.yaml`, made from the types that read it.
///
/// It knows keys, types, names and limits; what hangs together is only checked by [`super::load`].
#[must_use]
pub fn schema() -> Schema {
    let mut schema = SchemaSettings::draft2020_12()
        .into_generator()
        .into_root_schema_for::<ServerFile>();
    schema.insert("title".to_owned(), "discord-server.yaml".into());
    schema
}
