//! What each caller may ask for: data in `allow-lists.yaml`, one reason per entry.
//!
//! A path matches an entry segment by segment: `{…}` is any one segment, `{application}` the id of our own application. What no
//! entry names is refused. To let a caller do more, add an entry there and say why; `hide` names the fields of the answer that
//! hold secrets.

use std::collections::BTreeMap;

use http::Method;
use serde::Deserialize;

const BUILT_IN: &str = include_str!("../allow-lists.yaml");

/// Methods and paths with the reason why they are allowed.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
struct Entry {
    methods: Vec<String>,
    path: String,
    #[serde(default)]
    hide: Vec<String>,
    reason: String,
}

/// What one caller may ask for.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(transparent)]
pub struct AllowList(Vec<Entry>);

/// The lists of all callers, by name.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AllowLists {
    callers: BTreeMap<String, AllowList>,
}

/// The file of allow-lists cannot be used.
#[derive(Debug, thiserror::Error)]
#[error("allow-lists.yaml: {0}")]
pub struct BadAllowLists(String);

impl AllowLists {
    /// The lists that this build carries.
    ///
    /// # Errors
    /// The file is malformed: a mistake in this crate that its tests catch.
    pub fn built_in() -> Result<Self, BadAllowLists> {
        Self::parse(BUILT_IN)
    }

    fn parse(yaml: &str) -> Result<Self, BadAllowLists> {
        let lists: Self = serde_saphyr::from_str(yaml).map_err(|error| BadAllowLists(error.to_string()))?;
        for (caller, list) in &lists.callers {
            for entry in &list.0 {
                let complaint = entry.complaint();
                if let Some(complaint) = complaint {
                    return Err(BadAllowLists(format!("{caller}: {}: {complaint}", entry.path)));
                }
            }
        }
        Ok(lists)
    }

    /// The list of a caller.
    pub fn of(&self, caller: &str) -> Option<&AllowList> {
        self.callers.get(caller)
    }

    /// Names of all callers that have a list.
    pub fn names(&self) -> String {
        let names: Vec<_> = self.callers.keys().map(String::as_str).collect();
        names.join(", ")
    }
}

impl AllowList {
    /// Whether a call with this method and these segments is allowed to an application of this id: the fields that are to be
    /// hidden from its answer, usually none.
    pub fn allows(&self, method: &Method, segments: &[&str], application: u64) -> Option<&[String]> {
        self.find(method, segments, Some(application)).map(|entry| &*entry.hide)
    }

    /// Whether it would be allowed to another application.
    pub(crate) fn allows_another_application(&self, method: &Method, segments: &[&str]) -> bool {
        self.find(method, segments, None).is_some()
    }

    /// Methods and paths, as the file has them.
    pub fn entries(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.iter().flat_map(|entry| {
            entry
                .methods
                .iter()
                .map(|method| (method.as_str(), entry.path.as_str()))
        })
    }

    fn find(&self, method: &Method, segments: &[&str], application: Option<u64>) -> Option<&Entry> {
        self.0.iter().find(|entry| {
            entry.methods.iter().any(|allowed| allowed == method.as_str())
                && matches(&entry.path, segments, application)
        })
    }
}

impl Entry {
    fn complaint(&self) -> Option<&'static str> {
        let known = ["GET", "POST", "PUT", "PATCH", "DELETE"];
        let segments: Vec<_> = self.path.split('/').skip(1).collect();
        if self.methods.is_empty() || !self.methods.iter().all(|method| known.contains(&method.as_str())) {
            Some("methods are GET, POST, PUT, PATCH and DELETE")
        } else if !self.path.starts_with('/') || segments.iter().any(|segment| segment.is_empty()) {
            Some("a path begins with / and has no empty segment")
        } else if segments.iter().any(|segment| segment.contains('*')) {
            Some("there is no wildcard: each path is named")
        } else if self.reason.trim().is_empty() {
            Some("the reason is missing")
        } else {
            None
        }
    }
}

