//! The options of a command as sent by a member, and their check against the command's definition.
//!
//! Discord checks options, too, but against the registration that the member's client has loaded, which may be an hour old, and it
//! does not restrict an option with autocomplete to the suggestions. So the worker checks them again, with errors for the member.

use std::collections::BTreeMap;

use twilight_model::application::command::{
    CommandOption, CommandOptionChoiceValue, CommandOptionType, CommandOptionValue as OptionBound,
};
use twilight_model::application::interaction::InteractionDataResolved;
use twilight_model::application::interaction::application_command::{CommandDataOption, CommandOptionValue};
use twilight_model::guild::Permissions;
use twilight_model::id::Id;
use twilight_model::id::marker::{AttachmentMarker, RoleMarker, UserMarker};

use super::invocation::display_name;
use super::refusal::Refusal;
use crate::render::text;

/// The options that a member sent.
#[derive(Debug, Clone, Default)]
pub struct Options {
    given: Vec<CommandDataOption>,
    names: BTreeMap<Id<UserMarker>, String>,
    permissions: BTreeMap<Id<UserMarker>, Permissions>,
    role_names: BTreeMap<Id<RoleMarker>, String>,
    files: BTreeMap<Id<AttachmentMarker>, AttachedFile>,
}

/// A file that a member attached to an option.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AttachedFile {
    /// Its name.
    pub name: String,
    /// The address at which Discord serves it.
    pub url: String,
    /// Its size in bytes, as Discord states it.
    pub size: u64,
}

impl Options {
    pub(crate) fn new(given: Vec<CommandDataOption>, resolved: Option<&InteractionDataResolved>) -> Self {
        let mut names = BTreeMap::new();
        let mut permissions = BTreeMap::new();
        let (mut role_names, mut files) = (BTreeMap::new(), BTreeMap::new());
        if let Some(resolved) = resolved {
            names.extend(resolved.users.iter().map(|(id, user)| (*id, display_name(user))));
            let nicks = resolved
                .members
                .iter()
                .filter_map(|(id, member)| Some((*id, member.nick.clone()?)));
            names.extend(nicks);
            role_names.extend(resolved.roles.iter().map(|(id, role)| (*id, role.name.clone())));
            files.extend(resolved.attachments.iter().map(|(id, file)| {
                let file = AttachedFile {
                    name: file.filename.clone(),
                    url: file.url.clone(),
                    size: file.size,
                };
                (*id, file)
            }));
            permissions.extend(resolved.members.iter().map(|(id, member)| (*id, member.permissions)));
        }
        Self {
            given,
            names,
            permissions,
            role_names,
            files,
        }
    }

    fn get(&self, name: &str) -> Option<&CommandOptionValue> {
        self.given
            .iter()
            .find(|option| option.name == name)
            .map(|option| &option.value)
    }

    /// The name of the subcommand; `None` for a command without subcommands.
    pub fn subcommand(&self) -> Option<&str> {
        let is_subcommand = |option: &&CommandDataOption| matches!(option.value, CommandOptionValue::SubCommand(_));
        self.given.iter().find(is_subcommand).map(|option| option.name.as_str())
    }

    /// Whether the option was sent.
    pub(crate) fn was_sent(&self, name: &str) -> bool {
        self.get(name).is_some()
    }

    /// The value of an integer option; `None` if it was not sent.
    pub fn integer(&self, name: &str) -> Option<i64> {
        match self.get(name) {
            Some(CommandOptionValue::Integer(number)) => Some(*number),
            _ => None,
        }
    }

    /// The value of a string option; `None` if it was not sent.
    pub fn string(&self, name: &str) -> Option<&str> {
        match self.get(name) {
            Some(CommandOptionValue::String(text)) => Some(text),
            _ => None,
        }
    }

    /// The value of a user option, with the name that the server shows; `None` if it was not sent.
    pub fn user(&self, name: &str) -> Option<(Id<UserMarker>, Option<&str>)> {
        match self.get(name) {
            Some(CommandOptionValue::User(id)) => Some((*id, self.names.get(id).map(String::as_str))),
            _ => None,
        }
    }

