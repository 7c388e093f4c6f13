//! Formatting of amounts, counts, progress bars, times and names.

use arrakis_domain::{Balance, Rounding, Theme, TierId};
use time::OffsetDateTime;

/// Longest title of an embed, in characters: <https://discord.com/developers/docs/resources/message#embed-object>.
pub const TITLE: usize = 256;
/// Longest description of an embed, in characters.
pub const DESCRIPTION: usize = 4_096;
/// Longest value of an embed's field, in characters.
pub const FIELD: usize = 1_024;
/// The next step of a member without a verified wallet.
pub const LINK_A_WALLET: &str =
    "`/verify start` links your wallet with one signature; then `/position` shows where you stand.";
/// Decimals of an amount.
const DECIMALS: usize = 4;
/// Cells of a progress bar.
const BAR_CELLS: usize = 10;

/// A balance, such as `1,111.5 BGT`. It is rounded down, so that it never seems to reach a threshold that it does not.
pub fn held(balance: Balance, symbol: &str) -> String {
    amount(balance, Rounding::Down, symbol)
}

/// An amount that is missing. It is rounded up, so that it suffices.
pub fn needed(balance: Balance, symbol: &str) -> String {
    amount(balance, Rounding::Up, symbol)
}

/// An amount with the symbol of its token, which is untrusted: whoever deployed the contract chose it.
fn amount(balance: Balance, rounding: Rounding, symbol: &str) -> String {
    format!("{} {}", balance.grouped_to(DECIMALS, rounding), name(symbol))
}

/// A number with its unit: `1 rank`, `1,234 ranks`.
pub fn count(number: u32, one: &str, many: &str) -> String {
    format!("{} {}", grouped(number), if number == 1 { one } else { many })
}

/// A number with thousands separators: `1,234`.
pub fn grouped(number: u32) -> String {
    Balance::from_tokens(u64::from(number)).grouped().to_string()
}

/// A share in percent, rounded down; 0 of 0 is 0.
pub fn percent(part: u32, whole: u32) -> u64 {
    u64::from(part) * 100 / u64::from(whole).max(1)
}

/// A progress bar: `▰▰▰▱▱▱▱▱▱▱ 34 %`.
pub fn bar(permille: u16) -> String {
    let full = usize::from(permille) * BAR_CELLS / 1_000;
    let full = full.min(BAR_CELLS);
    format!(
        "{}{} {} %",
        "▰".repeat(full),
        "▱".repeat(BAR_CELLS - full),
        permille / 10
    )
}

/// A relative time in Discord's markup, shown to each reader in their language: `5 minutes ago`.
pub fn ago(at: OffsetDateTime) -> String {
    format!("<t:{}:R>", at.unix_timestamp())
}

/// A time of day in Discord's markup, shown to each reader in their language and time zone.
pub fn time(at: OffsetDateTime) -> String {
    format!("<t:{}:t>", at.unix_timestamp())
}

/// A date with the time of day in Discord's markup, shown to each reader in their language and time zone.
pub fn date_and_time(at: OffsetDateTime) -> String {
    format!("<t:{}:f>", at.unix_timestamp())
}

/// A date in Discord's markup, shown to each reader in their language and time zone.
pub fn date(at: OffsetDateTime) -> String {
    format!("<t:{}:D>", at.unix_timestamp())
}

/// A text with a capital first letter.
pub fn capitalized(text: &str) -> String {
    let mut letters = text.chars();
    let first: String = letters.next().into_iter().flat_map(char::to_uppercase).collect();
    format!("{first}{}", letters.as_str())
}

/// The name of the waitlist from the theme's word for its zone: `waitlist`, `Taqwa list`.
pub fn list_name(waitlist: &str) -> String {
    if waitlist.ends_with("list") {
        waitlist.to_owned()
    } else {
        format!("{waitlist} list")
    }
}

/// A tier with its emoji: `⚔️ Fedaykin`. For a tier of an earlier theme, its id.
pub fn tier(theme: &Theme, id: &TierId) -> String {
    match theme.tier(id) {
        Some(tier) => format!("{} {}", tier.emoji, tier.name),
        None => id.to_string(),
    }
}

/// An untrusted name, escaped so that it cannot format, link, mention, or break the line.
pub fn name(name: &str) -> String {
    let mut safe = String::with_capacity(name.len());
    for character in name.chars() {
        match character {
            '\\' | '*' | '_' | '~' | '`' | '|' | '[' | ']' | '(' | ')' | '<' | ':' | '@' => {
                safe.push('\\');
                safe.push(character);
            }
            // Headings, lists and quotes are recognized only at the beginning of a line.
            '#' | '-' | '>' if safe.trim().is_empty() => {
                safe.push('\\');
                safe.push(character);
            }
            // Direction overrides and other invisible characters would change the display of the rest of the line.
            character if is_invisible(character) => {}
            character if character.is_control() => safe.push(' '),
            character => safe.push(character),
        }
    }
    if safe.trim().is_empty() {
        "(no name)".to_owned()
    } else {
        safe
    }
}

