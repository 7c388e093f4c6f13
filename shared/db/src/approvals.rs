//! Approvals of plans: what a pipeline has submitted, its one decision, and the audit trail.
//!
//! The state of an approval follows from its events, by a trigger (migration 0042): [`Approvals::decide`] is one statement, and of concurrent
//! ones the first counts. Signatures of records and the messages at Slack and Discord are in `approvals/`.

mod attempt;
mod messages;
mod record;

use std::fmt;
use std::str::FromStr;

use arrakis_security::signing::{Algorithm, Signature};
use sqlx::PgConnection;
use time::{Duration, OffsetDateTime};
use uuid::Uuid;

pub use self::attempt::{DecisionAttempt, DecisionCode, DecisionOutcome};
pub use self::messages::{ApprovalDestination, DueApprovalMessage};
pub use self::record::ApprovalSignature;
use crate::column::Column;
use crate::{DbError, GlobalTx, named_query::named};

/// Longest time in which an approval can be decided. The database shortens a longer one.
pub const APPROVAL_VALIDITY: Duration = Duration::hours(24);

/// Declares an enum whose values are texts of a column.
macro_rules! text_enum {
    ($(#[$doc:meta])* $name:ident($table:literal, $column:literal) { $($(#[$variant_doc:meta])* $variant:ident = $text:literal,)+ }) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub enum $name {
            $($(#[$variant_doc])* $variant,)+
        }

        impl $name {
            /// The text of the column.
            #[must_use]
            pub const fn as_str(self) -> &'static str {
                match self {
                    $(Self::$variant => $text,)+
                }
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(self.as_str())
            }
        }

        impl FromStr for $name {
            type Err = UnknownApprovalText;

            fn from_str(text: &str) -> Result<Self, UnknownApprovalText> {
                match text {
                    $($text => Ok(Self::$variant),)+
                    _ => Err(UnknownApprovalText(concat!($table, ".", $column))),
                }
            }
        }
    };
}
use text_enum;

/// A text that the column does not have.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("no value of {0}")]
pub struct UnknownApprovalText(&'static str);

text_enum! {
    /// The verdict of the policy about a plan. A plan that the policy blocks has no approval.
    ApprovalVerdict("approvals", "verdict") {
        /// The policy has no objection.
        Passed = "passed",
        /// The policy demands a decision by a person.
        NeedsApproval = "needs_approval",
    }
}

text_enum! {
    /// The state of an approval. All but the first are final.
    ApprovalState("approvals", "state") {
        /// Nobody has decided.
        Pending = "pending",
        /// A person has approved the plan.
        Approved = "approved",
        /// A person has rejected the plan.
        Rejected = "rejected",
        /// Nobody has decided in time.
        Lapsed = "lapsed",
    }
}

text_enum! {
    /// Where an event of an approval comes from.
    ApprovalVia("approval_events", "via") {
        /// The api.
        Api = "api",
        /// A button or a modal of Slack.
        Slack = "slack",
        /// A button or a modal of Discord.
        Discord = "discord",
        /// The platform itself.
        Platform = "platform",
    }
}

text_enum! {
    /// What an event of an approval is.
    ApprovalEventType("approval_events", "event_type") {
        /// A pipeline submitted it.
        Submitted = "SUBMITTED",
        /// An attempt to decide was refused.
        Refused = "REFUSED",
        /// It was approved.
        Approved = "APPROVED",
        /// It was rejected.
        Rejected = "REJECTED",
        /// Its time ended.
        Lapsed = "LAPSED",
    }
}

/// An approval to store.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewApproval<'a> {
    /// Its id, which the caller chooses.
    pub id: Uuid,
    /// What the plan is about, in a line.
    pub title: &'a str,
    /// SHA-256 of the plan.
    pub plan_digest: [u8; 32],
    /// Verdict of the policy.
    pub verdict: ApprovalVerdict,
    /// Risk score, 0 to 100.
    pub risk_score: u8,
    /// Reasons of the score.
    pub risk_reasons: &'a [String],
    /// Summary of the plan without secrets.
    pub summary: &'a str,
    /// Name of the person who wants the change.
    pub requester: &'a str,
    /// Who submits it, as in the audit log.
    pub submitted_by: &'a str,
    /// Whether approving it needs a second factor.
    pub needs_mfa: bool,
    /// In which time it can be decided: at most [`APPROVAL_VALIDITY`].
    pub validity: Duration,
}

/// A stored approval.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Approval {
    /// Its id.
    pub id: Uuid,
    /// What the plan is about.
    pub title: String,
    /// SHA-256 of the plan.
    pub plan_digest: [u8; 32],
    /// Verdict of the policy.
    pub verdict: ApprovalVerdict,
    /// Risk score, 0 to 100.
    pub risk_score: u8,
    /// Reasons of the score.
    pub risk_reasons: Vec<String>,
    /// Summary of the plan.
    pub summary: String,
    /// Name of the person who wants the change.
    pub requester: String,
    /// Who submitted it.
    pub submitted_by: String,
    /// Whether approving it needs a second factor.
    pub needs_mfa: bool,
    /// Its state.
    pub state: ApprovalState,
    /// When it was submitted.
    pub created_at: OffsetDateTime,
    /// From when on it cannot be decided.
    pub expires_at: OffsetDateTime,
    /// The decision; also of a lapsed one.
    pub decision: Option<ApprovalDecision>,
    /// The signature of its record, once it is decided and signed.
    pub signature: Option<ApprovalSignature>,
}

