//! `GET /admin/users/export`: all users, streamed as JSON or CSV.
//!
//! Each page is read in a transaction of its own, when the client has taken the page before: a slow client holds no connection of the
//! pool, and memory does not grow with the number of users. An error in the middle, and the end of the API key's validity, close the
//! connection without the end of the body. What was received then is not the whole: JSON lacks its last brackets, and CSV its last row
//! ([`export_csv::end`]).

use std::io;

use arrakis_db::registry::IdentityId;
use arrakis_runtime::ConnectionCloser;
use axum::body::Body;
use axum::extract::{Extension, State};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use futures_util::stream::{self, Stream};
use http::{HeaderMap, header};
use serde::{Deserialize, Serialize};
use serde_json::json;
use time::OffsetDateTime;
use time::macros::format_description;
use utoipa::{IntoParams, ToSchema};

use super::export_csv::{self, Delimiter};
use super::user::User;
use crate::authentication::{Allowed, Caller, UsersExport};
use crate::body::{Params, invalid_parameter};
use crate::caller_tx::{Act, CallerTx};
use crate::key_watch::KeyWatch;
use crate::openapi::{AdminRoute, EveryRoute};
use crate::problem::{Problem, ProblemBody, ProblemKind};
use crate::running_exports::RunningExport;
use crate::services::ApiState;

/// Users that are read at once.
const PAGE: u32 = 500;

/// The query.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct ExportQuery {
    /// The format; without it the header Accept decides
    #[param(inline)]
    format: Option<ExportFormat>,
    /// What separates the cells of CSV; a comma by default
    #[param(inline)]
    delimiter: Option<Delimiter>,
}

/// A format of the export.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub(crate) enum ExportFormat {
    /// A JSON object with all users
    Json,
    /// A header and a row for each user
    Csv,
}

/// All users.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct UserExport {
    /// The users, in the order of their ids
    users: Vec<User>,
}

impl ExportFormat {
    /// The format of a request: its parameter, or the first known media type of `Accept`.
    fn of(query: &ExportQuery, headers: &HeaderMap) -> Result<Self, Problem> {
        if let Some(format) = query.format {
            return Ok(format);
        }
        let accepted: Vec<_> = headers
            .get_all(header::ACCEPT)
            .iter()
            .flat_map(|value| value.to_str().unwrap_or_default().split(','))
            .filter_map(|item| Some(item.split(';').next()?.trim().to_ascii_lowercase()))
            .collect();
        let format = accepted.iter().find_map(|kind| match kind.as_str() {
            "application/json" | "application/*" | "*/*" => Some(Self::Json),
            "text/csv" | "text/*" => Some(Self::Csv),
            _ => None,
        });
        let detail = "the export has the formats application/json and text/csv";
        match format {
            None if accepted.is_empty() => Ok(Self::Json),
            None => Err(Problem::new(ProblemKind::NotAcceptable, detail)),
            Some(format) => Ok(format),
        }
    }

    const fn media_type(self) -> &'static str {
        match self {
            Self::Json => "application/json",
            Self::Csv => "text/csv; charset=utf-8; header=present",
        }
    }

    const fn extension(self) -> &'static str {
        match self {
            Self::Json => "json",
            Self::Csv => "csv",
        }
    }
}

/// What separates the cells of CSV.
fn delimiter(query: &ExportQuery, format: ExportFormat) -> Result<Delimiter, Problem> {
    match query.delimiter {
        Some(_) if format != ExportFormat::Csv => Err(invalid_parameter("delimiter", "only CSV has one")),
        delimiter => Ok(delimiter.unwrap_or_default()),
    }
}

