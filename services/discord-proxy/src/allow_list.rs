//! The calls that each caller may send, from `allow-lists.yaml`.
//!
//! A path matches an entry segment by segment: `{…}` matches any one segment, `{application}` the id of the bot's application. A call
//! without an entry is refused. To allow a call, add an entry with a reason; `hide` names the fields of the response that contain
//! secrets.

use std::collections::BTreeMap;

use http::Method;
use serde::Deserialize;

const BUILT_IN: &str = include_str!("../allow-lists.yaml");

/// A path with its allowed methods, and the reason.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
struct Entry {
    methods: Vec<String>,
    path: String,
    #[serde(default)]
    hide: Vec<String>,
    reason: String,
}

/// The calls that one caller may send.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(transparent)]
pub struct AllowList(Vec<Entry>);

/// The allow-lists of all callers, by name.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AllowLists {
    callers: BTreeMap<String, AllowList>,
}

/// `allow-lists.yaml` is malformed.
#[derive(Debug, thiserror::Error)]
#[error("allow-lists.yaml: {0}")]
pub struct AllowListsError(String);

impl AllowLists {
    /// The allow-lists that are compiled into this build.
    ///
    /// # Errors
    /// The file is malformed, which a test of this crate excludes.
    pub fn built_in() -> Result<Self, AllowListsError> {
        Self::parse(BUILT_IN)
    }

    fn parse(yaml: &str) -> Result<Self, AllowListsError> {
        let lists: Self = serde_saphyr::from_str(yaml).map_err(|error| AllowListsError(error.to_string()))?;
        for (caller, list) in &lists.callers {
            for entry in &list.0 {
                if let Some(error) = entry.error() {
                    return Err(AllowListsError(format!("{caller}: {}: {error}", entry.path)));
                }
            }
        }
        Ok(lists)
    }

    /// The allow-list of a caller.
    pub fn of(&self, caller: &str) -> Option<&AllowList> {
        self.callers.get(caller)
    }

    /// Names of all callers with an allow-list, separated by commas.
    pub fn names(&self) -> String {
        let names: Vec<_> = self.callers.keys().map(String::as_str).collect();
        names.join(", ")
    }
}

impl AllowList {
    /// The fields to remove from the response to a call (usually none); `None` when the call is not allowed. `application` is the id of
    /// the bot's application.
    pub fn allows(&self, method: &Method, segments: &[&str], application: u64) -> Option<&[String]> {
        self.find(method, segments, Some(application)).map(|entry| &*entry.hide)
    }

    /// Whether the call would be allowed for another application.
    pub(crate) fn allows_another_application(&self, method: &Method, segments: &[&str]) -> bool {
        self.find(method, segments, None).is_some()
    }

    /// Pairs of method and path, as in the file.
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
    fn error(&self) -> Option<&'static str> {
        let known = ["GET", "POST", "PUT", "PATCH", "DELETE"];
        let segments: Vec<_> = self.path.split('/').skip(1).collect();
        if self.methods.is_empty() || !self.methods.iter().all(|method| known.contains(&method.as_str())) {
            Some("allowed methods are GET, POST, PUT, PATCH and DELETE")
        } else if !self.path.starts_with('/') || segments.iter().any(|segment| segment.is_empty()) {
            Some("a path begins with / and has no empty segment")
        } else if segments.iter().any(|segment| segment.contains('*')) {
            Some("wildcards are not supported: name each path")
        } else if self.reason.trim().is_empty() {
            Some("the reason is missing")
        } else {
            None
        }
    }
}

/// `{application}` matches the id `application`, or any segment when it is `None`.
fn matches(pattern: &str, segments: &[&str], application: Option<u64>) -> bool {
    let wanted = pattern.split('/').skip(1);
    if wanted.clone().count() != segments.len() {
        return false;
    }
    wanted.zip(segments).all(|(wanted, segment)| match wanted {
        // Only the canonical form: Discord might interpret a leading zero or an escape differently.
        "{application}" => application.is_none_or(|id| *segment == id.to_string()),
        wanted => wanted.starts_with('{') || wanted == *segment,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Whether a caller may send a call; the bot's application has the id 1.
    fn may(caller: &str, method: &Method, path: &str) -> bool {
        let segments: Vec<_> = path.split('/').skip(1).collect();
        let lists = AllowLists::built_in().unwrap();
        lists.of(caller).unwrap().allows(method, &segments, 1).is_some()
    }

    #[test]
    fn worker_may_respond_assign_roles_and_send_messages() {
        assert!(may("worker", &Method::POST, "/interactions/1/token/callback"));
        assert!(may("worker", &Method::PATCH, "/webhooks/1/token/messages/@original"));
        assert!(may("worker", &Method::POST, "/webhooks/1/token"));
        assert!(may("worker", &Method::PUT, "/guilds/1/members/2/roles/3"));
        assert!(may("worker", &Method::DELETE, "/guilds/1/members/2/roles/3"));
        assert!(may("worker", &Method::POST, "/channels/1/messages"));
        assert!(may("worker", &Method::PUT, "/applications/1/commands"));
        assert!(may("worker", &Method::GET, "/guilds/1/members"));
        assert!(may("worker", &Method::PUT, "/channels/1/permissions/2"));
    }

    #[test]
    fn worker_may_not_delete_roles_or_channels() {
        assert!(!may("worker", &Method::DELETE, "/guilds/1/roles/2"));
        assert!(!may("worker", &Method::DELETE, "/channels/1"));
    }

    #[test]
    fn worker_may_not_delete_servers_or_ban_members() {
        assert!(!may("worker", &Method::DELETE, "/guilds/1"));
        assert!(!may("worker", &Method::PATCH, "/guilds/1"));
        assert!(!may("worker", &Method::DELETE, "/guilds/1/members/2"));
        assert!(!may("worker", &Method::PUT, "/guilds/1/bans/2"));
        assert!(!may("worker", &Method::DELETE, "/users/@me/guilds/1"));
        assert!(!may("worker", &Method::GET, "/oauth2/applications/@me"));
        assert!(!may("worker", &Method::POST, "/interactions/1/token/callback/more"));
    }

    #[test]
    fn shadow_worker_may_only_read() {
        assert!(may("shadow", &Method::GET, "/webhooks/1/token/messages/@original"));
        assert!(!may("shadow", &Method::GET, "/webhooks/2/token/messages/@original"));
        let lists = AllowLists::built_in().unwrap();
        let mut entries = lists.of("shadow").unwrap().entries();
        assert!(entries.all(|(method, _)| method == "GET"));
    }

    #[test]
    fn webhooks_and_commands_of_another_application_are_not_allowed() {
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
    fn fields_with_secrets_are_listed_for_removal() {
        let lists = AllowLists::built_in().unwrap();
        let gaib = lists.of("gaib").unwrap();
        let hidden = gaib.allows(&Method::GET, &["guilds", "1", "webhooks"], 1).unwrap();
        assert_eq!(hidden, ["token", "url"]);
        assert!(gaib.allows(&Method::GET, &["guilds", "1"], 1).unwrap().is_empty());
    }

    #[test]
    fn no_caller_may_delete_a_server() {
        for caller in ["worker", "api", "gaib"] {
            assert!(!may(caller, &Method::DELETE, "/guilds/1"), "{caller}");
        }
    }

    #[test]
    fn malformed_entry_is_refused_with_its_error() {
        for (entry, word) in [
            ("{methods: [HEAD], path: /a, reason: r}", "allowed methods are"),
            ("{methods: [GET], path: a, reason: r}", "begins with /"),
            ("{methods: [GET], path: /a/**, reason: r}", "wildcards"),
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