/// The event that decided an approval.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ApprovalDecision {
    /// Who decided: a name of `APPROVAL_PEOPLE`, or `platform`.
    pub actor: String,
    /// Where.
    pub via: ApprovalVia,
    /// With which account.
    pub account: String,
    /// Whether the person gave a second factor.
    pub second_factor: bool,
    /// When.
    pub at: OffsetDateTime,
}

/// The account of a person who decides.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ApprovalActor<'a> {
    /// Name of the person in `APPROVAL_PEOPLE`.
    pub name: &'a str,
    /// Where the person decides.
    pub via: ApprovalVia,
    /// Id of the account there.
    pub account: &'a str,
}

/// An event of the audit trail.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ApprovalEvent {
    /// What happened.
    pub event: ApprovalEventType,
    /// Who acted.
    pub actor: String,
    /// Where.
    pub via: ApprovalVia,
    /// With which account.
    pub account: String,
    /// Whether a second factor was given.
    pub second_factor: bool,
    /// Why an attempt was refused.
    pub reason: Option<String>,
    /// When.
    pub at: OffsetDateTime,
}

/// Queries about approvals.
#[derive(Debug)]
pub struct Approvals<'a> {
    connection: &'a mut PgConnection,
}

impl GlobalTx {
    /// Queries about approvals.
    pub fn approvals(&mut self) -> Approvals<'_> {
        Approvals {
            connection: &mut self.transaction,
        }
    }
}

struct Row {
    approval_id: Uuid,
    title: String,
    plan_digest: Vec<u8>,
    verdict: String,
    risk_score: i16,
    risk_reasons: Vec<String>,
    summary: String,
    requester: String,
    submitted_by: String,
    needs_mfa: bool,
    state: String,
    created_at: OffsetDateTime,
    expires_at: OffsetDateTime,
    actor: Option<String>,
    via: Option<String>,
    account: Option<String>,
    second_factor: Option<bool>,
    occurred_at: Option<OffsetDateTime>,
    record: Option<Vec<u8>>,
    algorithm: Option<String>,
    key_id: Option<String>,
    key_version: Option<i32>,
    signature: Option<String>,
}

impl TryFrom<Row> for Approval {
    type Error = DbError;

    fn try_from(row: Row) -> Result<Self, DbError> {
        let decision = match (row.actor, row.via, row.account, row.second_factor, row.occurred_at) {
            (Some(actor), Some(via), Some(account), Some(second_factor), Some(at)) => Some(ApprovalDecision {
                actor,
                via: Column("approval_events", "via").parse(&via)?,
                account,
                second_factor,
                at,
            }),
            _ => None,
        };
        let signature = match (row.record, row.algorithm, row.key_id, row.key_version, row.signature) {
            (Some(record), Some(algorithm), Some(key), Some(version), Some(value)) => {
                let column = |name| Column("approval_signatures", name);
                let known = Algorithm::from_name(&algorithm);
                let signature = Signature {
                    algorithm: known.ok_or_else(|| column("algorithm").corrupt(&algorithm, "unknown algorithm"))?,
                    key,
                    version: column("key_version").count(version.into())?,
                    value,
                };
                Some(ApprovalSignature { record, signature })
            }
            _ => None,
        };
        let digest: Result<[u8; 32], _> = row.plan_digest.try_into();
        Ok(Self {
            id: row.approval_id,
            title: row.title,
            plan_digest: digest.map_err(|_| Column("approvals", "plan_digest").corrupt("bytes", "not 32 bytes"))?,
            verdict: Column("approvals", "verdict").parse(&row.verdict)?,
            risk_score: Column("approvals", "risk_score").count(row.risk_score.into())?,
            risk_reasons: row.risk_reasons,
            summary: row.summary,
            requester: row.requester,
            submitted_by: row.submitted_by,
            needs_mfa: row.needs_mfa,
            state: Column("approvals", "state").parse(&row.state)?,
            created_at: row.created_at,
            expires_at: row.expires_at,
            decision,
            signature,
        })
    }
}

