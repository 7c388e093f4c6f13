//! Refuses requests of foreign web pages to the control API and the page.
//!
//! The control API has no authentication, and a browser lets every web page send requests to loopback addresses. Each
//! request therefore passes three checks before it is routed:
//!
//! 1. `Host` (and the authority of an absolute URI) is a loopback name, the address that accepted the connection, or a host
//!    that was allowed at start. A domain name that an attacker points at 127.0.0.1 (DNS rebinding) fails here.
//! 2. `Origin` is absent or equals `Host`; `Sec-Fetch-Site` is absent, `same-origin` or `none`; `Referer`, on requests that
//!    change something, is absent or of the same host. Programs such as curl send none of them. Top-level navigation, a
//!    followed link, is allowed.
//! 3. A request with an `Origin` and a body has the content type `application/json`, which a page of another origin cannot send
//!    without a preflight. Without an `Origin` any content type is accepted, so that `curl -d` works as it is.
//!
//! The rules cover server-sent events and WebSocket handshakes, since both are ordinary requests with an `Origin`.

use std::{
    net::{IpAddr, SocketAddr},
    sync::Arc,
};

use axum::{
    Extension, Json,
    extract::{Request, State},
    middleware::Next,
    response::{IntoResponse as _, Response},
};
use http::{HeaderMap, HeaderName, Method, StatusCode, Uri, header, uri::Authority};
use serde_json::json;

/// The local address of the connection that carries a request. [`crate::http_server`] adds it to each request.
#[derive(Clone, Copy, Debug)]
pub(crate) struct LocalAddress(pub(crate) SocketAddr);

/// Why a request is refused, and what its sender can do.
#[derive(Debug, PartialEq, Eq)]
struct Refusal {
    error: String,
    what_to_do: String,
}

/// Passes a request on, or answers 403 with the reason. `allowed` holds host names that are accepted besides loopback.
pub(crate) async fn check(
    State(allowed): State<Arc<[String]>>,
    Extension(LocalAddress(local)): Extension<LocalAddress>,
    request: Request,
    next: Next,
) -> Response {
    match refusal(request.method(), request.uri(), request.headers(), local.ip(), &allowed) {
        None => next.run(request).await,
        Some(Refusal { error, what_to_do }) => {
            tracing::warn!(path = request.uri().path(), error, "request to the control API refused");
            let body = Json(json!({ "error": error, "what_to_do": what_to_do }));
            (StatusCode::FORBIDDEN, body).into_response()
        }
    }
}

fn refusal(method: &Method, uri: &Uri, headers: &HeaderMap, local: IpAddr, allowed: &[String]) -> Option<Refusal> {
    let mut hosts: Vec<&str> = texts(headers, &header::HOST).collect();
    hosts.extend(uri.authority().map(Authority::as_str));
    if let Some(host) = hosts.iter().find(|host| !is_own_host(host, local, allowed)) {
        return Some(refuse_host(host));
    }
    let own = hosts.first().copied().unwrap_or_default();
    let origins: Vec<&str> = texts(headers, &header::ORIGIN).collect();
    if let Some(origin) = origins.iter().find(|origin| !is_of_host(origin, own)) {
        return Some(refuse_page(&format!("its Origin is {origin:?}")));
    }
    let reads = matches!(*method, Method::GET | Method::HEAD);
    if !(reads && is_navigation(headers)) {
        if let Some(site) = text(headers, "sec-fetch-site").filter(|site| !matches!(*site, "same-origin" | "none")) {
            return Some(refuse_page(&format!("its Sec-Fetch-Site is {site:?}")));
        }
        if let Some(referer) = text(headers, "referer").filter(|referer| !reads && !is_of_host(referer, own)) {
            return Some(refuse_page(&format!("its Referer is {referer:?}")));
        }
    }
    let content_type = text(headers, "content-type").unwrap_or_default();
    if !origins.is_empty() && is_simple(content_type) {
        return Some(Refusal {
            error: format!("a page sent a body of type {content_type:?}, as a form does"),
            what_to_do: "send content-type application/json".to_owned(),
        });
    }
    None
}

fn refuse_host(host: &str) -> Refusal {
    let name = host_of(host).unwrap_or_else(|| host.to_owned());
    Refusal {
        error: format!(
            "Host is {host:?}, which is neither a loopback name nor the address that this emulator listens on"
        ),
        what_to_do: format!(
            "call it as 127.0.0.1 or localhost, or start the emulator with --control-host {name} if that name is yours"
        ),
    }
}

