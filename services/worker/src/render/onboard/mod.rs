//! The steps of `/onboard`. `action.rs` has the custom ids of their components, `modal.rs` the modal for a contract, `review.rs` the plan.

mod action;
mod modal;
mod review;

use arrakis_db::{ProfileStandard, TokenProfileId};
use twilight_model::channel::message::component::{ButtonStyle, SelectMenu, SelectMenuOption, SelectMenuType};
use twilight_model::channel::message::{Component, Embed};
use twilight_util::builder::embed::{EmbedBuilder, EmbedFooterBuilder};
use uuid::Uuid;

pub use self::action::{Action, NAME, custom_id};
pub use self::modal::{CONTRACT, STANDARD, START_BLOCK, contract_modal};
pub use self::review::{ReviewView, review};
use super::{buttons, full_field, inline_field, next_step, text};
use crate::synthesis::Structure;
use crate::wizard::{Step, Wizard};

/// Colour of the steps.
const COLOR: u32 = 0x002F_80ED;
/// Most options of a menu: <https://discord.com/developers/docs/components/reference#string-select>.
const MAX_OPTIONS: usize = 25;
/// Longest label of an option, in characters.
const MAX_LABEL: usize = 100;

/// An entry of a menu.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Choice {
    value: String,
    label: String,
}

impl Choice {
    /// An entry with this value, and the label that the admin sees.
    pub fn new(value: impl Into<String>, label: impl Into<String>) -> Self {
        Self {
            value: value.into(),
            label: text::truncate(&label.into(), MAX_LABEL),
        }
    }
}

/// A role of the theme, and the role of the server that stands for it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RoleLine {
    /// The theme's key.
    pub key: String,
    /// The theme's name.
    pub name: String,
    /// The role that the admin chose.
    pub chosen: Option<u64>,
    /// The role of the server that has the theme's name.
    pub found: Option<u64>,
}

/// The name of a chain.
pub fn chain_name(id: u64) -> String {
    let name = match id {
        1 => "Ethereum",
        10 => "Optimism",
        56 => "BNB Chain",
        100 => "Gnosis",
        137 => "Polygon",
        8_453 => "Base",
        42_161 => "Arbitrum",
        43_114 => "Avalanche",
        80_094 => "Berachain",
        31_337 => "Local chain",
        _ => return format!("Chain {id}"),
    };
    format!("{name} ({id})")
}

fn step(session: Uuid, step: Step, title: &str, paragraphs: &[String]) -> EmbedBuilder {
    let footer = format!("Step {} of {} · setup {session}", step.number(), Step::ALL.len());
    EmbedBuilder::new()
        .color(COLOR)
        .title(text::truncate(title, text::TITLE))
        .description(text::truncate(&paragraphs.join("\n\n"), text::DESCRIPTION))
        .footer(EmbedFooterBuilder::new(footer))
}

/// The buttons below every step: next, if it is complete, back and cancel.
fn navigation(session: Uuid, wizard: &Wizard) -> Vec<Component> {
    let at = Some(wizard.step.name());
    let mut all = Vec::new();
    if wizard.is_step_complete() {
        let label = if wizard.step == Step::Init { "Begin" } else { "Next" };
        all.push(buttons::button(
            label,
            custom_id(Action::Next, session, at),
            ButtonStyle::Primary,
        ));
    }
    if wizard.step != Step::Init {
        all.push(buttons::button(
            "Back",
            custom_id(Action::Back, session, at),
            ButtonStyle::Secondary,
        ));
        all.push(buttons::button(
            "Start over",
            custom_id(Action::Restart, session, None),
            ButtonStyle::Secondary,
        ));
    }
    all.push(buttons::button(
        "Cancel",
        custom_id(Action::Cancel, session, None),
        ButtonStyle::Secondary,
    ));
    all
}

fn menu(custom_id: String, placeholder: &str, choices: &[Choice], chosen: Option<&str>) -> Component {
    let options = choices.iter().take(MAX_OPTIONS).map(|choice| SelectMenuOption {
        default: chosen == Some(choice.value.as_str()),
        description: None,
        emoji: None,
        label: choice.label.clone(),
        value: choice.value.clone(),
    });
    select(custom_id, placeholder, SelectMenuType::Text, Some(options.collect()))
}