/// `application` is the one that `{application}` stands for; `None` accepts any.
fn matches(pattern: &str, segments: &[&str], application: Option<u64>) -> bool {
    let wanted = pattern.split('/').skip(1);
    if wanted.clone().count() != segments.len() {
        return false;
    }
    wanted.zip(segments).all(|(wanted, segment)| match wanted {
        // As it is written and in no other way: a leading zero or an escape might be read differently by Discord.
        "{application}" => application.is_none_or(|id| *segment == id.to_string()),
        wanted => wanted.starts_with('{') || wanted == *segment,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Our application has the id 1.
    fn may(caller: &str, method: &Method, path: &str) -> bool {
        let segments: Vec<_> = path.split('/').skip(1).collect();
        let lists = AllowLists::built_in().unwrap();
        lists.of(caller).unwrap().allows(method, &segments, 1).is_some()
    }

    #[test]
    fn a_worker_answers_assigns_and_writes() {
        assert!(may("worker", &Method::POST, "/interactions/1/token/callback"));
        assert!(may("worker", &Method::PATCH, "/webhooks/1/token/messages/@original"));
        assert!(may("worker", &Method::POST, "/webhooks/1/token"));
        assert!(may("worker", &Method::PUT, "/guilds/1/members/2/roles/3"));
        assert!(may("worker", &Method::DELETE, "/guilds/1/members/2/roles/3"));
        assert!(may("worker", &Method::POST, "/channels/1/messages"));
        assert!(may("worker", &Method::PUT, "/applications/1/commands"));
        assert!(may("worker", &Method::GET, "/guilds/1/members"));
    }

    #[test]
    fn a_worker_destroys_no_server_and_bans_nobody() {
        assert!(!may("worker", &Method::DELETE, "/guilds/1"));
        assert!(!may("worker", &Method::PATCH, "/guilds/1"));
        assert!(!may("worker", &Method::DELETE, "/guilds/1/members/2"));
        assert!(!may("worker", &Method::PUT, "/guilds/1/bans/2"));
        assert!(!may("worker", &Method::DELETE, "/users/@me/guilds/1"));
        assert!(!may("worker", &Method::GET, "/oauth2/applications/@me"));
        assert!(!may("worker", &Method::POST, "/interactions/1/token/callback/more"));
    }

    #[test]
    fn webhooks_and_commands_are_those_of_our_own_application() {
        for (method, path) in [
            (Method::POST, "/webhooks/{}/token"),
            (Method::PATCH, "/webhooks/{}/token/messages/@original"),
            (Method::PUT, "/applications/{}/commands"),
        ] {
            assert!(may("worker", &method, &path.replace("{}", "1")), "{path}");
            for other in ["2", "01", "+1", "%31", "@me"] {
                assert!(
                    !may("worker", &method, &path.replace("{}", other)),
                    "{path} with {other}"
                );
            }
        }
    }

    #[test]
    fn answers_that_hold_secrets_are_hidden_from() {
        let lists = AllowLists::built_in().unwrap();
        let gaib = lists.of("gaib").unwrap();
        let hidden = gaib.allows(&Method::GET, &["guilds", "1", "webhooks"], 1).unwrap();
        assert_eq!(hidden, ["token", "url"]);
        assert!(gaib.allows(&Method::GET, &["guilds", "1"], 1).unwrap().is_empty());
    }

    #[test]
    fn nobody_deletes_a_server() {
        for caller in ["worker", "api", "gaib"] {
            assert!(!may(caller, &Method::DELETE, "/guilds/1"), "{caller}");
        }
    }

    #[test]
    fn a_malformed_list_is_refused_with_its_entry() {
        for (entry, word) in [
            ("{methods: [HEAD], path: /a, reason: r}", "methods are"),
            ("{methods: [GET], path: a, reason: r}", "begins with /"),
            ("{methods: [GET], path: /a/**, reason: r}", "no wildcard"),
            ("{methods: [GET], path: /a, reason: ''}", "reason"),
            ("{methods: [GET], path: /a, reason: r, extra: 1}", "extra"),
        ] {
            let error = AllowLists::parse(&format!("callers:\n  worker:\n    - {entry}\n"))
                .unwrap_err()
                .to_string();
            assert!(error.contains(word), "{error}");
        }
    }
}
