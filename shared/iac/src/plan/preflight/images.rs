//! Images that a plan uploads.
//!
//! What a file holds is looked up by whoever can read it: [`sent_images`] names the files, [`unusable_images`] reports those that
//! Discord would refuse.

use super::{Finding, Problem, Sent, Walk, findings, rules};
use crate::model::{Address, Emoji, Image};
use crate::plan::document::{Plan, Step};

const WHAT_TO_DO: &str = "put a usable file there (paths are relative to the configuration's folder), name another file, or take the resource out of the configuration";

impl Walk {
    /// Discord makes no emoji without an image.
    pub(super) fn emoji_image(&mut self, address: &Address, emoji: &Emoji, sent: &Sent<'_>) {
        if sent.is_creation() && emoji.image.is_none() {
            self.problems.push(Problem::new(
                rules::IMAGE,
                address,
                "an emoji that is made needs an image, and the configuration names none: {}",
                "write `image: FILE` under the emoji (PNG, JPEG, GIF, WebP or AVIF, at most 256 KiB); `gaib server export --output FILE` \
                 of the server that has it downloads the image; or take the emoji out of the configuration",
            ));
        }
    }
}

/// The images that a plan uploads, each with its resource.
pub fn sent_images(plan: &Plan) -> impl Iterator<Item = (&Address, &Image)> {
    plan.steps.iter().filter_map(|step| match step {
        Step::Create { address, attributes } => Some((address, attributes.image()?)),
        Step::Update {
            address,
            attributes,
            fields,
            ..
        } => {
            let field = attributes.image_field().filter(|_| attributes.replaces_image())?;
            let is_sent = fields.iter().any(|sent| sent == field);
            Some((address, attributes.image().filter(|_| is_sent)?))
        }
        _ => None,
    })
}

/// The findings about images that cannot be sent, each with its resource and the reason.
#[must_use]
pub fn unusable_images(unusable: &[(Address, String)]) -> Vec<Finding> {
    let problem = |(address, why): &(Address, String)| {
        Problem::new(
            rules::IMAGE,
            address,
            format!("the image of {address}: {why}"),
            WHAT_TO_DO,
        )
    };
    findings(unusable.iter().map(problem).collect())
}
