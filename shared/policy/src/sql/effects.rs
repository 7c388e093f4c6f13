//! Effects that the words of a statement have.

use super::Effect;

/// Stands for a word whose value is known at run time only: it may be any word.
pub(super) const ANY: char = '\u{f8ff}';

/// A word of a statement.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Word {
    /// In lower case.
    Known(String),
    /// One name or keyword that is not known.
    Any,
}

impl Word {
    fn is(&self, wanted: &str) -> bool {
        match self {
            Self::Known(word) => word == wanted,
            Self::Any => true,
        }
    }

    fn is_known(&self, wanted: &[&str]) -> bool {
        matches!(self, Self::Known(word) if wanted.contains(&word.as_str()))
    }
}

/// Words after which a name follows, not a keyword.
const BEFORE_A_NAME: &[&str] = &[
    "table", "only", "exists", "on", "policy", "trigger", "function", "view", "index", "schema", "role", "user",
    "sequence", "type",
];

/// Longest word: a longer one is no keyword and no name of a catalog.
const MAX_WORD: usize = 64;

/// Adds the words of a text: runs of ASCII letters, digits and underscores.
pub(super) fn add_words(text: &str, words: &mut Vec<Word>) {
    let is_part = |character: char| character.is_ascii_alphanumeric() || character == '_' || character == ANY;
    for part in text.split(|character: char| !is_part(character) && character != '.') {
        for (number, part) in part.split('.').enumerate() {
            add_word(part, number > 0, words);
        }
    }
}

/// Adds a word. What follows a dot or a word such as `table` is a name.
pub(super) fn add_word(part: &str, after_dot: bool, words: &mut Vec<Word>) {
    if !part.is_empty() && part.len() <= MAX_WORD {
        if part.contains(ANY) {
            let is_name = after_dot || words.last().is_some_and(|before| before.is_known(BEFORE_A_NAME));
            words.push(if is_name {
                Word::Known("?".to_owned())
            } else {
                Word::Any
            });
        } else {
            words.push(Word::Known(part.to_ascii_lowercase()));
        }
    }
}

/// Sequences of words that have an effect wherever they are, within literals too.
const SEQUENCES: &[(&[&str], Effect)] = &[
    (&["disable", "row", "level", "security"], Effect::RowSecurityDisabled),
    (
        &["no", "force", "row", "level", "security"],
        Effect::RowSecurityDisabled,
    ),
    // SQL Server, Snowflake and BigQuery.
    (&["drop", "security", "policy"], Effect::RowSecurityDisabled),
    (&["drop", "row", "access", "policy"], Effect::RowSecurityDisabled),
    (
        &["drop", "all", "row", "access", "policies"],
        Effect::RowSecurityDisabled,
    ),
    (&["drop", "database"], Effect::DatabaseDropped),
    (&["drop", "policy"], Effect::PolicyDropped),
    (&["drop", "owned"], Effect::TableDropped),
    (&["drop", "table"], Effect::TableDropped),
    (&["drop", "foreign", "table"], Effect::TableDropped),
    (&["drop", "schema"], Effect::TableDropped),
    (&["drop", "temporary", "table"], Effect::TableDropped),
];

/// Adds the effects of sequences of words.
pub(super) fn of_sequences(words: &[Word], effects: &mut Vec<Effect>) {
    for at in 0..words.len() {
        for (sequence, effect) in SEQUENCES {
            let found = words.len() - at >= sequence.len()
                && sequence.iter().zip(&words[at..]).all(|(wanted, word)| word.is(wanted))
                // Words that are all unknown are no statement.
                && words[at..at + sequence.len()].iter().any(|word| *word != Word::Any);
            if found {
                effects.push(*effect);
            }
        }
    }
}

/// Catalogs with the attributes of roles and their memberships.
const ROLE_CATALOGS: &[&str] = &[
    "pg_authid",
    "pg_auth_members",
    "pg_shadow",
    "pg_user",
    "pg_roles",
    "pg_database",
];
/// Columns of `pg_authid` by which a role bypasses row-level security.
const ROLE_COLUMNS: &[&str] = &["rolbypassrls", "rolsuper"];
/// Columns of `pg_class` that hold whether row-level security applies.
const ROW_COLUMNS: &[&str] = &["relrowsecurity", "relforcerowsecurity"];

