//! The backend of a folder: where its states and their locks are.
//!
//! Without a setting, they are files in `.gaib/`. `backend` in `.gaib/config.yaml` names a store that several machines share, and
//! the environment overrides it (see [`crate::settings`]). To add a kind of store: a variant of [`BackendSettings`], its form in
//! [`BackendEntry`] and as a URL, and its case in [`StateStore::open`].

use std::fmt;
use std::ops::Deref;
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::sync::Arc;

use arrakis_config::StoreLocation;
use arrakis_iac_apply::store::{Backend, DynamoLocks, LocalStore, RemoteStore};
use arrakis_vault::aws::{AwsConnection, AwsOptions};
use arrakis_vault::store::{S3Options, S3Store};
use arrakis_vault::{FolderStore, LockWait, ObjectStore};
use serde::{Deserialize, Serialize};

use crate::error::{Failure, Result};
use crate::interruption::Interruption;
use crate::printer::Printer;

/// Where the states of a folder are.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum BackendSettings {
    /// In files in `.gaib/`.
    #[default]
    Local,
    /// In another folder, which several folders of this machine share.
    Folder(PathBuf),
    /// In a bucket.
    S3(S3Settings),
}

/// A bucket with states.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct S3Settings {
    /// Name of the bucket.
    pub bucket: String,
    /// Prefix of the keys, without slashes at its ends; empty for none.
    pub prefix: String,
    /// Region; `None` for that of the environment.
    pub region: Option<String>,
    /// DynamoDB table with the locks; `None` for locks in the bucket.
    pub lock_table: Option<String>,
}

/// What the environment sets for a bucket and a table.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AwsEnvironment {
    /// URL of another store than AWS's.
    pub endpoint: Option<String>,
    /// Region, where the backend has none.
    pub region: Option<String>,
    /// Profile of the files in `~/.aws`.
    pub profile: Option<String>,
}

/// `backend` in `.gaib/config.yaml`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BackendEntry {
    /// `local`, `folder` or `s3`.
    pub r#type: String,
    /// The folder, relative to that of the file.
    #[serde(default)]
    pub path: Option<PathBuf>,
    /// Name of the bucket.
    #[serde(default)]
    pub bucket: Option<String>,
    /// Prefix of the keys.
    #[serde(default)]
    pub prefix: Option<String>,
    /// Region of the bucket and the table.
    #[serde(default)]
    pub region: Option<String>,
    /// DynamoDB table with the locks.
    #[serde(default)]
    pub lock_table: Option<String>,
}

/// The settings of each type.
const ALLOWED_LOCAL: &[&str] = &[];
const ALLOWED_FOLDER: &[&str] = &["path"];
const ALLOWED_S3: &[&str] = &["bucket", "prefix", "region", "lock_table"];

impl From<&BackendSettings> for BackendEntry {
    fn from(settings: &BackendSettings) -> Self {
        match settings {
            BackendSettings::Local => Self {
                r#type: "local".to_owned(),
                ..Self::default()
            },
            BackendSettings::Folder(path) => Self {
                r#type: "folder".to_owned(),
                path: Some(path.clone()),
                ..Self::default()
            },
            BackendSettings::S3(s3) => Self {
                r#type: "s3".to_owned(),
                bucket: Some(s3.bucket.clone()),
                prefix: Some(s3.prefix.clone()).filter(|prefix| !prefix.is_empty()),
                region: s3.region.clone(),
                lock_table: s3.lock_table.clone(),
                ..Self::default()
            },
        }
    }
}

impl TryFrom<&BackendEntry> for BackendSettings {
    type Error = String;

    fn try_from(entry: &BackendEntry) -> Result<Self, String> {
        let given = [
            ("path", entry.path.is_some()),
            ("bucket", entry.bucket.is_some()),
            ("prefix", entry.prefix.is_some()),
            ("region", entry.region.is_some()),
            ("lock_table", entry.lock_table.is_some()),
        ];
        let (settings, allowed) = match entry.r#type.as_str() {
            "local" => (Self::Local, ALLOWED_LOCAL),
            "folder" => {
                let path = entry.path.clone().filter(|path| !path.as_os_str().is_empty());
                let path = path.ok_or("`type: folder` requires `path`")?;
                (Self::Folder(path), ALLOWED_FOLDER)
            }
            "s3" => {
                let name = entry.bucket.as_deref().ok_or("`type: s3` requires `bucket`")?;
                let s3 = S3Settings {
                    region: entry.region.clone(),
                    lock_table: entry.lock_table.clone(),
                    ..bucket(name, entry.prefix.as_deref().unwrap_or_default())?
                };
                (Self::S3(s3), ALLOWED_S3)
            }
            other => return Err(format!("`type: {other}` is not a backend; use local, folder or s3")),
        };
        match given.iter().find(|(key, is_given)| *is_given && !allowed.contains(key)) {
            Some((key, _)) => Err(format!("`{key}` is not a setting of `type: {}`", entry.r#type)),
            None => Ok(settings),
        }
    }
}

/// A bucket and a prefix that are valid names.
fn bucket(name: &str, prefix: &str) -> Result<S3Settings, String> {
    match format!("s3://{name}/{prefix}").parse::<StoreLocation>() {
        Ok(StoreLocation::S3 { bucket, prefix }) if bucket == name => Ok(S3Settings {
            bucket,
            prefix,
            ..S3Settings::default()
        }),
        Ok(_) => Err(format!("the bucket {name:?} is not a valid name")),
        Err(error) => Err(error.to_string()),
    }
}

/// `local`, `file:///FOLDER` or `s3://BUCKET/PREFIX`.
impl FromStr for BackendSettings {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if text == "local" {
            return Ok(Self::Local);
        }
        match text.parse::<StoreLocation>() {
            Ok(StoreLocation::Folder(path)) => Ok(Self::Folder(path)),
            Ok(StoreLocation::S3 { bucket, prefix }) => Ok(Self::S3(S3Settings {
                bucket,
                prefix,
                ..S3Settings::default()
            })),
            Err(error) => Err(format!(
                "{text:?} is not a backend; use local, s3://BUCKET/PREFIX or file:///FOLDER: {error}"
            )),
        }
    }
}

