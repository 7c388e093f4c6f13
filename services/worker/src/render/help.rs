//! `/help`: what a member can do here, drawn from the definitions of the commands themselves.

use arrakis_domain::{Color, Theme};
use twilight_model::channel::message::Embed;
use twilight_util::builder::embed::{EmbedBuilder, EmbedFooterBuilder};

use super::{next_step, text};

/// Colour and small print where no theme is: direct messages, servers that are not onboarded.
const PLAIN_COLOR: Color = Color::from_rgb(0x58_65_f2);
const PLAIN_TITLE: &str = "What I can do";
const PLAIN_FOOTER: &str = "Arrakis";

/// One command as its definition tells it.
#[derive(Debug, Clone, Copy)]
pub struct Entry<'a> {
    /// Name without the slash.
    pub name: &'a str,
    /// One line.
    pub description: &'a str,
    /// Whether the asking member can use it here.
    pub usable: bool,
}

/// Draws it; `theme` is `None` where there is no community.
pub fn embed(theme: Option<&Theme>, commands: &[Entry<'_>]) -> Embed {
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
        .title(text::cut(title, text::TITLE))
        .description(text::cut(&usable.join("\n\n"), text::DESCRIPTION))
        .field(next_step(next))
        .footer(EmbedFooterBuilder::new(footer))
        .build()
}

#[cfg(test)]
mod tests {
    use super::super::samples::theme;
    use super::*;

    const COMMANDS: [Entry<'_>; 3] = [
        Entry {
            name: "position",
            description: "Where you stand",
            usable: true,
        },
        Entry {
            name: "reconcile",
            description: "Repair roles",
            usable: false,
        },
        Entry {
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
    fn where_no_community_is() {
        insta::assert_json_snapshot!(embed(None, &COMMANDS[2..]));
    }
}