/// Adds the effects that follow from several words of one statement, the contents of its literals left out.
pub(super) fn of_statement(words: &[Word], effects: &mut Vec<Effect>) {
    of_sequences(words, effects);
    let has = |wanted: &[&str], end: usize| words[..end].iter().any(|word| word.is_known(wanted));
    let all = words.len();
    let writes = has(&["update", "insert", "delete", "merge"], all);
    for (at, word) in words.iter().enumerate() {
        if word.is_known(&["bypassrls", "superuser"])
            && has(&["role", "user", "group"], at)
            && has(&["create", "alter"], at)
        {
            effects.push(Effect::RowSecurityBypassed);
        }
        if word.is_known(ROLE_COLUMNS) && writes {
            effects.push(Effect::RowSecurityBypassed);
        }
        if word.is_known(ROW_COLUMNS) && writes {
            effects.push(Effect::RowSecurityDisabled);
        }
        // SQL Server.
        if word.is_known(&["state"])
            && words.get(at + 1).is_some_and(|next| next.is("off"))
            && has(&["security"], at)
            && has(&["policy"], at)
        {
            effects.push(Effect::RowSecurityDisabled);
        }
        if word.is_known(&["update", "into", "from"]) {
            effects.extend(written_catalog(words, at));
        }
        // The events of a trigger and the privilege have the same name.
        if word.is_known(&["truncate"])
            && at + 1 < all
            && !has(&["grant", "revoke"], at)
            && !(has(&["create"], at) && has(&["trigger"], at))
        {
            effects.push(Effect::TableDropped);
        }
        // `on delete cascade` is a property of a constraint.
        let is_rule = at > 0 && words[at - 1].is_known(&["delete", "update"]);
        if word.is_known(&["cascade"]) && has(&["drop"], at) && !is_rule {
            effects.push(Effect::TableDropped);
        }
        if word.is_known(&["owner"])
            && words.get(at + 1).is_some_and(|next| next.is("to"))
            && has(&["alter", "reassign"], at)
        {
            effects.push(Effect::OwnerChanged);
        }
        if word.is_known(&["policy"]) && at > 0 {
            let rest = &words[at..];
            let changes = words[at - 1].is("alter") && rest.iter().any(|word| word.is_known(&["using", "check"]));
            let opens = rest
                .windows(2)
                .any(|pair| pair[0].is_known(&["using", "check"]) && pair[1].is("true"))
                || rest.windows(3).any(|three| {
                    three[0].is_known(&["using", "check"]) && three[1] == three[2] && matches!(three[1], Word::Known(_))
                });
            if changes || (words[at - 1].is("create") && opens) {
                effects.push(Effect::PolicyOpened);
            }
        }
    }
    // A privilege is granted on an object, a role is not.
    let first = words.iter().position(|word| word.is_known(&["grant"]));
    if let Some(from) = first {
        let end = words[from..].iter().position(|word| word.is_known(&["to"]));
        let is_role =
            end.is_some_and(|end| end > 1 && !words[from..from + end].iter().any(|word| word.is_known(&["on"])));
        if is_role && !has(&["default"], from) {
            effects.push(Effect::RoleGranted);
        }
    }
}

/// The effect of a write to a system catalog, whose verb ends at `at`.
fn written_catalog(words: &[Word], at: usize) -> Option<Effect> {
    let verb = match &words[at] {
        Word::Known(verb) => verb.as_str(),
        Word::Any => return None,
    };
    let before = at.checked_sub(1).map(|before| &words[before]);
    let is_write = match verb {
        "update" => true,
        "into" => before.is_some_and(|before| before.is_known(&["insert", "merge", "replace"])),
        _ => before.is_some_and(|before| before.is_known(&["delete"])),
    };
    let mut target = words[at + 1..]
        .iter()
        .skip_while(|word| word.is_known(&["only", "pg_catalog"]));
    let Some(Word::Known(target)) = target.next().filter(|_| is_write) else {
        return None;
    };
    if ROLE_CATALOGS.contains(&target.as_str()) {
        Some(Effect::RowSecurityBypassed)
    } else if target.starts_with("pg_") && target != "pg_temp" {
        Some(Effect::RowSecurityDisabled)
    } else {
        None
    }
}