impl fmt::Display for BackendSettings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Local => f.write_str("local"),
            Self::Folder(path) => write!(f, "file://{}", path.display()),
            Self::S3(S3Settings { bucket, prefix, .. }) if prefix.is_empty() => write!(f, "s3://{bucket}"),
            Self::S3(S3Settings { bucket, prefix, .. }) => write!(f, "s3://{bucket}/{prefix}"),
        }
    }
}

impl BackendSettings {
    /// The keys and values of `backend` in `.gaib/config.yaml`; empty for [`BackendSettings::Local`].
    #[must_use]
    pub fn entries(&self) -> Vec<(&'static str, String)> {
        match self {
            Self::Local => Vec::new(),
            Self::Folder(path) => vec![
                ("type", "folder".to_owned()),
                ("path", path.to_string_lossy().into_owned()),
            ],
            Self::S3(s3) => {
                let mut entries = vec![("type", "s3".to_owned()), ("bucket", s3.bucket.clone())];
                entries.extend((!s3.prefix.is_empty()).then(|| ("prefix", s3.prefix.clone())));
                entries.extend(s3.region.clone().map(|region| ("region", region)));
                entries.extend(s3.lock_table.clone().map(|table| ("lock_table", table)));
                entries
            }
        }
    }
}

/// How writes to a folder wait for each other: a long wait is a note, and the first signal ends it.
#[must_use]
pub fn lock_wait(printer: Printer, interruption: Interruption) -> LockWait {
    LockWait {
        report: Arc::new(move |text: &str| printer.note(text)),
        is_cancelled: Arc::new(move || interruption.is_cancelled()),
        ..LockWait::default()
    }
}

/// The store of the states of a folder.
#[derive(Clone, Debug)]
pub enum StateStore {
    /// Files in `.gaib/`.
    Local(LocalStore),
    /// A store that several machines, or several folders, share.
    Remote(RemoteStore),
}

impl StateStore {
    /// Opens the store of the folder `root`, whose `.gaib` is `folder`. `host` is the name of this machine. Sends no request.
    ///
    /// # Errors
    /// When the settings or the environment cannot be used.
    pub async fn open(
        settings: &BackendSettings,
        aws: &AwsEnvironment,
        root: &Path,
        folder: PathBuf,
        host: &str,
    ) -> Result<Self> {
        Self::open_waiting(settings, aws, root, folder, host, LockWait::default()).await
    }

    /// The same. Writes to a shared folder wait for each other as `wait` states.
    ///
    /// # Errors
    /// As [`StateStore::open`].
    pub async fn open_waiting(
        settings: &BackendSettings,
        aws: &AwsEnvironment,
        root: &Path,
        folder: PathBuf,
        host: &str,
        wait: LockWait,
    ) -> Result<Self> {
        match settings {
            BackendSettings::Local => Ok(Self::Local(LocalStore::new(folder, host))),
            BackendSettings::Folder(path) => {
                let objects = FolderStore::new(absolute(&root.join(path))).waiting(wait);
                let objects: Arc<dyn ObjectStore> = Arc::new(objects);
                Ok(Self::Remote(RemoteStore::new(objects, folder, host)))
            }
            BackendSettings::S3(s3) => open_s3(s3, aws, folder, host).await.map(Self::Remote),
        }
    }

    /// The local store; `None` for another one.
    #[must_use]
    pub const fn local(&self) -> Option<&LocalStore> {
        match self {
            Self::Local(store) => Some(store),
            Self::Remote(_) => None,
        }
    }

    /// The store that several machines, or several folders, share; `None` for the local one.
    #[must_use]
    pub const fn remote(&self) -> Option<&RemoteStore> {
        match self {
            Self::Local(_) => None,
            Self::Remote(store) => Some(store),
        }
    }
}

