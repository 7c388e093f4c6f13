//! Images that a plan uploads.
//!
//! The caller reads the files: [`sent_images`] returns them, and [`unusable_images`] reports those that Discord would refuse.

use super::{Finding, Problem, StepChecks, findings, rules};
use crate::grammar::with_article;
use crate::kinds::Sent;
use crate::model::{Address, Attributes, Image};
use crate::plan::document::{Plan, Step};

const WHAT_TO_DO: &str = "replace the file (paths are relative to the configuration's folder), configure another file, or remove the resource from the configuration";

impl StepChecks {
    /// Reports a resource that is created without a required image.
    pub(super) fn required_image(&mut self, address: &Address, attributes: &Attributes, sent: Sent<'_>) {
        let Some(image) = attributes.kind().image() else { return };
        if sent.is_creation() && image.is_required && attributes.image().is_none() {
            let kind = attributes.kind().noun();
            self.problems.push(Problem::new(
                rules::IMAGE,
                address,
                format!(
                    "{} requires an image when it is created, and the configuration has none: {{}}",
                    with_article(kind)
                ),
                format!(
                    "write `{}: FILE` under the {kind} ({}, at most {} KiB); `gaib server export --output FILE` \
                     of the server that has it downloads the image; or remove the {kind} from the configuration",
                    image.field,
                    image.formats_text,
                    image.max_bytes / 1024
                ),
            ));
        }
    }
}

/// The images that a plan uploads, with the addresses of their resources.
pub fn sent_images(plan: &Plan) -> impl Iterator<Item = (&Address, &Image)> {
    plan.steps.iter().filter_map(|step| match step {
        Step::Create { address, attributes } => Some((address, attributes.image()?)),
        Step::Update {
            address,
            attributes,
            fields,
            ..
        } => {
            let image = attributes.kind().image().filter(|image| image.is_replaceable)?;
            let is_sent = fields.iter().any(|sent| sent == image.field);
            Some((address, attributes.image().filter(|_| is_sent)?))
        }
        _ => None,
    })
}

/// The findings for images that cannot be uploaded. Each image has the address of its resource and a reason.
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
