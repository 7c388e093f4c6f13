//! Names as Discord writes them.

use super::ChannelKind;

/// The name as Discord stores it for this kind of channel: lower case, spaces as dashes, no dashes in a row, for all but
/// voice, stage and category, whose names only lose the spaces around them.
#[must_use]
pub fn normalised_name(kind: ChannelKind, name: &str) -> String {
    let name = name.trim();
    if !kind.normalises_names() {
        return name.to_owned();
    }
    let mut normal = String::with_capacity(name.len());
    for sign in name.chars().flat_map(char::to_lowercase) {
        let sign = if sign.is_whitespace() { '-' } else { sign };
        if sign != '-' || !normal.ends_with('-') {
            normal.push(sign);
        }
    }
    normal
}

/// Whether Discord would store both names alike.
#[must_use]
pub fn same_name(kind: ChannelKind, one: &str, other: &str) -> bool {
    normalised_name(kind, one) == normalised_name(kind, other)
}
