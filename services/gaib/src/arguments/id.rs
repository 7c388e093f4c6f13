//! Ids on the command line: whole, by their beginning, or `latest` for the newest.

use uuid::Uuid;

use crate::error::{Failure, Result};

/// Fewest characters of the beginning of an id.
const SHORTEST: usize = 6;
/// The word for the newest one.
const LATEST: &str = "latest";
/// Largest number of candidates that an error lists.
const LISTED: usize = 10;

/// How the command line names one of several backups, snapshots, exports, deployments or checkpoints.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum IdArgument {
    /// The newest one.
    Latest,
    /// The one whose id begins with this text, or is this text.
    Beginning(String),
}

impl IdArgument {
    /// The whole id of a record; `None` for the beginning of one, and for the newest.
    #[must_use]
    pub fn whole(&self) -> Option<Uuid> {
        match self {
            Self::Latest => None,
            Self::Beginning(text) => Uuid::try_parse(text).ok(),
        }
    }

    /// The one of these that is meant, of which `name` returns the id and what else identifies it, such as its time. They are sorted, newest
    /// first. `kind` is the noun for one of them. `None` where there is none.
    ///
    /// # Errors
    /// Several ids begin with the text. The error lists them.
    pub fn only<T>(
        &self,
        kind: &str,
        all: impl IntoIterator<Item = T>,
        name: impl Fn(&T) -> (String, String),
    ) -> Result<Option<T>> {
        let mut all = all.into_iter();
        let Self::Beginning(text) = self else {
            return Ok(all.next());
        };
        let wanted = compact(text);
        let mut found: Vec<T> = all.filter(|one| compact(&name(one).0).starts_with(&wanted)).collect();
        if found.len() < 2 {
            return Ok(found.pop());
        }
        let listed = found.iter().take(LISTED).map(|one| {
            let (id, described) = name(one);
            format!("{id} ({described})")
        });
        let listed: Vec<String> = listed.collect();
        let more = match found.len() - listed.len() {
            0 => String::new(),
            more => format!(", and {more} more"),
        };
        Err(Failure::new(format!(
            "the ids of {} {kind}s begin with `{text}`: {}{more}",
            found.len(),
            listed.join(", ")
        ))
        .help("add characters until only one of them begins with the text"))
    }

    /// The error where no id begins with the text, or where there is none that could be the newest. `list` is the command that lists them.
    #[must_use]
    pub fn not_found(&self, kind: &str, list: &str) -> Failure {
        match self {
            Self::Latest => Failure::new(format!("there is no {kind}, so there is no newest one"))
                .help(format!("`{list}` lists them")),
            Self::Beginning(text) => Failure::new(format!("there is no {kind} with an id that begins with `{text}`"))
                .help(format!("`{list}` lists them")),
        }
    }
}

/// The text without hyphens, which may be left out, in lower case.
fn compact(id: &str) -> String {
    id.chars()
        .filter(|sign| *sign != '-')
        .map(|sign| sign.to_ascii_lowercase())
        .collect()
}

/// The id of a backup, a snapshot, a deployment or a checkpoint.
///
/// # Errors
/// The text is neither an id nor the beginning of one. The message states the form of an id, and the command that lists ids.
pub fn record_id(text: &str) -> Result<IdArgument, String> {
    if text == LATEST {
        return Ok(IdArgument::Latest);
    }
    if let Ok(id) = Uuid::try_parse(text) {
        return Ok(IdArgument::Beginning(id.to_string()));
    }
    let digits = compact(text);
    let is_beginning = (SHORTEST..32).contains(&digits.len())
        && digits.bytes().all(|byte| byte.is_ascii_hexdigit())
        && !text.starts_with('-');
    match is_beginning {
        true => Ok(IdArgument::Beginning(text.to_owned())),
        false => Err(format!(
            "an id looks like 4ebe60b0-8c1e-4f5a-9a57-3d0c3f0a6b1e; write it, at least the first {SHORTEST} characters of it, or \
             `{LATEST}` for the newest; `gaib server backup list`, `gaib server snapshot list`, `gaib server theme history` and `gaib restore \
             list` print ids"
        )),
    }
}

