//! `GET /eligibility/{address}`: the standing of one wallet.

use arrakis_domain::{Address, Zone, Zones};
use axum::extract::{Path, State};
use axum::response::Response;
use http::HeaderMap;
use serde::Serialize;
use utoipa::ToSchema;

use super::snapshot::{ProfileQuery, Provenance, profile, respond, unknown_profile};
use crate::body::Params;
use crate::openapi::EveryRoute;
use crate::problem::{Problem, ProblemBody};
use crate::services::ApiState;

/// The standing of a wallet.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct WalletStanding {
    #[serde(flatten)]
    provenance: Provenance,
    /// The wallet in lower case
    #[schema(value_type = String, pattern = "^0x[0-9a-f]{40}$")]
    address: Address,
    /// Its rank from 1; null when it is not in the ranking
    #[schema(required = true, minimum = 1)]
    rank: Option<u32>,
    /// Its holding in tokens, exact
    #[schema(example = "1111.5", pattern = "^[0-9]+([.][0-9]+)?$")]
    held: String,
    /// Its holding in units of 10⁻¹⁸ token
    #[schema(example = "1111500000000000000000", pattern = "^[0-9]+$")]
    held_units: String,
    /// The zone of its rank
    zone: ZoneName,
    /// Whether its rank is eligible
    eligible: bool,
}

/// A zone of the ranking.
#[derive(Debug, Clone, Copy, Serialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub(crate) enum ZoneName {
    /// Ranks 1 to 7
    Council,
    /// Ranks 8 to 69
    Eligible,
    /// Ranks 70 to 100
    Waitlist,
    /// No rank, or a rank behind the waitlist
    Outside,
}

impl From<Zone> for ZoneName {
    fn from(zone: Zone) -> Self {
        match zone {
            Zone::Council => Self::Council,
            Zone::Eligible => Self::Eligible,
            Zone::Waitlist => Self::Waitlist,
            Zone::Outside => Self::Outside,
        }
    }
}

/// The standing of a wallet
///
/// As of the last sync. A wallet that is not in the ranking has the rank null.
#[utoipa::path(
    get,
    path = "/eligibility/{address}",
    tag = "eligibility",
    params(
        ("address" = String, Path, description = "The wallet: digits of one case, or in the mixed case of EIP-55, whose checksum is verified"),
        ProfileQuery,
        ("If-None-Match" = Option<String>, Header, description = "The `ETag` of an earlier answer")
    ),
    responses(
        (status = 200, description = "The standing of the wallet", body = WalletStanding),
        (status = 304, description = "The answer with the sent `ETag` is current"),
        (status = 400, description = "Not an address, or one with a wrong checksum; or as for the list",
         body = ProblemBody, content_type = "application/problem+json"),
        (status = 404, description = "No such token profile", body = ProblemBody, content_type = "application/problem+json"),
        EveryRoute
    )
)]
pub(crate) async fn of_address(
    State(services): State<ApiState>,
    Path(address): Path<String>,
    headers: HeaderMap,
    Params(query): Params<ProfileQuery>,
) -> Result<Response, Problem> {
    let address = Address::parse_checked(&address)?;
    let mut tx = services.database.global().await?;
    let name = profile(&mut tx, &query).await?;
    let published = tx.eligibility().published_standing(&name, address).await?;
    let Some(published) = published else {
        return Err(unknown_profile(&mut tx, &name).await);
    };
    tx.commit().await?;
    let provenance = Provenance::new(&name, &published.snapshot, services.stale_after);
    let zone = Zones::STANDARD.zone_of(published.rank);
    let etag = provenance.etag(&published.snapshot);
    let body = WalletStanding {
        provenance,
        address,
        rank: published.rank.map(arrakis_domain::Rank::get),
        held: published.held.to_string(),
        held_units: published.held.units_text(),
        zone: zone.into(),
        eligible: zone.is_eligible(),
    };
    Ok(respond(&headers, &etag, body))
}
