//! The SQL of jobs, once for both tables. `$1` is the community; it is null for the platform's table, which has no such
//! column.

use serde_json::Value;
use sqlx::PgConnection;
use time::OffsetDateTime;
use uuid::Uuid;

use super::{JobState, NewJob, Row};
use crate::{DbError, named_query::named};

fn number(count: u32) -> i32 {
    i32::try_from(count).unwrap_or(i32::MAX)
}

macro_rules! queries_on {
    ($table:literal, $mine:literal, $column:literal, $value:literal, $guard:literal) => {
        use super::*;

        pub(in crate::jobs) async fn enqueue(
            connection: &mut PgConnection,
            owner: Option<Uuid>,
            job: &NewJob<'_>,
        ) -> Result<bool, DbError> {
            let query = sqlx::query!(
                "insert into " + $table + " (" + $column + "job_id, kind, payload, due_at)
                 select " + $value + "$2::text, $3::text, $4::jsonb, $5::timestamptz where " + $guard + "
                 on conflict do nothing",
                owner,
                job.id,
                job.kind,
                job.payload,
                job.due_at
            );
            Ok(named!("job.enqueue", query.execute(connection))?.rows_affected() > 0)
        }

        pub(in crate::jobs) async fn get(
            connection: &mut PgConnection,
            owner: Option<Uuid>,
            id: &str,
        ) -> Result<Option<Row>, DbError> {
            let query = sqlx::query_as!(
                Row,
                "select job_id, kind, state, payload, attempts, progress_done, progress_total, error, due_at, created_at,
                        started_at, finished_at
                   from " + $table + " where " + $mine + " and job_id = $2",
                owner,
                id
            );
            named!("job.get", query.fetch_optional(connection))
        }

        /// Begins a job up to 1 s early rather than delaying its message again: the queue's clock differs from PostgreSQL's.
        pub(in crate::jobs) async fn start(
            connection: &mut PgConnection,
            owner: Option<Uuid>,
            id: &str,
            now: OffsetDateTime,
        ) -> Result<Option<(i32, String, Value)>, DbError> {
            let query = sqlx::query!(
                "update " + $table + " set state = 'running', attempts = attempts + 1, progress_done = 0, started_at = $3,
                        updated_at = now()
                  where " + $mine + " and job_id = $2 and state in ('queued', 'waiting', 'running')
                    and due_at <= $3::timestamptz + interval '1 second'
                 returning attempts, kind, payload",
                owner,
                id,
                now
            );
            let row = named!("job.start", query.fetch_optional(connection))?;
            Ok(row.map(|row| (row.attempts, row.kind, row.payload)))
        }

        pub(in crate::jobs) async fn progress(
            connection: &mut PgConnection,
            owner: Option<Uuid>,
            id: &str,
            attempt: u32,
            done: u32,
            total: Option<u32>,
        ) -> Result<bool, DbError> {
            let query = sqlx::query!(
                "update " + $table + " set progress_done = $4, progress_total = coalesce($5, progress_total), updated_at = now()
                  where " + $mine + " and job_id = $2 and state = 'running' and attempts = $3",
                owner,
                id,
                number(attempt),
                number(done),
                total.map(number)
            );
            Ok(named!("job.progress", query.execute(connection))?.rows_affected() > 0)
        }

        pub(in crate::jobs) async fn finish(
            connection: &mut PgConnection,
            owner: Option<Uuid>,
            id: &str,
            attempt: u32,
            state: JobState,
            error: Option<&str>,
        ) -> Result<bool, DbError> {
            let query = sqlx::query!(
                "update " + $table + " set state = $4, error = $5, finished_at = now(), updated_at = now()
                  where " + $mine + " and job_id = $2 and state = 'running' and attempts = $3",
                owner,
                id,
                number(attempt),
                state.as_str(),
                error
            );
            Ok(named!("job.finish", query.execute(connection))?.rows_affected() > 0)
        }

        pub(in crate::jobs) async fn wait(
            connection: &mut PgConnection,
            owner: Option<Uuid>,
            id: &str,
            attempt: u32,
            error: &str,
            due_at: OffsetDateTime,
        ) -> Result<bool, DbError> {
            let query = sqlx::query!(
                "update " + $table + " set state = 'waiting', error = $4, due_at = $5, updated_at = now()
                  where " + $mine + " and job_id = $2 and state = 'running' and attempts = $3",
                owner,
                id,
                number(attempt),
                error,
                due_at
            );
            Ok(named!("job.wait", query.execute(connection))?.rows_affected() > 0)
        }

        pub(in crate::jobs) async fn due(
            connection: &mut PgConnection,
            owner: Option<Uuid>,
            kinds: Option<&[String]>,
            now: OffsetDateTime,
            silent_since: OffsetDateTime,
            limit: u32,
        ) -> Result<Vec<Row>, DbError> {
            let query = sqlx::query_as!(
                Row,
                "select job_id, kind, state, payload, attempts, progress_done, progress_total, error, due_at, created_at,
                        started_at, finished_at
                   from " + $table + "
                  where " + $mine + " and (state in ('queued', 'waiting') and due_at <= $2
                                           or state = 'running' and updated_at < $3)
                    and ($5::text[] is null or kind = any($5))
                  order by due_at, job_id limit $4",
                owner,
                now,
                silent_since,
                i64::from(limit),
                kinds
            );
            named!("job.due", query.fetch_all(connection))
        }

        pub(in crate::jobs) async fn postpone(
            connection: &mut PgConnection,
            owner: Option<Uuid>,
            id: &str,
            due_at: OffsetDateTime,
        ) -> Result<bool, DbError> {
            let query = sqlx::query!(
                "update " + $table + " set due_at = $3, updated_at = now()
                  where " + $mine + " and job_id = $2 and state in ('queued', 'waiting')",
                owner,
                id,
                due_at
            );
            Ok(named!("job.postpone", query.execute(connection))?.rows_affected() > 0)
        }

        pub(in crate::jobs) async fn set_payload(
            connection: &mut PgConnection,
            owner: Option<Uuid>,
            id: &str,
            payload: &Value,
        ) -> Result<bool, DbError> {
            let query = sqlx::query!(
                "update " + $table + " set payload = $3, updated_at = now()
                  where " + $mine + " and job_id = $2 and state = 'queued'",
                owner,
                id,
                payload
            );
            Ok(named!("job.set_payload", query.execute(connection))?.rows_affected() > 0)
        }

        pub(in crate::jobs) async fn is_pending(
            connection: &mut PgConnection,
            owner: Option<Uuid>,
            kind: &str,
            payload: &Value,
        ) -> Result<bool, DbError> {
            let query = sqlx::query_scalar!(
                "select exists (select from " + $table + " where " + $mine + " and kind = $2 and payload = $3
                                                             and state in ('queued', 'running', 'waiting')) as \"pending!\"",
                owner,
                kind,
                payload
            );
            named!("job.is_pending", query.fetch_one(connection))
        }

        pub(in crate::jobs) async fn prune(
            connection: &mut PgConnection,
            owner: Option<Uuid>,
            before: OffsetDateTime,
        ) -> Result<u64, DbError> {
            let query = sqlx::query!("delete from " + $table + " where " + $mine + " and finished_at < $2", owner, before);
            Ok(named!("job.prune", query.execute(connection))?.rows_affected())
        }
    };
}

pub(in crate::jobs) mod tenant {
    queries_on!(
        "jobs",
        "community_id = $1",
        "community_id, ",
        "$1, ",
        "$1::uuid is not null"
    );
}

pub(in crate::jobs) mod platform {
    queries_on!("platform_jobs", "$1::uuid is null", "", "", "$1::uuid is null");
}