/// Whether a character changes the direction of text, or has no width or no glyph: a name of such characters alone would be invisible. The
/// joiners of emoji are among them.
const fn is_invisible(character: char) -> bool {
    matches!(
        character,
        '\u{ad}' | '\u{34f}' | '\u{61c}' | '\u{115f}' | '\u{1160}' | '\u{17b4}' | '\u{17b5}' | '\u{180b}'..='\u{180f}'
            | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{2800}' | '\u{3164}'
            | '\u{feff}' | '\u{ffa0}' | '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e007f}'
    )
}

/// Joins lines in at most `max` characters. The lines that do not fit are counted in the last line.
pub fn lines(lines: &[String], max: usize) -> String {
    let whole = lines.join("\n");
    if whole.chars().count() <= max {
        return whole;
    }
    // The last line has room for the largest number.
    let room = max.saturating_sub("\n… and 4294967295 more".chars().count());
    let mut fitting = String::new();
    let mut shown = 0;
    for line in lines {
        if fitting.chars().count() + line.chars().count() + 1 > room {
            break;
        }
        fitting.push_str(line);
        fitting.push('\n');
        shown += 1;
    }
    fitting.push_str(&format!("… and {} more", lines.len() - shown));
    fitting
}

/// Truncates a text to `max` characters, the last of which is then an ellipsis.
pub fn truncate(text: &str, max: usize) -> String {
    if text.chars().count() <= max {
        return text.to_owned();
    }
    let mut short: String = text.chars().take(max.saturating_sub(1)).collect();
    short.push('…');
    short
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn balance_is_rounded_down_and_missing_amount_up() {
        let almost: Balance = "68.999999999999999999".parse().unwrap();
        assert_eq!(held(almost, "BGT"), "68.9999 BGT");
        assert_eq!(needed(Balance::ONE_UNIT, "BGT"), "0.0001 BGT");
        assert_eq!(held("1111.5".parse().unwrap(), "BGT"), "1,111.5 BGT");
    }

    #[test]
    fn symbol_of_a_token_is_escaped() {
        let (one, symbol) = (Balance::from_tokens(1), "**X** <@1>");
        assert_eq!(held(one, symbol), r"1 \*\*X\*\* \<\@1>");
        assert_eq!(needed(one, symbol), r"1 \*\*X\*\* \<\@1>");
    }

    #[test]
    fn unit_is_singular_for_one_only() {
        assert_eq!(count(0, "rank", "ranks"), "0 ranks");
        assert_eq!(count(1, "rank", "ranks"), "1 rank");
        assert_eq!(count(1_234_567, "rank", "ranks"), "1,234,567 ranks");
        assert_eq!((percent(1, 3), percent(0, 0), percent(3, 3)), (33, 0, 100));
    }

    #[test]
    fn bar_is_full_only_at_100_percent() {
        assert_eq!(bar(0), "▱▱▱▱▱▱▱▱▱▱ 0 %");
        assert_eq!(bar(999), "▰▰▰▰▰▰▰▰▰▱ 99 %");
        assert_eq!(bar(1_000), "▰▰▰▰▰▰▰▰▰▰ 100 %");
        assert_eq!(bar(u16::MAX).chars().filter(|cell| *cell == '▰').count(), 10);
    }

    #[test]
    fn untrusted_name_is_escaped() {
        assert_eq!(
            name("**bold** [x](http://x) @everyone"),
            r"\*\*bold\*\* \[x\]\(http\://x\) \@everyone"
        );
        assert_eq!(name("a\u{202e}b\nc"), "ab c");
        for invisible in [
            "\u{200b} ",
            "\u{3164}",
            "\u{61c}",
            "\u{115f}\u{1160}",
            "\u{2800}",
            "\u{ffa0}",
        ] {
            assert_eq!(name(invisible), "(no name)", "{invisible:?}");
        }
        assert_eq!(name("Chani 🌙"), "Chani 🌙");
        assert_eq!(
            (name("# Jean-Luc"), name("- x"), name(" > x")),
            (r"\# Jean-Luc".into(), r"\- x".into(), r" \> x".into())
        );
    }

    #[test]
    fn first_letter_is_capitalized() {
        assert_eq!(
            (capitalized("council"), capitalized("Taqwa"), capitalized("")),
            ("Council".into(), "Taqwa".into(), String::new())
        );
    }

    #[test]
    fn lines_that_do_not_fit_are_counted() {
        let many: Vec<String> = (0..100).map(|number| format!("line {number}")).collect();
        assert_eq!(lines(&many[..2], FIELD), "line 0\nline 1");
        let short = lines(&many, 100);
        assert!(short.chars().count() <= 100);
        assert!(
            short.starts_with("line 0\nline 1\n") && short.ends_with("\n… and 89 more"),
            "{short}"
        );
        assert_eq!(lines(&["x".repeat(200)], 100), "… and 1 more");
    }

    #[test]
    fn long_text_is_truncated_by_characters() {
        assert_eq!(truncate("🌙🌙🌙", 3), "🌙🌙🌙");
        assert_eq!(truncate("🌙🌙🌙🌙", 3), "🌙🌙…");
    }
}
