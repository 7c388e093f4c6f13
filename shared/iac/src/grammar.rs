//! Grammar of messages: plurals, articles, and texts with a visible difference.
//!
//! Nouns are lower-case English. Add irregular plurals here.

/// `1 resource`, `2 resources`, `0 categories`.
#[must_use]
pub fn counted(count: usize, noun: &str) -> String {
    match count {
        1 => format!("1 {noun}"),
        _ => format!("{count} {}", plural(noun)),
    }
}

/// `roles`, `categories`, `switches`.
#[must_use]
pub fn plural(noun: &str) -> String {
    let is_vowel = |sign: char| "aeiou".contains(sign);
    if let Some(stem) = noun.strip_suffix('y')
        && !stem.ends_with(is_vowel)
    {
        return format!("{stem}ies");
    }
    let hisses = ["s", "x", "ch", "sh"].iter().any(|end| noun.ends_with(end));
    format!("{noun}{}", if hisses { "es" } else { "s" })
}

/// `a role`, `an automod rule`.
#[must_use]
pub fn with_article(noun: &str) -> String {
    let starts_with_vowel = noun.starts_with(|sign: char| "aeio".contains(sign));
    let article = if starts_with_vowel { "an" } else { "a" };
    format!("{article} {noun}")
}

/// Two texts with a visible difference: characters without width are written as code points, and so are letters that are not
/// ASCII where the texts differ, since letters of other alphabets and composed letters look alike. `None` for equal texts.
#[must_use]
pub fn visible_difference(one: &str, other: &str) -> Option<(String, String)> {
    if one == other {
        return None;
    }
    let (one, other): (Vec<char>, Vec<char>) = (one.chars().collect(), other.chars().collect());
    let same = |(one, other): &(&char, &char)| one == other;
    let shortest = one.len().min(other.len());
    let start = one.iter().zip(&other).take_while(same).count();
    let end = one.iter().rev().zip(other.iter().rev()).take_while(same).count();
    let end = end.min(shortest - start);
    let shown = |text: &[char]| {
        let differing = start..text.len() - end;
        let signs = text.iter().enumerate();
        let signs = signs.map(|(place, sign)| {
            match is_invisible(*sign) || (differing.contains(&place) && is_ambiguous(*sign)) {
                true => sign.escape_unicode().to_string(),
                false => sign.to_string(),
            }
        });
        signs.collect()
    };
    Some((shown(&one), shown(&other)))
}

/// Whether a terminal shows the text around this character in another order, so that a name may look like other text.
#[must_use]
pub const fn is_reordering(sign: char) -> bool {
    matches!(
        sign,
        '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}'
    )
}

/// The text with its control characters, which a terminal obeys, and those that reorder text ([`is_reordering`]) as escapes.
#[must_use]
pub fn printable(text: &str) -> String {
    let mut shown = String::with_capacity(text.len());
    for sign in text.chars() {
        match sign {
            _ if sign.is_control() => shown.extend(sign.escape_debug()),
            _ if is_reordering(sign) => shown.extend(sign.escape_unicode()),
            _ => shown.push(sign),
        }
    }
    shown
}

/// Letters and marks that may look like others.
fn is_ambiguous(sign: char) -> bool {
    !sign.is_ascii() && (sign.is_alphanumeric() || matches!(sign, '\u{300}'..='\u{36f}'))
}

/// Characters that most terminals show as nothing or as a space.
fn is_invisible(sign: char) -> bool {
    let no_width = matches!(
        sign,
        '\u{ad}' | '\u{34f}' | '\u{61c}' | '\u{115f}' | '\u{1160}' | '\u{17b4}' | '\u{17b5}' | '\u{180b}'..='\u{180f}'
            | '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{2800}' | '\u{3164}'
            | '\u{fe00}'..='\u{fe0f}' | '\u{feff}' | '\u{ffa0}' | '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e0fff}'
    );
    no_width || sign.is_control() || (sign.is_whitespace() && sign != ' ')
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Kind;

    #[test]
    fn what_a_terminal_obeys_is_escaped_and_emoji_stay() {
        let name = "a\u{202e}b\u{2066}\u{200f}\u{1b}[2J\u{9b}\n";
        assert_eq!(printable(name), "a\\u{202e}b\\u{2066}\\u{200f}\\u{1b}[2J\\u{9b}\\n");
        let family = "👨\u{200d}👩\u{200d}👧 🕳\u{fe0f} שלום";
        assert_eq!(printable(family), family);
    }

    #[test]
    fn one_is_singular_and_every_other_number_plural() {
        assert_eq!(counted(1, "resource"), "1 resource");
        assert_eq!(counted(0, "resource"), "0 resources");
        assert_eq!(counted(2, "category"), "2 categories");
        assert_eq!(counted(2, "key"), "2 keys");
        assert_eq!(counted(3, "switch"), "3 switches");
    }

    #[test]
    fn every_kind_has_the_right_article() {
        for kind in Kind::ALL {
            let text = with_article(kind.noun());
            let vowel = kind.noun().starts_with(['a', 'e', 'i', 'o']);
            assert_eq!(text.starts_with("an "), vowel, "{text}");
        }
        assert_eq!(with_article("automod rule"), "an automod rule");
    }

    #[test]
    fn different_values_look_different() {
        assert_eq!(visible_difference("lobby", "lobby"), None);
        let shown = |one: &str, other: &str| visible_difference(one, other).unwrap();
        assert_eq!(
            shown("lob\u{200b}by", "lobby"),
            ("lob\\u{200b}by".to_owned(), "lobby".to_owned())
        );
        assert_eq!(shown("a b", "a\u{a0}b"), ("a b".to_owned(), "a\\u{a0}b".to_owned()));
        // Composed and decomposed, Latin and Cyrillic letters look alike.
        let (one, other) = shown("caf\u{e9}", "cafe\u{301}");
        assert!(one != other && one.is_ascii() && other.is_ascii(), "{one} {other}");
        let (one, other) = shown("l\u{43e}bby", "lobby");
        assert_eq!((one.as_str(), other.as_str()), ("l\\u{43e}bby", "lobby"));
        // Differences in ASCII stay unchanged.
        assert_eq!(
            shown("👋 Água", "👋-Água"),
            ("👋 Água".to_owned(), "👋-Água".to_owned())
        );
    }
}
