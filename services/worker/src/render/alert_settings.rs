//! `/alerts`: what a member is notified of, when, and the menus that change it.

use std::collections::BTreeSet;

use arrakis_domain::{AlertDelivery, AlertKind, AlertSettings, TimeZone};
use time::OffsetDateTime;
use twilight_model::channel::message::component::{ButtonStyle, SelectMenu, SelectMenuOption, SelectMenuType};
use twilight_model::channel::message::{Component, Embed};

use super::alert::NAME;
use super::{RenderContext, alert, buttons, full_field, next_step, text};

/// Argument of the menu of kinds.
pub const KINDS: &str = "kinds";
/// Argument of the menu of deliveries.
pub const DELIVERY: &str = "delivery";
/// Argument of the button that ends the quiet hours.
pub const NO_QUIET: &str = "no-quiet";
/// Argument of the button after which messages are tried again.
pub const RETRY: &str = "retry";

/// The data that `/alerts` shows.
#[derive(Debug, Clone, Copy)]
pub struct AlertSettingsView<'a> {
    /// What the member is notified of, and when.
    pub settings: &'a AlertSettings,
    /// Since when Discord refuses messages to the member.
    pub closed_at: Option<OffsetDateTime>,
    /// Whether the member has a verified wallet.
    pub has_wallet: bool,
}

/// Renders the settings with the menus that change them.
pub fn embed(context: &RenderContext<'_>, view: &AlertSettingsView<'_>) -> (Embed, Vec<Component>) {
    let settings = view.settings;
    let mut paragraphs = vec![match alert::names(&settings.kinds) {
        None => "All alerts are off. Choose below what I write to you about.".to_owned(),
        Some(names) => format!("I write to you about: {names}."),
    }];
    if let Some(closed) = view.closed_at {
        paragraphs.push(format!(
            "⚠️ Discord refused my message {}, so I stopped. Allow direct messages from this server in its privacy settings, \
             then press **Try again**.",
            text::ago(closed)
        ));
    }
    if !view.has_wallet && settings.kinds.iter().any(|kind| *kind != AlertKind::Threshold) {
        paragraphs.push(format!(
            "Rank, tier and waitlist need a wallet. {}",
            text::LINK_A_WALLET
        ));
    }
    let embed = context
        .embed_without_ranking("Your alerts", context.theme.accent, &paragraphs)
        .field(full_field("When", &delivery_text(settings)))
        .field(full_field("Quiet hours", &quiet_text(settings)))
        .field(next_step(
            "Choose below. `/alerts quiet-from:22 quiet-to:7 time-zone:Europe/Berlin` sets quiet hours; every message has an off switch.",
        ))
        .build();
    let mut components = buttons::rows(vec![kinds_menu(&settings.kinds)]);
    components.extend(buttons::rows(vec![delivery_menu(settings)]));
    components.extend(buttons::rows(extra_buttons(view)));
    (embed, components)
}

fn delivery_text(settings: &AlertSettings) -> String {
    match settings.delivery {
        AlertDelivery::AtOnce => "At once, outside of quiet hours.".to_owned(),
        AlertDelivery::Digest => format!(
            "Once a day at {:02}:00 ({}), when something changed.",
            settings.digest_hour, settings.zone
        ),
    }
}

fn quiet_text(settings: &AlertSettings) -> String {
    match settings.quiet {
        None => "None.".to_owned(),
        Some(quiet) => format!(
            "{:02}:00 to {:02}:00 ({}). What happens then arrives afterwards, in one message.",
            quiet.from(),
            quiet.to(),
            settings.zone
        ),
    }
}

fn kinds_menu(kinds: &BTreeSet<AlertKind>) -> Component {
    let option = |kind: AlertKind| {
        let (label, description) = match kind {
            AlertKind::Rank => ("Rank", "Your rank changed"),
            AlertKind::Tier => ("Tier", "You rose or fell to another tier"),
            AlertKind::Waitlist => ("Waitlist", "You entered or left the waitlist or the eligible ranks"),
            AlertKind::Threshold => ("Entry", "What entry takes has changed"),
        };
        choice(label, description, kind.as_str(), kinds.contains(&kind))
    };
    let options = AlertKind::ALL.into_iter().map(option).collect();
    menu(KINDS, "Nothing: all alerts are off", 0, options)
}

