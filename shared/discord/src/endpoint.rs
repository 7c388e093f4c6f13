//! Every call that this client makes, with its class. A request cannot be built without an endpoint.

use arrakis_discord_http::CallClass;

/// Method and path template of a call that this client makes, with its class.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Endpoint {
    route: &'static str,
    class: CallClass,
}

impl Endpoint {
    /// Method and path template, for spans and metrics: `PUT /guilds/{guild}/members/{user}/roles/{role}`.
    pub const fn route(&self) -> &'static str {
        self.route
    }

    /// The class of the call: the effect of sending it a second time.
    pub const fn class(&self) -> CallClass {
        self.class
    }
}

macro_rules! endpoints {
    ($($name:ident = $route:literal, $class:ident;)*) => {
        $(pub(crate) const $name: Endpoint = Endpoint { route: $route, class: CallClass::$class };)*

        /// All endpoints. The worker's tests of failed calls have a case for each.
        pub const ENDPOINTS: &[Endpoint] = &[$($name),*];
    };
}

endpoints! {
    RESPOND = "POST /interactions/{interaction}/{token}/callback", TimeBound;
    EDIT_ORIGINAL = "PATCH /webhooks/{application}/{token}/messages/@original", Idempotent;
    DELETE_ORIGINAL = "DELETE /webhooks/{application}/{token}/messages/@original", Idempotent;
    // The request of "execute webhook" has no nonce.
    FOLLOW_UP = "POST /webhooks/{application}/{token}", Once;
    // Discord returns the channel that exists.
    OPEN_DM = "POST /users/@me/channels", Idempotent;
    // Always with a nonce that Discord enforces.
    CREATE_MESSAGE = "POST /channels/{channel}/messages", Idempotent;
    EDIT_MESSAGE = "PATCH /channels/{channel}/messages/{message}", Idempotent;
    MESSAGES = "GET /channels/{channel}/messages", Idempotent;
    CURRENT_USER = "GET /users/@me", Idempotent;
    GUILD = "GET /guilds/{guild}", Idempotent;
    ROLES = "GET /guilds/{guild}/roles", Idempotent;
    CHANNELS = "GET /guilds/{guild}/channels", Idempotent;
    CREATE_ROLE = "POST /guilds/{guild}/roles", Once;
    EDIT_ROLE = "PATCH /guilds/{guild}/roles/{role}", Idempotent;
    MOVE_ROLES = "PATCH /guilds/{guild}/roles", Idempotent;
    CREATE_CHANNEL = "POST /guilds/{guild}/channels", Once;
    EDIT_CHANNEL = "PATCH /channels/{channel}", Idempotent;
    MOVE_CHANNELS = "PATCH /guilds/{guild}/channels", Idempotent;
    ASSIGN_ROLE = "PUT /guilds/{guild}/members/{user}/roles/{role}", Idempotent;
    REMOVE_ROLE = "DELETE /guilds/{guild}/members/{user}/roles/{role}", Idempotent;
    MEMBER = "GET /guilds/{guild}/members/{user}", Idempotent;
    MEMBERS = "GET /guilds/{guild}/members", Idempotent;
    COMMANDS = "GET /applications/{application}/commands", Idempotent;
    SET_COMMANDS = "PUT /applications/{application}/commands", Idempotent;
}

#[cfg(test)]
mod tests {
    use http::Method;

    use super::*;

    /// The discord-proxy derives the class from the call: both must agree, or the proxy would repeat a call that must not be repeated.
    #[test]
    fn class_of_each_endpoint_is_the_one_that_the_proxy_derives() {
        for endpoint in ENDPOINTS {
            let (method, path) = endpoint.route.split_once(" /").unwrap();
            let segments: Vec<&str> = path.split('/').collect();
            let with_nonce = *endpoint == CREATE_MESSAGE;
            let derived = CallClass::of(&Method::from_bytes(method.as_bytes()).unwrap(), &segments, with_nonce);
            assert_eq!(endpoint.class, derived, "{}", endpoint.route);
        }
    }

    #[test]
    fn routes_are_unique() {
        let mut routes: Vec<_> = ENDPOINTS.iter().map(Endpoint::route).collect();
        routes.sort_unstable();
        routes.dedup();
        assert_eq!(routes.len(), ENDPOINTS.len());
    }
}
