//! What a snapshot records of a server: its resources, their images, and the roles of its members.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::export::{self, ExportDetail};
use crate::live::LiveServer;
use crate::model::{Address, Configuration, Image, Kind, Snowflake};
use crate::state::State;

/// Name of the [`ServerRecord`] in a snapshot.
pub const SERVER_FILE: &str = "server.json";

/// Version of the records that are written. A record with another major number is refused.
pub const VERSION: &str = "1.0";

/// A record of a snapshot that cannot be read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RecordError {
    /// Invalid JSON, or JSON of another form.
    #[error("line {line}, column {column}: {reason}")]
    Malformed {
        /// Line, from 1.
        line: usize,
        /// Column, from 1.
        column: usize,
        /// Message of the parser.
        reason: String,
    },
    /// Written by a version of gaib with another format.
    #[error("it has version {0}, and this version of gaib reads {VERSION}; use a newer gaib")]
    Version(String),
}

/// The image of a resource, in a file of the snapshot.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ImageRecord {
    /// Kind of the resource.
    pub kind: Kind,
    /// Id of the resource.
    pub id: Snowflake,
    /// Path and query in Discord's CDN when the snapshot was created. Another location is another image.
    pub location: String,
    /// Name of the file in the snapshot.
    pub file: String,
    /// SHA-256 of the file in hexadecimal.
    pub sha256: String,
}

impl ImageRecord {
    /// The record of an image with this digest. Equal images have one file.
    #[must_use]
    pub fn new(kind: Kind, id: Snowflake, location: &str, extension: &str, sha256: &str) -> Self {
        Self {
            kind,
            id,
            location: location.to_owned(),
            file: format!("images/{sha256}.{extension}"),
            sha256: sha256.to_owned(),
        }
    }

    /// The image as an attribute of the resource.
    #[must_use]
    pub fn image(&self) -> Image {
        Image {
            path: self.file.clone(),
            sha256: Some(self.sha256.clone()),
        }
    }
}

/// A whole server with the addresses of its resources.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ServerRecord {
    /// Version of the format.
    pub version: String,
    /// The server as it was read, with references by id. It also has the roles of applications, which no configuration has.
    pub server: LiveServer,
    /// Addresses of the resources in the configuration of the snapshot.
    pub addresses: BTreeMap<Address, Snowflake>,
    /// Images of resources that could be downloaded.
    pub images: Vec<ImageRecord>,
}

impl ServerRecord {
    /// The record of a server. Resources of the state keep their addresses; the others get one from their name.
    #[must_use]
    pub fn new(server: LiveServer, state: &State, images: Vec<ImageRecord>) -> Self {
        let entries = state.resources.iter();
        let managed: BTreeMap<Address, Snowflake> =
            entries.map(|(address, entry)| (address.clone(), entry.id)).collect();
        let mut addresses = export::assign(&server, &managed);
        addresses.retain(|address, id| server.get(address.kind(), *id).is_some());
        Self {
            version: VERSION.to_owned(),
            server,
            addresses,
            images,
        }
    }

    /// The server as a configuration with every attribute. Images are files of the snapshot.
    #[must_use]
    pub fn configuration(&self) -> Configuration {
        let mut configuration = export::from_live(&self.server, &self.addresses, ExportDetail::Complete);
        let images = self.images_by_resource();
        for (address, resource) in &mut configuration.resources {
            let id = self.addresses.get(address);
            let record = id.and_then(|id| images.get(&(address.kind(), *id)));
            if let (Some(image), Some(record)) = (resource.attributes.image_mut(), record) {
                *image = Some(record.image());
            }
        }
        configuration
    }

    /// The images by kind and id of their resource.
    pub(super) fn images_by_resource(&self) -> HashMap<(Kind, Snowflake), &ImageRecord> {
        let images = self.images.iter();
        images.map(|image| ((image.kind, image.id), image)).collect()
    }

    /// The record as JSON.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        bytes(self)
    }

    /// Reads a record.
    ///
    /// # Errors
    /// Invalid JSON, or another version.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, RecordError> {
        read(bytes)
    }
}

/// The roles of a member.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct MemberRoles {
    /// User id of the member.
    pub user: Snowflake,
    /// Ids of the member's roles, without @everyone.
    pub roles: BTreeSet<Snowflake>,
}

/// The roles of all members.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct MembersRecord {
    /// Version of the format.
    pub version: String,
    /// The members with at least one role, by user id.
    pub members: Vec<MemberRoles>,
}

impl MembersRecord {
    /// The record of these members.
    #[must_use]
    pub fn new(mut members: Vec<MemberRoles>) -> Self {
        members.retain(|member| !member.roles.is_empty());
        members.sort_by_key(|member| member.user);
        Self {
            version: VERSION.to_owned(),
            members,
        }
    }

    /// The record as JSON.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        bytes(self)
    }

    /// Reads a record.
    ///
    /// # Errors
    /// Invalid JSON, or another version.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, RecordError> {
        read(bytes)
    }
}

fn bytes(record: &impl Serialize) -> Vec<u8> {
    // Plain structs with text keys: serde_json cannot fail on them.
    let mut bytes = serde_json::to_vec(record).unwrap_or_default();
    bytes.push(b'\n');
    bytes
}

#[derive(Deserialize)]
struct VersionAlone {
    version: String,
}

fn read<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, RecordError> {
    let malformed = |error: serde_json::Error| RecordError::Malformed {
        line: error.line(),
        column: error.column(),
        reason: error.to_string(),
    };
    let VersionAlone { version } = serde_json::from_slice(bytes).map_err(malformed)?;
    if version.split('.').next() != VERSION.split('.').next() {
        return Err(RecordError::Version(version.chars().take(20).collect()));
    }
    serde_json::from_slice(bytes).map_err(malformed)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(id: u64) -> Snowflake {
        Snowflake::new(id).unwrap()
    }

    #[test]
    fn members_without_roles_are_not_recorded() {
        let member = |user, roles: &[u64]| MemberRoles {
            user: id(user),
            roles: roles.iter().map(|role| id(*role)).collect(),
        };
        let record = MembersRecord::new(vec![member(9, &[3, 2]), member(5, &[]), member(4, &[2])]);
        assert_eq!(record.members, [member(4, &[2]), member(9, &[2, 3])]);
        let text = String::from_utf8(record.to_bytes()).unwrap();
        assert_eq!(
            text,
            "{\"version\":\"1.0\",\"members\":[{\"user\":\"4\",\"roles\":[\"2\"]},{\"user\":\"9\",\"roles\":[\"2\",\"3\"]}]}\n"
        );
        assert_eq!(MembersRecord::from_bytes(text.as_bytes()), Ok(record));
    }

    #[test]
    fn record_of_another_major_version_is_refused() {
        let of_version = |version: &str| format!("{{\"version\":\"{version}\",\"members\":[]}}");
        assert!(MembersRecord::from_bytes(of_version("1.7").as_bytes()).is_ok());
        assert_eq!(
            MembersRecord::from_bytes(of_version("2.0").as_bytes()),
            Err(RecordError::Version("2.0".to_owned()))
        );
        assert!(matches!(
            MembersRecord::from_bytes(b"{\"version\":1}"),
            Err(RecordError::Malformed { line: 1, .. })
        ));
    }
}
