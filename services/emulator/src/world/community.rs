//! Operations on rules of auto moderation, welcome screens, onboarding and scheduled events.

use serde::Serialize;

use super::{Cause, Dispatch, State, audit::differences};
use crate::model::{AuditAction, AutomodRule, Id, Intents, Onboarding, ScheduledEvent, WelcomeScreen};

/// Events and audit actions of a type of object: created, changed, removed.
type Names = [(&'static str, AuditAction); 3];

const AUTOMOD: Names = [
    ("AUTO_MODERATION_RULE_CREATE", AuditAction::AutoModerationRuleCreate),
    ("AUTO_MODERATION_RULE_UPDATE", AuditAction::AutoModerationRuleUpdate),
    ("AUTO_MODERATION_RULE_DELETE", AuditAction::AutoModerationRuleDelete),
];
const EVENTS: Names = [
    ("GUILD_SCHEDULED_EVENT_CREATE", AuditAction::GuildScheduledEventCreate),
    ("GUILD_SCHEDULED_EVENT_UPDATE", AuditAction::GuildScheduledEventUpdate),
    ("GUILD_SCHEDULED_EVENT_DELETE", AuditAction::GuildScheduledEventDelete),
];

impl State {
    /// Creates or changes a rule.
    pub fn put_automod_rule(&mut self, rule: &AutomodRule, cause: &Cause) {
        let Some(server) = self.guilds.get_mut(&rule.guild_id) else {
            return;
        };
        let (guild, id) = (rule.guild_id, rule.id);
        let before = server.automod_rules.insert(id, rule.clone());
        self.audit_and_emit(guild, id, (before.as_ref(), Some(rule)), &AUTOMOD, cause);
    }

    /// Removes a rule. `false` when it does not exist.
    pub fn delete_automod_rule(&mut self, guild: Id, id: Id, cause: &Cause) -> bool {
        let gone = self
            .guilds
            .get_mut(&guild)
            .and_then(|server| server.automod_rules.remove(&id));
        self.audit_and_emit(guild, id, (gone.as_ref(), None), &AUTOMOD, cause);
        gone.is_some()
    }

    /// Creates or changes an event.
    pub fn put_scheduled_event(&mut self, event: &ScheduledEvent, cause: &Cause) {
        let Some(server) = self.guilds.get_mut(&event.guild_id) else {
            return;
        };
        let (guild, id) = (event.guild_id, event.id);
        let before = server.scheduled_events.insert(id, event.clone());
        self.audit_and_emit(guild, id, (before.as_ref(), Some(event)), &EVENTS, cause);
    }

    /// Removes an event. `false` when it does not exist.
    pub fn delete_scheduled_event(&mut self, guild: Id, id: Id, cause: &Cause) -> bool {
        let gone = self
            .guilds
            .get_mut(&guild)
            .and_then(|server| server.scheduled_events.remove(&id));
        self.audit_and_emit(guild, id, (gone.as_ref(), None), &EVENTS, cause);
        gone.is_some()
    }

    /// Changes the welcome screen; `enabled` is a feature of the server.
    pub fn set_welcome_screen(&mut self, guild: Id, screen: WelcomeScreen, enabled: bool, cause: &Cause) {
        const FEATURE: &str = "WELCOME_SCREEN_ENABLED";
        let Some(server) = self.guilds.get_mut(&guild) else {
            return;
        };
        let changes = differences(Some(&server.welcome_screen), Some(&screen));
        server.welcome_screen = Some(screen);
        if !changes.is_empty() {
            self.audit(guild, cause, AuditAction::GuildUpdate, Some(guild), changes, None);
        }
        self.update_guild(
            guild,
            |server| {
                server.features.retain(|feature| feature != FEATURE);
                if enabled {
                    server.features.push(FEATURE.to_owned());
                }
            },
            cause,
        );
    }

    /// Changes onboarding.
    pub fn set_onboarding(&mut self, guild: Id, onboarding: Onboarding, cause: &Cause) {
        let Some(server) = self.guilds.get_mut(&guild) else {
            return;
        };
        let changes = differences(Some(&server.onboarding), Some(&onboarding));
        server.onboarding = onboarding;
        if !changes.is_empty() {
            self.audit(guild, cause, AuditAction::OnboardingUpdate, Some(guild), changes, None);
        }
    }

    /// Writes the audit log and emits the event, when there is a difference.
    fn audit_and_emit<T: Serialize>(
        &mut self,
        guild: Id,
        id: Id,
        (before, after): (Option<&T>, Option<&T>),
        names: &Names,
        cause: &Cause,
    ) {
        let (name, action) = match (before, after) {
            (None, Some(_)) => names[0],
            (Some(_), Some(_)) => names[1],
            (Some(_), None) => names[2],
            (None, None) => return,
        };
        let changes = differences(before, after);
        if changes.is_empty() {
            return;
        }
        self.audit(guild, cause, action, Some(id), changes, None);
        let intents = if name.starts_with("AUTO") {
            Intents::AUTO_MODERATION_CONFIGURATION
        } else {
            Intents::GUILD_SCHEDULED_EVENTS
        };
        if let Some(d) = after.or(before) {
            self.emit(Dispatch::of_guild(name, guild, intents, d).about(id));
        }
    }
}
