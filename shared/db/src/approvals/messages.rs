//! The message of an approval at Slack or Discord: which ones are to be sent or edited.
//!
//! A process claims a message until `taken_until` before it sends or edits it. Where it dies after the message was sent and before that is recorded,
//! the message is sent twice. An edit that is repeated changes nothing.

use std::fmt;
use std::str::FromStr;

use time::{Duration, OffsetDateTime};
use uuid::Uuid;

use super::{ApprovalState, Approvals, UnknownApprovalText, text_enum};
use crate::column::Column;
use crate::{DbError, named_query::named};

/// Messages of older approvals are left as they are.
const EDITED_FOR: Duration = Duration::days(3);

text_enum! {
    /// Where the message of an approval is.
    ApprovalDestination("approval_messages", "destination") {
        /// A channel of Slack.
        Slack = "slack",
        /// A channel of Discord.
        Discord = "discord",
    }
}

/// A message that is to be sent or edited, and that this process has taken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DueApprovalMessage {
    /// The approval.
    pub approval: Uuid,
    /// Channel and id of the message; `None` while it was not sent.
    pub sent: Option<(String, String)>,
}

impl Approvals<'_> {
    /// Takes the messages to a destination that do not exist yet or do not show the state of their approval, at most `limit`, until
    /// `taken_until`. An approval that was decided before its message was sent needs none.
    ///
    /// # Errors
    /// When the database is unavailable.
    pub async fn take_messages(
        &mut self,
        destination: ApprovalDestination,
        limit: u32,
        now: OffsetDateTime,
        taken_until: OffsetDateTime,
    ) -> Result<Vec<DueApprovalMessage>, DbError> {
        let rows = named!(
            "approval_message.take",
            sqlx::query!(
                r#"with due as (
                       select a.approval_id
                         from approvals a
                         left join approval_messages m on m.approval_id = a.approval_id and m.destination = $1
                        where a.created_at > $5
                          and (a.state = 'pending' or m.message is not null)
                          and m.shown_state is distinct from a.state
                          and (m.taken_until is null or m.taken_until <= $2)
                        order by a.created_at, a.approval_id limit $4)
                   insert into approval_messages as m (approval_id, destination, taken_until)
                   select approval_id, $1, $3 from due
                   on conflict (approval_id, destination) do update set taken_until = excluded.taken_until
                    where m.taken_until is null or m.taken_until <= $2
                   returning m.approval_id, m.channel as "channel?", m.message as "message?""#,
                destination.as_str(),
                now,
                taken_until,
                i64::from(limit),
                now - EDITED_FOR
            )
            .fetch_all(&mut *self.connection)
        )?;
        Ok(rows
            .into_iter()
            .map(|row| DueApprovalMessage {
                approval: row.approval_id,
                sent: row.channel.zip(row.message),
            })
            .collect())
    }

    /// Records where the message is and which state it shows, and releases the claim.
    ///
    /// # Errors
    /// When the database is unavailable.
    pub async fn record_message(
        &mut self,
        approval: Uuid,
        destination: ApprovalDestination,
        channel: &str,
        message: &str,
        shown: ApprovalState,
    ) -> Result<(), DbError> {
        named!(
            "approval_message.record",
            sqlx::query!(
                "insert into approval_messages (approval_id, destination, channel, message, shown_state)
                 values ($1, $2, $3, $4, $5)
                 on conflict (approval_id, destination) do update
                    set channel = excluded.channel, message = excluded.message, shown_state = excluded.shown_state,
                        taken_until = null",
                approval,
                destination.as_str(),
                channel,
                message,
                shown.as_str()
            )
            .execute(&mut *self.connection)
        )?;
        Ok(())
    }

    /// The state that the message of an approval shows; `None` while it was not sent.
    ///
    /// # Errors
    /// When the database is unavailable or the row is corrupt.
    pub async fn shown_state(
        &mut self,
        approval: Uuid,
        destination: ApprovalDestination,
    ) -> Result<Option<ApprovalState>, DbError> {
        let shown = named!(
            "approval_message.shown_state",
            sqlx::query_scalar!(
                "select shown_state from approval_messages where approval_id = $1 and destination = $2",
                approval,
                destination.as_str()
            )
            .fetch_optional(&mut *self.connection)
        )?;
        Column("approval_messages", "shown_state").parse_some(shown.flatten().as_deref())
    }
}
