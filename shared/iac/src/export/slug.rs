//! Logical names from names of Discord.

use crate::model::Kind;
use crate::model::limits::MAX_LOGICAL_NAME_LENGTH;

/// A logical name from a name of Discord: its letters and digits in lower case, separated by dashes.
/// `🏛️ Naib Council` becomes `naib-council`; a name without letters and digits becomes the name of the kind.
#[must_use]
pub fn slug(name: &str, kind: Kind) -> String {
    let mut slug = String::new();
    for sign in name.chars().flat_map(ascii_form) {
        match sign {
            'a'..='z' | '0'..='9' | '_' => slug.push(sign),
            _ if !slug.is_empty() && !slug.ends_with('-') => slug.push('-'),
            _ => {}
        }
        if slug.len() >= MAX_LOGICAL_NAME_LENGTH {
            break;
        }
    }
    let slug = slug.trim_end_matches(['-', '_']);
    match slug.bytes().next() {
        Some(b'a'..=b'z') => slug.to_owned(),
        Some(_) => format!("{}-{}", prefix(kind), slug.trim_start_matches('_'))
            .chars()
            .take(MAX_LOGICAL_NAME_LENGTH)
            .collect(),
        None => prefix(kind).to_owned(),
    }
}

/// The prefix of a name that begins with a digit, and the name of a resource without letters in its name.
fn prefix(kind: Kind) -> &'static str {
    match kind {
        Kind::WelcomeScreen => "welcome",
        other => other.name(),
    }
}

/// The ASCII form of a letter with accents, as in French and Polish.
fn ascii_form(sign: char) -> impl Iterator<Item = char> {
    let text = match sign {
        'à' | 'á' | 'â' | 'ã' | 'å' | 'À' | 'Á' | 'Â' | 'Ã' | 'Å' | 'ą' | 'Ą' => "a",
        'ä' | 'Ä' | 'æ' | 'Æ' => "ae",
        'ç' | 'Ç' | 'ć' | 'Ć' | 'č' | 'Č' => "c",
        'è' | 'é' | 'ê' | 'ë' | 'È' | 'É' | 'Ê' | 'Ë' | 'ę' | 'Ę' | 'ě' | 'Ě' => "e",
        'ì' | 'í' | 'î' | 'ï' | 'Ì' | 'Í' | 'Î' | 'Ï' => "i",
        'ł' | 'Ł' => "l",
        'ñ' | 'Ñ' | 'ń' | 'Ń' => "n",
        'ò' | 'ó' | 'ô' | 'õ' | 'ø' | 'Ò' | 'Ó' | 'Ô' | 'Õ' | 'Ø' => "o",
        'ö' | 'Ö' | 'œ' | 'Œ' => "oe",
        'ß' => "ss",
        'ś' | 'Ś' | 'š' | 'Š' => "s",
        'ù' | 'ú' | 'û' | 'Ù' | 'Ú' | 'Û' => "u",
        'ü' | 'Ü' => "ue",
        'ź' | 'ż' | 'ž' | 'Ź' | 'Ż' | 'Ž' => "z",
        '&' => "-and-",
        _ => "",
    };
    let own = text.is_empty().then(|| sign.to_ascii_lowercase());
    text.chars().chain(own)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::LogicalName;

    #[test]
    fn names_become_logical_names() {
        for (name, key) in [
            ("🏛️ NAIB COUNCIL", "naib-council"),
            ("water-discipline", "water-discipline"),
            ("Café & Thé", "cafe-and-the"),
            ("💧", "channel"),
            ("69ers", "channel-69ers"),
            ("日本語", "channel"),
            ("__init__", "channel-init"),
            ("Größe", "groesse"),
            ("--a--b--", "a-b"),
            ("", "channel"),
        ] {
            assert_eq!(slug(name, Kind::Channel), key, "{name}");
        }
    }

    proptest::proptest! {
        #[test]
        fn every_name_becomes_a_valid_logical_name(name in ".{0,120}") {
            proptest::prop_assert!(LogicalName::new(slug(&name, Kind::Automod)).is_ok(), "{}", slug(&name, Kind::Automod));
        }
    }
}
