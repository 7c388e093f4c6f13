//! `/alerts`: what a member is notified of by direct message, and when.
//!
//! | file | handles |
//! |---|---|
//! | `mod.rs` | the command, its options and menus |
//! | `mute.rs` | the buttons of a message that switch alerts off, and on again |
//!
//! Settings are a row of the member. Storing the same settings again changes nothing, so a second run of one interaction is safe.

mod mute;

use std::collections::BTreeSet;

use arrakis_db::{Profile, Subscription, UserId};
use arrakis_domain::{AlertDelivery, AlertKind, AlertSettings, QuietHours, TimeZone};
use twilight_model::application::command::{CommandOptionChoice, CommandOptionChoiceValue};
use twilight_util::builder::command::{IntegerBuilder, StringBuilder};

use super::{Command, CommandContext, CommandScope, ComponentRule, Definition, ResponseMode, outdated_component};
use crate::community::user_id;
use crate::failure::Failure;
use crate::interaction::invocation::InvocationData;
use crate::interaction::options::Options;
use crate::interaction::refusal::Refusal;
use crate::interaction::reply::{CommandError, CommandResult, Reply, message};
use crate::render::alert::{MUTE, NAME, UNDO};
use crate::render::alert_settings::{self, AlertSettingsView, DELIVERY, KINDS, NO_QUIET, RETRY, time_zone};
use crate::render::{profile, text};

/// Most suggestions of an autocomplete response.
const MAX_SUGGESTIONS: usize = 25;
/// Zones that are suggested before anything is typed: one for most of the offsets in which people live.
const ZONES: [&str; 24] = [
    "UTC",
    "Europe/London",
    "Europe/Berlin",
    "Europe/Athens",
    "Europe/Moscow",
    "Africa/Lagos",
    "Africa/Johannesburg",
    "Africa/Nairobi",
    "Asia/Dubai",
    "Asia/Karachi",
    "Asia/Kolkata",
    "Asia/Dhaka",
    "Asia/Bangkok",
    "Asia/Shanghai",
    "Asia/Singapore",
    "Asia/Tokyo",
    "Australia/Sydney",
    "Pacific/Auckland",
    "America/Sao_Paulo",
    "America/Halifax",
    "America/New_York",
    "America/Chicago",
    "America/Denver",
    "America/Los_Angeles",
];

/// The command.
#[derive(Debug, Clone, Copy)]
pub(super) struct Alerts;

impl Command for Alerts {
    fn definition(&self) -> Definition {
        let hour = |name: &str, description: &str| IntegerBuilder::new(name, description).min_value(0).max_value(23);
        let zone = StringBuilder::new(
            "time-zone",
            "Yours, for these hours: type your city, or an offset from UTC such as +5:30",
        )
        .autocomplete(true)
        .max_length(64);
        Definition::new(NAME, "Choose what I write to you about, when, and when not")
            .option(hour("quiet-from", "The hour from which I am quiet, 0 to 23"))
            .option(hour("quiet-to", "The hour from which I may write again, 0 to 23"))
            .option(zone)
            .option(hour("digest-hour", "The hour of the daily digest, 0 to 23"))
            // Pressed in direct messages, and answered below the message.
            .component_rules(&[
                ComponentRule {
                    argument: MUTE,
                    response: ResponseMode::Deferred { ephemeral: true },
                    scope: CommandScope::Anywhere,
                },
                ComponentRule {
                    argument: UNDO,
                    response: ResponseMode::Deferred { ephemeral: true },
                    scope: CommandScope::Anywhere,
                },
            ])
    }

    async fn run(&self, context: &CommandContext<'_>) -> CommandResult {
        let InvocationData::Command { options, .. } = &context.invocation.data else {
            return Err(Failure::permanent("a command without options").into());
        };
        change(context, |settings| apply(settings, options)).await
    }

