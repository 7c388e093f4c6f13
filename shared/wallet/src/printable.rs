//! Names of accounts in the letters that a statement of EIP-4361 may have.

/// Characters of a name that are shown; the id identifies the account.
const SHOWN: usize = 32;

/// The name in letters that the statement of an EIP-4361 message allows. Every other character is written as its code point,
/// `[U+00E9]`, and so is `[`: two names with different text never look the same. A name of more than 32 characters ends in
/// `...`.
#[must_use]
pub fn printable(name: &str) -> String {
    let mut shown = String::new();
    for letter in name.chars().take(SHOWN) {
        if letter.is_ascii_alphanumeric() || " -._~!$&*+,;=:@/?#".contains(letter) {
            shown.push(letter);
        } else {
            shown.push_str(&format!("[U+{:04X}]", u32::from(letter)));
        }
    }
    if name.chars().nth(SHOWN).is_some() {
        shown.push_str("...");
    }
    shown
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn other_letters_are_written_as_code_points() {
        assert_eq!(printable("Chani"), "Chani");
        assert_eq!(printable("Zoë 🐛"), "Zo[U+00EB] [U+1F41B]");
        assert_eq!(
            printable("a\nURI: https://evil.example"),
            "a[U+000A]URI: https://evil.example"
        );
        // Cyrillic letters that look like Latin ones, and a name that imitates an escaped letter.
        assert_eq!(printable("Сhani"), "[U+0421]hani");
        assert_eq!(printable("[U+0421]hani"), "[U+005B]U+0421[U+005D]hani");
        assert_eq!(printable(&"x".repeat(40)), format!("{}...", "x".repeat(32)));
    }

    proptest! {
        #[test]
        fn printable_name_is_one_line_of_printable_ascii(name in any::<String>()) {
            let shown = printable(&name);
            prop_assert!(shown.bytes().all(|byte| (0x20..=0x7e).contains(&byte)), "{}", shown);
            prop_assert!(shown.len() <= 32 * 10 + 3);
        }

        #[test]
        fn different_names_are_shown_differently(a in ".{0,32}", b in ".{0,32}") {
            prop_assert_eq!(a == b, printable(&a) == printable(&b));
        }
    }
}
