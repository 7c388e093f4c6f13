//! The message of a webhook: all notices that wait, in one message without mentions.
//!
//! A failure has an embed of its own, up to a number; completed runs of a task are one embed. So the message is within Discord's limits
//! (10 embeds with 6,000 characters in all), whatever the number of servers is.

use arrakis_vault::Task;
use serde_json::{Value, json};

use super::{MAX_DETAIL, Notice, NoticeTask, RunOutcome};

/// Notices of other things than completed runs that have an embed of their own.
const MAX_FAILURES: usize = 4;
/// Longest detail of a failure that is not the only notice, in characters.
const FAILURE_DETAIL: usize = 600;
/// Longest detail of a completed run that is not the only notice, in characters.
const SUCCESS_DETAIL: usize = 300;
/// Servers that are named where several have completed a task.
const MAX_NAMED: usize = 10;
/// Colours of an embed: green, red.
const COLORS: (u32, u32) = (0x002e_8b57, 0x00b2_2222);

/// The message: embeds without mentions, whatever the names of the communities are.
pub(super) fn message(notices: &[&Notice]) -> Value {
    let embeds = match notices {
        [only] => vec![embed(only, MAX_DETAIL)],
        notices => embeds(notices),
    };
    json!({"allowed_mentions": {"parse": []}, "embeds": embeds})
}

/// Failures first, then completed runs.
fn embeds(notices: &[&Notice]) -> Vec<Value> {
    let is_completed_run = |notice: &&Notice| {
        matches!(
            (notice.task, notice.outcome),
            (NoticeTask::Backup(_), RunOutcome::Success)
        )
    };
    let (completed, others): (Vec<&Notice>, Vec<&Notice>) = notices.iter().copied().partition(is_completed_run);
    let shown = others.iter().take(MAX_FAILURES);
    let mut embeds: Vec<Value> = shown.map(|notice| embed(notice, FAILURE_DETAIL)).collect();
    let more = others.len().saturating_sub(MAX_FAILURES);
    if more > 0 {
        embeds.push(json!({
            "title": format!("Arrakis: {more} further notices"),
            "description": "The log of the workers has each of them; `arrakis-worker backup status` and `arrakis-worker configurations \
                            verify` list what is failing.",
            "color": COLORS.1,
        }));
    }
    for task in Task::ALL {
        let of_task = completed.iter().copied();
        let of_task: Vec<&Notice> = of_task
            .filter(|notice| notice.task == NoticeTask::Backup(task))
            .collect();
        match of_task[..] {
            [] => {}
            [only] => embeds.push(embed(only, SUCCESS_DETAIL)),
            _ => embeds.push(summary(task, &of_task)),
        }
    }
    embeds
}

/// Completed runs of a task on several servers.
fn summary(task: Task, notices: &[&Notice]) -> Value {
    let named = notices.iter().take(MAX_NAMED).map(|notice| notice.server.to_string());
    let mut description = format!("Servers {}", named.collect::<Vec<_>>().join(", "));
    let more = notices.len().saturating_sub(MAX_NAMED);
    if more > 0 {
        description.push_str(&format!(" and {more} more"));
    }
    let newest = notices.iter().max_by_key(|notice| notice.at);
    json!({
        "title": format!("Arrakis: {task} of {} servers completed", notices.len()),
        "description": description,
        "color": COLORS.0,
        "timestamp": newest.map(|notice| notice.time()),
    })
}

fn embed(notice: &Notice, detail: usize) -> Value {
    let color = match notice.outcome {
        RunOutcome::Success => COLORS.0,
        RunOutcome::Failure => COLORS.1,
    };
    let field = |name: &str, value: &str| json!({"name": name, "value": value, "inline": true});
    json!({
        "title": notice.subject(),
        "description": notice.detail(detail),
        "color": color,
        "timestamp": notice.time(),
        "fields": [
            field("Community", &plain(&notice.community)),
            field("Plan", notice.plan.as_str()),
            field("Outcome", notice.outcome.name()),
        ],
    })
}

