//! A configuration without the ids that name nothing on the server: what of another server's export can come along.

use super::compare::differing_fields;
use super::known::Managed;
use super::preflight::exists;
use crate::live::{Kinds, Live, map_references};
use crate::model::{
    Attributes, AutomodAction, Clearable, Configuration, EmojiReference, EventPlace, Reference, Snowflake, Target,
};

/// Takes the ids out that the server does not have, of what differs from the server. Gives a note for each resource that
/// loses something.
pub(super) fn prune(configuration: &mut Configuration, managed: &Managed, live: &Live) -> Vec<String> {
    let mut notes = Vec::new();
    configuration.resources.retain(|address, resource| {
        let known = managed.known.get(address).and_then(|known| known.live.as_ref());
        let differs = |field: &str| {
            known.is_none_or(|known| {
                let wanted = managed.names.localised(&resource.attributes);
                differing_fields(&wanted, known).iter().any(|name| name == field)
            })
        };
        let gone = gone(&resource.attributes, differs, live);
        if gone.is_empty() {
            return true;
        }
        let is_gone = |reference: &Reference| matches!(reference, Reference::Id(id) if gone.contains(id));
        let stays = without(&mut resource.attributes, &is_gone) || known.is_some();
        let ids: Vec<String> = gone.iter().map(ToString::to_string).collect();
        let what = if stays {
            "loses what it says of"
        } else {
            "is left out, since it needs"
        };
        notes.push(format!("{address} {what} {}: not on this server", ids.join(", ")));
        stays
    });
    notes
}

/// Ids in attributes that differ and that the server does not have.
fn gone(attributes: &Attributes, differs: impl Fn(&str) -> bool, live: &Live) -> Vec<Snowflake> {
    let mut gone = Vec::new();
    for field in attributes.fields().iter().filter(|field| differs(field)) {
        let mut one = attributes.clone();
        let others = attributes.fields().iter().filter(|other| *other != field);
        others.for_each(|other| one.release(other));
        map_references(&mut one, &mut |kinds: Kinds, reference| {
            if let Reference::Id(id) = reference
                && !exists(live, kinds, *id)
                && !gone.contains(id)
            {
                gone.push(*id);
            }
        });
    }
    gone
}

/// Takes the references out; `false` when the resource is nothing without one of them.
fn without(attributes: &mut Attributes, gone: &impl Fn(&Reference) -> bool) -> bool {
    match attributes {
        Attributes::Server(server) => {
            let channels = [
                &mut server.afk_channel,
                &mut server.system_channel,
                &mut server.rules_channel,
                &mut server.public_updates_channel,
                &mut server.safety_alerts_channel,
            ];
            for channel in channels {
                channel.take_if(|channel| channel.value().is_some_and(gone));
            }
        }
        Attributes::Category(channel) | Attributes::Channel(channel) => {
            if let Some(category) = &mut channel.category
                && category.value().is_some_and(gone)
            {
                *category = Clearable::Cleared;
            }
            if let Some(Clearable::Set(EmojiReference::Own(emoji))) = &channel.default_reaction
                && gone(emoji)
            {
                channel.default_reaction = Some(Clearable::Cleared);
            }
            for tag in channel.tags.iter_mut().flatten() {
                emoji(&mut tag.emoji, gone);
            }
            if let Some(overwrites) = &mut channel.overwrites {
                overwrites.retain(|target, _| !matches!(target, Target::Role(role) if gone(role)));
            }
        }
        Attributes::Emoji(emoji) => list(emoji.roles.as_mut(), gone),
        Attributes::Webhook(webhook) => return !webhook.channel.as_ref().is_some_and(gone),
        Attributes::Automod(rule) => {
            list(rule.exempt_roles.as_mut(), gone);
            list(rule.exempt_channels.as_mut(), gone);
            if let Some(actions) = &mut rule.actions {
                actions.retain(|action| !matches!(action, AutomodAction::Alert { channel } if gone(channel)));
                return !actions.is_empty();
            }
        }
        Attributes::WelcomeScreen(screen) => {
            if let Some(channels) = &mut screen.channels {
                channels.retain(|channel| !gone(&channel.channel));
                channels.iter_mut().for_each(|channel| emoji(&mut channel.emoji, gone));
            }
        }
        Attributes::Onboarding(onboarding) => {
            list(onboarding.default_channels.as_mut(), gone);
            for prompt in onboarding.prompts.iter_mut().flatten() {
                for option in &mut prompt.options {
                    option.roles.retain(|role| !gone(role));
                    option.channels.retain(|channel| !gone(channel));
                    emoji(&mut option.emoji, gone);
                }
                // Discord wants each answer to give or show something.
                prompt
                    .options
                    .retain(|option| !option.roles.is_empty() || !option.channels.is_empty());
            }
            if let Some(prompts) = &mut onboarding.prompts {
                prompts.retain(|prompt| !prompt.options.is_empty());
            }
        }
        Attributes::Event(event) => {
            let place = event.place.as_ref();
            return !place.is_some_and(|place| match place {
                EventPlace::Stage(channel) | EventPlace::Voice(channel) => gone(channel),
                EventPlace::External(_) => false,
            });
        }
        Attributes::Role(_) | Attributes::Sticker(_) => {}
    }
    true
}

fn list(references: Option<&mut Vec<Reference>>, gone: &impl Fn(&Reference) -> bool) {
    if let Some(references) = references {
        references.retain(|reference| !gone(reference));
    }
}

fn emoji(emoji: &mut Option<EmojiReference>, gone: &impl Fn(&Reference) -> bool) {
    emoji.take_if(|emoji| matches!(emoji, EmojiReference::Own(reference) if gone(reference)));
}