fn delivery_menu(settings: &AlertSettings) -> Component {
    let option = |delivery: AlertDelivery| {
        let (label, description) = match delivery {
            AlertDelivery::AtOnce => ("At once", "A message as soon as something changes"),
            AlertDelivery::Digest => ("Daily digest", "One message a day, only when something changed"),
        };
        choice(label, description, delivery.as_str(), settings.delivery == delivery)
    };
    let options = AlertDelivery::ALL.into_iter().map(option).collect();
    menu(DELIVERY, "When", 1, options)
}

fn choice(label: &str, description: &str, value: &str, default: bool) -> SelectMenuOption {
    SelectMenuOption {
        default,
        description: Some(description.to_owned()),
        emoji: None,
        label: label.to_owned(),
        value: value.to_owned(),
    }
}

/// A menu of which at least `min` options are chosen: one for 1, any number for 0.
fn menu(argument: &str, placeholder: &str, min: u8, options: Vec<SelectMenuOption>) -> Component {
    let max = if min == 1 {
        1
    } else {
        u8::try_from(options.len()).unwrap_or(1)
    };
    Component::SelectMenu(SelectMenu {
        channel_types: None,
        custom_id: format!("{NAME}:{argument}"),
        default_values: None,
        disabled: false,
        id: None,
        kind: SelectMenuType::Text,
        max_values: Some(max),
        min_values: Some(min),
        options: Some(options),
        placeholder: Some(placeholder.to_owned()),
        required: None,
    })
}

fn extra_buttons(view: &AlertSettingsView<'_>) -> Vec<Component> {
    let id = |argument: &str| format!("{NAME}:{argument}");
    let mut extra = Vec::new();
    if view.closed_at.is_some() {
        extra.push(buttons::button("Try again", id(RETRY), ButtonStyle::Primary));
    }
    if view.settings.quiet.is_some() {
        extra.push(buttons::button("End quiet hours", id(NO_QUIET), ButtonStyle::Secondary));
    }
    extra
}

/// The suggestion of a time zone: `Europe/Berlin, where it is 21:34 now`.
pub fn time_zone(zone: &TimeZone, now: OffsetDateTime) -> String {
    let (hour, minute) = zone.time_of_day(now.unix_timestamp());
    format!("{zone}, where it is {hour:02}:{minute:02} now")
}

#[cfg(test)]
mod tests {
    use arrakis_domain::QuietHours;

    use super::super::samples::{SYNCED, context, theme};
    use super::*;

    fn view(settings: &AlertSettings) -> AlertSettingsView<'_> {
        AlertSettingsView {
            settings,
            closed_at: None,
            has_wallet: true,
        }
    }

    #[test]
    fn settings_of_a_member_who_never_had_any() {
        let theme = theme("sietch");
        let settings = AlertSettings::default();
        let (embed, components) = embed(&context(&theme), &view(&settings));
        assert!(embed.description.unwrap().starts_with("All alerts are off."));
        assert_eq!(components.len(), 2, "no buttons");
    }

    #[test]
    fn settings_are_shown_with_what_prevents_messages() {
        let theme = theme("sietch");
        let settings = AlertSettings {
            kinds: BTreeSet::from([AlertKind::Rank, AlertKind::Waitlist]),
            delivery: AlertDelivery::Digest,
            quiet: QuietHours::new(22, 7),
            zone: "Europe/Berlin".parse().unwrap(),
            digest_hour: 8,
        };
        let view = AlertSettingsView {
            closed_at: Some(SYNCED),
            has_wallet: false,
            ..view(&settings)
        };
        let (embed, components) = embed(&context(&theme), &view);
        let text = embed.description.unwrap();
        for part in [
            "I write to you about: **rank**, **waitlist**.",
            "Discord refused my message",
            "need a wallet",
        ] {
            assert!(text.contains(part), "no {part:?} in {text:?}");
        }
        assert_eq!(
            embed.fields[0].value,
            "Once a day at 08:00 (Europe/Berlin), when something changed."
        );
        assert!(embed.fields[1].value.starts_with("22:00 to 07:00 (Europe/Berlin)."));
        assert_eq!(components.len(), 3);
    }

    #[test]
    fn time_zone_is_suggested_with_its_time() {
        assert_eq!(
            time_zone(&"+05:30".parse().unwrap(), SYNCED),
            "UTC+05:30, where it is 17:30 now"
        );
        assert_eq!(
            time_zone(&"Europe/Berlin".parse().unwrap(), SYNCED),
            "Europe/Berlin, where it is 14:00 now"
        );
    }
}
