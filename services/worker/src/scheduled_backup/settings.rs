//! The variables of scheduled backups.

use arrakis_config::{BackupSettings, Reader, SigningSettings, StoreLocation, variables};
use url::Url;

use super::notices::NotificationSettings;

/// Settings of scheduled backups.
#[derive(Debug, Clone)]
pub struct BackupConfig {
    /// Store and catalogue.
    pub(super) settings: BackupSettings,
    /// The key that signs backups, snapshots, shadows and anchors; the same for all workers.
    pub(super) signing: SigningSettings,
    /// Where gaib keeps states, if that is another store.
    states: Option<StoreLocation>,
    second: Option<SecondLocation>,
    /// Where notices are sent; `None`: they are off.
    pub(super) notifications: Option<NotificationSettings>,
    /// Base of Discord's API, which determines its content network.
    pub(super) api_base: Url,
}

/// Where copies are stored.
#[derive(Debug, Clone)]
struct SecondLocation {
    store: StoreLocation,
    region: Option<String>,
    kms_key: Option<String>,
}

impl BackupConfig {
    /// Reads the settings; `Some(None)` without `BACKUP_STORE`, which switches scheduled backups off. The outer `None` means that `reader`
    /// recorded an error.
    pub fn read(reader: &mut Reader) -> Option<Option<Self>> {
        let signing = reader.signing();
        Self::read_with(reader, signing.as_ref())
    }

    /// As [`BackupConfig::read`], where the settings of the key were read already; `None` where they have an error.
    pub(crate) fn read_with(reader: &mut Reader, signing: Option<&Option<SigningSettings>>) -> Option<Option<Self>> {
        let settings = reader.backups(None);
        let notifications = NotificationSettings::read(reader);
        let api_base = reader.discord_api_base();
        let states = reader.optional::<StoreLocation>(&variables::BACKUP_STATE_STORE);
        let second = SecondLocation::read(reader);
        let (settings, second) = (settings?, second?);
        let Some(settings) = settings else {
            if second.is_some() {
                return reader.refuse(
                    &variables::BACKUP_SECOND_STORE,
                    "BACKUP_STORE is not set: there is nothing to copy",
                );
            }
            return Some(None);
        };
        let Some(signing) = signing?.clone() else {
            return reader.refuse(
                &variables::BACKUP_SIGNING_KEY,
                "BACKUP_STORE requires it: without it each worker would sign with a key of its own, and refuse the snapshots of the others",
            );
        };
        Some(Some(Self {
            settings,
            signing,
            states: states?,
            second,
            notifications: notifications?,
            api_base: api_base?,
        }))
    }

    /// Settings of the store in which gaib keeps states; `None` if that is the store of backups.
    pub(super) fn state_store(&self) -> Option<BackupSettings> {
        let store = self.states.clone()?;
        Some(BackupSettings {
            store,
            ..self.settings.clone()
        })
    }

    /// Settings of the second store.
    pub(super) fn second_store(&self) -> Option<BackupSettings> {
        let second = self.second.clone()?;
        Some(BackupSettings {
            store: second.store,
            aws_region: second.region.or_else(|| self.settings.aws_region.clone()),
            kms_key: second.kms_key,
            ..self.settings.clone()
        })
    }

    /// Host and port of Discord's API, by which gaib keeps markers of servers apart.
    pub(super) fn discord(&self) -> String {
        let host = self.api_base.host_str().unwrap_or_default();
        match self.api_base.port() {
            Some(port) => format!("{host}:{port}"),
            None => host.to_owned(),
        }
    }
}

impl SecondLocation {
    fn read(reader: &mut Reader) -> Option<Option<Self>> {
        let store = reader.optional::<StoreLocation>(&variables::BACKUP_SECOND_STORE);
        let region = reader.optional::<String>(&variables::BACKUP_SECOND_REGION);
        let kms_key = reader.optional::<String>(&variables::BACKUP_SECOND_KMS_KEY);
        let (store, region, kms_key) = (store?, region?, kms_key?);
        Some(store.map(|store| Self { store, region, kms_key }))
    }
}

#[cfg(test)]
mod tests {
    use arrakis_config::{Service, SignerLocation, Source};

    use super::*;

    fn load(pairs: &[(&str, &str)]) -> Result<Option<BackupConfig>, String> {
        let source = Source::pairs(pairs.iter().copied());
        Reader::load(Service::Worker, source, BackupConfig::read).map_err(|error| error.to_string())
    }

    const STORE: (&str, &str) = ("BACKUP_STORE", "s3://gaib-backups-1/production");
    const KEY: (&str, &str) = ("BACKUP_SIGNING_KEY", "/etc/arrakis/backup-signing-key.pem");

    #[test]
    fn scheduled_backups_are_off_without_a_store() {
        assert!(load(&[]).unwrap().is_none());
        let error = load(&[("BACKUP_SECOND_STORE", "s3://other")]).unwrap_err();
        assert!(error.contains("BACKUP_STORE is not set"), "{error}");
    }

    #[test]
    fn store_needs_the_key_of_all_workers() {
        let error = load(&[STORE]).unwrap_err();
        assert!(
            error.contains("BACKUP_SIGNING_KEY") && error.contains("a key of its own"),
            "{error}"
        );
    }

    #[test]
    fn key_in_transit_takes_the_place_of_the_file() {
        let transit = [
            STORE,
            ("SIGNER", "transit"),
            ("VAULT_ADDR", "https://vault.example.org:8200"),
            ("VAULT_ROLE_ID", "a39396b5-fad6-b9bd-e11c-818b922b0cde"),
            ("VAULT_SECRET_ID_FILE", "/run/secrets/vault-secret-id"),
        ];
        let config = load(&transit).unwrap().unwrap();
        assert!(matches!(config.signing.signer, SignerLocation::Transit(_)));
        let error = load(&transit[..2]).unwrap_err();
        assert!(error.contains("VAULT_ADDR is not set"), "{error}");
    }

    #[test]
    fn second_store_has_its_own_region_and_key() {
        let config = load(&[
            STORE,
            KEY,
            ("AWS_REGION", "us-east-1"),
            ("BACKUP_KMS_KEY", "alias/gaib-backups"),
            ("BACKUP_SECOND_STORE", "s3://gaib-backups-1-us-west-2"),
            ("BACKUP_SECOND_REGION", "us-west-2"),
        ]);
        let config = config.unwrap().unwrap();
        let second = config.second_store().unwrap();
        assert_eq!(second.aws_region.as_deref(), Some("us-west-2"));
        assert_eq!(second.kms_key, None, "a KMS key belongs to one region");
        assert_eq!(config.settings.aws_region.as_deref(), Some("us-east-1"));
        assert!(config.state_store().is_none());
    }

    #[test]
    fn discord_is_host_and_port() {
        let config = load(&[STORE, KEY]).unwrap().unwrap();
        assert_eq!(config.discord(), "discord.com");
        let emulator = ("DISCORD_API_BASE", "http://127.0.0.1:4010/api/v10");
        assert_eq!(
            load(&[STORE, KEY, emulator]).unwrap().unwrap().discord(),
            "127.0.0.1:4010"
        );
    }
}