fn select(
    custom_id: String,
    placeholder: &str,
    kind: SelectMenuType,
    options: Option<Vec<SelectMenuOption>>,
) -> Component {
    Component::SelectMenu(SelectMenu {
        channel_types: None,
        custom_id,
        default_values: None,
        disabled: false,
        id: None,
        kind,
        max_values: Some(1),
        min_values: Some(1),
        options,
        placeholder: Some(placeholder.to_owned()),
        required: None,
    })
}

/// Rows: a menu has a row of its own.
fn rows(menus: Vec<Component>, buttons: Vec<Component>) -> Vec<Component> {
    let mut rows: Vec<Component> = menus.into_iter().flat_map(|menu| buttons::rows(vec![menu])).collect();
    rows.extend(buttons::rows(buttons));
    rows
}

/// Renders what the wizard does.
pub fn intro(session: Uuid, wizard: &Wizard, exists: bool) -> (Embed, Vec<Component>) {
    let lead = format!(
        "This sets **{}** up: the token that counts, the tiers, their roles, and channels if you like.",
        text::name(&wizard.name)
    );
    let promise = "Nothing changes before you press Deploy, and nothing is ever deleted. You see the whole plan first.";
    let mut paragraphs = vec![lead, promise.to_owned()];
    if exists {
        paragraphs.push("This server is set up already. What you choose here replaces that setup.".to_owned());
    }
    let embed = step(session, Step::Init, "Set this server up", &paragraphs)
        .field(next_step(
            "Press Begin. You have 15 minutes for each step; `/resume` continues.",
        ))
        .build();
    (embed, rows(Vec::new(), navigation(session, wizard)))
}

/// Renders the choice of the chain.
pub fn chain(session: Uuid, wizard: &Wizard, chains: &[Choice]) -> (Embed, Vec<Component>) {
    let lead = match wizard.chain_id {
        Some(id) => format!("Chosen: **{}**.", chain_name(id)),
        None => "On which chain is the token of your community?".to_owned(),
    };
    let embed = step(session, Step::ChainSelect, "The chain", &[lead])
        .field(next_step("Choose the chain in the menu."))
        .build();
    let chosen = wizard.chain_id.map(|id| id.to_string());
    let custom_id = custom_id(Action::Chain, session, None);
    let menu = menu(custom_id, "Chain", chains, chosen.as_deref());
    (embed, rows(vec![menu], navigation(session, wizard)))
}

/// Renders the choice of the token, and what was read of its contract.
pub fn asset(session: Uuid, wizard: &Wizard, tokens: &[Choice], can_read: bool) -> (Embed, Vec<Component>) {
    let lead = match &wizard.asset {
        Some(asset) if asset.profile.is_some() => "This token is stored on the platform. Is it the right one?",
        Some(_) => "Symbol, name and decimals were read from the contract. Is it the right token?",
        None => "Which token counts?",
    };
    let mut embed = step(session, Step::AssetConfig, "The token", &[lead.to_owned()]);
    if let Some(asset) = &wizard.asset {
        embed = embed
            .field(inline_field("Symbol", &text::name(&asset.symbol)))
            .field(inline_field("Name", &text::name(&asset.name)))
            .field(inline_field("Decimals", &asset.decimals.to_string()))
            .field(inline_field("Standard", standard_text(asset.standard)))
            .field(full_field("Contract", &format!("`{}`", asset.contract)));
    }
    let next = match (&wizard.asset, can_read) {
        (Some(_), _) => "Press Next if it is. Otherwise choose again.",
        (None, true) => "Choose a known token in the menu, or enter the address of its contract.",
        (None, false) => {
            "Choose a known token in the menu. For another one, the operator configures an endpoint of the chain."
        }
    };
    let embed = embed.field(next_step(next)).build();
    let chosen = wizard.asset.as_ref().and_then(|asset| asset.profile.as_ref());
    let mut menus = Vec::new();
    if !tokens.is_empty() {
        let custom_id = custom_id(Action::Token, session, None);
        menus.push(menu(
            custom_id,
            "Known tokens",
            tokens,
            chosen.map(TokenProfileId::as_str),
        ));
    }
    let mut all = navigation(session, wizard);
    if can_read {
        let enter = custom_id(Action::Contract, session, None);
        all.insert(0, buttons::button("Enter a contract", enter, ButtonStyle::Secondary));
    }
    (embed, rows(menus, all))
}

