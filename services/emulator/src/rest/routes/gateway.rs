//! URL of the gateway. <https://discord.com/developers/docs/events/gateway#get-gateway>

use http::Method;
use serde_json::json;

use crate::rest::{
    call::{Call, RouteResponse},
    errors::ApiResult,
    limits::BucketClass,
    route::{Access, Route, bot},
};

/// Routes of this file.
pub(super) const ROUTES: &[Route] = &[
    Route {
        method: &Method::GET,
        template: "/gateway",
        class: None,
        access: Access::Open,
        handler: get_gateway,
    },
    bot(&Method::GET, "/gateway/bot", BucketClass::Gateway, get_gateway_bot),
];

fn get_gateway(call: &Call) -> ApiResult<RouteResponse> {
    Ok(RouteResponse::json(&json!({ "url": call.app.addresses.gateway })))
}

fn get_gateway_bot(call: &Call) -> ApiResult<RouteResponse> {
    Ok(RouteResponse::json(&json!({
        "url": call.app.addresses.gateway,
        "shards": call.app.recommended_shards(),
        "session_start_limit": call.app.hub.session_start_limit(&call.app.clock),
    })))
}
