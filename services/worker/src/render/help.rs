//! `/help`: the commands that a member can use.

use arrakis_domain::{Color, Theme};
use twilight_model::channel::message::Embed;
use twilight_util::builder::embed::{EmbedBuilder, EmbedFooterBuilder};

use super::{next_step, text};

/// Colour, title and footer without a theme: in direct messages and in servers that are not onboarded.
const PLAIN_COLOR: Color = Color::from_rgb(0x58_65_f2);
const PLAIN_TITLE: &str = "What I can do";
const PLAIN_FOOTER: &str = "Arrakis";

/// A command in the list.
#[derive(Debug, Clone, Copy)]
pub struct HelpEntry<'a> {
    /// The command's name, without the slash.
    pub name: &'a str,
    /// The command's description.
    pub description: &'a str,
    /// Whether the member can use it in this server; others are not listed.
    pub usable: bool,
}

/// Renders the list. `theme` is `None` without a community.
pub fn embed(theme: Option<&Theme>, commands: &[HelpEntry<'_>]) -> Embed {
    let title = theme.map_or(PLAIN_TITLE, |theme| theme.words.help.as_str());
    let footer = theme.map_or(PLAIN_FOOTER, |theme| theme.words.footer.as_str());
    let color = theme.map_or(PLAIN_COLOR, |theme| theme.accent);
    let usable: Vec<String> = commands
        .iter()
        .filter(|command| command.usable)
        .map(|command| format!("`/{}`\n{}", command.name, command.description))
        .collect();
    let next = match theme {
        Some(_) => "Start with `/position`: it shows where you stand.",
        None => "Ask an admin of your server to set the community up; then there is more to see here.",
    };
    EmbedBuilder::new()
        .color(color.rgb())
        .title(text::truncate(title, text::TITLE))
        .description(text::truncate(&usable.join("\n\n"), text::DESCRIPTION))
        .field(next_step(next))
        .footer(EmbedFooterBuilder::new(footer))
        .build()
}

#[cfg(test)]
mod tests {
    use super::super::samples::theme;
    use super::*;

    const COMMANDS: [HelpEntry<'_>; 3] = [
        HelpEntry {
            name: "position",
            description: "Where you stand",
            usable: true,
        },
        HelpEntry {
            name: "reconcile",
            description: "Repair roles",
            usable: false,
        },
        HelpEntry {
            name: "help",
            description: "What you can do here",
            usable: true,
        },
    ];

    #[test]
    fn in_a_community() {
        insta::assert_json_snapshot!(embed(Some(&theme("sietch")), &COMMANDS));
    }

    #[test]
    fn without_a_community() {
        insta::assert_json_snapshot!(embed(None, &COMMANDS[2..]));
    }
}
