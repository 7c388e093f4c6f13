//! The OpenAPI document, collected from the handlers. A test compares real answers of every route with it.

use arrakis_config::PublicAddress;
use utoipa::openapi::security::{HttpAuthScheme, HttpBuilder, SecurityScheme};
use utoipa::openapi::{OpenApi as Document, Server};
use utoipa::{IntoResponses, OpenApi};

use crate::problem::ProblemBody;
use crate::routes;
use crate::routes::RefusalBody;

/// Name of the security scheme of admin routes.
pub(crate) const API_KEY: &str = "api_key";

#[derive(OpenApi)]
#[openapi(
    info(
        title = "Arrakis",
        description = "Eligibility of wallets, users and servers for admins. Errors are problem details (RFC 9457) with a stable `code`."
    ),
    components(schemas(ProblemBody, RefusalBody)),
    tags(
        (name = "eligibility", description = "Which wallets are eligible. Public."),
        (name = "verification", description = "The wallet page and its requests. For members with a link from /verify."),
        (name = "users", description = "Identities with their wallets and history. For admins with an API key."),
        (name = "servers", description = "Plans, limits and checkpoints of servers. For gaib and admins, with an API key."),
        (name = "emergency", description = "The kill switch. For operators, with an API key."),
        (name = "approvals", description = "Plans of infrastructure that people approve or reject. For pipelines with an API key, and for Slack."),
        (name = "telegram", description = "What `arrakis-telegram` requests for Telegram accounts. For its API key.")
    )
)]
struct Description;

/// The OpenAPI document, with `address` as its server.
pub(crate) fn document(address: &PublicAddress) -> Document {
    let mut document = Description::openapi();
    document.merge(routes::document());
    document.servers = Some(vec![Server::new(address.origin())]);
    let scheme = HttpBuilder::new()
        .scheme(HttpAuthScheme::Bearer)
        .description(Some("An API key, created by `arrakis-worker api-key create`."))
        .build();
    let components = document.components.get_or_insert_default();
    components.add_security_scheme(API_KEY, SecurityScheme::Http(scheme));
    document
}

/// Problems that every route can return.
#[derive(IntoResponses)]
#[expect(dead_code, reason = "it describes responses for the OpenAPI document")]
pub(crate) enum EveryRoute {
    /// Too many requests from this address or with this key; `Retry-After` has the seconds to wait
    #[response(status = 429, content_type = "application/problem+json")]
    RateLimited(ProblemBody),
    /// A defect, which was logged
    #[response(status = 500, content_type = "application/problem+json")]
    Internal(ProblemBody),
    /// A dependency is unavailable, or the request took too long; `Retry-After` has the seconds to wait
    #[response(status = 503, content_type = "application/problem+json")]
    Unavailable(ProblemBody),
}

/// Problems of every route that needs an API key.
#[derive(IntoResponses)]
#[expect(dead_code, reason = "it describes responses for the OpenAPI document")]
pub(crate) enum AdminRoute {
    /// No API key, or one that is unknown, expired or revoked
    #[response(status = 401, content_type = "application/problem+json")]
    Unauthorized(ProblemBody),
    /// The API key lacks the scope of this route, or the request needs a key for all communities
    #[response(status = 403, content_type = "application/problem+json")]
    Forbidden(ProblemBody),
}

/// Problems of every route with a part of the path that may be malformed, and no body.
#[derive(IntoResponses)]
#[expect(dead_code, reason = "it describes responses for the OpenAPI document")]
pub(crate) enum InPath {
    /// A part of the path is invalid
    #[response(status = 400, content_type = "application/problem+json")]
    Invalid(ProblemBody),
}

/// Problems of every route of a server.
#[derive(IntoResponses)]
#[expect(dead_code, reason = "it describes responses for the OpenAPI document")]
pub(crate) enum OfServer {
    /// A part of the path, or the body, is invalid
    #[response(status = 400, content_type = "application/problem+json")]
    Invalid(ProblemBody),
    /// The server has no community, or none that the key may see; or there is no such checkpoint
    #[response(status = 404, content_type = "application/problem+json")]
    Unknown(ProblemBody),
}

/// Problems of every route that takes the lists of a server as its body.
#[derive(IntoResponses)]
#[expect(dead_code, reason = "it describes responses for the OpenAPI document")]
pub(crate) enum WithLists {
    /// The body is larger than 256 KiB
    #[response(status = 413, content_type = "application/problem+json")]
    TooLarge(ProblemBody),
    /// The body is not JSON
    #[response(status = 415, content_type = "application/problem+json")]
    NotJson(ProblemBody),
}

/// Problems of every route that takes a body.
#[derive(IntoResponses)]
#[expect(dead_code, reason = "it describes responses for the OpenAPI document")]
pub(crate) enum WithBody {
    /// The id or the body is invalid
    #[response(status = 400, content_type = "application/problem+json")]
    Invalid(ProblemBody),
    /// The body is larger than 16 KiB
    #[response(status = 413, content_type = "application/problem+json")]
    TooLarge(ProblemBody),
    /// The body is not JSON
    #[response(status = 415, content_type = "application/problem+json")]
    NotJson(ProblemBody),
}
