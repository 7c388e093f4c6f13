//! Options of a command as a member gave them, and whether they suit what the command declares.
//!
//! Discord checks options too, but against the registration that the member's client knows, which may be an hour old; and a
//! value completed by hand need not be one that was suggested. So they are checked again here, in words for the member.

use std::collections::BTreeMap;

use twilight_model::application::command::{
    CommandOption, CommandOptionChoiceValue, CommandOptionType, CommandOptionValue as Bound,
};
use twilight_model::application::interaction::InteractionDataResolved;
use twilight_model::application::interaction::application_command::{CommandDataOption, CommandOptionValue};
use twilight_model::id::Id;
use twilight_model::id::marker::UserMarker;

use super::invocation::display_name;
use super::refusal::Refusal;

/// What was given.
#[derive(Debug, Clone, Default)]
pub struct Options {
    given: Vec<CommandDataOption>,
    names: BTreeMap<Id<UserMarker>, String>,
}

impl Options {
    pub(crate) fn new(given: Vec<CommandDataOption>, resolved: Option<&InteractionDataResolved>) -> Self {
        let mut names = BTreeMap::new();
        if let Some(resolved) = resolved {
            names.extend(resolved.users.iter().map(|(id, user)| (*id, display_name(user))));
            let nicks = resolved
                .members
                .iter()
                .filter_map(|(id, member)| Some((*id, member.nick.clone()?)));
            names.extend(nicks);
        }
        Self { given, names }
    }

    fn get(&self, name: &str) -> Option<&CommandOptionValue> {
        self.given
            .iter()
            .find(|option| option.name == name)
            .map(|option| &option.value)
    }

    /// A text.
    pub fn text(&self, name: &str) -> Option<&str> {
        match self.get(name) {
            Some(CommandOptionValue::String(text)) => Some(text),
            _ => None,
        }
    }

    /// A whole number.
    pub fn integer(&self, name: &str) -> Option<i64> {
        match self.get(name) {
            Some(CommandOptionValue::Integer(number)) => Some(*number),
            _ => None,
        }
    }

    /// Yes or no.
    pub fn boolean(&self, name: &str) -> Option<bool> {
        match self.get(name) {
            Some(CommandOptionValue::Boolean(flag)) => Some(*flag),
            _ => None,
        }
    }

    /// A user, with the name that the server shows.
    pub fn user(&self, name: &str) -> Option<(Id<UserMarker>, Option<&str>)> {
        match self.get(name) {
            Some(CommandOptionValue::User(id)) => Some((*id, self.names.get(id).map(String::as_str))),
            _ => None,
        }
    }

    /// Whether they suit the declaration.
    ///
    /// # Errors
    /// What is wrong with the first that does not, and what would be right.
    pub fn check(&self, declared: &[CommandOption]) -> Result<(), Refusal> {
        for option in &self.given {
            let Some(wanted) = declared.iter().find(|wanted| wanted.name == option.name) else {
                return Err(Refusal::new(
                    format!("This command has no option `{}`.", option.name),
                    known(declared),
                ));
            };
            check(wanted, &option.value)?;
        }
        let missing = declared
            .iter()
            .find(|wanted| wanted.required == Some(true) && self.get(&wanted.name).is_none());
        missing.map_or(Ok(()), |wanted| {
            Err(Refusal::new(
                format!("The option `{}` is missing.", wanted.name),
                format!("It takes {}.", takes(wanted)),
            ))
        })
    }
}

fn known(declared: &[CommandOption]) -> String {
    if declared.is_empty() {
        return "It takes no options; type it alone.".to_owned();
    }
    let names: Vec<_> = declared.iter().map(|option| format!("`{}`", option.name)).collect();
    format!("It takes {}.", names.join(", "))
}

