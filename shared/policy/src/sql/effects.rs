//! Effects that the words of a statement have.

use super::Effect;

/// Stands for a word whose value is known at run time only: it may be any word.
pub(super) const ANY: char = '\u{f8ff}';

/// A word of a statement.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Word {
    /// A keyword or a name, in lower case.
    Known(String),
    /// A name and no keyword, in lower case; [`UNKNOWN_NAME`] for one that is known at run time only.
    Name(String),
    /// One name or keyword that is not known.
    Any,
}

/// Stands for a name that is not known: it is no name of PostgreSQL without quotes.
const UNKNOWN_NAME: &str = "?";

impl Word {
    fn text(&self) -> Option<&str> {
        match self {
            Self::Known(word) | Self::Name(word) => Some(word),
            Self::Any => None,
        }
    }

    fn is(&self, wanted: &str) -> bool {
        self.text().is_none_or(|word| word == wanted)
    }

    fn is_known(&self, wanted: &[&str]) -> bool {
        self.text().is_some_and(|word| wanted.contains(&word))
    }

    fn is_keyword(&self, wanted: &[&str]) -> bool {
        matches!(self, Self::Known(word) if wanted.contains(&word.as_str()))
    }

    fn is_unknown(&self) -> bool {
        self.text().is_none_or(|word| word == UNKNOWN_NAME)
    }
}

/// What is before a word, by which a word that is not known is a name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Place {
    /// A dot, or a bracket that encloses this word alone: it is a name.
    Name,
    /// Another word: it is a name after some words.
    AfterWord,
    /// Something else.
    Other,
}

/// Longest word: a longer one is no keyword and no name of a catalog.
const MAX_WORD: usize = 64;

/// Adds the words of a text: runs of ASCII letters, digits and underscores.
pub(super) fn add_words(text: &str, place: Place, words: &mut Vec<Word>) {
    let is_part = |character: char| character.is_ascii_alphanumeric() || character == '_' || character == ANY;
    for part in text.split(|character: char| !is_part(character) && character != '.') {
        for (number, part) in part.split('.').enumerate() {
            add_word(part, if number > 0 { Place::Name } else { place }, words);
        }
    }
}

/// Adds the words of a text that is a name and no keyword, since it is in quotes or has characters that no keyword has. No word of it counts as a
/// keyword.
pub(super) fn add_quoted(text: &str, place: Place, words: &mut Vec<Word>) {
    let from = words.len();
    if place == Place::Name {
        add_word(text, place, words);
    } else {
        add_words(text, place, words);
    }
    for word in &mut words[from..] {
        if let Word::Known(name) = word {
            *word = Word::Name(std::mem::take(name));
        }
    }
}

/// Adds one word, in lower case. A word with [`ANY`] is [`Word::Any`], or a name where only a name can be. Empty words and those of more than
/// [`MAX_WORD`] bytes are left out.
pub(super) fn add_word(part: &str, place: Place, words: &mut Vec<Word>) {
    if part.is_empty() || part.len() > MAX_WORD {
        return;
    }
    let word = if !part.contains(ANY) {
        Word::Known(part.to_ascii_lowercase())
    } else if place == Place::Name || (place == Place::AfterWord && is_before_a_name(words)) {
        Word::Name(UNKNOWN_NAME.to_owned())
    } else {
        Word::Any
    };
    words.push(word);
}

/// Kinds of objects whose name has no effect. Not functions and types: what the check relies on could get another meaning.
const KINDS: &[&str] = &[
    "table",
    "index",
    "view",
    "sequence",
    "schema",
    "policy",
    "trigger",
    "column",
    "constraint",
];
/// Words before such a kind.
const BEFORE_A_KIND: &[&str] = &[
    "create",
    "alter",
    "drop",
    "on",
    "add",
    "validate",
    "rename",
    "enable",
    "disable",
    "always",
    "in",
    "unique",
    "temporary",
    "unlogged",
    "materialized",
    "replace",
];

