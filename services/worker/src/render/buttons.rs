//! Buttons and rows of them.

use twilight_model::channel::message::component::{ActionRow, Button, ButtonStyle};
use twilight_model::channel::message::{Component, EmojiReactionType};

/// Most buttons of a row: <https://discord.com/developers/docs/components/reference#action-row>.
const ROW: usize = 5;

/// A button whose press is an interaction with this custom id.
pub(super) fn button(label: impl Into<String>, custom_id: impl Into<String>, style: ButtonStyle) -> Component {
    Component::Button(Button {
        custom_id: Some(custom_id.into()),
        ..plain(label.into(), style)
    })
}

/// A button with an emoji and a label, which screen readers read.
pub(super) fn with_emoji(emoji: &str, label: &str, custom_id: String, style: ButtonStyle, disabled: bool) -> Component {
    Component::Button(Button {
        custom_id: Some(custom_id),
        disabled,
        emoji: Some(EmojiReactionType::Unicode { name: emoji.to_owned() }),
        ..plain(label.to_owned(), style)
    })
}

/// The buttons to the first, the previous, the next and the last page. `custom_id` makes the id of a button from its page and a word
/// that is different for each of them: Discord requires unique ids, and two buttons may lead to one page.
pub(super) fn pages(number: u32, last: u32, custom_id: impl Fn(u32, &str) -> String) -> Vec<Component> {
    let before = number.saturating_sub(1).max(1);
    let after = number.saturating_add(1).min(last);
    let button = |emoji, label, to, word, disabled| {
        with_emoji(emoji, label, custom_id(to, word), ButtonStyle::Secondary, disabled)
    };
    vec![
        button("⏮️", "First page", 1, "first", number == 1),
        button("◀️", "Previous page", before, "previous", number == 1),
        button("▶️", "Next page", after, "next", number >= last),
        button("⏭️", "Last page", last, "last", number >= last),
    ]
}

/// A button that opens a link.
pub(super) fn link(label: impl Into<String>, url: &str) -> Component {
    Component::Button(Button {
        url: Some(url.to_owned()),
        ..plain(label.into(), ButtonStyle::Link)
    })
}

/// Rows of at most five buttons.
pub(super) fn rows(buttons: Vec<Component>) -> Vec<Component> {
    let mut rows = Vec::new();
    let mut rest = buttons.into_iter().peekable();
    while rest.peek().is_some() {
        rows.push(Component::ActionRow(ActionRow {
            id: None,
            components: rest.by_ref().take(ROW).collect(),
        }));
    }
    rows
}

fn plain(label: String, style: ButtonStyle) -> Button {
    Button {
        id: None,
        custom_id: None,
        disabled: false,
        emoji: None,
        label: Some(label),
        style,
        url: None,
        sku_id: None,
    }
}