impl Deref for StateStore {
    type Target = dyn Backend;

    fn deref(&self) -> &Self::Target {
        match self {
            Self::Local(store) => store,
            Self::Remote(store) => store,
        }
    }
}

async fn open_s3(s3: &S3Settings, aws: &AwsEnvironment, folder: PathBuf, host: &str) -> Result<RemoteStore> {
    let options = AwsOptions {
        endpoint: aws.endpoint.clone(),
        region: s3.region.clone().or_else(|| aws.region.clone()),
        profile: aws.profile.clone(),
        ..AwsOptions::default()
    };
    let connection = AwsConnection::load(&options).await.map_err(|error| {
        Failure::new(format!("could not open the states in s3://{}: {error}", s3.bucket))
            .help("or write `region` under `backend` in .gaib/config.yaml")
    })?;
    let objects = S3Store::new(
        &connection,
        S3Options {
            bucket: s3.bucket.clone(),
            prefix: s3.prefix.clone(),
            kms_key: None,
        },
    );
    let store = RemoteStore::new(Arc::new(objects), folder, host);
    let Some(table) = &s3.lock_table else {
        return Ok(store);
    };
    let scope = match s3.prefix.is_empty() {
        true => s3.bucket.clone(),
        false => format!("{}/{}", s3.bucket, s3.prefix),
    };
    let locks = DynamoLocks::new(&connection, table.as_str(), scope);
    Ok(store.with_locks(Arc::new(locks)))
}

/// The absolute path, which is the name of the store's objects in markers.
fn absolute(path: &Path) -> PathBuf {
    let resolved = std::fs::canonicalize(path).or_else(|_| std::path::absolute(path));
    resolved.unwrap_or_else(|_| path.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(yaml: &str) -> Result<BackendSettings, String> {
        let entry: BackendEntry = serde_saphyr::from_str(yaml).map_err(|error| error.to_string())?;
        BackendSettings::try_from(&entry)
    }

    #[test]
    fn backend_is_read_from_its_entry_and_from_a_url() {
        let s3 = "{ type: s3, bucket: states, prefix: gaib/prod/, region: eu-central-1, lock_table: locks }";
        let Ok(BackendSettings::S3(settings)) = read(s3) else {
            panic!("{:?}", read(s3));
        };
        assert_eq!(settings.prefix, "gaib/prod");
        let written = BackendSettings::S3(settings.clone()).entries();
        assert_eq!(
            written,
            [
                ("type", "s3".to_owned()),
                ("bucket", "states".to_owned()),
                ("prefix", "gaib/prod".to_owned()),
                ("region", "eu-central-1".to_owned()),
                ("lock_table", "locks".to_owned()),
            ]
        );
        let by_url: BackendSettings = "s3://states/gaib/prod".parse().unwrap();
        assert_eq!(by_url.to_string(), "s3://states/gaib/prod");
        assert_eq!(
            "s3://states/".parse::<BackendSettings>().unwrap().to_string(),
            "s3://states"
        );
        for settings in [
            BackendSettings::S3(settings),
            BackendSettings::Folder(PathBuf::from("/srv/states")),
            BackendSettings::Local,
        ] {
            assert_eq!(BackendSettings::try_from(&BackendEntry::from(&settings)), Ok(settings));
        }
        assert_eq!(read("{ type: local }"), Ok(BackendSettings::Local));
        assert_eq!(
            "file:///srv/states".parse::<BackendSettings>(),
            Ok(BackendSettings::Folder(PathBuf::from("/srv/states")))
        );
        assert_eq!("local".parse::<BackendSettings>(), Ok(BackendSettings::Local));
    }

    #[test]
    fn invalid_backend_is_refused_with_the_reason() {
        for (yaml, reason) in [
            ("{ type: s4 }", "use local, folder or s3"),
            ("{ type: s3 }", "requires `bucket`"),
            (
                "{ type: s3, bucket: states, path: b }",
                "`path` is not a setting of `type: s3`",
            ),
            ("{ type: s3, bucket: states, prefix: b//c }", "the prefix"),
            ("{ type: s3, bucket: states, prefix: ../b }", "the prefix"),
            (
                "{ type: local, bucket: states }",
                "`bucket` is not a setting of `type: local`",
            ),
            ("{ type: s3, bucket: states/b }", "the bucket"),
            ("{ type: s3, bucket: States }", "the bucket"),
            ("{ type: folder }", "requires `path`"),
            ("{ type: s3, bucket: states, tabel: b }", "tabel"),
        ] {
            let refused = read(yaml).unwrap_err();
            assert!(refused.contains(reason), "{yaml}: {refused}");
        }
        for url in [
            "",
            "s3",
            "s3://",
            "s3:///abc",
            "file://a",
            "https://abc",
            "s3://abc/b c",
        ] {
            assert!(url.parse::<BackendSettings>().is_err(), "{url}");
        }
    }
}
