//! Suggestions of an autocomplete response: names of the theme's parts that contain what was typed.

use twilight_model::application::command::{CommandOptionChoice, CommandOptionChoiceValue};

use crate::render::text;

/// Most suggestions of a response: <https://discord.com/developers/docs/interactions/application-commands#autocomplete>.
const MAX_SUGGESTIONS: usize = 25;
/// Longest name of a suggestion, in characters.
const MAX_NAME: usize = 100;

/// The named values whose name contains `typed`, in their order. `named` are value and name.
pub(super) fn matching<'a>(
    named: impl IntoIterator<Item = (&'a str, String)>,
    typed: &str,
) -> Vec<CommandOptionChoice> {
    let typed = typed.trim().to_lowercase();
    let matching = named
        .into_iter()
        .filter(|(value, name)| name.to_lowercase().contains(&typed) || value.contains(&typed));
    matching
        .take(MAX_SUGGESTIONS)
        .map(|(value, name)| CommandOptionChoice {
            name: text::truncate(&name, MAX_NAME),
            name_localizations: None,
            value: CommandOptionChoiceValue::String(value.to_owned()),
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_contain_the_typed_text_are_suggested() {
        let tiers = || [("naib", "👑 Naib".to_owned()), ("fedaykin", "⚔️ Fedaykin".to_owned())];
        let values = |typed: &str| -> Vec<String> {
            let choices = matching(tiers(), typed);
            choices.into_iter().map(|choice| choice.name).collect()
        };
        assert_eq!(values(""), ["👑 Naib", "⚔️ Fedaykin"]);
        assert_eq!(values(" FEDAY"), ["⚔️ Fedaykin"]);
        assert_eq!(values("spice"), Vec::<String>::new());
        let many = (0..40).map(|_| ("x", "x".repeat(200)));
        let choices = matching(many, "");
        assert_eq!((choices.len(), choices[0].name.chars().count()), (25, 100));
    }
}