/// Whether a name follows, whatever it is, and no keyword. A table may have the name of a keyword that is not reserved, so `table role` is followed by a keyword.
fn is_before_a_name(words: &[Word]) -> bool {
    let last = |number: usize, wanted: &[&str]| {
        let at = words.len().checked_sub(number);
        at.is_some_and(|at| words[at].is_keyword(wanted))
    };
    // These are reserved: without quotes they are no name.
    if last(1, &["on", "only", "references", "from", "analyze"]) || (last(1, &["to"]) && !last(2, &["rename"])) {
        return true;
    }
    let kind = match (last(1, &["exists"]), last(2, &["if"]), last(2, &["not"])) {
        (false, _, _) => 1,
        (true, true, _) => 3,
        (true, false, true) if last(3, &["if"]) => 4,
        _ => return false,
    };
    last(kind, KINDS) && last(kind + 1, BEFORE_A_KIND)
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
        if word.is_known(&["update", "into", "from", "copy"]) {
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
        if word.is_known(&["owner"]) && words.get(at + 1).is_some_and(|next| next.is("to")) && has(&["alter"], at) {
            effects.push(Effect::OwnerChanged);
        }
        if word.is_known(&["reassign"]) && words.get(at + 1).is_some_and(|next| next.is("owned")) {
            effects.push(Effect::OwnerChanged);
        }
        if at > 0 && adds_member(&words[at - 1..]) {
            effects.push(Effect::RoleGranted);
        }
        if word.is_known(&["policy"]) && at > 0 && opens_policy(&words[at - 1], &words[at..]) {
            effects.push(Effect::PolicyOpened);
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

/// Whether a statement that begins here makes a login a member of a role: `create role … in role`, `create role … role`, `alter group … add user`.
fn adds_member(words: &[Word]) -> bool {
    let [verb, kind, _, rest @ ..] = words else {
        return false;
    };
    if verb.is_known(&["create"]) && kind.is_known(&["role", "user", "group"]) {
        rest.iter()
            .any(|word| word.is_keyword(&["role", "user", "group", "admin"]))
    } else {
        verb.is_known(&["alter"])
            && kind.is_known(&["group"])
            && rest.first().is_some_and(|word| word.is_known(&["add"]))
    }
}

/// Whether a policy is changed, or created for every row. `policy` is the first word after the verb.
fn opens_policy(verb: &Word, words: &[Word]) -> bool {
    let is_condition = |word: &Word| word.is_known(&["using", "check"]);
    if verb.is("alter") {
        let is_renamed = words.iter().any(|word| word.is_known(&["rename"]));
        let has_roles = words.iter().any(|word| word.is_keyword(&["to"]));
        if words.iter().any(is_condition) || (has_roles && !is_renamed) {
            return true;
        }
    }
    verb.is("create")
        && words.iter().enumerate().any(|(at, word)| {
            let condition = words[at + 1..].split(|next| next.is_keyword(&["using", "with"]));
            is_condition(word) && condition.take(1).any(holds_for_every_row)
        })
}

/// Whether a condition, or one of its alternatives, is of constants, or compares a column with itself.
fn holds_for_every_row(condition: &[Word]) -> bool {
    condition
        .split(|word| word.is_keyword(&["or"]))
        .any(|alternative| match alternative {
            [only] if only.is("false") => false,
            [one, other, ..] if one == other && *one != Word::Any => true,
            _ => alternative.iter().all(is_constant),
        })
}

fn is_constant(word: &Word) -> bool {
    const CONSTANTS: &[&str] = &[
        "true", "false", "not", "and", "is", "null", "distinct", "from", "in", "between",
    ];
    match word {
        Word::Known(word) => CONSTANTS.contains(&word.as_str()) || word.bytes().all(|byte| byte.is_ascii_digit()),
        Word::Name(_) | Word::Any => false,
    }
}

/// Words that are no table although `update` or `into` is before them.
const NO_TABLE: &[&str] = &["or", "on", "of", "set", "values", "nothing"];

/// The effect of a write to a system catalog, whose verb ends at `at`.
fn written_catalog(words: &[Word], at: usize) -> Option<Effect> {
    let verb = words[at].text()?;
    let before = at.checked_sub(1).map(|before| &words[before]);
    let is_write = match verb {
        "update" | "copy" => true,
        "into" => before.is_some_and(|before| before.is_known(&["insert", "merge", "replace"])),
        _ => before.is_some_and(|before| before.is_known(&["delete"])),
    };
    let mut target = words[at + 1..]
        .iter()
        .skip_while(|word| word.is_known(&["only", "pg_catalog"]));
    let first = target.next().filter(|first| is_write && !first.is_known(NO_TABLE))?;
    if first.is_unknown() || target.next().is_some_and(Word::is_unknown) {
        return Some(Effect::Unknown);
    }
    let target = first.text()?;
    if target == "cron" {
        // pg_cron runs what its table contains.
        Some(Effect::Unknown)
    } else if ROLE_CATALOGS.contains(&target) {
        Some(Effect::RowSecurityBypassed)
    } else if target.starts_with("pg_") && target != "pg_temp" {
        Some(Effect::RowSecurityDisabled)
    } else {
        None
    }
}
