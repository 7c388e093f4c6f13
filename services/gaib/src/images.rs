//! Image files of a configuration: their digests, and their download for an export.
//!
//! An export stores images in a folder beside its file. Discord's content network returns them without a token. An image that
//! cannot be downloaded is omitted and reported; its resource stays in the export, because an existing resource needs no image.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use arrakis_iac::live::{LiveImage, LiveServer};
use arrakis_iac::model::{Address, Configuration, Image, Kind, Snowflake};
use arrakis_iac::state::State;
use arrakis_iac_apply::{Cdn, ImageFolder, ImageSource as _, check_image, digest, max_image_bytes, read_image_file};
use tokio::task::JoinSet;

use crate::error::{Failure, Result};
use crate::files;

/// Number of concurrent downloads.
const CONCURRENT_DOWNLOADS: usize = 8;

/// Sets the digest of each image of a configuration. Discord does not return the uploaded file, so a plan compares digests. An
/// unreadable file has none: only an upload needs it, and the plan reports it there.
pub fn record_digests(configuration: &mut Configuration, folder: &Path) {
    let folder = ImageFolder(folder.to_owned());
    for resource in configuration.resources.values_mut() {
        if let Some(Some(image)) = resource.attributes.image_mut() {
            image.sha256 = folder.bytes(image).ok().map(|bytes| digest(&bytes));
        }
    }
}

/// How image files are named.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ImageNames {
    /// By the resource, in a folder of the exported file: `discord-server-images/emoji.naib.png`.
    ByAddress,
    /// By the image, in a folder that all exported files of the folder share: `images/emojis-41771983423143937.png`. Such a file
    /// never changes, so it is downloaded once.
    ByImage,
    /// By the SHA-256 of the content, in the folder of the copies with the backups: `images/{digest}.png`. The signature of a copy covers the
    /// names, and so the contents.
    ByContent,
}

/// An image that could not be downloaded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MissingImage {
    /// Address of its resource.
    pub address: Address,
    /// Why it could not be downloaded.
    pub reason: String,
}

/// Source and destination of the images of an export.
#[derive(Clone, Debug)]
pub struct ImageExport<'a> {
    /// Discord's content network.
    pub cdn: Cdn,
    /// The exported configuration file.
    pub file: &'a Path,
    /// How image files are named.
    pub names: ImageNames,
    /// Whether existing files with different bytes are replaced.
    pub force: bool,
    /// Folder of the configuration from which the managed resources were created.
    pub configuration_folder: PathBuf,
}

/// One image of an export.
#[derive(Clone, Debug)]
struct ExportedImage {
    address: Address,
    live: LiveImage,
    /// The uploaded file, where the state contains it.
    uploaded: Option<Image>,
}

impl ImageExport<'_> {
    /// Writes the images of the configuration's resources to files and sets their paths in the configuration. Returns the
    /// images that could not be downloaded.
    ///
    /// # Errors
    /// When a file cannot be written, or exists with different bytes.
    pub async fn run(
        &self,
        live: &LiveServer,
        addresses: &BTreeMap<Address, Snowflake>,
        state: &State,
        configuration: &mut Configuration,
    ) -> Result<Vec<MissingImage>> {
        let mut missing = unsupported(live, addresses, configuration);
        let images = images_of(live, addresses, state, configuration);
        for chunk in images.chunks(CONCURRENT_DOWNLOADS) {
            let mut downloads = JoinSet::new();
            for image in chunk.iter().cloned() {
                let (cdn, local) = (self.cdn.clone(), self.local_bytes(&image));
                downloads.spawn(async move {
                    let bytes = match local {
                        Some(bytes) => Ok(bytes),
                        None => download(&cdn, &image).await,
                    };
                    (image, bytes)
                });
            }
            for (image, bytes) in downloads.join_all().await {
                match bytes {
                    Ok(bytes) => {
                        let file = self.write(&image, &bytes)?;
                        let resource = configuration.resources.get_mut(&image.address);
                        if let Some(attribute) = resource.and_then(|resource| resource.attributes.image_mut()) {
                            *attribute = Some(file);
                        }
                    }
                    Err(reason) => missing.push(MissingImage {
                        address: image.address,
                        reason,
                    }),
                }
            }
        }
        missing.sort_by(|one, other| one.address.cmp(&other.address));
        Ok(missing)
    }

    /// The bytes of an image that needs no download: those of the uploaded file (Discord may return another encoding, which
    /// would be another image), or those of an earlier export.
    fn local_bytes(&self, image: &ExportedImage) -> Option<Vec<u8>> {
        let uploaded = image.uploaded.as_ref().and_then(|file| {
            let bytes = ImageFolder(self.configuration_folder.clone()).bytes(file).ok()?;
            (Some(digest(&bytes)) == file.sha256).then_some(bytes)
        });
        let earlier = || {
            if self.names != ImageNames::ByImage {
                return None;
            }
            let bytes = read_image_file(&self.folder().join(path_by_image(image))).ok()?;
            check_image(image.address.kind(), &bytes).is_ok().then_some(bytes)
        };
        uploaded.or_else(earlier)
    }

    fn write(&self, image: &ExportedImage, bytes: &[u8]) -> Result<Image> {
        let relative = self.relative_path(image, bytes);
        let path = self.folder().join(&relative);
        if std::fs::metadata(&path).is_ok_and(|found| !found.is_file()) {
            return Err(Failure::new(format!("{} is not a regular file", path.display()))
                .help("move it away, or name another file"));
        }
        match read_image_file(&path).ok() {
            Some(existing) if existing == bytes => {}
            Some(_) if !self.force => {
                return Err(
                    Failure::new(format!("{} already exists, with another image", path.display()))
                        .help("add --force to replace it, or name another file"),
                );
            }
            _ => files::write(&path, bytes)?,
        }
        Ok(Image {
            path: relative,
            sha256: Some(digest(bytes)),
        })
    }

    /// The folder that paths of images are relative to.
    fn folder(&self) -> PathBuf {
        self.file.parent().map(Path::to_owned).unwrap_or_default()
    }

    /// The path of an image, relative to the folder of the exported file.
    fn relative_path(&self, image: &ExportedImage, bytes: &[u8]) -> String {
        match self.names {
            ImageNames::ByAddress => {
                let stem = self.file.file_stem().unwrap_or_default().to_string_lossy();
                format!("{stem}-images/{}.{}", image.address, image.live.extension)
            }
            ImageNames::ByImage => path_by_image(image),
            ImageNames::ByContent => format!("images/{}.{}", digest(bytes), image.live.extension),
        }
    }
}