    /// The value of a role option, with the role's name; `None` if it was not sent.
    pub fn role(&self, name: &str) -> Option<(Id<RoleMarker>, Option<&str>)> {
        match self.get(name) {
            Some(CommandOptionValue::Role(id)) => Some((*id, self.role_names.get(id).map(String::as_str))),
            _ => None,
        }
    }

    /// The file of an attachment option; `None` if it was not sent.
    pub fn file(&self, name: &str) -> Option<&AttachedFile> {
        match self.get(name) {
            Some(CommandOptionValue::Attachment(id)) => self.files.get(id),
            _ => None,
        }
    }

    /// The permissions of a selected member in the channel, as Discord computed them; none for a user who is no member.
    pub fn permissions_of(&self, user: Id<UserMarker>) -> Permissions {
        self.permissions.get(&user).copied().unwrap_or(Permissions::empty())
    }

    /// Checks the options against their definitions.
    ///
    /// # Errors
    /// A refusal that names the first invalid option and the values that it accepts.
    pub fn check(&self, definitions: &[CommandOption]) -> Result<(), Refusal> {
        for option in &self.given {
            let Some(definition) = definitions.iter().find(|definition| definition.name == option.name) else {
                return Err(Refusal::new(
                    format!("This command has no option `{}`.", option.name),
                    option_names(definitions),
                ));
            };
            check_option(definition, &option.value)?;
        }
        let missing = definitions
            .iter()
            .find(|definition| definition.required == Some(true) && self.get(&definition.name).is_none());
        missing.map_or(Ok(()), |definition| {
            Err(Refusal::new(
                format!("The option `{}` is missing.", definition.name),
                format!("It takes {}.", accepted_values(definition)),
            ))
        })
    }
}

fn option_names(definitions: &[CommandOption]) -> String {
    if definitions.is_empty() {
        return "It takes no options; type it alone.".to_owned();
    }
    let names: Vec<_> = definitions.iter().map(|option| format!("`{}`", option.name)).collect();
    format!("It takes {}.", names.join(", "))
}

fn check_option(definition: &CommandOption, given: &CommandOptionValue) -> Result<(), Refusal> {
    let refuse = |shown: &str| {
        Err(Refusal::new(
            format!("`{}` cannot be {shown}.", definition.name),
            format!("It takes {}.", accepted_values(definition)),
        ))
    };
    // An option that is being typed is incomplete.
    if let CommandOptionValue::Focused(..) = given {
        return Ok(());
    }
    let shown = display_value(given);
    if given.kind() != definition.kind {
        return refuse(&shown);
    }
    let is_valid = match given {
        CommandOptionValue::Integer(number) => {
            let min = !matches!(definition.min_value, Some(OptionBound::Integer(min)) if *number < min);
            let max = !matches!(definition.max_value, Some(OptionBound::Integer(max)) if *number > max);
            let same =
                |value: &CommandOptionChoiceValue| matches!(value, CommandOptionChoiceValue::Integer(n) if n == number);
            min && max && is_choice(definition, same)
        }
        CommandOptionValue::String(text) => {
            let length = text.chars().count();
            let min = definition.min_length.is_none_or(|min| length >= usize::from(min));
            let max = definition.max_length.is_none_or(|max| length <= usize::from(max));
            let same =
                |value: &CommandOptionChoiceValue| matches!(value, CommandOptionChoiceValue::String(t) if t == text);
            min && max && is_choice(definition, same)
        }
        _ => true,
    };
    if is_valid { Ok(()) } else { refuse(&shown) }
}

/// Whether the value is one of the option's choices; true if it has none.
fn is_choice(definition: &CommandOption, is: impl Fn(&CommandOptionChoiceValue) -> bool) -> bool {
    match definition.choices.as_deref() {
        None | Some([]) => true,
        Some(choices) => choices.iter().any(|choice| is(&choice.value)),
    }
}

fn display_value(given: &CommandOptionValue) -> String {
    match given {
        CommandOptionValue::Integer(number) => format!("{number}"),
        CommandOptionValue::Number(number) => format!("{number}"),
        CommandOptionValue::Boolean(flag) => format!("{flag}"),
        // A long text would fill the reply.
        CommandOptionValue::String(text) => {
            format!("\"{}\"", text::name(&text.chars().take(50).collect::<String>()))
        }
        _ => "that".to_owned(),
    }
}

