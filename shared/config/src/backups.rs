//! Where backups are stored, from `BACKUP_STORE`, `BACKUP_CATALOGUE` and the variables of AWS, checked.

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;

use url::Url;

/// Table of records where `BACKUP_STORE` is a bucket and `BACKUP_CATALOGUE` is not set.
const DEFAULT_TABLE: &str = "gaib-backup-metadata";
/// Table of plans where `BACKUP_CATALOGUE` does not name one.
const DEFAULT_TIERS: &str = "gaib-server-tiers";
/// Folder of the catalogue below a folder store. Names that begin with a dot are no objects.
const CATALOGUE_FOLDER: &str = ".catalogue";
/// Longest prefix of a bucket's keys in bytes.
const MAX_PREFIX: usize = 200;

/// Where objects are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum StoreLocation {
    /// A folder.
    Folder(PathBuf),
    /// A bucket of S3.
    S3 {
        /// The bucket.
        bucket: String,
        /// Begin of all keys, without slashes at its ends; may be empty.
        prefix: String,
    },
}

/// Where the records of backups are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CatalogueLocation {
    /// A folder.
    Folder(PathBuf),
    /// Tables of DynamoDB.
    DynamoDb {
        /// Table of the records.
        table: String,
        /// Table of plans and counted uses.
        tiers: String,
    },
}

/// Settings of backups.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BackupSettings {
    /// Where objects are.
    pub store: StoreLocation,
    /// Where records are.
    pub catalogue: CatalogueLocation,
    /// KMS key that encrypts objects of a bucket.
    pub kms_key: Option<String>,
    /// File with the key that signs backups, snapshots, deployments and shadows of configurations; `None` for the default of the program.
    pub signing_key: Option<PathBuf>,
    /// Public keys whose signatures are accepted too, each as 64 hexadecimal digits.
    pub trusted_keys: Vec<String>,
    /// URL of another store than AWS's.
    pub aws_endpoint: Option<String>,
    /// AWS region.
    pub aws_region: Option<String>,
    /// AWS profile.
    pub aws_profile: Option<String>,
}

impl BackupSettings {
    /// Settings for a folder with its own catalogue.
    #[must_use]
    pub fn in_folder(folder: impl Into<PathBuf>) -> Self {
        Self::new(StoreLocation::Folder(folder.into()))
    }

    /// Settings for a store with its default catalogue.
    #[must_use]
    pub fn new(store: StoreLocation) -> Self {
        Self {
            catalogue: CatalogueLocation::default_of(&store),
            store,
            kms_key: None,
            signing_key: None,
            trusted_keys: Vec::new(),
            aws_endpoint: None,
            aws_region: None,
            aws_profile: None,
        }
    }
}

/// Keys by which backups are encrypted on this machine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BackupEncryption {
    /// File with the age identity.
    pub identity: PathBuf,
    /// Further recipients.
    pub recipients: Vec<String>,
}

/// Why a location of backups is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BackupLocationError {
    /// Not a URL with a supported scheme.
    #[error("the value must begin with file:// or {remote}://: write file:///var/lib/arrakis/backups, or {example}")]
    Scheme {
        /// The other scheme.
        remote: &'static str,
        /// A valid value with it.
        example: &'static str,
    },
    /// The folder is not absolute.
    #[error(
        "the folder must be absolute and on this machine: write three slashes, as in file:///var/lib/arrakis/backups"
    )]
    Folder,
    /// The name of the bucket or the table is invalid.
    #[error("{what} {name:?} is not a valid name: {rule}")]
    Name {
        /// `the bucket` or `the table`.
        what: &'static str,
        /// The name.
        name: String,
        /// What a name may contain.
        rule: &'static str,
    },
    /// There is a user name, a password, a port, a query or a fragment.
    #[error(
        "the URL has a user name, a password, a port, a query or a fragment; write {example}, and credentials in the variables of AWS"
    )]
    Parts {
        /// A valid value.
        example: &'static str,
    },
}

const S3_EXAMPLE: &str = "s3://gaib-backups-123456789012/production";
const DYNAMO_EXAMPLE: &str = "dynamodb://gaib-backup-metadata";

impl FromStr for StoreLocation {
    type Err = BackupLocationError;

    fn from_str(text: &str) -> Result<Self, BackupLocationError> {
        if text.starts_with("file:") {
            return folder(text).map(Self::Folder);
        }
        let (bucket, prefix) = split(text, "s3", S3_EXAMPLE)?;
        let is_plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || matches!(byte, b'-' | b'.');
        if !(3..=63).contains(&bucket.len()) || !bucket.bytes().all(is_plain) {
            return Err(BackupLocationError::Name {
                what: "the bucket",
                name: bucket,
                rule: "3 to 63 lower-case letters, digits, `-` and `.`",
            });
        }
        let prefix = prefix.trim_matches('/').to_owned();
        let is_segment = |segment: &str| {
            let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-');
            !segment.is_empty() && !segment.starts_with('.') && segment.bytes().all(is_plain)
        };
        if prefix.len() > MAX_PREFIX || !(prefix.is_empty() || prefix.split('/').all(is_segment)) {
            return Err(BackupLocationError::Name {
                what: "the prefix",
                name: prefix,
                rule: "at most 200 letters, digits, `.`, `_`, `-` and `/`",
            });
        }
        Ok(Self::S3 { bucket, prefix })
    }
}

impl FromStr for CatalogueLocation {
    type Err = BackupLocationError;