/// Export all users
///
/// Streamed in the order of ids. In CSV what a spreadsheet would run as a formula begins with an apostrophe, and the last row of a complete
/// file is `end` with the number of users. An export ends without its end when its key is revoked or expires. Scope `users:export`.
#[utoipa::path(
    get,
    path = "/admin/users/export",
    tag = "users",
    params(ExportQuery),
    responses(
        (status = 200, description = "All users that the key may see",
         content((UserExport = "application/json"), (String = "text/csv"))),
        (status = 400, description = "A parameter is invalid", body = ProblemBody, content_type = "application/problem+json"),
        (status = 406, description = "Neither JSON nor CSV is accepted", body = ProblemBody,
         content_type = "application/problem+json"),
        AdminRoute,
        EveryRoute
    ),
    security(("api_key" = []))
)]
pub(crate) async fn export(
    Allowed(caller, _): Allowed<UsersExport>,
    State(services): State<ApiState>,
    connection: Option<Extension<ConnectionCloser>>,
    headers: HeaderMap,
    Params(query): Params<ExportQuery>,
) -> Result<Response, Problem> {
    let format = ExportFormat::of(&query, &headers)?;
    let delimiter = delimiter(&query, format)?;
    let running = services.exports.begin(caller.key().id)?;
    let mut tx = CallerTx::begin(&services, &caller).await?;
    let act = Act {
        action: "users.export",
        subject: "all",
        reason: None,
        detail: json!({"format": format.extension()}),
    };
    tx.audit(&caller, act).await?;
    tx.commit().await?;
    let connection = connection.map(|Extension(connection)| connection);
    let mut export = Export {
        key: KeyWatch::start(services.clone(), &caller, connection),
        services,
        caller,
        format,
        delimiter,
        users: 0,
        _running: running,
        after: None,
        progress: Progress::Begin,
    };
    // The first page is read before the answer begins: an unavailable database is a problem and not a cut-off export.
    let first = export.next().await?;
    let name = format_description!("arrakis-users-[year]-[month]-[day]");
    let name = OffsetDateTime::now_utc().format(name).unwrap_or_default();
    let disposition = format!("attachment; filename=\"{name}.{}\"", format.extension());
    let headers = [
        (header::CONTENT_TYPE, format.media_type().to_owned()),
        (header::CONTENT_DISPOSITION, disposition),
    ];
    Ok((headers, Body::from_stream(export.into_stream(first))).into_response())
}

/// An export in progress.
struct Export {
    services: ApiState,
    caller: Caller,
    key: KeyWatch,
    format: ExportFormat,
    delimiter: Delimiter,
    /// Users that were read.
    users: u64,
    _running: RunningExport,
    /// The last user that was read.
    after: Option<IdentityId>,
    progress: Progress,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Progress {
    Begin,
    Within,
    End,
}

impl Export {
    /// The next bytes of the body; `None` after its end.
    async fn next(&mut self) -> Result<Option<Bytes>, Problem> {
        if self.progress == Progress::End {
            return Ok(None);
        }
        let mut tx = CallerTx::begin(&self.services, &self.caller).await?;
        let records = tx.registry().export(self.after, PAGE).await?;
        tx.commit().await?;
        let is_last = records.len() < PAGE as usize;
        self.after = records.last().map(|record| record.identity.id).or(self.after);
        let now = OffsetDateTime::now_utc();
        let view = self.caller.view();
        let users: Vec<_> = records.into_iter().map(|record| User::new(record, view, now)).collect();
        let bytes = match self.format {
            ExportFormat::Csv => self.csv(&users, is_last),
            ExportFormat::Json => self.json(&users, is_last)?,
        };
        self.users += users.len() as u64;
        self.progress = if is_last { Progress::End } else { Progress::Within };
        Ok(Some(bytes.into()))
    }

    /// The next bytes of the body. An error ends it: a logged one, or the end of the API key's validity, also while a page is being read.
    async fn next_while_valid(&mut self) -> io::Result<Option<Bytes>> {
        let key = self.key.token();
        let next = tokio::select! {
            biased;
            () = key.cancelled() => return Err(io::Error::other("the API key is no longer valid")),
            next = self.next() => next,
        };
        next.map_err(|problem| {
            let error = problem.cause.unwrap_or_default();
            tracing::error!(
                error,
                users = self.users,
                "the export of users ends before its last user"
            );
            io::Error::other("the export ends before its last user")
        })
    }

    fn csv(&self, users: &[User], is_last: bool) -> Vec<u8> {
        let mut bytes = match self.progress {
            Progress::Begin => export_csv::header(self.delimiter),
            _ => Vec::new(),
        };
        bytes.extend(export_csv::users(users, self.delimiter));
        if is_last {
            bytes.extend(export_csv::end(self.users + users.len() as u64, self.delimiter));
        }
        bytes
    }

    fn json(&self, users: &[User], is_last: bool) -> Result<Vec<u8>, Problem> {
        let mut bytes = match self.progress {
            Progress::Begin => b"{\"users\":[".to_vec(),
            _ => Vec::new(),
        };
        let mut needs_comma = self.users > 0;
        for user in users {
            if needs_comma {
                bytes.push(b',');
            }
            needs_comma = true;
            serde_json::to_writer(&mut bytes, user).map_err(|error| Problem::internal(error.to_string()))?;
        }
        if is_last {
            bytes.extend_from_slice(b"]}");
        }
        Ok(bytes)
    }

    /// The whole body, given its first bytes.
    fn into_stream(self, first: Option<Bytes>) -> impl Stream<Item = io::Result<Bytes>> {
        stream::try_unfold((self, first), |(mut export, first)| async move {
            if let Some(first) = first {
                return Ok(Some((first, (export, None))));
            }
            let next = export.next_while_valid().await?;
            Ok(next.map(|bytes| (bytes, (export, None))))
        })
    }
}
