//! Slash commands, one file each. A command's definition is used to register, dispatch and document it.
//!
//! To add a command: a file with a type that implements [`Command`], and its line in `all`. The leader then registers it with
//! Discord, `/help` lists it, and its components are dispatched by the first segment of their custom ids (`name:arguments`).

mod admin_badge;
mod admin_gates;
mod admin_migrate;
mod admin_roles;
mod admin_stats;
mod admin_takeover;
mod admin_water_share;
mod alerts;
mod approval;
mod badges;
mod check_eligibility;
mod context;
mod definition;
mod directory;
mod dyn_command;
mod help;
mod job_progress;
mod leaderboard;
mod mfa;
mod naib;
pub mod onboard;
mod position;
mod profile;
mod reconcile;
mod register_waitlist;
pub mod registration;
mod resume;
mod role_grant;
mod stats;
mod subject;
mod suggestions;
mod suspension;
mod threshold;
mod verify;
mod water_share;

use arrakis_db::UserId;
use twilight_model::application::command::CommandOptionChoice;
use twilight_model::id::Id;
use twilight_model::id::marker::UserMarker;

pub use context::CommandContext;
pub(crate) use definition::MfaNeed;
pub use definition::{CommandScope, ComponentRule, Definition, Feature, MfaRule, ResponseMode};
pub use dyn_command::DynCommand;

use crate::failure::Failure;
use crate::interaction::refusal::Refusal;
use crate::interaction::reply::CommandResult;

/// All commands, in the order of `/help`.
fn all() -> Vec<Box<dyn DynCommand>> {
    vec![
        Box::new(position::Position),
        Box::new(profile::Profile),
        Box::new(badges::Badges::default()),
        Box::new(leaderboard::Leaderboard),
        Box::new(directory::Directory),
        Box::new(naib::Naib),
        Box::new(threshold::Threshold),
        Box::new(check_eligibility::CheckEligibility),
        Box::new(stats::Stats),
        Box::new(verify::Verify),
        Box::new(register_waitlist::RegisterWaitlist),
        Box::new(alerts::Alerts),
        Box::new(water_share::WaterShare),
        Box::new(mfa::Mfa),
        Box::new(admin_stats::AdminStats),
        Box::new(admin_badge::AdminBadge),
        Box::new(admin_water_share::AdminWaterShare),
        Box::new(admin_gates::AdminGates),
        Box::new(admin_roles::AdminRoles),
        Box::new(admin_migrate::AdminMigrate),
        Box::new(admin_takeover::AdminTakeover),
        Box::new(reconcile::Reconcile),
        Box::new(onboard::Onboard),
        Box::new(resume::Resume),
        Box::new(help::Help),
    ]
}

/// A command. It may run twice for one interaction (a worker ended before it acknowledged the message), so it only reads, or
/// guards what it writes by the inbox.
pub trait Command: Send + Sync {
    /// Name, options, permissions, response mode.
    fn definition(&self) -> Definition;

    /// Runs the slash command.
    fn run(&self, context: &CommandContext<'_>) -> impl Future<Output = CommandResult> + Send;

    /// Runs for one of its buttons or selects. `arguments` are the segments of the custom id after the command's name.
    fn component(
        &self,
        context: &CommandContext<'_>,
        arguments: &[&str],
    ) -> impl Future<Output = CommandResult> + Send {
        let _ = (context, arguments);
        async { Err(outdated_component().into()) }
    }

    /// Runs for one of its modals. `arguments` as for a component.
    fn modal_submit(
        &self,
        context: &CommandContext<'_>,
        arguments: &[&str],
    ) -> impl Future<Output = CommandResult> + Send {
        let _ = (context, arguments);
        async { Err(outdated_component().into()) }
    }

    /// Suggests at most 25 values for the option that is being typed. It must be fast: it reads the cache or an index.
    fn autocomplete(
        &self,
        context: &CommandContext<'_>,
        option: &str,
        typed: &str,
    ) -> impl Future<Output = Result<Vec<CommandOptionChoice>, Failure>> + Send {
        let _ = (context, option, typed);
        async { Ok(Vec::new()) }
    }
}

/// The refusal of a component or modal that no command of this build handles.
pub(crate) fn outdated_component() -> Refusal {
    Refusal::new(
        "This button belongs to an older version of me.",
        "Run the command again for a fresh one.",
    )
}

/// The user of a segment or a value of a component.
///
/// # Errors
/// The refusal of a text that is no id of a user: Discord sends the custom ids that members' clients send.
fn component_user(text: &str) -> Result<(Id<UserMarker>, UserId), Refusal> {
    let user: UserId = text.parse().map_err(|_| outdated_component())?;
    let id = Id::new_checked(user.get()).ok_or_else(outdated_component)?;
    Ok((id, user))
}

/// What handles components without a slash command.
fn without_slash_command() -> Vec<Box<dyn DynCommand>> {
    vec![Box::new(approval::Approvals)]
}

/// Every command with its definition, found by name.
pub struct Commands {
    slash: Vec<CommandEntry>,
    /// Handlers of components only: not registered with Discord, and not in `/help`.
    components: Vec<CommandEntry>,
}

/// A command with its definition.
pub struct CommandEntry {
    /// The command's definition.
    pub definition: Definition,
    /// The command's implementation.
    pub command: Box<dyn DynCommand>,
}

fn entries(commands: Vec<Box<dyn DynCommand>>) -> Vec<CommandEntry> {
    let entry = |command: Box<dyn DynCommand>| CommandEntry {
        definition: command.definition(),
        command,
    };
    commands.into_iter().map(entry).collect()
}

impl std::fmt::Debug for Commands {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_list()
            .entries(self.definitions().map(|definition| definition.name))
            .finish()
    }
}

