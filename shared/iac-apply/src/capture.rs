//! Images of a whole server, for a snapshot.

use std::collections::BTreeMap;

use arrakis_iac::live::{LiveImage, LiveServer};
use arrakis_iac::model::{Kind, Snowflake};
use arrakis_iac::snapshot::ImageRecord;
use tokio::task::JoinSet;

use crate::cdn::Cdn;
use crate::image::{check_image, digest, max_image_bytes};

/// Number of concurrent downloads.
const CONCURRENT_DOWNLOADS: usize = 8;

/// An image that could not be downloaded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UncapturedImage {
    /// Kind of its resource.
    pub kind: Kind,
    /// Id of its resource.
    pub id: Snowflake,
    /// Why it could not be downloaded.
    pub reason: String,
}

/// The images of a server.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CapturedImages {
    /// The images, with their files.
    pub records: Vec<ImageRecord>,
    /// The files by name. Equal images have one file.
    pub files: BTreeMap<String, Vec<u8>>,
    /// Images that are not in the snapshot.
    pub missing: Vec<UncapturedImage>,
}

/// Downloads the images of emoji, stickers, webhooks and events of a server.
pub async fn capture_images(cdn: &Cdn, live: &LiveServer) -> CapturedImages {
    let mut captured = CapturedImages::default();
    let images: Vec<((Kind, Snowflake), LiveImage)> =
        live.images.iter().map(|(key, image)| (*key, image.clone())).collect();
    for chunk in images.chunks(CONCURRENT_DOWNLOADS) {
        let mut downloads = JoinSet::new();
        for (key, image) in chunk.iter().cloned() {
            let cdn = cdn.clone();
            downloads.spawn(async move {
                let bytes = download(&cdn, key.0, &image.path).await;
                (key, image, bytes)
            });
        }
        for ((kind, id), image, bytes) in downloads.join_all().await {
            match bytes {
                Ok(bytes) => {
                    let record = ImageRecord::new(kind, id, &image.path, image.extension, &digest(&bytes));
                    captured.files.insert(record.file.clone(), bytes);
                    captured.records.push(record);
                }
                Err(reason) => captured.missing.push(UncapturedImage { kind, id, reason }),
            }
        }
    }
    captured.records.sort_by_key(|record| (record.kind, record.id));
    captured.missing.sort_by_key(|missing| (missing.kind, missing.id));
    captured
}

async fn download(cdn: &Cdn, kind: Kind, path: &str) -> Result<Vec<u8>, String> {
    let image = cdn.image(path, max_image_bytes(kind)).await;
    let bytes = image.map_err(|error| error.to_string())?;
    check_image(kind, &bytes).map_err(|reason| format!("{path}: {reason}"))?;
    Ok(bytes)
}
