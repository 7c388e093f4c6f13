//! Mutated documents of a store: see `arrakis-fuzz`.

use arrakis_fuzz::Fuzz;

use crate::catalogue::Cursor;
use crate::key::ObjectKey;
use crate::manifest::Manifest;
use crate::record::BackupRecord;
use crate::schedule::BackupSchedule;
use crate::sealed;
use crate::theme_registry::{DeploymentAudit, ThemeRegistry};

/// Manifests, records, registries, schedules, and texts of users.
#[test]
fn documents() {
    let words = [
        "\"checksum\":\"",
        "\"content\":",
        "\"signature\":{",
        "\"files\":{",
        "null",
        "2026-12-01T02:50:00.123Z",
        "../",
    ];
    Fuzz::target(env!("CARGO_MANIFEST_DIR"), "documents")
        .dictionary(&words)
        .run(|input| {
            let text = String::from_utf8_lossy(input);
            let key = text.parse::<ObjectKey>();
            if let Ok(key) = &key {
                let mut segments = key.as_str().split('/');
                assert!(
                    segments.all(|segment| !segment.is_empty() && !segment.starts_with('.')),
                    "{key}"
                );
            }
            let outcomes = [
                sealed::open::<serde_json::Value>(input).is_ok(),
                serde_json::from_slice::<Manifest>(input).is_ok(),
                serde_json::from_slice::<BackupRecord>(input).is_ok_and(|record| record.object().is_ok()),
                serde_json::from_slice::<ThemeRegistry>(input).is_ok(),
                serde_json::from_slice::<DeploymentAudit>(input).is_ok(),
                serde_json::from_slice::<BackupSchedule>(input).is_ok(),
                text.parse::<Cursor>().is_ok(),
                key.is_ok(),
            ];
            format!("{outcomes:?}")
        });
}