fn refuse_page(why: &str) -> Refusal {
    Refusal {
        error: format!("the request comes from a web page of another origin: {why}"),
        what_to_do: "send it from a program, or from the page that this emulator serves".to_owned(),
    }
}

fn text<'a>(headers: &'a HeaderMap, name: &'static str) -> Option<&'a str> {
    texts(headers, &HeaderName::from_static(name)).next()
}

/// The values of a header. One that is not text counts as empty, so that no rule accepts it.
fn texts<'a>(headers: &'a HeaderMap, name: &HeaderName) -> impl Iterator<Item = &'a str> {
    headers
        .get_all(name)
        .into_iter()
        .map(|value| value.to_str().unwrap_or_default())
}

/// The host of `host[:port]`, lower case, without the brackets of IPv6 and without a final dot.
fn host_of(authority: &str) -> Option<String> {
    let parsed: Authority = authority.parse().ok()?;
    if parsed.as_str().contains('@') {
        return None;
    }
    let host = parsed.host().trim_start_matches('[').trim_end_matches(']');
    let host = host.trim_end_matches('.').to_ascii_lowercase();
    (!host.is_empty()).then_some(host)
}

fn is_own_host(authority: &str, local: IpAddr, allowed: &[String]) -> bool {
    let Some(host) = host_of(authority) else { return false };
    if let Ok(address) = host.parse::<IpAddr>() {
        let address = address.to_canonical();
        return address.is_loopback() || address == local.to_canonical() || allowed.contains(&host);
    }
    host == "localhost" || host.ends_with(".localhost") || allowed.iter().any(|name| name.eq_ignore_ascii_case(&host))
}

/// Whether a URL (an `Origin` or a `Referer`) has this host and port.
fn is_of_host(url: &str, authority: &str) -> bool {
    let Ok(url) = url::Url::parse(url) else { return false };
    let Ok(own) = url::Url::parse(&format!("{}://{authority}/", url.scheme())) else {
        return false;
    };
    matches!(url.scheme(), "http" | "https")
        && url.host() == own.host()
        && url.port_or_known_default() == own.port_or_known_default()
}

/// Whether it is a top-level navigation (a followed link or a typed URL), whose response no page can read.
fn is_navigation(headers: &HeaderMap) -> bool {
    text(headers, "sec-fetch-mode") == Some("navigate")
        && matches!(text(headers, "sec-fetch-dest"), None | Some("document"))
}

/// The content types that a page of any origin may send: <https://fetch.spec.whatwg.org/#cors-safelisted-request-header>.
fn is_simple(content_type: &str) -> bool {
    let essence = content_type
        .split(';')
        .next()
        .unwrap_or_default()
        .trim()
        .to_ascii_lowercase();
    matches!(
        essence.as_str(),
        "application/x-www-form-urlencoded" | "multipart/form-data" | "text/plain"
    )
}

#[cfg(test)]
mod tests {
    use std::net::{Ipv4Addr, Ipv6Addr};

    use super::*;

    const LOCAL: IpAddr = IpAddr::V4(Ipv4Addr::new(10, 0, 0, 7));

    fn is_refused(method: &Method, headers: &[(&str, &str)]) -> bool {
        let headers: HeaderMap = headers
            .iter()
            .map(|(name, value)| (name.parse::<HeaderName>().unwrap(), value.parse().unwrap()))
            .collect();
        let allowed = ["emulator.test".to_owned()];
        refusal(method, &Uri::from_static("/control/health"), &headers, LOCAL, &allowed).is_some()
    }

    #[test]
    fn hosts_are_loopback_names_the_local_address_and_those_allowed() {
        for host in [
            "127.0.0.1:4011",
            "127.0.0.1",
            "127.9.9.9",
            "localhost:4011",
            "LOCALHOST",
            "localhost.",
            "a.localhost:1",
            "[::1]:4011",
            "[::ffff:127.0.0.1]",
            "10.0.0.7:4011",
            "emulator.test",
            "Emulator.Test:80",
        ] {
            assert!(!is_refused(&Method::GET, &[("host", host)]), "{host}");
        }
        for host in [
            "evil.example:4011",
            "localhost.evil.example",
            "127.0.0.1.evil.example",
            "10.0.0.8",
            "[::2]",
            "0.0.0.0",
            "",
            "localhost@evil.example",
            "evil.example#localhost",
            "emulator.test.evil.example",
        ] {
            assert!(is_refused(&Method::GET, &[("host", host)]), "{host}");
        }
        let both = [("host", "localhost"), ("host", "evil.example")];
        assert!(is_refused(&Method::GET, &both));
        // Only programs omit it (HTTP/1.0).
        assert!(!is_refused(&Method::GET, &[]));
    }

