//! Copies of a server's objects in a second store, such as a bucket in another region, for servers with the premium plan: backups, exports,
//! snapshots, the theme registry, and the shadows of configurations.
//!
//! What is in the first store and not in the second is copied, so that a later run completes what an earlier one could not. A deletion in the
//! first store is not repeated here, and neither is the damage of an object that is written once. Objects that are older than the plan keeps are
//! removed only where the first store has no such object that is to be kept, and the newest of each kind stays. There is no second catalogue:
//! `Vault::recover` makes the records again.

use std::collections::HashMap;
use std::sync::Arc;

use arrakis_domain::Plan;
use arrakis_vault::store::{ListedObject, Tags};
use arrakis_vault::{Condition, NewObject, Object, ObjectKey, ObjectStore, ServerId, StoreError, kept_for, paths};
use time::{Duration, OffsetDateTime};

/// Tag of objects that a store may delete.
const RETAIN: (&str, &str) = ("Retain", "expired");
/// Names of objects that refer to others of their folder, and are written after them: the manifest of a snapshot, the pointer to the newest
/// shadow.
const REFERRING: [&str; 2] = ["manifest.json", "latest.json"];
/// Names of objects that are replaced in place: the newest export under its second name, the theme registry, the pointer to the newest shadow.
const REPLACED: [&str; 3] = ["config.latest.yaml", "registry.json", "latest.json"];
/// Longest time between the read and the write of a copy. An object that was replaced within this time before its copy may have been read
/// before that, and is copied again.
const COPY_LIMIT: Duration = Duration::minutes(5);

/// The second store.
#[derive(Debug, Clone)]
pub(crate) struct SecondStore {
    objects: Arc<dyn ObjectStore>,
}

impl SecondStore {
    pub(crate) fn new(objects: Arc<dyn ObjectStore>) -> Self {
        Self { objects }
    }

    /// The name of the store, for messages.
    pub(crate) fn describe(&self) -> String {
        self.objects.describe("")
    }

    /// Copies the objects of a server that this store does not have; returns how many.
    ///
    /// # Errors
    /// One of the stores fails. What was copied until then stays.
    pub(crate) async fn copy_missing(&self, from: &dyn ObjectStore, server: ServerId) -> Result<usize, StoreError> {
        let mut copied = 0;
        for prefix in prefixes(server) {
            let present = self.objects.list(&prefix).await?;
            let present: HashMap<ObjectKey, ListedObject> =
                present.into_iter().map(|object| (object.key.clone(), object)).collect();
            let mut missing = from.list(&prefix).await?;
            missing.retain(|object| !is_same(server, present.get(&object.key), object));
            // Files before manifests, so that a snapshot with a manifest is whole.
            missing.sort_by_key(|object| REFERRING.contains(&name(&object.key)));
            for object in missing {
                copied += usize::from(self.copy(from, &object.key).await?);
            }
        }
        Ok(copied)
    }

    /// Copies an object with its metadata and tags; false if it is expired or was deleted meanwhile.
    async fn copy(&self, from: &dyn ObjectStore, key: &ObjectKey) -> Result<bool, StoreError> {
        let (object, tags) = match read_kept(from, key).await {
            Ok(Some(read)) => read,
            Ok(None) | Err(StoreError::NotFound { .. }) => return Ok(false),
            Err(error) => return Err(error),
        };
        let copy = NewObject {
            bytes: object.bytes,
            metadata: object.head.metadata,
            tags,
        };
        self.objects.put(key, copy, &Condition::Any).await?;
        Ok(true)
    }

    /// Removes objects of a server that are older than the premium plan keeps, or tags them for the store to remove; returns how many.
    ///
    /// # Errors
    /// One of the stores fails.
    pub(crate) async fn remove_expired(
        &self,
        from: &dyn ObjectStore,
        server: ServerId,
        now: OffsetDateTime,
    ) -> Result<usize, StoreError> {
        let kept = kept_for(Plan::Premium);
        let mut removed = 0;
        for prefix in [paths::backups(server), paths::exports(server), paths::snapshots(server)] {
            let mut objects = self.objects.list(&prefix).await?;
            let newest = objects.iter().max_by_key(|object| object.modified);
            let newest = newest.map(|object| whole(server, &object.key).to_owned());
            objects.retain(|object| {
                object.modified + kept <= now && Some(whole(server, &object.key)) != newest.as_deref()
            });
            for object in objects {
                if !is_kept(from, &object.key).await? {
                    self.remove(&object.key).await?;
                    removed += 1;
                }
            }
        }
        Ok(removed)
    }

    async fn remove(&self, key: &ObjectKey) -> Result<(), StoreError> {
        if !self.objects.deletes_tagged() {
            return self.objects.delete(key, None).await;
        }
        match self.tag(key).await {
            Err(StoreError::NotFound { .. }) => Ok(()),
            tagged => tagged,
        }
    }

    async fn tag(&self, key: &ObjectKey) -> Result<(), StoreError> {
        let mut tags = self.objects.tags(key).await?;
        tags.insert(RETAIN.0.to_owned(), RETAIN.1.to_owned());
        self.objects.set_tags(key, &tags).await
    }
}

