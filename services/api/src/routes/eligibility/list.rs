//! `GET /eligibility`: the eligible wallets.

use arrakis_domain::{Address, Zones};
use axum::extract::State;
use axum::response::Response;
use http::{HeaderMap, HeaderName, HeaderValue, header};
use serde::Serialize;
use utoipa::ToSchema;

use super::snapshot::{ProfileQuery, Provenance, profile, respond, unknown_profile};
use crate::body::Params;
use crate::openapi::EveryRoute;
use crate::problem::{Problem, ProblemBody};
use crate::services::ApiState;

/// The eligible wallets.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct EligibleWallets {
    #[serde(flatten)]
    provenance: Provenance,
    /// The last eligible rank
    #[schema(example = 69)]
    last_rank: u32,
    /// The eligible wallets in lower case, the best rank first
    #[schema(value_type = Vec<String>, example = json!(["0x656b95e550c07a9ffe548bd4085c72418ceb1dba"]))]
    wallets: Vec<Address>,
}

/// The eligible wallets
///
/// Wallets with a rank up to 69, in the order of their ranks, as of the last sync. An empty list is an answer.
#[utoipa::path(
    get,
    path = "/eligibility",
    tag = "eligibility",
    params(
        ProfileQuery,
        ("If-None-Match" = Option<String>, Header, description = "The `ETag` of an earlier answer")
    ),
    responses(
        (status = 200, description = "The eligible wallets", body = EligibleWallets),
        (status = 304, description = "The answer with the sent `ETag` is current"),
        (status = 400, description = "A parameter is invalid, or there are several token profiles and none is named",
         body = ProblemBody, content_type = "application/problem+json"),
        (status = 404, description = "No such token profile", body = ProblemBody, content_type = "application/problem+json"),
        EveryRoute
    )
)]
pub(crate) async fn list(
    State(services): State<ApiState>,
    headers: HeaderMap,
    Params(query): Params<ProfileQuery>,
) -> Result<Response, Problem> {
    let mut tx = services.database.global().await?;
    let name = profile(&mut tx, &query).await?;
    let published = tx.eligibility().published_wallets(&name, Zones::STANDARD.entry).await?;
    let Some(published) = published else {
        return Err(unknown_profile(&mut tx, &name).await);
    };
    tx.commit().await?;
    let provenance = Provenance::new(&name, &published.snapshot, services.stale_after);
    let etag = provenance.etag(&published.snapshot);
    let body = EligibleWallets {
        provenance,
        last_rank: Zones::STANDARD.entry.get(),
        wallets: published.wallets,
    };
    let mut response = respond(&headers, &etag, body);
    allow_every_origin(response.headers_mut());
    Ok(response)
}

/// The list is public data: scripts of every page may read it.
fn allow_every_origin(headers: &mut HeaderMap) {
    headers.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, HeaderValue::from_static("*"));
    headers.insert(
        HeaderName::from_static("cross-origin-resource-policy"),
        HeaderValue::from_static("cross-origin"),
    );
}