/// A standard in words, with its name in token profiles.
const fn standard_text(standard: ProfileStandard) -> &'static str {
    match standard {
        ProfileStandard::Bgt => "claims and burns (bgt)",
        ProfileStandard::Erc20 => "fungible token (erc20)",
        ProfileStandard::Erc721 => "NFTs (erc721)",
        ProfileStandard::Erc1155 => "several kinds of NFTs (erc1155)",
    }
}

/// Renders the choice of theme and rule set, with the tiers of the chosen ones.
pub fn rules(session: Uuid, wizard: &Wizard, choices: &[Choice], tiers: Option<&[String]>) -> (Embed, Vec<Component>) {
    let lead = "Which tiers do your members climb, and by which rules? Your plan decides which themes are in the menu.";
    let mut embed = step(session, Step::EligibilityRules, "The tiers", &[lead.to_owned()]);
    if let Some(tiers) = tiers {
        embed = embed.field(full_field("Tiers, highest first", &text::lines(tiers, text::FIELD)));
    }
    let next = match tiers {
        Some(_) => "Press Next if these are the tiers that you want.",
        None => "Choose a theme and its rules in the menu; its tiers appear here.",
    };
    let chosen = wizard.rules.as_ref().map(|(theme, rules)| format!("{theme}/{rules}"));
    let custom_id = custom_id(Action::Rules, session, None);
    let menu = menu(custom_id, "Theme and rules", choices, chosen.as_deref());
    (
        embed.field(next_step(next)).build(),
        rows(vec![menu], navigation(session, wizard)),
    )
}

/// Renders which roles of the server stand for those of the theme.
pub fn roles(session: Uuid, wizard: &Wizard, lines: &[RoleLine]) -> (Embed, Vec<Component>) {
    let shown: Vec<String> = lines.iter().map(role_text).collect();
    let lead = "These roles follow the tiers and badges. A role that you choose is given to members and otherwise left as it is.";
    let next = match &wizard.picked {
        Some(_) => "Choose the role of your server in the second menu.",
        None => "Press Next to go on with this, or choose a role of the theme to replace it by one of yours.",
    };
    let embed = step(session, Step::RoleMapping, "The roles", &[lead.to_owned()])
        .field(full_field("Roles", &text::lines(&shown, text::FIELD)))
        .field(next_step(next))
        .build();
    let choices: Vec<Choice> = lines.iter().map(|line| Choice::new(&line.key, &line.name)).collect();
    let pick = custom_id(Action::Pick, session, None);
    let mut menus = vec![menu(pick, "Replace a role", &choices, wizard.picked.as_deref())];
    if let Some(key) = &wizard.picked {
        let custom_id = custom_id(Action::Role, session, Some(key));
        menus.push(select(custom_id, "A role of your server", SelectMenuType::Role, None));
    }
    let mut all = navigation(session, wizard);
    if !wizard.roles.is_empty() {
        let clear = custom_id(Action::Clear, session, None);
        all.insert(1, buttons::button("Use none of mine", clear, ButtonStyle::Secondary));
    }
    (embed, rows(menus, all))
}

fn role_text(line: &RoleLine) -> String {
    let name = text::name(&line.name);
    match (line.chosen, line.found) {
        (Some(role), _) => format!("• {name}: yours, <@&{role}>"),
        (None, Some(role)) => format!("• {name}: <@&{role}> has its name and is adopted"),
        (None, None) => format!("• {name}: is created"),
    }
}