/// The values that an option accepts, described for the member.
fn accepted_values(definition: &CommandOption) -> String {
    if let Some(choices) = definition.choices.as_deref().filter(|choices| !choices.is_empty()) {
        let names: Vec<_> = choices.iter().map(|choice| choice.name.as_str()).collect();
        return format!("one of: {}", names.join(", "));
    }
    match (definition.kind, &definition.min_value, &definition.max_value) {
        (CommandOptionType::Integer, Some(OptionBound::Integer(min)), Some(OptionBound::Integer(max))) => {
            format!("a whole number from {min} to {max}")
        }
        (CommandOptionType::Integer, Some(OptionBound::Integer(min)), _) => format!("a whole number from {min} on"),
        (CommandOptionType::Integer, ..) => "a whole number".to_owned(),
        (CommandOptionType::String, ..) => match (definition.min_length, definition.max_length) {
            (_, Some(max)) => format!("text of at most {max} characters"),
            _ => "text".to_owned(),
        },
        (CommandOptionType::User, ..) => "a member".to_owned(),
        (CommandOptionType::Role, ..) => "a role".to_owned(),
        (CommandOptionType::Attachment, ..) => "a file".to_owned(),
        (CommandOptionType::Boolean, ..) => "true or false".to_owned(),
        _ => "another kind of value".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use twilight_util::builder::command::{IntegerBuilder, StringBuilder, SubCommandBuilder, UserBuilder};

    use super::*;

    fn definitions() -> Vec<CommandOption> {
        vec![
            IntegerBuilder::new("page", "The page")
                .min_value(1)
                .max_value(100)
                .build(),
            StringBuilder::new("zone", "The zone")
                .choices([("Council", "council"), ("Waitlist", "waitlist")])
                .build(),
            UserBuilder::new("member", "The member").required(true).build(),
        ]
    }

    fn refusal(given: Vec<(&str, CommandOptionValue)>) -> Option<String> {
        let member = [("member", CommandOptionValue::User(Id::new(1)))];
        let given = given.into_iter().chain(member).map(|(name, value)| CommandDataOption {
            name: name.to_owned(),
            value,
        });
        let refusal = Options::new(given.collect(), None).check(&definitions()).err()?;
        Some(format!("{} {}", refusal.what, refusal.next))
    }

    #[test]
    fn valid_options_are_accepted() {
        let zone = CommandOptionValue::String("council".to_owned());
        assert_eq!(
            refusal(vec![("page", CommandOptionValue::Integer(100)), ("zone", zone)]),
            None
        );
    }

    #[test]
    fn invalid_option_is_refused_with_the_accepted_values() {
        assert_eq!(
            refusal(vec![("page", CommandOptionValue::Integer(101))]).unwrap(),
            "`page` cannot be 101. It takes a whole number from 1 to 100."
        );
        assert_eq!(
            refusal(vec![("page", CommandOptionValue::String("two".to_owned()))]).unwrap(),
            "`page` cannot be \"two\". It takes a whole number from 1 to 100."
        );
        assert_eq!(
            refusal(vec![("zone", CommandOptionValue::String("moon".to_owned()))]).unwrap(),
            "`zone` cannot be \"moon\". It takes one of: Council, Waitlist."
        );
        assert_eq!(
            refusal(vec![("colour", CommandOptionValue::Boolean(true))]).unwrap(),
            "This command has no option `colour`. It takes `page`, `zone`, `member`."
        );
    }

    #[test]
    fn subcommand_is_checked_like_an_option() {
        let definitions = [SubCommandBuilder::new("start", "Starts").build()];
        let given = |name: &str| {
            let option = CommandDataOption {
                name: name.to_owned(),
                value: CommandOptionValue::SubCommand(Vec::new()),
            };
            Options::new(vec![option], None)
        };
        assert_eq!(given("start").check(&definitions), Ok(()));
        assert_eq!(given("start").subcommand(), Some("start"));
        assert_eq!(Options::default().subcommand(), None);
        let refusal = given("stop").check(&definitions).unwrap_err();
        assert_eq!(refusal.what, "This command has no option `stop`.");
    }

    #[test]
    fn missing_option_is_named() {
        let refusal = Options::default().check(&definitions()).unwrap_err();
        assert_eq!(refusal.what, "The option `member` is missing.");
        assert_eq!(refusal.next, "It takes a member.");
    }
}