/// The id of an export: its time, as the list prints it.
///
/// # Errors
/// The text is neither an id nor the beginning of one.
pub fn export_id(text: &str) -> Result<IdArgument, String> {
    if text == LATEST {
        return Ok(IdArgument::Latest);
    }
    let is_sign = |byte: u8| byte.is_ascii_digit() || matches!(byte, b'T' | b'.' | b'Z');
    match text.len() >= SHORTEST && text.bytes().all(is_sign) {
        true => Ok(IdArgument::Beginning(text.to_owned())),
        false => Err(format!(
            "the id of an export is its time, such as 20261201T025000.123Z; write it, at least the first {SHORTEST} characters of it, or \
             `{LATEST}` for the newest; `gaib server export --list` prints them"
        )),
    }
}

#[cfg(test)]
mod tests {
    use time::{Duration, OffsetDateTime};

    use super::*;

    /// Two ids with the same first seven digits, newest first.
    const IDS: [&str; 3] = [
        "4ebe60b0-8c1e-4f5a-9a57-3d0c3f0a6b1e",
        "4ebe60b1-0000-4000-8000-000000000000",
        "aaaaaaaa-0000-4000-8000-000000000000",
    ];

    fn only(text: &str) -> Result<Option<&'static str>> {
        let argument = record_id(text).unwrap();
        argument.only("backup", IDS, |id| ((*id).to_owned(), "2026".to_owned()))
    }

    #[test]
    fn id_is_found_by_its_beginning_also_without_hyphens_and_in_capitals() {
        for text in [
            "4ebe60b0",
            "4EBE60B0",
            "4ebe60b08c1e4f",
            "4ebe60b0-8c1",
            IDS[0],
            "latest",
        ] {
            assert_eq!(only(text).unwrap(), Some(IDS[0]), "{text}");
        }
        assert_eq!(only("aaaaaa").unwrap(), Some(IDS[2]));
        assert_eq!(only("bbbbbb").unwrap(), None);
        let missing = record_id("bbbbbb")
            .unwrap()
            .not_found("backup", "gaib server backup list");
        assert!(missing.summary().contains("`bbbbbb`"), "{}", missing.summary());
    }

    #[test]
    fn beginning_of_several_ids_lists_them() {
        let error = only("4ebe60").unwrap_err();
        for id in &IDS[..2] {
            assert!(error.summary().contains(id), "{}", error.summary());
        }
        assert!(!error.summary().contains(IDS[2]), "{}", error.summary());
        let many: Vec<String> = (0..15).map(|number| format!("4ebe60b0-{number:04}")).collect();
        let argument = record_id("4ebe60").unwrap();
        let error = argument.only("backup", many, |id| (id.clone(), "2026".to_owned()));
        let summary = error.unwrap_err().summary().to_owned();
        assert!(
            summary.contains("the ids of 15 backups") && summary.ends_with("and 5 more"),
            "{summary}"
        );
    }

    #[test]
    fn other_texts_are_no_ids() {
        for text in [
            "",
            "4ebe6",
            "newest",
            "-4ebe60",
            "4ebe60g",
            "4ebe60b0-8c1e-4f5a-9a57-3d0c3f0a6b1e0",
            "LATEST",
        ] {
            let reason = record_id(text).unwrap_err();
            assert!(reason.contains("looks like"), "{text}");
        }
        assert_eq!(record_id("latest").unwrap().whole(), None);
        assert_eq!(record_id("4ebe60").unwrap().whole(), None);
        let whole = record_id("4EBE60B08C1E4F5A9A573D0C3F0A6B1E").unwrap();
        assert_eq!(whole.whole().map(|id| id.to_string()).as_deref(), Some(IDS[0]));
    }

    #[test]
    fn export_is_found_by_the_beginning_of_its_time() {
        let times = [OffsetDateTime::UNIX_EPOCH + Duration::DAY, OffsetDateTime::UNIX_EPOCH];
        let name = |time: &OffsetDateTime| (arrakis_vault::paths::time_text(*time), String::new());
        let only = |text: &str| export_id(text).unwrap().only("export", times, name);
        assert_eq!(only("19700102").unwrap(), Some(times[0]));
        assert_eq!(only("latest").unwrap(), Some(times[0]));
        assert_eq!(only("19700101T000000.000Z").unwrap(), Some(times[1]));
        assert!(only("197001").unwrap_err().summary().contains("19700102T000000.000Z"));
        for text in ["19700", "config", "../../", "2026-12-01"] {
            assert!(export_id(text).is_err(), "{text}");
        }
    }
}
