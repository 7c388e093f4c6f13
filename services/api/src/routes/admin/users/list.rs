//! `GET /admin/users`: pages of users, with a search.

use arrakis_db::registry::IdentitySearch;
use arrakis_domain::Address;
use axum::Json;
use axum::extract::State;
use serde::{Deserialize, Serialize};
use serde_json::json;
use time::OffsetDateTime;
use utoipa::{IntoParams, ToSchema};

use super::user::User;
use crate::authentication::{Allowed, UsersRead};
use crate::body::{Params, invalid_parameter, number};
use crate::caller_tx::{Act, CallerTx};
use crate::openapi::{AdminRoute, EveryRoute};
use crate::problem::{Problem, ProblemBody};
use crate::services::ApiState;

/// Users of a page unless the request has another number.
const DEFAULT_LIMIT: u32 = 50;
/// Most users of a page.
const MAX_LIMIT: u64 = 200;
/// Largest number of a page.
const MAX_PAGE: u64 = 100_000;
/// Longest name that is searched, in characters.
const MAX_NAME: usize = 100;

/// The query. A user is found when every condition matches.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct UsersQuery {
    /// Number of the page, from 1
    #[param(minimum = 1, maximum = 100_000)]
    #[serde(default, deserialize_with = "number::<_, _, 1, MAX_PAGE>")]
    page: Option<u32>,
    /// Users of a page; 50 by default
    #[param(minimum = 1, maximum = 200)]
    #[serde(default, deserialize_with = "number::<_, _, 1, MAX_LIMIT>")]
    limit: Option<u32>,
    /// With this Discord account
    discord_id: Option<String>,
    /// With this Telegram account. Needs a key for all communities.
    telegram_id: Option<String>,
    /// With this text in the name, in any case
    #[param(max_length = 100)]
    name: Option<String>,
    /// With this wallet, held now or before; for a key of one community: with this primary wallet
    address: Option<String>,
}

/// A page of users.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct UserPage {
    /// The users of the page, newest first
    users: Vec<User>,
    /// Number of the page, from 1
    page: u32,
    /// Users of a full page
    limit: u32,
    /// Number of users on all pages
    total: u64,
}

impl UsersQuery {
    fn search(&self) -> Result<IdentitySearch, Problem> {
        let name = self.name.as_deref().map(str::trim).filter(|name| !name.is_empty());
        if name.is_some_and(|name| name.chars().count() > MAX_NAME || name.chars().any(char::is_control)) {
            return Err(invalid_parameter(
                "name",
                format_args!("it has more than {MAX_NAME} characters, or control characters"),
            ));
        }
        let address = self.address.as_deref().map(Address::parse_checked).transpose()?;
        Ok(IdentitySearch {
            discord_user: parse("discord_id", self.discord_id.as_deref())?,
            telegram_user: parse("telegram_id", self.telegram_id.as_deref())?,
            name: name.map(str::to_owned),
            address,
        })
    }
}

fn parse<T: std::str::FromStr<Err: std::fmt::Display>>(name: &str, text: Option<&str>) -> Result<Option<T>, Problem> {
    text.map(|text| text.parse().map_err(|error| invalid_parameter(name, error)))
        .transpose()
}

/// List users
///
/// Scope `users:read`.
#[utoipa::path(
    get,
    path = "/admin/users",
    tag = "users",
    params(UsersQuery),
    responses(
        (status = 200, description = "A page of users", body = UserPage),
        (status = 400, description = "A parameter is invalid", body = ProblemBody, content_type = "application/problem+json"),
        AdminRoute,
        EveryRoute
    ),
    security(("api_key" = []))
)]
pub(crate) async fn list(
    Allowed(caller, _): Allowed<UsersRead>,
    State(services): State<ApiState>,
    Params(query): Params<UsersQuery>,
) -> Result<Json<UserPage>, Problem> {
    let page = query.page.unwrap_or(1);
    let limit = query.limit.unwrap_or(DEFAULT_LIMIT);
    let search = query.search()?;
    if search.telegram_user.is_some() {
        caller.require_all_communities("telegram_id")?;
    }
    let mut tx = CallerTx::begin(&services, &caller).await?;
    let found = tx.registry().search(&search, page, limit).await?;
    let detail = json!({
        "page": page,
        "limit": limit,
        "discord_id": query.discord_id,
        "telegram_id": query.telegram_id,
        "name": query.name,
        "address": query.address,
        "found": found.identities.len(),
    });
    let act = Act {
        action: "users.list",
        subject: "all",
        reason: None,
        detail,
    };
    tx.audit(&caller, act).await?;
    tx.commit().await?;
    let now = OffsetDateTime::now_utc();
    Ok(Json(UserPage {
        users: found
            .identities
            .into_iter()
            .map(|record| User::new(record, caller.view(), now))
            .collect(),
        page,
        limit,
        total: found.total,
    }))
}