impl Approvals<'_> {
    /// Stores an approval, with its event. False when one with this id exists.
    ///
    /// # Errors
    /// When the database is unavailable, or a value is out of its range.
    pub async fn submit(&mut self, new: &NewApproval<'_>) -> Result<bool, DbError> {
        let stored = named!(
            "approval.submit",
            sqlx::query!(
                "insert into approvals (approval_id, title, plan_digest, verdict, risk_score, risk_reasons, summary, requester,
                        submitted_by, needs_mfa, state, created_at, expires_at)
                 values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, 'pending', clock_timestamp(),
                         clock_timestamp() + make_interval(secs => $11))
                 on conflict (approval_id) do nothing",
                new.id,
                new.title,
                new.plan_digest.as_slice(),
                new.verdict.as_str(),
                i16::from(new.risk_score),
                new.risk_reasons,
                new.summary,
                new.requester,
                new.submitted_by,
                new.needs_mfa,
                new.validity.as_seconds_f64()
            )
            .execute(&mut *self.connection)
        )?;
        Ok(stored.rows_affected() == 1)
    }

    /// The approval with this id.
    ///
    /// # Errors
    /// When the database is unavailable or a row is corrupt.
    pub async fn get(&mut self, id: Uuid) -> Result<Option<Approval>, DbError> {
        let row = named!(
            "approval.get",
            sqlx::query_as!(
                Row,
                r#"select a.approval_id, a.title, a.plan_digest, a.verdict, a.risk_score, a.risk_reasons, a.summary, a.requester,
                          a.submitted_by, a.needs_mfa, a.state, a.created_at, a.expires_at,
                          e.actor as "actor?", e.via as "via?", e.account as "account?", e.second_factor as "second_factor?",
                          e.occurred_at as "occurred_at?", s.record as "record?", s.algorithm as "algorithm?",
                          s.key_id as "key_id?", s.key_version as "key_version?", s.signature as "signature?"
                     from approvals a
                     left join approval_events e
                       on e.approval_id = a.approval_id and e.event_type in ('APPROVED', 'REJECTED', 'LAPSED')
                     left join approval_signatures s on s.approval_id = a.approval_id
                    where a.approval_id = $1"#,
                id
            )
            .fetch_optional(&mut *self.connection)
        )?;
        row.map(Approval::try_from).transpose()
    }

    /// Approves or rejects. True when this call decided. False when the approval is decided already, its time is over, the person is the
    /// requester, a second factor is missing, or it does not exist: the caller reads it.
    ///
    /// # Errors
    /// When the database is unavailable.
    pub async fn decide(
        &mut self,
        id: Uuid,
        approves: bool,
        actor: ApprovalActor<'_>,
        second_factor: bool,
    ) -> Result<bool, DbError> {
        let event = if approves {
            ApprovalEventType::Approved
        } else {
            ApprovalEventType::Rejected
        };
        self.append(id, event, actor, second_factor, None).await
    }

    /// Appends to the audit trail that an attempt to decide was refused. At most 100 of an approval are kept.
    ///
    /// # Errors
    /// When the database is unavailable.
    pub async fn record_refusal(&mut self, id: Uuid, actor: ApprovalActor<'_>, reason: &str) -> Result<(), DbError> {
        let refused = ApprovalEventType::Refused;
        self.append(id, refused, actor, false, Some(reason)).await?;
        Ok(())
    }

    async fn append(
        &mut self,
        id: Uuid,
        event: ApprovalEventType,
        actor: ApprovalActor<'_>,
        second_factor: bool,
        reason: Option<&str>,
    ) -> Result<bool, DbError> {
        // The trigger sets the time, and leaves out what does not follow from the state.
        let appended = named!(
            "approval.append",
            sqlx::query!(
                "insert into approval_events (event_id, approval_id, event_type, actor, via, account, second_factor, reason, occurred_at)
                 values ($1, $2, $3, $4, $5, $6, $7, $8, clock_timestamp())",
                Uuid::now_v7(),
                id,
                event.as_str(),
                actor.name,
                actor.via.as_str(),
                actor.account,
                second_factor,
                reason
            )
            .execute(&mut *self.connection)
        )?;
        Ok(appended.rows_affected() == 1)
    }

    /// Ends approvals whose time is over, at most 100 of them; returns their ids.
    ///
    /// # Errors
    /// When the database is unavailable.
    pub async fn lapse(&mut self) -> Result<Vec<Uuid>, DbError> {
        named!(
            "approval.lapse",
            sqlx::query_scalar!(
                "insert into approval_events (event_id, approval_id, event_type, actor, via, account, second_factor, occurred_at)
                 select gen_random_uuid(), approval_id, 'LAPSED', 'platform', 'platform', 'leader', false, clock_timestamp()
                   from approvals where state = 'pending' and expires_at <= clock_timestamp()
                  order by expires_at, approval_id limit 100
                 returning approval_id"
            )
            .fetch_all(&mut *self.connection)
        )
    }

    /// The audit trail of an approval, oldest first.
    ///
    /// # Errors
    /// When the database is unavailable or a row is corrupt.
    pub async fn events(&mut self, id: Uuid) -> Result<Vec<ApprovalEvent>, DbError> {
        let rows = named!(
            "approval.events",
            sqlx::query!(
                "select event_type, actor, via, account, second_factor, reason, occurred_at from approval_events
                  where approval_id = $1 order by occurred_at, event_id",
                id
            )
            .fetch_all(&mut *self.connection)
        )?;
        rows.into_iter()
            .map(|row| {
                Ok(ApprovalEvent {
                    event: Column("approval_events", "event_type").parse(&row.event_type)?,
                    actor: row.actor,
                    via: Column("approval_events", "via").parse(&row.via)?,
                    account: row.account,
                    second_factor: row.second_factor,
                    reason: row.reason,
                    at: row.occurred_at,
                })
            })
            .collect()
    }
}
