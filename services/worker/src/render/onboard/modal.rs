//! The modal for the contract of a token.

use twilight_model::channel::message::Component;
use twilight_model::channel::message::component::{Label, TextInput, TextInputStyle};
use twilight_model::http::interaction::InteractionResponseData;
use uuid::Uuid;

use super::{Action, custom_id};

/// Custom id of the address.
pub const CONTRACT: &str = "contract";
/// Custom id of the standard.
pub const STANDARD: &str = "standard";
/// Custom id of the first block.
pub const START_BLOCK: &str = "start_block";
/// Longest input, in characters.
const MAX_INPUT: u16 = 64;

/// Renders the modal.
pub fn contract_modal(session: Uuid) -> InteractionResponseData {
    InteractionResponseData {
        custom_id: Some(custom_id(Action::Asset, session, None)),
        title: Some("The token of your community".to_owned()),
        components: Some(vec![
            field(CONTRACT, "Contract", "Its address, from a block explorer.", "0x…"),
            field(
                STANDARD,
                "Standard",
                "erc20, erc721 or erc1155; erc20 if left out.",
                "erc20",
            ),
            field(
                START_BLOCK,
                "First block",
                "The block of its creation; 0 if left out.",
                "0",
            ),
        ]),
        ..InteractionResponseData::default()
    }
}

fn field(custom_id: &str, label: &str, description: &str, placeholder: &str) -> Component {
    #[expect(deprecated, reason = "the field is a part of the struct")]
    let input = TextInput {
        custom_id: custom_id.to_owned(),
        id: None,
        label: None,
        max_length: Some(MAX_INPUT),
        min_length: None,
        placeholder: Some(placeholder.to_owned()),
        required: Some(custom_id == CONTRACT),
        style: TextInputStyle::Short,
        value: None,
    };
    Component::Label(Label {
        component: Box::new(Component::TextInput(input)),
        description: Some(description.to_owned()),
        id: None,
        label: label.to_owned(),
    })
}
