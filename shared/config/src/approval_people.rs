//! The people who request and decide about plans of infrastructure, from `APPROVAL_PEOPLE`.
//!
//! One person has one name, whatever the account: otherwise somebody could approve by Slack what they requested under another name.

use std::collections::BTreeSet;
use std::str::FromStr;

/// Longest name, in characters.
const MAX_NAME: usize = 64;

/// A person.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ApprovalPerson {
    /// Name, by which pipelines name the requester, and which the audit trail has.
    pub name: String,
    /// Id of the account at Discord.
    pub discord: Option<u64>,
    /// Id of the account at Slack.
    pub slack: Option<String>,
}

/// The people who request and decide. A person without an account can request and not decide.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ApprovalPeople(Vec<ApprovalPerson>);

/// Why a value of `APPROVAL_PEOPLE` is refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ApprovalPeopleError {
    /// An entry is not of the form of the example.
    #[error(
        "entry {0} is not NAME=ID or NAME=ID/ID: a Discord id is a number, a Slack id begins with U or W; NAME= for a person who only requests"
    )]
    Form(usize),
    /// A name has other characters, or too many.
    #[error("the name of entry {0} must have 1 to {MAX_NAME} letters, digits or characters of @._- only")]
    Name(usize),
    /// A name or an id is in two entries.
    #[error("{0} is in two entries: a person has one name, and an account belongs to one person")]
    Twice(String),
    /// There is no entry.
    #[error("the list is empty")]
    Empty,
}

impl FromStr for ApprovalPeople {
    type Err = ApprovalPeopleError;

    fn from_str(text: &str) -> Result<Self, ApprovalPeopleError> {
        let entries = text.split(',').map(str::trim).filter(|entry| !entry.is_empty());
        let people: Vec<ApprovalPerson> = (1..)
            .zip(entries)
            .map(|(number, entry)| person(number, entry))
            .collect::<Result<_, _>>()?;
        if people.is_empty() {
            return Err(ApprovalPeopleError::Empty);
        }
        let mut known = BTreeSet::new();
        for person in &people {
            let discord = person.discord.map(|id| id.to_string());
            let ids = [Some(person.name.to_ascii_lowercase()), discord, person.slack.clone()];
            for id in ids.into_iter().flatten() {
                if !known.insert(id.clone()) {
                    return Err(ApprovalPeopleError::Twice(id));
                }
            }
        }
        Ok(Self(people))
    }
}

fn person(number: usize, entry: &str) -> Result<ApprovalPerson, ApprovalPeopleError> {
    let (name, ids) = entry.split_once('=').ok_or(ApprovalPeopleError::Form(number))?;
    let (name, ids) = (name.trim(), ids.trim());
    let is_allowed = |character: char| character.is_ascii_alphanumeric() || "@._-".contains(character);
    if name.is_empty() || name.len() > MAX_NAME || !name.chars().all(is_allowed) {
        return Err(ApprovalPeopleError::Name(number));
    }
    let mut person = ApprovalPerson {
        name: name.to_owned(),
        discord: None,
        slack: None,
    };
    for id in ids.split('/').map(str::trim).filter(|id| !id.is_empty()) {
        let discord = id.parse::<u64>().ok().filter(|id| *id > 0);
        let is_slack =
            id.starts_with(['U', 'W']) && id.len() > 1 && id.bytes().all(|byte| byte.is_ascii_alphanumeric());
        let free = match discord {
            Some(id) => person.discord.replace(id).is_none(),
            None if is_slack => person.slack.replace(id.to_owned()).is_none(),
            None => false,
        };
        if !free {
            return Err(ApprovalPeopleError::Form(number));
        }
    }
    Ok(person)
}

impl ApprovalPeople {
    /// The person with this name, in letters of any case.
    #[must_use]
    pub fn by_name(&self, name: &str) -> Option<&ApprovalPerson> {
        self.0.iter().find(|person| person.name.eq_ignore_ascii_case(name))
    }

    /// The person with this account at Discord.
    #[must_use]
    pub fn by_discord(&self, id: u64) -> Option<&ApprovalPerson> {
        self.0.iter().find(|person| person.discord == Some(id))
    }

    /// The person with this account at Slack.
    #[must_use]
    pub fn by_slack(&self, id: &str) -> Option<&ApprovalPerson> {
        self.0.iter().find(|person| person.slack.as_deref() == Some(id))
    }

    /// Whether there is nobody: approvals are not configured.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn people_are_found_by_name_and_by_account() {
        let people: ApprovalPeople = "stilgar=123/U012AB3CD, chani=W9,liet=456,ci@build=".parse().unwrap();
        let stilgar = people.by_name("Stilgar").unwrap();
        assert_eq!(
            (stilgar.discord, stilgar.slack.as_deref()),
            (Some(123), Some("U012AB3CD"))
        );
        assert_eq!(people.by_discord(456).unwrap().name, "liet");
        assert_eq!(people.by_slack("W9").unwrap().name, "chani");
        assert_eq!(people.by_name("ci@build").unwrap().discord, None);
        assert_eq!(people.by_slack(""), None);
        assert_eq!(people.by_discord(7), None);
    }

    #[test]
    fn ambiguous_and_malformed_entries_are_refused() {
        let read = |text: &str| text.parse::<ApprovalPeople>().unwrap_err();
        let twice = |id: &str| ApprovalPeopleError::Twice(id.to_owned());
        assert_eq!(read("a=1,A=2"), twice("a"));
        assert_eq!(read("a=1,b=1"), twice("1"));
        assert_eq!(read("a=U1,b=2/U1"), twice("U1"));
        assert_eq!(read(" , "), ApprovalPeopleError::Empty);
        assert_eq!(read("a=1,b"), ApprovalPeopleError::Form(2));
        for text in ["a=1/2", "a=U1/U2", "a=0", "a=C1", "a=U 1", "a=1=2"] {
            assert_eq!(read(text), ApprovalPeopleError::Form(1), "{text}");
        }
        for text in ["=1", "a b=1", "<@1>=1"] {
            assert_eq!(read(text), ApprovalPeopleError::Name(1), "{text}");
        }
    }
}