    async fn component(&self, context: &CommandContext<'_>, arguments: &[&str]) -> CommandResult {
        let values = match &context.invocation.data {
            InvocationData::Component { values, .. } => values.as_slice(),
            _ => &[],
        };
        match arguments {
            // The last button ends with the id of its message.
            [MUTE, community, what, ..] => mute::mute(context, community, what).await,
            [UNDO, community, kinds] => mute::undo(context, community, kinds).await,
            [KINDS] => {
                let kinds = kinds_of(values.iter().map(String::as_str))?;
                let set = |settings: &mut AlertSettings| {
                    settings.kinds = kinds;
                    Ok(true)
                };
                change(context, set).await
            }
            [DELIVERY] => {
                let delivery = values.first().and_then(|value| value.parse::<AlertDelivery>().ok());
                let delivery = delivery.ok_or_else(outdated_component)?;
                let set = |settings: &mut AlertSettings| {
                    settings.delivery = delivery;
                    Ok(true)
                };
                change(context, set).await
            }
            [NO_QUIET] => {
                let set = |settings: &mut AlertSettings| {
                    settings.quiet = None;
                    Ok(true)
                };
                change(context, set).await
            }
            // Storing the settings, whatever they are, ends the pause after a refusal.
            [RETRY] => change(context, |_| Ok(true)).await,
            _ => Err(outdated_component().into()),
        }
    }

    async fn autocomplete(
        &self,
        context: &CommandContext<'_>,
        option: &str,
        typed: &str,
    ) -> Result<Vec<CommandOptionChoice>, Failure> {
        if option != "time-zone" {
            return Ok(Vec::new());
        }
        let now = context.services.now();
        let suggestion = |zone: TimeZone| CommandOptionChoice {
            name: time_zone(&zone, now),
            name_localizations: None,
            value: CommandOptionChoiceValue::String(zone.name().to_owned()),
        };
        Ok(zones(typed).into_iter().map(suggestion).collect())
    }
}

/// Changes the settings of the member who invoked the command, and stores them where `with` returns true; replies with the result.
async fn change(
    context: &CommandContext<'_>,
    with: impl FnOnce(&mut AlertSettings) -> Result<bool, Refusal> + Send,
) -> CommandResult {
    let user = user_id(context.invocation.author.id)?;
    let (profile, subscription) = {
        let mut tx = context.tx().await?;
        let profile = tx.profiles().by_user(user).await?;
        let profile = profile.filter(|profile| profile.left_at.is_none());
        let profile = profile.ok_or_else(|| unknown(context))?;
        let found = tx.alerts().lock_subscription(user).await?;
        let mut settings = found.as_ref().map(|found| found.settings.clone()).unwrap_or_default();
        if with(&mut settings)? {
            tx.alerts().subscribe(user, &settings).await?;
            (profile, tx.alerts().subscription(user).await?)
        } else {
            (profile, found)
        }
    };
    reply(context, &profile, subscription)
}

fn reply(context: &CommandContext<'_>, profile: &Profile, subscription: Option<Subscription>) -> CommandResult {
    let closed_at = subscription.as_ref().and_then(|found| found.closed_at);
    let settings = subscription.map(|found| found.settings).unwrap_or_default();
    let view = AlertSettingsView {
        settings: &settings,
        closed_at,
        has_wallet: profile.wallet.is_some(),
    };
    let (embed, components) = alert_settings::embed(&context.render_context()?, &view);
    Ok(Reply::Message(message(embed, components)))
}

fn unknown(context: &CommandContext<'_>) -> CommandError {
    let (what, next) = profile::unknown_member(&context.invocation.author.name, true);
    Refusal::new(what, next).into()
}

/// Applies the options; false when there are none.
fn apply(settings: &mut AlertSettings, options: &Options) -> Result<bool, Refusal> {
    let hour = |name: &str| options.integer(name).and_then(|hour| u8::try_from(hour).ok());
    let (from, to) = (hour("quiet-from"), hour("quiet-to"));
    let mut is_changed = false;
    if from.is_some() || to.is_some() {
        settings.quiet = Some(quiet_hours(settings.quiet, from, to)?);
        is_changed = true;
    }
    if let Some(zone) = options.string("time-zone") {
        settings.zone = zone.parse().map_err(|_| {
            Refusal::new(
                format!("`time-zone` cannot be \"{}\".", text::name(zone)),
                "It is a place such as `Europe/Berlin`, or an offset from UTC such as `+5:30`. Type your city and choose one of the \
                 suggestions; they show the time there.",
            )
        })?;
        is_changed = true;
    }
    if let Some(hour) = hour("digest-hour") {
        settings.digest_hour = hour;
        is_changed = true;
    }
    Ok(is_changed)
}

