//! Notices to operators about runs of scheduled backups, servers that the bot has left, and damaged shadows of configurations: to a webhook of
//! Discord and to a topic of SNS. Opt-in.
//!
//! | file | what |
//! |---|---|
//! | `settings.rs` | the variables |
//! | `stored.rs` | a notice as a row: stored in the transaction of what it is about, sent later by the leader |
//! | `embeds.rs` | the one message of a webhook for all notices that wait |
//! | `webhook.rs`, `topic.rs` | the destinations |
//!
//! A job does not wait for a destination. A notice is sent to the webhook at most once: a process that is killed while it sends one leaves it as
//! taken, and so does a request without a response; the leader deletes and logs it later. SNS itself delivers at least once, and a publication
//! without a response is repeated. Each run is in the log in any case.

mod embeds;
mod settings;
mod stored;
mod topic;
mod webhook;

use arrakis_domain::Plan;
use arrakis_vault::{ServerId, Task};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

pub use self::settings::NotificationSettings;
pub(crate) use self::stored::{NoticeDelivery, send_stored};
use self::topic::Topic;
use self::webhook::Webhook;

/// Longest detail of a notice, in characters: Discord permits 4,096 in an embed.
const MAX_DETAIL: usize = 1_500;

/// How a run ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum RunOutcome {
    /// It completed.
    Success,
    /// It failed, and is repeated later.
    Failure,
}

impl RunOutcome {
    /// The name in attributes and metrics.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Success => "success",
            Self::Failure => "failure",
        }
    }
}

/// What a notice is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum NoticeTask {
    /// A run of this task of the scheduled backups.
    Backup(Task),
    /// The shadow of a configuration.
    Shadow,
    /// Whether the bot is in the server.
    Presence,
}

impl NoticeTask {
    /// The name in attributes.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Backup(task) => task.as_str(),
            Self::Shadow => "shadow",
            Self::Presence => "presence",
        }
    }

    /// The task of a name; `None` for one of a later build.
    fn from_name(name: &str) -> Option<Self> {
        let tasks = Task::ALL.into_iter().map(Self::Backup);
        tasks
            .chain([Self::Shadow, Self::Presence])
            .find(|task| task.name() == name)
    }
}

/// What operators are notified of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Notice {
    /// How the run ended.
    pub(crate) outcome: RunOutcome,
    /// The task.
    pub(crate) task: NoticeTask,
    /// The Discord server.
    pub(crate) server: ServerId,
    /// Name of the community. Its admins chose it.
    pub(crate) community: String,
    /// Plan of the community.
    pub(crate) plan: Plan,
    /// What was stored, or what is wrong.
    pub(crate) detail: String,
    /// When the run ended.
    pub(crate) at: OffsetDateTime,
}

impl Notice {
    /// One line: task, outcome and server.
    fn subject(&self) -> String {
        let server = self.server;
        match (self.task, self.outcome) {
            (NoticeTask::Presence, RunOutcome::Failure) => format!("Arrakis: the bot is not in server {server}"),
            (NoticeTask::Presence, RunOutcome::Success) => format!("Arrakis: the bot is in server {server}"),
            (NoticeTask::Shadow, RunOutcome::Failure) => {
                format!("Arrakis: shadow of the configuration of server {server} is damaged or differs")
            }
            (NoticeTask::Shadow, RunOutcome::Success) => {
                format!("Arrakis: shadow of the configuration of server {server} is intact")
            }
            (NoticeTask::Backup(task), RunOutcome::Success) => format!("Arrakis: {task} of server {server} completed"),
            (NoticeTask::Backup(task), RunOutcome::Failure) => format!("Arrakis: {task} of server {server} failed"),
        }
    }

    /// The detail, at most this many characters of it.
    fn detail(&self, limit: usize) -> String {
        let mut detail: String = self.detail.chars().take(limit).collect();
        if detail.len() < self.detail.len() {
            detail.push('…');
        }
        detail
    }

    /// By what subscribers filter.
    fn attributes(&self) -> [(&'static str, String); 4] {
        [
            ("outcome", self.outcome.name().to_owned()),
            ("task", self.task.name().to_owned()),
            ("plan", self.plan.as_str().to_owned()),
            ("server", self.server.to_string()),
        ]
    }

    /// The time, to the second, in RFC 3339.
    fn time(&self) -> String {
        let at = self.at.replace_nanosecond(0).unwrap_or(self.at);
        at.format(&Rfc3339).unwrap_or_default()
    }
}

/// A destination of notices.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Destination {
    Webhook,
    Topic,
}

