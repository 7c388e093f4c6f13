//! Where backups are stored.

use std::path::PathBuf;

use arrakis_config::{BackupEncryption, BackupSettings, Reader, StoreLocation};

use super::Environment;
use crate::error::Result;

impl Environment {
    /// The store and the catalogue of `BACKUP_STORE`, `BACKUP_CATALOGUE` and the variables of AWS; without them the folder `default`.
    ///
    /// # Errors
    /// When a value is invalid.
    pub fn backups(&self, default: PathBuf) -> Result<BackupSettings> {
        let folder = StoreLocation::Folder(default.clone());
        let settings = self.read(|reader| reader.backups(Some(folder)))?;
        Ok(settings.unwrap_or_else(|| BackupSettings::in_folder(default)))
    }

    /// How backups are encrypted on this machine; `None` where they are not.
    ///
    /// # Errors
    /// When a value is invalid.
    pub fn backup_encryption(&self) -> Result<Option<BackupEncryption>> {
        self.read(Reader::backup_encryption)
    }
}

#[cfg(test)]
mod tests {
    use arrakis_config::Source;

    use super::*;

    fn backups(pairs: &[(&str, &str)]) -> Result<BackupSettings> {
        let environment = Environment::from_source(Source::pairs(pairs.iter().copied()));
        environment.backups(PathBuf::from(".gaib/backups"))
    }

    #[test]
    fn backups_are_in_the_project_unless_the_environment_names_a_store() {
        let settings = backups(&[]).unwrap();
        assert_eq!(settings.store, StoreLocation::Folder(".gaib/backups".into()));
        let settings = backups(&[("BACKUP_STORE", "s3://gaib-backups-1/production")]).unwrap();
        let expected = StoreLocation::S3 {
            bucket: "gaib-backups-1".to_owned(),
            prefix: "production".to_owned(),
        };
        assert_eq!(settings.store, expected);
        let refused = backups(&[("BACKUP_STORE", "backups")]).unwrap_err();
        assert!(refused.summary().contains("BACKUP_STORE"), "{refused:?}");
    }
}