/// The quiet hours with these changes.
fn quiet_hours(stored: Option<QuietHours>, from: Option<u8>, to: Option<u8>) -> Result<QuietHours, Refusal> {
    let from = from.or_else(|| stored.map(QuietHours::from));
    let to = to.or_else(|| stored.map(QuietHours::to));
    let (Some(from), Some(to)) = (from, to) else {
        return Err(Refusal::new(
            "Quiet hours have a beginning and an end.",
            "Give both: `/alerts quiet-from:22 quiet-to:7`.",
        ));
    };
    QuietHours::new(from, to).ok_or_else(|| {
        Refusal::new(
            "Quiet hours cannot begin and end at the same hour.",
            "For no messages at all, choose nothing in the first menu of `/alerts`.",
        )
    })
}

/// The kinds of these names; a name that no build has is an outdated component.
fn kinds_of<'a>(names: impl Iterator<Item = &'a str>) -> Result<BTreeSet<AlertKind>, Refusal> {
    names
        .map(|name| name.parse().map_err(|_| outdated_component()))
        .collect()
}

/// The zones whose names contain what was typed, first the one that it is, if it is one.
fn zones(typed: &str) -> Vec<TimeZone> {
    let typed = typed.trim();
    if typed.is_empty() {
        return ZONES.iter().filter_map(|name| name.parse().ok()).collect();
    }
    let exact: Option<TimeZone> = typed.parse().ok();
    let part = typed.to_ascii_lowercase().replace(' ', "_");
    let names = TimeZone::names().filter(|name| name.to_ascii_lowercase().contains(&part));
    let others = names
        .filter_map(|name| name.parse::<TimeZone>().ok())
        .filter(|zone| Some(zone) != exact.as_ref());
    let others: Vec<TimeZone> = others.take(MAX_SUGGESTIONS).collect();
    exact.into_iter().chain(others).take(MAX_SUGGESTIONS).collect()
}

/// The settings of a member of a community, for a button in direct messages.
fn settings_of(subscription: Option<Subscription>) -> AlertSettings {
    subscription.map(|found| found.settings).unwrap_or_default()
}

/// The member who pressed a button.
fn author(context: &CommandContext<'_>) -> Result<UserId, CommandError> {
    Ok(user_id(context.invocation.author.id)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quiet_hours_need_both_ends_unless_one_is_stored() {
        let stored = QuietHours::new(22, 7);
        assert_eq!(quiet_hours(None, Some(22), Some(7)).ok(), stored);
        assert_eq!(quiet_hours(stored, None, Some(8)).ok(), QuietHours::new(22, 8));
        let refusal = quiet_hours(None, Some(22), None).unwrap_err();
        assert_eq!(refusal.what, "Quiet hours have a beginning and an end.");
        let refusal = quiet_hours(stored, Some(7), None).unwrap_err();
        assert_eq!(refusal.what, "Quiet hours cannot begin and end at the same hour.");
    }

    #[test]
    fn typed_zone_is_suggested_first() {
        let shown = |typed: &str| -> Vec<String> { zones(typed).iter().map(ToString::to_string).collect() };
        assert_eq!(shown("+5:45"), ["UTC+05:45"]);
        assert_eq!(shown("new york"), ["America/New_York"]);
        assert_eq!(shown("europe/berlin"), ["Europe/Berlin"]);
        assert_eq!(shown("europe").len(), MAX_SUGGESTIONS);
        assert_eq!(shown("").len(), ZONES.len(), "all are zones");
        assert!(ZONES.len() <= MAX_SUGGESTIONS);
        assert!(shown("Arrakeen").is_empty());
    }

    #[test]
    fn unknown_kind_is_an_outdated_component() {
        let kinds = kinds_of(["rank", "tier"].into_iter()).unwrap();
        assert_eq!(kinds, BTreeSet::from([AlertKind::Rank, AlertKind::Tier]));
        assert_eq!(kinds_of(["moon"].into_iter()).unwrap_err(), outdated_component());
    }
}
