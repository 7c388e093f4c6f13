//! Routes as data, and the match of a request and its route.
//!
//! Owns templates, the choice between 404 and 405, and the major parameter of a template. The templates are those of Discord's
//! OpenAPI document, so that calls can be checked against it.

use http::Method;

use super::{
    call::{Call, RouteResponse},
    errors::ApiResult,
    limits::{BucketClass, BucketKey},
};

/// Authorization that a route needs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    /// `Authorization: Bot <token>`.
    Bot,
    /// None. The global limit applies only when a bot token is sent.
    Open,
    /// The token in the path of an interaction's callback or a webhook. The global limit does not apply.
    Interaction,
}

/// Handler of a call.
pub type Handler = fn(&Call) -> ApiResult<RouteResponse>;

/// A method of a route template.
#[derive(Clone, Copy)]
pub struct Route {
    /// Method.
    pub method: &'static Method,
    /// Template with parameters in braces.
    pub template: &'static str,
    /// Row of the bucket table; with `None` only the global limit applies.
    pub class: Option<BucketClass>,
    /// Authorization.
    pub access: Access,
    /// Handler.
    pub handler: Handler,
}

/// A route that needs the bot token.
#[must_use]
pub const fn bot(method: &'static Method, template: &'static str, class: BucketClass, handler: Handler) -> Route {
    Route {
        method,
        template,
        class: Some(class),
        access: Access::Bot,
        handler,
    }
}

/// A route that needs no bot token.
#[must_use]
pub const fn open(method: &'static Method, template: &'static str, class: BucketClass, handler: Handler) -> Route {
    Route {
        method,
        template,
        class: Some(class),
        access: Access::Open,
        handler,
    }
}

/// A route that needs the token of an interaction or webhook in its path.
#[must_use]
pub const fn by_token(method: &'static Method, template: &'static str, class: BucketClass, handler: Handler) -> Route {
    Route {
        method,
        template,
        class: Some(class),
        access: Access::Interaction,
        handler,
    }
}

/// Result of a search for a route.
pub enum RouteMatch<'a> {
    /// A route and the values of its parameters.
    Route(&'a Route, Vec<(&'static str, String)>),
    /// The path exists with other methods.
    WrongMethod,
    /// The path does not exist.
    NotFound,
}

/// Finds the route of `path` (below the API's version). Templates with fewer parameters take precedence, so that `@me` of
/// `/users/@me` is not taken for a user id.
#[must_use]
pub fn find<'a>(routes: &'a [Route], method: &Method, path: &str) -> RouteMatch<'a> {
    let segments: Vec<&str> = path.trim_matches('/').split('/').collect();
    let mut best: Option<(&Route, usize)> = None;
    let mut path_known = false;
    for route in routes {
        let Some(count) = count_params(route.template, &segments) else {
            continue;
        };
        path_known = true;
        if route.method == method && best.is_none_or(|(_, known)| count < known) {
            best = Some((route, count));
        }
    }
    match best {
        Some((route, _)) => RouteMatch::Route(route, read_params(route.template, &segments)),
        None if path_known => RouteMatch::WrongMethod,
        None => RouteMatch::NotFound,
    }
}

/// The name in `{name}`.
fn param_name(part: &'static str) -> Option<&'static str> {
    part.strip_prefix('{')?.strip_suffix('}')
}

/// Number of parameters of the template, when it matches.
fn count_params(template: &'static str, segments: &[&str]) -> Option<usize> {
    let mut count = 0;
    let mut parts = template.trim_matches('/').split('/');
    for segment in segments {
        let part = parts.next()?;
        if param_name(part).is_some() && !segment.is_empty() {
            count += 1;
        } else if part != *segment && !(segment.contains('%') && part == decode(segment)) {
            return None;
        }
    }
    parts.next().is_none().then_some(count)
}

/// The parameters of a template that matches.
fn read_params(template: &'static str, segments: &[&str]) -> Vec<(&'static str, String)> {
    let parts = template.trim_matches('/').split('/').zip(segments);
    parts
        .filter_map(|(part, segment)| Some((param_name(part)?, decode(segment))))
        .collect()
}

fn decode(segment: &str) -> String {
    percent_encoding::percent_decode_str(segment)
        .decode_utf8_lossy()
        .into_owned()
}

impl Route {
    /// The bucket of a call: its class and its major parameter.
    #[must_use]
    pub fn bucket(&self, params: &[(&'static str, String)]) -> Option<BucketKey> {
        let value = |name: &str| {
            params
                .iter()
                .find(|(known, _)| *known == name)
                .map(|(_, value)| value.as_str())
        };
        let major = match (value("webhook_id"), value("interaction_id")) {
            (Some(id), _) => format!("{id}/{}", value("webhook_token").unwrap_or_default()),
            (None, Some(id)) => id.to_owned(),
            (None, None) => value("channel_id")
                .or_else(|| value("guild_id"))
                .unwrap_or_default()
                .to_owned(),
        };
        self.class.map(|class| BucketKey { class, major })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rest::routes;

    fn template(method: &Method, path: &str) -> Option<String> {
        match find(&routes::all(), method, path) {
            RouteMatch::Route(route, _) => Some(route.template.to_owned()),
            RouteMatch::WrongMethod | RouteMatch::NotFound => None,
        }
    }

    #[test]
    fn literals_take_precedence_over_parameters() {
        assert_eq!(template(&Method::GET, "/users/@me").as_deref(), Some("/users/@me"));
        assert_eq!(template(&Method::GET, "/users/12").as_deref(), Some("/users/{user_id}"));
        assert_eq!(
            template(&Method::PATCH, "/webhooks/1/t/messages/@original").as_deref(),
            Some("/webhooks/{webhook_id}/{webhook_token}/messages/@original")
        );
        assert_eq!(
            template(&Method::PATCH, "/webhooks/1/t/messages/%40original").as_deref(),
            Some("/webhooks/{webhook_id}/{webhook_token}/messages/@original")
        );
    }

    #[test]
    fn unknown_paths_and_wrong_methods_differ() {
        let routes = routes::all();
        assert!(matches!(find(&routes, &Method::GET, "/nowhere"), RouteMatch::NotFound));
        assert!(matches!(
            find(&routes, &Method::PUT, "/users/@me"),
            RouteMatch::WrongMethod
        ));
        assert!(matches!(
            find(&routes, &Method::GET, "/guilds//roles"),
            RouteMatch::NotFound
        ));
    }

    #[test]
    fn a_template_and_method_appear_once() {
        let mut seen = std::collections::HashSet::new();
        for route in routes::all() {
            assert!(
                seen.insert((route.method.clone(), route.template)),
                "{} {}",
                route.method,
                route.template
            );
        }
    }

    #[test]
    fn buckets_are_kept_apart_by_major_parameter() {
        let key = |path: &str| match find(&routes::all(), &Method::POST, path) {
            RouteMatch::Route(route, params) => route.bucket(&params).unwrap(),
            RouteMatch::WrongMethod | RouteMatch::NotFound => panic!("{path}"),
        };
        assert_eq!(key("/channels/1/messages").major, "1");
        assert_ne!(key("/webhooks/1/a"), key("/webhooks/1/b"));
        assert_eq!(key("/guilds/5/roles").major, "5");
    }
}
