//! Images of an exported configuration: written into a folder beside the file, and named in it.
//!
//! Discord gives images out by a content network of its own, without a token. An image that cannot be had is left out, and the
//! export says so: the resource stays, since where it exists it needs no image.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use arrakis_iac::live::{LiveImage, LiveServer};
use arrakis_iac::model::{Address, Configuration, Image, Kind, Snowflake};
use arrakis_iac::state::State;
use arrakis_iac_apply::{Cdn, ImageFolder, ImageSource as _, check_image, digest, max_image_bytes};
use tokio::task::JoinSet;

use crate::error::{Failure, Result};
use crate::project;

/// Downloads at once.
const AT_ONCE: usize = 8;

/// How the files are called.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Naming {
    /// After the resource, in a folder of the file's own: `discord-server-images/emoji.naib.png`.
    Addresses,
    /// After the image, in a folder that all files beside it share: `images/emojis-41771983423143937.png`. Such a file never
    /// changes, so it is downloaded once.
    Contents,
}

/// An image that is not in the export.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Missing {
    /// Whose it is.
    pub address: Address,
    /// Why.
    pub why: String,
}

/// Where images are written to and taken from.
#[derive(Clone, Debug)]
pub struct Images<'a> {
    /// Discord's content network.
    pub cdn: Cdn,
    /// The exported file.
    pub file: &'a Path,
    /// How the image files are called.
    pub naming: Naming,
    /// Whether files with other bytes are replaced.
    pub force: bool,
    /// Folder of the configuration from which managed resources were made.
    pub sources: PathBuf,
}

/// One image to be had.
#[derive(Clone, Debug)]
struct Wanted {
    address: Address,
    live: LiveImage,
    /// The file that was uploaded, where the state knows it.
    recorded: Option<Image>,
}

impl Images<'_> {
    /// Writes the images of the configuration's resources and names them in it. Returns those that are missing.
    ///
    /// # Errors
    /// When a file cannot be written, or is there with other bytes.
    pub async fn export(
        &self,
        live: &LiveServer,
        addresses: &BTreeMap<Address, Snowflake>,
        state: &State,
        configuration: &mut Configuration,
    ) -> Result<Vec<Missing>> {
        let mut missing = Vec::new();
        let wanted = wanted(live, addresses, state, configuration);
        for some in wanted.chunks(AT_ONCE) {
            let mut downloads = JoinSet::new();
            for one in some.iter().cloned() {
                let images = (self.cdn.clone(), self.known(&one), one);
                downloads.spawn(async move {
                    let (cdn, known, one) = images;
                    let bytes = match known {
                        Some(bytes) => Ok(bytes),
                        None => download(&cdn, &one).await,
                    };
                    (one, bytes)
                });
            }
            for (one, bytes) in downloads.join_all().await {
                match bytes {
                    Ok(bytes) => {
                        let image = self.write(&one, &bytes)?;
                        let resource = configuration.resources.get_mut(&one.address);
                        if let Some(own) = resource.and_then(|resource| resource.attributes.image_mut()) {
                            *own = Some(image);
                        }
                    }
                    Err(why) => missing.push(Missing {
                        address: one.address,
                        why,
                    }),
                }
            }
        }
        missing.sort_by(|one, other| one.address.cmp(&other.address));
        Ok(missing)
    }

    /// Bytes that need no download: of the file that was uploaded (Discord may give it out in another encoding, which would be
    /// another image), or of an earlier export.
    fn known(&self, one: &Wanted) -> Option<Vec<u8>> {
        let uploaded = one.recorded.as_ref().and_then(|image| {
            let bytes = ImageFolder(self.sources.clone()).bytes(image).ok()?;
            (Some(digest(&bytes)) == image.sha256).then_some(bytes)
        });
        let earlier = || {
            let path = self.folder().join(self.place(one));
            let bytes = std::fs::read(path).ok()?;
            (self.naming == Naming::Contents && check_image(one.address.kind(), &bytes).is_ok()).then_some(bytes)
        };
        uploaded.or_else(earlier)
    }

    fn write(&self, one: &Wanted, bytes: &[u8]) -> Result<Image> {
        let place = self.place(one);
        let path = self.folder().join(&place);
        let there = std::fs::read(&path).ok();
        match there {
            Some(there) if there == bytes => {}
            Some(_) if !self.force => {
                return Err(
                    Failure::new(format!("{} is there already, with another image", path.display()))
                        .help("add --force to replace it, or name another file"),
                );
            }
            _ => project::write(&path, bytes)?,
        }
        Ok(Image {
            path: place,
            sha256: Some(digest(bytes)),
        })
    }

    /// The folder that paths of images are relative to.
    fn folder(&self) -> PathBuf {
        self.file.parent().map(Path::to_owned).unwrap_or_default()
    }

    /// The path of an image, relative to the file's folder.
    fn place(&self, one: &Wanted) -> String {
        match self.naming {
            Naming::Addresses => {
                let stem = self.file.file_stem().unwrap_or_default().to_string_lossy();
                format!("{stem}-images/{}.{}", one.address, one.live.extension)
            }
            Naming::Contents => {
                let path = one.live.path.split('?').next().unwrap_or_default();
                // The uploaded file and what Discord makes of it may differ.
                let own = one.recorded.as_ref().and_then(|image| image.sha256.as_deref());
                let own = own
                    .map(|sha256| format!("{}-", &sha256[..sha256.len().min(8)]))
                    .unwrap_or_default();
                format!("images/{own}{}", path.trim_start_matches('/').replace('/', "-"))
            }
        }
    }
}

/// The images that Discord has of the configured resources.
fn wanted(
    live: &LiveServer,
    addresses: &BTreeMap<Address, Snowflake>,
    state: &State,
    configuration: &Configuration,
) -> Vec<Wanted> {
    let of_address = |address: &Address| {
        let key = (address.kind(), *addresses.get(address)?);
        let recorded = state.resources.get(address).and_then(|entry| entry.attributes.image());
        Some(Wanted {
            address: address.clone(),
            live: live.images.get(&key)?.clone(),
            recorded: recorded.cloned(),
        })
    };
    configuration.resources.keys().filter_map(of_address).collect()
}

/// Addresses in a configuration whose images an export would download.
#[must_use]
pub fn addresses(
    live: &LiveServer,
    addresses: &BTreeMap<Address, Snowflake>,
    configuration: &Configuration,
) -> Vec<Address> {
    let wanted = wanted(live, addresses, &State::new(""), configuration);
    wanted.into_iter().map(|one| one.address).collect()
}

async fn download(cdn: &Cdn, one: &Wanted) -> std::result::Result<Vec<u8>, String> {
    let kind: Kind = one.address.kind();
    let bytes = cdn
        .image(&one.live.path, max_image_bytes(kind))
        .await
        .map_err(|error| error.to_string())?;
    check_image(kind, &bytes).map_err(|why| format!("{}: {why}", one.live.path))?;
    Ok(bytes)
}