    #[test]
    fn the_authority_of_an_absolute_uri_is_checked_too() {
        let mut headers = HeaderMap::new();
        headers.insert("host", "localhost".parse().unwrap());
        let uri = Uri::from_static("http://evil.example/control/health");
        assert!(refusal(&Method::GET, &uri, &headers, LOCAL, &[]).is_some());
    }

    #[test]
    fn origin_must_equal_the_host() {
        let own = ("host", "localhost:4011");
        for (origin, refused) in [
            ("http://localhost:4011", false),
            ("http://localhost:3000", true),
            ("http://127.0.0.1:4011", true),
            ("http://localhost", true),
            ("https://evil.example", true),
            ("null", true),
            ("", true),
            ("file://", true),
            ("chrome-extension://abcdefgh", true),
        ] {
            for method in [Method::GET, Method::POST, Method::DELETE] {
                assert_eq!(
                    is_refused(&method, &[own, ("origin", origin)]),
                    refused,
                    "{method} {origin}"
                );
            }
        }
        assert!(!is_refused(
            &Method::POST,
            &[("host", "localhost"), ("origin", "http://localhost")]
        ));
        assert!(!is_refused(
            &Method::POST,
            &[("host", "emulator.test"), ("origin", "https://emulator.test")]
        ));
    }

    #[test]
    fn requests_without_an_origin_are_checked_by_fetch_metadata_and_referer() {
        let own = ("host", "localhost:4011");
        let site = |site| ("sec-fetch-site", site);
        assert!(is_refused(&Method::GET, &[own, site("cross-site")]));
        assert!(is_refused(&Method::GET, &[own, site("same-site")]));
        assert!(!is_refused(&Method::GET, &[own, site("same-origin")]));
        assert!(!is_refused(&Method::GET, &[own, site("none")]));
        let navigation = [own, site("cross-site"), ("sec-fetch-mode", "navigate")];
        assert!(!is_refused(&Method::GET, &navigation), "a link to the page");
        assert!(is_refused(&Method::POST, &navigation), "a form");
        let frame = [
            own,
            site("cross-site"),
            ("sec-fetch-mode", "navigate"),
            ("sec-fetch-dest", "iframe"),
        ];
        assert!(is_refused(&Method::GET, &frame));
        assert!(is_refused(
            &Method::POST,
            &[own, ("referer", "https://evil.example/page")]
        ));
        assert!(!is_refused(
            &Method::POST,
            &[own, ("referer", "http://localhost:4011/")]
        ));
        assert!(!is_refused(
            &Method::GET,
            &[own, ("referer", "https://evil.example/page")]
        ));
    }

    #[test]
    fn page_must_send_json_and_a_program_need_not() {
        let own = ("host", "localhost:4011");
        let origin = ("origin", "http://localhost:4011");
        for simple in [
            "text/plain",
            "text/plain;charset=UTF-8",
            "multipart/form-data; boundary=x",
            "application/x-www-form-urlencoded",
        ] {
            assert!(
                is_refused(&Method::POST, &[own, origin, ("content-type", simple)]),
                "{simple}"
            );
            assert!(
                !is_refused(&Method::POST, &[own, ("content-type", simple)]),
                "curl -d: {simple}"
            );
        }
        assert!(!is_refused(
            &Method::POST,
            &[own, origin, ("content-type", "application/json")]
        ));
    }

    #[test]
    fn a_listener_on_ipv6_accepts_the_mapped_form_of_its_address() {
        let local = IpAddr::V6(Ipv4Addr::new(10, 0, 0, 7).to_ipv6_mapped());
        assert!(is_own_host("10.0.0.7:80", local, &[]));
        assert!(is_own_host(
            "[fd00::1]",
            IpAddr::V6(Ipv6Addr::new(0xfd00, 0, 0, 0, 0, 0, 0, 1)),
            &[]
        ));
    }
}