/// An object and its tags; `None` if it is expired.
async fn read_kept(from: &dyn ObjectStore, key: &ObjectKey) -> Result<Option<(Object, Tags)>, StoreError> {
    let tags = from.tags(key).await?;
    if is_expired(&tags) {
        return Ok(None);
    }
    Ok(Some((from.get(key).await?, tags)))
}

fn is_expired(tags: &Tags) -> bool {
    tags.get(RETAIN.0).is_some_and(|value| value == RETAIN.1)
}

/// What an object is a part of: the folder of its snapshot, else the object itself.
fn whole(server: ServerId, key: &ObjectKey) -> &str {
    let file = paths::parse_snapshot(server, key).map_or(0, |(_, file)| file.len());
    let text = key.as_str();
    &text[..text.len() - file]
}

/// Where a server has objects that are copied.
fn prefixes(server: ServerId) -> [String; 6] {
    [
        paths::backups(server),
        paths::exports(server),
        paths::snapshots(server),
        paths::theme_audits(server),
        paths::shadows(server),
        paths::theme_registry(server).into(),
    ]
}

/// The last part of a key.
fn name(key: &ObjectKey) -> &str {
    key.as_str().rsplit('/').next().unwrap_or_default()
}

/// Whether an object is written again under its key: one that is replaced in place, or an image of exports, which each export with it makes
/// new. All others are written once.
fn is_rewritten(server: ServerId, key: &ObjectKey) -> bool {
    REPLACED.contains(&name(key)) || key.as_str().starts_with(&paths::export_images(server))
}

/// Whether the second store has the present content of an object. A copy of what is written once stays as it is: if the object has changed
/// since, it was damaged, and the copy is the good one.
fn is_same(server: ServerId, present: Option<&ListedObject>, object: &ListedObject) -> bool {
    let Some(present) = present else {
        return false;
    };
    if !is_rewritten(server, &object.key) {
        return true;
    }
    let margin = if REPLACED.contains(&name(&object.key)) {
        COPY_LIMIT
    } else {
        Duration::ZERO
    };
    present.size == object.size && present.modified >= object.modified + margin
}

/// Whether the first store has the object, and it is not expired there.
async fn is_kept(from: &dyn ObjectStore, key: &ObjectKey) -> Result<bool, StoreError> {
    match from.tags(key).await {
        Ok(tags) => Ok(!is_expired(&tags)),
        Err(StoreError::NotFound { .. }) => Ok(false),
        Err(error) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use time::macros::datetime;
    use uuid::Uuid;

    use super::*;

    #[test]
    fn files_of_a_snapshot_are_one_whole() {
        let server = ServerId::new(7);
        let id = Uuid::from_u128(1);
        let manifest = paths::manifest(server, id);
        let file = paths::snapshot_file(server, id, "images/ab.png").unwrap();
        assert_eq!(whole(server, &manifest), whole(server, &file));
        assert_eq!(whole(server, &file), paths::snapshot(server, id));
        let latest = paths::latest_export(server);
        assert_eq!(whole(server, &latest), latest.as_str());
    }

    #[test]
    fn object_that_was_replaced_just_before_its_copy_is_copied_again() {
        let written = datetime!(2026-12-01 03:00 UTC);
        let listed = |key: &str, modified| ListedObject {
            key: ObjectKey::new(key).unwrap(),
            size: 7,
            modified,
        };
        let is_same = |key: &str, after: Duration| {
            let (object, copy) = (listed(key, written), listed(key, written + after));
            super::is_same(ServerId::new(7), Some(&copy), &object)
        };
        assert!(is_same("manifests/7/12.json.gz", Duration::SECOND));
        assert!(!is_same("manifests/7/latest.json", Duration::SECOND));
        assert!(is_same("manifests/7/latest.json", COPY_LIMIT));
        assert!(!is_same("themes/7/registry.json", -Duration::SECOND));
        assert!(!super::is_same(
            ServerId::new(7),
            None,
            &listed("manifests/7/12.json.gz", written)
        ));
    }

    #[test]
    fn good_copy_is_not_replaced_by_an_object_that_was_damaged_since() {
        let server = ServerId::new(7);
        let copied = datetime!(2026-12-01 03:00 UTC);
        let is_same = |key: ObjectKey| {
            let copy = ListedObject {
                key: key.clone(),
                size: 700,
                modified: copied,
            };
            let damaged = ListedObject {
                key,
                size: 7,
                modified: copied + Duration::DAY,
            };
            super::is_same(server, Some(&copy), &damaged)
        };
        assert!(is_same(paths::backup(server, "default", copied).unwrap()));
        assert!(is_same(paths::export(server, copied).unwrap()));
        assert!(is_same(paths::manifest(server, Uuid::from_u128(1))));
        assert!(!is_same(paths::latest_export(server)));
        assert!(!is_same(paths::export_image(server, "ab.png").unwrap()));
    }
}