    fn from_str(text: &str) -> Result<Self, BackupLocationError> {
        if text.starts_with("file:") {
            return folder(text).map(Self::Folder);
        }
        let (table, tiers) = split(text, "dynamodb", DYNAMO_EXAMPLE)?;
        let tiers = tiers.trim_matches('/');
        let tiers = if tiers.is_empty() { DEFAULT_TIERS } else { tiers }.to_owned();
        for name in [&table, &tiers] {
            let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-');
            if !(3..=255).contains(&name.len()) || !name.bytes().all(is_plain) {
                return Err(BackupLocationError::Name {
                    what: "the table",
                    name: name.clone(),
                    rule: "3 to 255 letters, digits, `.`, `_` and `-`",
                });
            }
        }
        Ok(Self::DynamoDb { table, tiers })
    }
}

impl CatalogueLocation {
    /// The catalogue of a store where none is configured: beside a folder store, or the default tables.
    #[must_use]
    pub fn default_of(store: &StoreLocation) -> Self {
        match store {
            StoreLocation::Folder(folder) => Self::Folder(folder.join(CATALOGUE_FOLDER)),
            StoreLocation::S3 { .. } => Self::DynamoDb {
                table: DEFAULT_TABLE.to_owned(),
                tiers: DEFAULT_TIERS.to_owned(),
            },
        }
    }
}

impl fmt::Display for StoreLocation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Folder(folder) => write!(f, "file://{}", folder.display()),
            Self::S3 { bucket, prefix } => write!(f, "s3://{bucket}/{prefix}"),
        }
    }
}

impl fmt::Display for CatalogueLocation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Folder(folder) => write!(f, "file://{}", folder.display()),
            Self::DynamoDb { table, tiers } => write!(f, "dynamodb://{table}/{tiers}"),
        }
    }
}

fn folder(text: &str) -> Result<PathBuf, BackupLocationError> {
    let url = Url::parse(text).map_err(|_| BackupLocationError::Folder)?;
    if !text.starts_with("file:///") || url.query().is_some() || url.fragment().is_some() {
        return Err(BackupLocationError::Folder);
    }
    url.to_file_path().map_err(|()| BackupLocationError::Folder)
}

/// Name and path of a URL with this scheme. Read as text, because a URL's host would be changed to lower case.
fn split(text: &str, remote: &'static str, example: &'static str) -> Result<(String, String), BackupLocationError> {
    let rest = text.strip_prefix(remote).and_then(|rest| rest.strip_prefix("://"));
    let rest = rest.ok_or(BackupLocationError::Scheme { remote, example })?;
    if rest.contains(['@', ':', '?', '#']) {
        return Err(BackupLocationError::Parts { example });
    }
    let (name, path) = rest.split_once('/').unwrap_or((rest, ""));
    Ok((name.to_owned(), path.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn folders_buckets_and_tables_are_accepted() {
        let folder = StoreLocation::Folder(PathBuf::from("/var/lib/a b"));
        assert_eq!("file:///var/lib/a%20b".parse::<StoreLocation>(), Ok(folder));
        for (text, bucket, prefix) in [
            ("s3://gaib-backups-1/production/", "gaib-backups-1", "production"),
            ("s3://bucket", "bucket", ""),
            ("s3://bucket/a/b", "bucket", "a/b"),
        ] {
            let store = StoreLocation::S3 {
                bucket: bucket.to_owned(),
                prefix: prefix.to_owned(),
            };
            assert_eq!(text.parse::<StoreLocation>(), Ok(store), "{text}");
        }
        for (text, table, tiers) in [
            ("dynamodb://Backups", "Backups", DEFAULT_TIERS),
            ("dynamodb://Backups/Tiers", "Backups", "Tiers"),
        ] {
            let catalogue = CatalogueLocation::DynamoDb {
                table: table.to_owned(),
                tiers: tiers.to_owned(),
            };
            assert_eq!(text.parse::<CatalogueLocation>(), Ok(catalogue), "{text}");
        }
    }

    #[test]
    fn catalogue_follows_from_the_store() {
        let folder = BackupSettings::in_folder("/backups");
        assert_eq!(
            folder.catalogue,
            CatalogueLocation::Folder("/backups/.catalogue".into())
        );
        let bucket = BackupSettings::new("s3://bucket".parse().unwrap());
        assert_eq!(
            bucket.catalogue.to_string(),
            "dynamodb://gaib-backup-metadata/gaib-server-tiers"
        );
    }

    #[test]
    fn other_locations_are_refused_with_a_valid_one() {
        for (text, reason) in [
            ("/var/lib/backups", "file:///var/lib"),
            ("http://bucket", "s3://gaib-backups"),
            ("file://backups", "three slashes"),
            ("file:backups", "three slashes"),
            ("s3://Bucket", "lower-case"),
            ("s3://", "3 to 63"),
            ("s3://key:SECRET@bucket", "variables of AWS"),
            ("s3://bucket/../x", "prefix"),
            ("s3://bucket/a b", "prefix"),
        ] {
            let error = text.parse::<StoreLocation>().unwrap_err().to_string();
            assert!(error.contains(reason) && !error.contains("SECRET"), "{text}: {error}");
        }
        for (text, reason) in [
            ("gaib-backup-metadata", "dynamodb://gaib-backup-metadata"),
            ("dynamodb://a", "3 to 255"),
            ("dynamodb://table/b/c", "table"),
            ("dynamodb://table?region=x", "query"),
        ] {
            let error = text.parse::<CatalogueLocation>().unwrap_err().to_string();
            assert!(error.contains(reason), "{text}: {error}");
        }
    }
}
