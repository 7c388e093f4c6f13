//! Rules of Discord's that values break, by resource and attribute.

use crate::kinds::Draft;
use crate::model::{Address, BrokenRule, Kind, Origin, RulePart};
use crate::yaml::address;
use crate::yaml::reader::{Reader, RuleBreak, RuleSubject};

/// The broken rules of the resources of the configuration, in the order of the file.
pub(super) fn rules(draft: &Draft, reader: &mut Reader<'_>) -> Vec<BrokenRule> {
    let mut noted = std::mem::take(&mut reader.broken);
    noted.sort_by_key(|broken| broken.at);
    let file = reader.source.file;
    let located = noted.into_iter().flat_map(|RuleBreak { of, at, reason }| {
        let (address, parts) = match of {
            RuleSubject::Parts(address, parts) => (Some(address), parts),
            RuleSubject::Path(path) => {
                location(&path).map_or((None, Vec::new()), |(address, part)| (Some(address), vec![part]))
            }
        };
        let origin = Origin {
            file: file.to_owned(),
            line: at.line.into(),
            column: at.column.into(),
        };
        parts.into_iter().filter_map(move |part| {
            Some(BrokenRule {
                address: address.clone()?,
                part,
                origin: Some(origin.clone()),
                reason: reason.clone(),
            })
        })
    });
    located
        .filter(|rule| draft.resources.contains_key(&rule.address))
        .collect()
}

/// The resource and attribute at a path of keys, innermost first.
fn location(path: &[String]) -> Option<(Address, RulePart)> {
    let mut keys = path.iter().rev().map(String::as_str);
    let section = keys.next()?;
    let kind = *Kind::ALL.iter().find(|kind| kind.section() == section)?;
    let (address, field) = if kind.is_single() {
        (Address::new(kind, None).ok()?, keys.next()?)
    } else {
        let (key, field) = (keys.next()?, keys.next()?);
        match (kind, field) {
            (Kind::Category, "channels") => (address(Kind::Channel, keys.next()?)?, keys.next()?),
            _ => (address(kind, key)?, field),
        }
    };
    let attribute = match field {
        "stage" | "voice" | "location" => "place",
        other => other,
    };
    Some((address, RulePart::Attribute(attribute.to_owned())))
}