impl Destination {
    /// The name in rows and metrics.
    const fn name(self) -> &'static str {
        match self {
            Self::Webhook => "webhook",
            Self::Topic => "sns",
        }
    }
}

/// Why notices were not sent.
#[derive(Debug, Clone, PartialEq, Eq)]
enum SendError {
    /// A later attempt may succeed.
    Transient(String),
    /// No attempt will.
    Permanent(String),
    /// The request was sent, and may or may not have taken effect.
    Unknown(String),
}

/// Sends notices.
#[derive(Debug, Default)]
pub(crate) struct Notifier {
    webhook: Option<Webhook>,
    topic: Option<Topic>,
}

impl Notifier {
    /// A notifier with these destinations.
    ///
    /// # Errors
    /// The HTTP client cannot be set up.
    pub(crate) async fn new(settings: &NotificationSettings) -> Result<Self, reqwest::Error> {
        let webhook = settings.webhook.as_ref().map(Webhook::new).transpose()?;
        let topic = match &settings.topic {
            Some(topic) => Some(Topic::connect(topic).await),
            None => None,
        };
        Ok(Self { webhook, topic })
    }

    fn destinations(&self) -> Vec<Destination> {
        let webhook = self.webhook.as_ref().map(|_| Destination::Webhook);
        let topic = self.topic.as_ref().map(|_| Destination::Topic);
        webhook.into_iter().chain(topic).collect()
    }

    /// Sends notices to a destination. Returns how many of them, from the first one on, were sent, and why the next one was not.
    async fn send(&self, destination: Destination, notices: &[&Notice]) -> (usize, Option<SendError>) {
        match (destination, &self.webhook, &self.topic) {
            // One message for all: a channel accepts about 30 a minute.
            (Destination::Webhook, Some(webhook), _) => match webhook.send(&embeds::message(notices)).await {
                Ok(()) => (notices.len(), None),
                Err(error) => (0, Some(error)),
            },
            // One message each, by whose attributes subscriptions filter.
            (Destination::Topic, _, Some(topic)) => {
                for (sent, notice) in notices.iter().enumerate() {
                    if let Err(error) = topic.send(notice).await {
                        return (sent, Some(error));
                    }
                }
                (notices.len(), None)
            }
            _ => (
                0,
                Some(SendError::Transient("the destination is not configured".to_owned())),
            ),
        }
    }
}

#[cfg(test)]
pub(super) fn example() -> Notice {
    Notice {
        outcome: RunOutcome::Failure,
        task: NoticeTask::Backup(Task::Backup),
        server: ServerId::new(7),
        community: "Sietch Tabr".to_owned(),
        plan: Plan::Premium,
        detail: "the bot is not on server 7".to_owned(),
        at: time::macros::datetime!(2026-12-01 03:00:01.5 UTC),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn subject_names_task_server_and_outcome() {
        let mut notice = example();
        assert_eq!(notice.subject(), "Arrakis: backup of server 7 failed");
        notice.outcome = RunOutcome::Success;
        notice.task = NoticeTask::Backup(Task::Snapshot);
        assert_eq!(notice.subject(), "Arrakis: snapshot of server 7 completed");
        notice = Notice {
            task: NoticeTask::Shadow,
            ..example()
        };
        assert_eq!(
            notice.subject(),
            "Arrakis: shadow of the configuration of server 7 is damaged or differs"
        );
        assert_eq!(notice.time(), "2026-12-01T03:00:01Z");
    }

    #[test]
    fn subject_of_each_task_is_ascii_and_short() {
        for name in ["backup", "snapshot", "retention", "shadow", "presence"] {
            let task = NoticeTask::from_name(name).unwrap();
            assert_eq!(task.name(), name);
            for outcome in [RunOutcome::Success, RunOutcome::Failure] {
                let server = ServerId::new(u64::MAX);
                let subject = Notice {
                    task,
                    outcome,
                    server,
                    ..example()
                }
                .subject();
                // SNS refuses longer subjects and those with other characters.
                assert!(subject.len() < 100 && subject.is_ascii(), "{subject}");
            }
        }
        assert_eq!(NoticeTask::from_name("dance"), None);
    }

    #[test]
    fn long_detail_is_shortened() {
        let notice = Notice {
            detail: "ä".repeat(5_000),
            ..example()
        };
        assert_eq!(notice.detail(MAX_DETAIL).chars().count(), MAX_DETAIL + 1);
        assert_eq!(example().detail(MAX_DETAIL), example().detail);
    }
}
