//! Names of channels as Discord writes them.

use super::ChannelKind;

/// The name as Discord stores it for this kind of channel.
///
/// Text, announcement, forum and media channels: lower case, white space becomes a dash, ASCII punctuation other than `-`
/// and `_` is dropped, consecutive dashes become one. Voice channels, stages and categories keep what was sent, without the
/// white space at its ends. An empty result becomes `-`.
///
/// What Discord rewrites beyond this is recorded when it happens: see [`crate::plan::AlteredValues`].
#[must_use]
pub fn normalised_name(kind: ChannelKind, name: &str) -> String {
    let name = name.trim();
    if !kind.normalises_names() {
        return name.to_owned();
    }
    let mut normal = String::with_capacity(name.len());
    for sign in name.chars().flat_map(char::to_lowercase) {
        let sign = if sign.is_whitespace() { '-' } else { sign };
        let is_dropped = sign.is_ascii_punctuation() && !matches!(sign, '-' | '_');
        let repeats = sign == '-' && normal.ends_with('-');
        if !is_dropped && !repeats {
            normal.push(sign);
        }
    }
    if normal.is_empty() {
        normal.push('-');
    }
    normal
}

/// A name without the characters that Discord changes, or may change: case, white space, ASCII punctuation, control
/// characters. Resources with equal folded names are candidates for being the same resource, no more.
#[must_use]
pub fn case_folded_name(name: &str) -> String {
    let dropped = |sign: &char| sign.is_whitespace() || sign.is_ascii_punctuation() || sign.is_control();
    name.chars()
        .flat_map(char::to_lowercase)
        .filter(|sign| !dropped(sign))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_text_channels_are_normalised() {
        let cases = [
            ("what?! now", "what-now"),
            ("General  Chat", "general-chat"),
            ("a - ! - b", "a-b"),
            ("it's_here (v2.0)", "its_here-v20"),
            ("👋｜Água", "👋｜água"),
            ("? what", "-what"),
            ("???", "-"),
        ];
        for (asked, kept) in cases {
            for kind in [
                ChannelKind::Text,
                ChannelKind::Announcement,
                ChannelKind::Forum,
                ChannelKind::Media,
            ] {
                assert_eq!(normalised_name(kind, asked), kept, "{kind} {asked}");
                assert_eq!(normalised_name(kind, kept), kept, "a second time changes nothing");
            }
        }
    }

    #[test]
    fn other_names_are_trimmed() {
        for kind in [ChannelKind::Voice, ChannelKind::Stage, ChannelKind::Category] {
            assert_eq!(normalised_name(kind, "  What?! Now "), "What?! Now");
        }
    }
}