/// The path of an image that is named by what Discord names it.
fn path_by_image(image: &ExportedImage) -> String {
    let path = image.live.path.split('?').next().unwrap_or_default();
    // The uploaded file and the image that Discord returns may differ.
    let digest = image.uploaded.as_ref().and_then(|file| file.sha256.as_deref());
    let prefix = digest
        .map(|sha256| format!("{}-", &sha256[..sha256.len().min(8)]))
        .unwrap_or_default();
    format!("images/{prefix}{}", path.trim_start_matches('/').replace('/', "-"))
}

/// The images that Discord has for the resources of a configuration.
fn images_of(
    live: &LiveServer,
    addresses: &BTreeMap<Address, Snowflake>,
    state: &State,
    configuration: &Configuration,
) -> Vec<ExportedImage> {
    let of_address = |address: &Address| {
        let key = (address.kind(), *addresses.get(address)?);
        let entry = state.resources.get(address);
        Some(ExportedImage {
            address: address.clone(),
            live: live.images.get(&key)?.clone(),
            uploaded: entry.and_then(|entry| entry.attributes.image()).cloned(),
        })
    };
    configuration.resources.keys().filter_map(of_address).collect()
}

/// The resources that have an image of a format that this version does not support.
fn unsupported(
    live: &LiveServer,
    addresses: &BTreeMap<Address, Snowflake>,
    configuration: &Configuration,
) -> Vec<MissingImage> {
    let has_image = |kind: Kind| kind.image().is_some_and(|image| image.is_required);
    let is_unsupported = |address: &&Address| {
        let id = addresses.get(*address).filter(|_| has_image(address.kind()));
        id.is_some_and(|id| !live.images.contains_key(&(address.kind(), *id)))
    };
    let resources = configuration.resources.keys().filter(is_unsupported);
    resources
        .map(|address| MissingImage {
            address: address.clone(),
            reason: "this version of gaib does not support the format of the image".to_owned(),
        })
        .collect()
}

/// The addresses of a configuration whose images an export to a file would download.
#[must_use]
pub fn addresses(
    live: &LiveServer,
    addresses: &BTreeMap<Address, Snowflake>,
    configuration: &Configuration,
) -> Vec<Address> {
    let images = images_of(live, addresses, &State::new(""), configuration);
    images.into_iter().map(|image| image.address).collect()
}

async fn download(cdn: &Cdn, image: &ExportedImage) -> std::result::Result<Vec<u8>, String> {
    let kind: Kind = image.address.kind();
    let bytes = cdn
        .image(&image.live.path, max_image_bytes(kind))
        .await
        .map_err(|error| error.to_string())?;
    check_image(kind, &bytes).map_err(|reason| format!("{}: {reason}", image.live.path))?;
    Ok(bytes)
}
