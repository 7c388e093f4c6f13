//! Notices to operators about runs of scheduled backups, and about damaged shadows of configurations: to a webhook of Discord and to a topic of
//! SNS. Opt-in.
//!
//! A notice is sent after the outcome is stored, and best effort: one that cannot be sent is logged and counted, and a worker that dies
//! in between sends none. Each run is in the log in any case.

mod settings;
mod topic;
mod webhook;

use arrakis_domain::Plan;
use arrakis_vault::{ServerId, Task};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

pub use self::settings::NotificationSettings;
use self::topic::Topic;
use self::webhook::Webhook;
use crate::metrics::BackupMetrics;

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
}

impl NoticeTask {
    /// The name in attributes.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Backup(task) => task.as_str(),
            Self::Shadow => "shadow",
        }
    }
}

/// What operators are notified of.
#[derive(Debug, Clone)]
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
    /// What was stored, or the error.
    pub(crate) detail: String,
    /// When the run ended.
    pub(crate) at: OffsetDateTime,
}

impl Notice {
    /// One line: task, outcome and server.
    fn subject(&self) -> String {
        let outcome = match (self.task, self.outcome) {
            (NoticeTask::Shadow, RunOutcome::Failure) => "is damaged or differs",
            (_, RunOutcome::Success) => "completed",
            (_, RunOutcome::Failure) => "failed",
        };
        let task = match self.task {
            NoticeTask::Shadow => "shadow of the configuration",
            NoticeTask::Backup(task) => task.as_str(),
        };
        format!("Arrakis: {task} of server {} {outcome}", self.server)
    }

    /// The detail, shortened.
    fn detail(&self) -> String {
        let mut detail: String = self.detail.chars().take(MAX_DETAIL).collect();
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

    /// Sends a notice to each destination. A failure is logged and counted.
    pub(crate) async fn send(&self, notice: &Notice, metrics: &BackupMetrics) {
        if let Some(webhook) = &self.webhook {
            report("webhook", webhook.send(notice).await, notice, metrics);
        }
        if let Some(topic) = &self.topic {
            report("sns", topic.send(notice).await, notice, metrics);
        }
    }
}

fn report(destination: &'static str, sent: Result<(), String>, notice: &Notice, metrics: &BackupMetrics) {
    metrics.count_notice(destination, sent.is_ok());
    if let Err(error) = sent {
        tracing::warn!(
            destination,
            error,
            server = %notice.server,
            task = notice.task.name(),
            outcome = notice.outcome.name(),
            "a notice was not sent"
        );
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
    fn long_detail_is_shortened() {
        let notice = Notice {
            detail: "ä".repeat(5_000),
            ..example()
        };
        assert_eq!(notice.detail().chars().count(), MAX_DETAIL + 1);
        assert_eq!(example().detail(), example().detail);
    }
}
