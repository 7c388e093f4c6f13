//! The weekly digest: once for each week, on Monday at 09:00 UTC or as soon after it as a worker runs.

use arrakis_db::PostKind;
use arrakis_discord::ListedMessage;
use arrakis_domain::{EntryThreshold, Zones};
use time::{Date, Duration, OffsetDateTime, Time};
use twilight_model::http::interaction::InteractionResponseData;

use super::super::changes::changes;
use super::{channel, has_title, record_broken, render_context, send, store};
use crate::failure::Failure;
use crate::interaction::reply::message;
use crate::jobs::JobRun;
use crate::nonced_message::NoncedOutcome;
use crate::render::posts::{self, DIGEST, DigestView};
use crate::render::text;

const KIND: PostKind = PostKind::Digest;
/// Hour of Monday at which the digest is due, in UTC.
const HOUR: Duration = Duration::hours(9);

/// The week that a digest is about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Week {
    /// Name of the week in which the digest is due: `2026-W48`.
    pub period: String,
    /// Beginning of what it is about.
    pub from: OffsetDateTime,
    /// End of what it is about; the digest is due from then on.
    pub to: OffsetDateTime,
}

/// The week whose digest was due last.
pub fn week_of(now: OffsetDateTime) -> Week {
    // Before Monday's hour, the digest of the week before is the last one.
    let day: Date = (now - HOUR).date();
    let monday = day - Duration::days(i64::from(day.weekday().number_days_from_monday()));
    let to = monday.with_time(Time::MIDNIGHT).assume_utc() + HOUR;
    let (year, week, _) = monday.to_iso_week_date();
    Week {
        period: format!("{year}-W{week:02}"),
        from: to - Duration::WEEK,
        to,
    }
}

/// Posts the digest, unless that is done.
pub(super) async fn write(run: &JobRun<'_>) -> Result<(), Failure> {
    let week = week_of(run.services.now());
    let mut tx = run.services.database.tenant(run.community.id()).await?;
    let mut post = tx.posts().get(KIND).await?;
    tx.commit().await?;
    if !post.enabled || post.period.as_ref() == Some(&week.period) {
        return Ok(());
    }
    if let Some(channel) = channel(run, KIND, &mut post).await? {
        let message = render(run, &week).await?;
        let key = format!("digest:{}", week.period);
        let is_it = |message: &ListedMessage| is_of_week(message, &week);
        let sent = send(run, &key, channel, &message, &is_it).await?;
        if let NoncedOutcome::Refused(error) = sent {
            record_broken(run, KIND, &error.to_string()).await?;
        }
    }
    post.period = Some(week.period);
    post.checked_at = Some(run.services.now());
    store(run, KIND, &post).await
}

/// Whether a message is the digest of this week: its text names the end of the week.
fn is_of_week(message: &ListedMessage, week: &Week) -> bool {
    let text = message.embeds[0]["description"].as_str().unwrap_or_default();
    has_title(message, DIGEST) && text.contains(&text::date(week.to))
}

async fn render(run: &JobRun<'_>, week: &Week) -> Result<InteractionResponseData, Failure> {
    let record = &run.community.record;
    let mut tx = run.services.database.tenant(run.community.id()).await?;
    let moves = tx.posts().rank_moves(week.from, week.to).await?;
    let badges = tx.posts().awarded_badges(week.from, week.to).await?;
    let thresholds = tx.posts().threshold_changes(week.from, week.to).await?;
    let counts = tx.profiles().counts().await?;
    let entry: EntryThreshold = tx
        .eligibility()
        .entry_threshold(&record.token_profile, Zones::STANDARD)
        .await?;
    tx.commit().await?;
    let view = DigestView {
        community: &record.name,
        from: week.from,
        to: week.to,
        counts: &counts,
        moves: &moves,
        badges: &badges,
        entry,
        entry_before: changes(&thresholds)?.threshold.map(|change| change.before),
    };
    Ok(message(posts::digest(&render_context(run)?, &view), Vec::new()))
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};
    use time::macros::datetime;
    use twilight_model::id::Id;

    use super::*;

    #[test]
    fn digest_is_recognised_by_the_end_of_its_week() {
        let week = week_of(datetime!(2026-11-23 09:00 UTC));
        let before = week_of(datetime!(2026-11-22 09:00 UTC));
        let sent = |title: &str| ListedMessage {
            id: Id::new(7),
            components: Value::Null,
            embeds: json!([{"title": title, "description": format!("to {}: 40 members", text::date(week.to))}]),
        };
        assert!(is_of_week(&sent(DIGEST), &week));
        assert!(!is_of_week(&sent(DIGEST), &before));
        assert!(!is_of_week(&sent("Census of the sietch"), &week));
    }

    #[test]
    fn week_begins_on_monday_at_nine() {
        // 23 November 2026 is a Monday.
        let week = week_of(datetime!(2026-11-23 09:00 UTC));
        assert_eq!(
            (week.period.as_str(), week.to),
            ("2026-W48", datetime!(2026-11-23 09:00 UTC))
        );
        assert_eq!(week.from, datetime!(2026-11-16 09:00 UTC));
        assert_eq!(week_of(datetime!(2026-11-30 08:59:59 UTC)), week);
        assert_eq!(week_of(datetime!(2026-11-30 09:00 UTC)).period, "2026-W49");
        assert_eq!(week_of(datetime!(2027-01-01 12:00 UTC)).period, "2026-W53");
    }
}