/// A name of others without effect on the form of a message.
fn plain(text: &str) -> String {
    let plain: String = text
        .chars()
        .filter(|c| !c.is_control() && *c != '`')
        .take(100)
        .collect();
    if plain.trim().is_empty() {
        return "–".to_owned();
    }
    format!("`{plain}`")
}

#[cfg(test)]
mod tests {
    use arrakis_vault::ServerId;

    use super::super::example;
    use super::*;

    /// Longest text of all embeds of a message, in characters.
    const EMBEDS_LIMIT: usize = 6_000;
    /// Most embeds of a message.
    const EMBEDS_MAX: usize = 10;

    fn notice(task: NoticeTask, outcome: RunOutcome, server: u64) -> Notice {
        Notice {
            task,
            outcome,
            server: ServerId::new(server),
            ..example()
        }
    }

    fn titles(message: &Value) -> Vec<&str> {
        let embeds = message["embeds"].as_array().unwrap();
        embeds.iter().map(|embed| embed["title"].as_str().unwrap()).collect()
    }

    #[test]
    fn message_has_no_mentions_and_names_the_outcome() {
        let notice = Notice {
            community: "@everyone `x`\n".to_owned(),
            ..example()
        };
        let message = message(&[&notice]);
        assert_eq!(message["allowed_mentions"], json!({"parse": []}));
        let embed = &message["embeds"][0];
        assert_eq!(embed["title"], "Arrakis: backup of server 7 failed");
        assert_eq!(embed["description"], "the bot is not on server 7");
        assert_eq!(embed["color"], COLORS.1);
        assert_eq!(embed["fields"][0]["value"], "`@everyone x`");
        assert_eq!(embed["fields"][2]["value"], "failure");
    }

    #[test]
    fn completed_runs_of_a_task_are_one_embed_after_the_failures() {
        let notices = [
            notice(NoticeTask::Backup(Task::Backup), RunOutcome::Success, 1),
            notice(NoticeTask::Backup(Task::Snapshot), RunOutcome::Success, 1),
            notice(NoticeTask::Backup(Task::Backup), RunOutcome::Success, 2),
            notice(NoticeTask::Presence, RunOutcome::Failure, 3),
        ];
        let message = message(&notices.iter().collect::<Vec<_>>());
        assert_eq!(
            titles(&message),
            [
                "Arrakis: the bot is not in server 3",
                "Arrakis: backup of 2 servers completed",
                "Arrakis: snapshot of server 1 completed"
            ]
        );
        assert_eq!(message["embeds"][1]["description"], "Servers 1, 2");
    }

    #[test]
    fn message_of_any_number_of_notices_is_within_the_limits() {
        let mut notices = Vec::new();
        for server in 0..500 {
            for task in Task::ALL {
                for outcome in [RunOutcome::Success, RunOutcome::Failure] {
                    let mut notice = notice(NoticeTask::Backup(task), outcome, u64::MAX - server);
                    notice.detail = "ä".repeat(5_000);
                    notice.community = "ä".repeat(500);
                    notices.push(notice);
                }
            }
        }
        for count in [1, 2, 6, 7, notices.len()] {
            let message = message(&notices[..count].iter().collect::<Vec<_>>());
            let embeds = message["embeds"].as_array().unwrap();
            let length = |text: &Value| text.as_str().map_or(0, |text| text.chars().count());
            let mut total = 0;
            for embed in embeds {
                total += length(&embed["title"]) + length(&embed["description"]);
                for field in embed["fields"].as_array().into_iter().flatten() {
                    total += length(&field["name"]) + length(&field["value"]);
                }
            }
            assert!(embeds.len() <= EMBEDS_MAX && total <= EMBEDS_LIMIT, "{count}: {total}");
        }
        let message = message(&notices.iter().collect::<Vec<_>>());
        assert!(
            titles(&message).contains(&"Arrakis: 1496 further notices"),
            "{:?}",
            titles(&message)
        );
    }
}
