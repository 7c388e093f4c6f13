//! Buttons and rows of them.

use twilight_model::channel::message::Component;
use twilight_model::channel::message::component::{ActionRow, Button, ButtonStyle};

/// Most buttons of a row: <https://discord.com/developers/docs/components/reference#action-row>.
const ROW: usize = 5;

/// A button whose press is an interaction with this custom id.
pub(super) fn button(label: impl Into<String>, custom_id: impl Into<String>, style: ButtonStyle) -> Component {
    Component::Button(Button {
        custom_id: Some(custom_id.into()),
        ..plain(label.into(), style)
    })
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
