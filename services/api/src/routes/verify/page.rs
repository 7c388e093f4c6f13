//! `GET /verify/{token}` and `GET /assets/verify/{file}`: the static files of the wallet page.

use arrakis_verification::page::{self, CONTENT_SECURITY_POLICY, PageFile};
use axum::extract::Path;
use axum::response::{IntoResponse, Response};
use http::{HeaderMap, HeaderName, HeaderValue, header};

use crate::openapi::EveryRoute;
use crate::problem::{Problem, ProblemBody, ProblemKind};

/// The wallet page
///
/// The same bytes for every token and without a look-up, so that the preview of a link changes nothing.
#[utoipa::path(
    get,
    path = "/verify/{token}",
    tag = "verification",
    params(("token" = String, Path, description = "Token of a session; a secret")),
    responses((status = 200, description = "The page", body = String, content_type = "text/html"), EveryRoute)
)]
pub(crate) async fn page() -> Response {
    let mut response = served(page::index());
    let headers = response.headers_mut();
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    // Wallets in a window of their own write to the page that opened them.
    headers.insert(
        HeaderName::from_static("cross-origin-opener-policy"),
        HeaderValue::from_static("same-origin-allow-popups"),
    );
    response
}

/// A file of the wallet page
#[utoipa::path(
    get,
    path = "/assets/verify/{file}",
    tag = "verification",
    params(("file" = String, Path, description = "Name of the file", example = "app.js")),
    responses(
        (status = 200, description = "The file",
         content((String = "text/javascript"), (String = "text/css"), (String = "image/svg+xml"))),
        (status = 404, description = "No such file", body = ProblemBody, content_type = "application/problem+json"),
        EveryRoute
    )
)]
pub(crate) async fn asset(Path(name): Path<String>) -> Result<Response, Problem> {
    let unknown = || Problem::new(ProblemKind::UnknownRoute, "the wallet page has no file of this name");
    let mut response = served(page::file(&name).ok_or_else(unknown)?);
    // Short, since the names of the files do not change with their content.
    set_cache(response.headers_mut());
    Ok(response)
}

fn set_cache(headers: &mut HeaderMap) {
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("public, max-age=60"));
}

fn served(file: PageFile) -> Response {
    let mut response = file.bytes.into_response();
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(file.media_type));
    let policy = HeaderValue::from_static(CONTENT_SECURITY_POLICY);
    headers.insert(header::CONTENT_SECURITY_POLICY, policy);
    response
}