impl Default for Commands {
    fn default() -> Self {
        Self {
            components: entries(without_slash_command()),
            ..Self::new(all())
        }
    }
}

impl Commands {
    /// A set of commands; [`Commands::default`] has all commands of the worker.
    pub fn new(commands: Vec<Box<dyn DynCommand>>) -> Self {
        Self {
            slash: entries(commands),
            components: Vec::new(),
        }
    }

    /// The command of this name, or what handles components of this name.
    pub fn get(&self, name: &str) -> Option<&CommandEntry> {
        let mut all = self.slash.iter().chain(&self.components);
        all.find(|entry| entry.definition.name == name)
    }

    /// All definitions of slash commands, in the order of `/help`.
    pub fn definitions(&self) -> impl Iterator<Item = &Definition> {
        self.slash.iter().map(|entry| &entry.definition)
    }
}

#[cfg(test)]
mod tests {
    use arrakis_domain::GateKey;

    use super::*;

    #[test]
    fn every_definition_is_valid_for_discord() {
        let commands = Commands::default();
        for definition in commands.definitions() {
            let checked = definition.builder().validate();
            assert!(checked.is_ok(), "{}: {:?}", definition.name, checked.err());
        }
    }

    #[test]
    fn keys_of_feature_gates_are_valid_and_unique() {
        let commands = Commands::default();
        let parts = commands.definitions().flat_map(Definition::gated_parts);
        let mut keys: Vec<GateKey> = parts.map(|part| GateKey::new(part.key).unwrap()).collect();
        let number = keys.len();
        keys.sort_unstable();
        keys.dedup();
        assert_eq!(keys.len(), number);
        for open in ["verify", "position", "help", "admin-badge", "admin-gates"] {
            assert!(keys.iter().all(|key| key.as_str() != open), "{open}");
        }
    }

    #[test]
    fn commands_that_components_stand_for_exist() {
        let commands = Commands::default();
        for definition in commands.definitions() {
            for (component, command) in definition.acts_as {
                let other = &commands.get(command).unwrap().definition;
                // Only feature gates are checked for the component.
                assert_eq!((other.permissions, other.requires_mfa), (None, None), "{component}");
            }
        }
    }

    #[test]
    fn commands_that_need_mfa_need_a_permission_as_well() {
        let commands = Commands::default();
        let with_mfa: Vec<_> = commands
            .definitions()
            .filter(|definition| definition.requires_mfa.is_some())
            .collect();
        for name in ["admin-migrate", "admin-takeover"] {
            assert!(with_mfa.iter().any(|definition| definition.name == name), "{name}");
        }
        // Everyone may have a second factor.
        let mut others = with_mfa.iter().filter(|definition| definition.name != "mfa");
        assert!(others.all(|definition| definition.permissions.is_some()));
    }

    #[test]
    fn handlers_of_components_have_names_that_no_slash_command_has() {
        let commands = Commands::default();
        for entry in &commands.components {
            let name = entry.definition.name;
            assert!(
                commands.definitions().all(|definition| definition.name != name),
                "{name}"
            );
            assert_eq!(commands.get(name).unwrap().definition.name, name);
        }
    }

    #[test]
    fn options_of_features_exist() {
        for definition in Commands::default().definitions() {
            for feature in definition.features {
                let options = &definition.options;
                assert!(
                    options.iter().any(|option| option.name == feature.option),
                    "{feature:?}"
                );
            }
        }
    }

    #[test]
    fn names_are_unique() {
        let commands = Commands::default();
        let mut names: Vec<_> = commands.definitions().map(|definition| definition.name).collect();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), commands.definitions().count());
    }
}