/// Renders the choice whether the theme's channels belong to the community.
pub fn structure(session: Uuid, wizard: &Wizard, categories: usize, channels: usize) -> (Embed, Vec<Component>) {
    let lead = format!(
        "The theme comes with {channels} channels in {categories} categories, seen by the tiers that they are for. Your other channels stay as they are."
    );
    let chosen = wizard.structure.map(|structure| match structure {
        Structure::Whole => "Chosen: roles and channels.".to_owned(),
        Structure::RolesOnly => "Chosen: roles only.".to_owned(),
    });
    let paragraphs: Vec<String> = std::iter::once(lead).chain(chosen).collect();
    let embed = step(session, Step::ChannelStructure, "The channels", &paragraphs)
        .field(next_step("Choose what is created; the plan follows."))
        .build();
    let choose = |label: &str, argument: &str| {
        let custom_id = custom_id(Action::Structure, session, Some(argument));
        buttons::button(label, custom_id, ButtonStyle::Primary)
    };
    let mut rows = buttons::rows(vec![
        choose("Roles and channels", "whole"),
        choose("Roles only", "roles-only"),
    ]);
    rows.extend(buttons::rows(navigation(session, wizard)));
    (embed, rows)
}

/// The button that shows the progress of a deploy.
pub fn progress_button(session: Uuid) -> Vec<Component> {
    let again = custom_id(Action::Progress, session, None);
    buttons::rows(vec![buttons::button("Show progress", again, ButtonStyle::Secondary)])
}

/// Renders that the wizard was cancelled.
pub fn cancelled() -> Embed {
    EmbedBuilder::new()
        .color(COLOR)
        .title("Set this server up")
        .description("Cancelled. Nothing was changed.")
        .field(next_step("Run `/onboard` whenever you like."))
        .build()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wizard::Asset;

    pub(super) const ID: Uuid = Uuid::from_u128(7);

    pub(super) fn wizard(at: Step) -> Wizard {
        Wizard {
            step: at,
            ..Wizard::new(1, "Arrakeen".to_owned())
        }
    }

    pub(super) fn custom_ids(rows: &[Component]) -> Vec<String> {
        let text = serde_json::to_value(rows).unwrap();
        let rows = text.as_array().unwrap().iter();
        let all = rows.flat_map(|row| row["components"].as_array().unwrap());
        all.map(|one| one["custom_id"].as_str().unwrap().to_owned()).collect()
    }

    #[test]
    fn custom_ids_fit_and_are_unique_in_each_step() {
        let lines = [RoleLine {
            key: "former-naib".to_owned(),
            name: "Former Naib".to_owned(),
            chosen: None,
            found: Some(5),
        }];
        let choice = [Choice::new("1", "Ethereum")];
        let view = ReviewView {
            can_deploy: true,
            ..ReviewView::default()
        };
        let mut picking = wizard(Step::RoleMapping);
        picking.picked = Some("former-naib".to_owned());
        picking.roles.insert("naib".to_owned(), 9);
        for (_, rows) in [
            intro(ID, &wizard(Step::Init), true),
            chain(ID, &wizard(Step::ChainSelect), &choice),
            asset(ID, &wizard(Step::AssetConfig), &choice, true),
            rules(ID, &wizard(Step::EligibilityRules), &choice, None),
            roles(ID, &picking, &lines),
            structure(ID, &wizard(Step::ChannelStructure), 3, 10),
            review(ID, &wizard(Step::Review), &view),
        ] {
            let mut ids = custom_ids(&rows);
            assert!(ids.iter().all(|id| id.len() <= 100), "{ids:?}");
            assert!(rows.len() <= 5);
            ids.sort();
            let count = ids.len();
            ids.dedup();
            assert_eq!(ids.len(), count, "{ids:?}");
        }
    }

    #[test]
    fn token_is_introduced_by_where_it_comes_from() {
        let shown = |profile: Option<&str>| {
            let mut wizard = wizard(Step::AssetConfig);
            wizard.asset = Some(Asset {
                profile: profile.map(|id| id.parse().unwrap()),
                contract: arrakis_domain::Address::from_bytes([1; 20]),
                standard: ProfileStandard::Bgt,
                symbol: "BGT".to_owned(),
                name: "Bera Governance Token".to_owned(),
                decimals: 18,
                start_block: 0,
            });
            asset(ID, &wizard, &[], true).0
        };
        let stored = shown(Some("bgt"));
        assert!(
            stored
                .description
                .unwrap()
                .starts_with("This token is stored on the platform.")
        );
        assert!(
            stored
                .fields
                .iter()
                .any(|field| field.value == "claims and burns (bgt)")
        );
        let entered = shown(None).description.unwrap();
        assert!(
            entered.ends_with("were read from the contract. Is it the right token?"),
            "{entered}"
        );
    }
}
