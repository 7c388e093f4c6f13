//! Normalization of channel names.

use super::channel::kind;

/// The name that Discord stores for a channel with this name in its form.
///
/// Text, announcement, forum and media channels, in this order:
///
/// 1. Letters become lower case, in every script.
/// 2. ASCII punctuation is dropped, except `-` and `_`; control characters too. Other punctuation, emoji and symbols stay.
/// 3. White space of any kind becomes `-`.
/// 4. Runs of `-` become one; `-` at the beginning and at the end is dropped.
///
/// So `what?! now` is `what-now`, `Joey's Cool Channel` is `joeys-cool-channel` and `-- Q & A --` is `q-a`. A name of which
/// nothing is left is `-`. The function is idempotent. Other kinds keep their name, without white space at the ends.
///
/// Discord documents only the length. The rule is what bots and libraries observe: lower case, spaces and the dropped
/// apostrophe in <https://github.com/nextcord/nextcord/pull/957> and <https://github.com/PokeNavBot/issue-tracker/issues/356>,
/// collapsed dashes in <https://github.com/Yes-Theory-Fam/yesbot-ts/pull/971>, the dropped dash at the end in
/// <https://github.com/jcolson/dndvault-bot/issues/385>, letters of other scripts and other kinds of spaces in
/// <https://github.com/discord/discord-api-docs/issues/1646>.
pub fn normalize_name(channel_kind: u8, name: &str) -> String {
    if !matches!(
        channel_kind,
        kind::TEXT | kind::ANNOUNCEMENT | kind::FORUM | kind::MEDIA
    ) {
        return name.trim().to_owned();
    }
    let mut normal = String::with_capacity(name.len());
    for character in name.chars().flat_map(char::to_lowercase) {
        if character == '-' || character.is_whitespace() {
            if !normal.is_empty() && !normal.ends_with('-') {
                normal.push('-');
            }
        } else if character == '_' || !(character.is_ascii_punctuation() || character.is_control()) {
            normal.push(character);
        }
    }
    normal.truncate(normal.trim_end_matches('-').len());
    if normal.is_empty() { "-".to_owned() } else { normal }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_normalised_by_kind() {
        for (sent, kept) in [
            ("General Chat", "general-chat"),
            ("a  -  b", "a-b"),
            ("ÄPFEL", "äpfel"),
            ("what?!", "what"),
            ("what?! now", "what-now"),
            ("what ?! now", "what-now"),
            ("Joey's Cool Channel", "joeys-cool-channel"),
            ("caterpie-st.-matthew's", "caterpie-st-matthews"),
            ("-- Q & A --", "q-a"),
            ("a---b", "a-b"),
            ("a-!-b", "a-b"),
            ("-x-", "x"),
            ("rock/paper", "rockpaper"),
            ("c++", "c"),
            ("24/7", "247"),
            ("👋-hello", "👋-hello"),
            ("👋 Hello!", "👋-hello"),
            ("💬│chat", "💬│chat"),
            ("ПРИВЕТ мир", "привет-мир"),
            ("日本語 チャット", "日本語-チャット"),
            ("¿qué?", "¿qué"),
            ("thin\u{2009}space\u{a0}nbsp\ttab\nline", "thin-space-nbsp-tab-line"),
            ("bell\u{7}", "bell"),
            ("under_score_", "under_score_"),
            ("__", "__"),
            ("?!", "-"),
            ("-", "-"),
        ] {
            for channel_kind in [kind::TEXT, kind::ANNOUNCEMENT, kind::FORUM, kind::MEDIA] {
                assert_eq!(normalize_name(channel_kind, sent), kept);
                assert_eq!(
                    normalize_name(channel_kind, kept),
                    kept,
                    "a second time changes nothing"
                );
            }
        }
        for channel_kind in [kind::VOICE, kind::CATEGORY, kind::STAGE] {
            assert_eq!(normalize_name(channel_kind, " Talk  Here?! "), "Talk  Here?!");
        }
    }
}
