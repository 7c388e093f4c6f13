//! The JSON schema of a configuration, for editors.

use schemars::Schema;
use schemars::generate::SchemaSettings;

use super::document::ServerFile;

/// The JSON schema (2020-12) of `discord-server.yaml`, derived from the types of the reader.
///
/// It covers keys, types, names and limits. Only [`super::load`] checks dependencies between values.
#[must_use]
pub fn schema() -> Schema {
    let mut schema = SchemaSettings::draft2020_12()
        .into_generator()
        .into_root_schema_for::<ServerFile>();
    schema.insert("title".to_owned(), "discord-server.yaml".into());
    schema
}