fn check(wanted: &CommandOption, given: &CommandOptionValue) -> Result<(), Refusal> {
    let refuse = |shown: &str| {
        Err(Refusal::new(
            format!("`{}` cannot be {shown}.", wanted.name),
            format!("It takes {}.", takes(wanted)),
        ))
    };
    // What is being typed has no form yet.
    if let CommandOptionValue::Focused(..) = given {
        return Ok(());
    }
    let shown = shown(given);
    if given.kind() != wanted.kind {
        return refuse(&shown);
    }
    let fits = match given {
        CommandOptionValue::Integer(number) => {
            let least = match wanted.min_value {
                Some(Bound::Integer(least)) => *number >= least,
                _ => true,
            };
            let most = match wanted.max_value {
                Some(Bound::Integer(most)) => *number <= most,
                _ => true,
            };
            least
                && most
                && choices(
                    wanted,
                    |value| matches!(value, CommandOptionChoiceValue::Integer(n) if n == number),
                )
        }
        CommandOptionValue::String(text) => {
            let length = text.chars().count();
            let least = wanted.min_length.is_none_or(|least| length >= usize::from(least));
            let most = wanted.max_length.is_none_or(|most| length <= usize::from(most));
            least
                && most
                && choices(
                    wanted,
                    |value| matches!(value, CommandOptionChoiceValue::String(t) if t == text),
                )
        }
        _ => true,
    };
    if fits { Ok(()) } else { refuse(&shown) }
}

/// Whether one of the choices is meant; with none declared, any value is.
fn choices(wanted: &CommandOption, is: impl Fn(&CommandOptionChoiceValue) -> bool) -> bool {
    match wanted.choices.as_deref() {
        None | Some([]) => true,
        Some(choices) => choices.iter().any(|choice| is(&choice.value)),
    }
}

fn shown(given: &CommandOptionValue) -> String {
    match given {
        CommandOptionValue::Integer(number) => format!("{number}"),
        CommandOptionValue::Number(number) => format!("{number}"),
        CommandOptionValue::Boolean(flag) => format!("{flag}"),
        // A long text would fill the answer.
        CommandOptionValue::String(text) => {
            format!("\"{}\"", text.chars().take(50).collect::<String>().replace('`', "'"))
        }
        _ => "that".to_owned(),
    }
}

/// What an option takes, in words.
fn takes(wanted: &CommandOption) -> String {
    if let Some(choices) = wanted.choices.as_deref().filter(|choices| !choices.is_empty()) {
        let names: Vec<_> = choices.iter().map(|choice| choice.name.as_str()).collect();
        return format!("one of: {}", names.join(", "));
    }
    match (wanted.kind, &wanted.min_value, &wanted.max_value) {
        (CommandOptionType::Integer, Some(Bound::Integer(least)), Some(Bound::Integer(most))) => {
            format!("a whole number from {least} to {most}")
        }
        (CommandOptionType::Integer, Some(Bound::Integer(least)), _) => format!("a whole number from {least} on"),
        (CommandOptionType::Integer, ..) => "a whole number".to_owned(),
        (CommandOptionType::String, ..) => match (wanted.min_length, wanted.max_length) {
            (_, Some(most)) => format!("text of at most {most} characters"),
            _ => "text".to_owned(),
        },
        (CommandOptionType::User, ..) => "a member".to_owned(),
        (CommandOptionType::Boolean, ..) => "true or false".to_owned(),
        _ => "another kind of value".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use twilight_util::builder::command::{IntegerBuilder, StringBuilder, UserBuilder};

    use super::*;

    fn declared() -> Vec<CommandOption> {
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
        let refusal = Options::new(given.collect(), None).check(&declared()).err()?;
        Some(format!("{} {}", refusal.what, refusal.next))
    }

    #[test]
    fn what_suits_the_declaration_passes() {
        let zone = CommandOptionValue::String("council".to_owned());
        assert_eq!(
            refusal(vec![("page", CommandOptionValue::Integer(100)), ("zone", zone)]),
            None
        );
    }

    #[test]
    fn what_does_not_is_refused_with_what_would() {
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
    fn a_missing_option_is_named() {
        let refusal = Options::default().check(&declared()).unwrap_err();
        assert_eq!(refusal.what, "The option `member` is missing.");
        assert_eq!(refusal.next, "It takes a member.");
    }
}
