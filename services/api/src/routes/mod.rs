//! The routes, one file each, on paths that mirror the URLs.

mod admin;
mod eligibility;
mod openapi;
mod status;
mod telegram;
mod verify;
mod webhooks;

use axum::Router;
use axum::middleware::from_fn_with_state;
use utoipa::openapi::OpenApi;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

pub(crate) use self::verify::RefusalBody;
use crate::authentication::authenticate;
use crate::envelope::envelope;
use crate::limits::limit_address;
use crate::services::ApiState;

/// Routes without a key.
fn public() -> OpenApiRouter<ApiState> {
    OpenApiRouter::default()
        .routes(routes!(eligibility::list))
        .routes(routes!(eligibility::of_address))
        .routes(routes!(openapi::document))
        .routes(routes!(verify::page))
        .routes(routes!(verify::asset))
        .routes(routes!(verify::session))
        .routes(routes!(verify::message))
        .routes(routes!(verify::signature))
        .routes(routes!(verify::move_wallet))
        .routes(routes!(webhooks::slack))
}

/// Routes that need a key.
fn admin() -> OpenApiRouter<ApiState> {
    OpenApiRouter::default()
        .routes(routes!(admin::users::list))
        .routes(routes!(admin::users::export))
        .routes(routes!(admin::users::detail))
        .routes(routes!(admin::users::suspend))
        .routes(routes!(admin::users::restore))
        .routes(routes!(admin::users::list_sessions))
        .routes(routes!(admin::users::revoke_sessions))
        .routes(routes!(
            admin::kill_switch::read_kill_switch,
            admin::kill_switch::turn_on_kill_switch
        ))
        .routes(routes!(admin::kill_switch::turn_off_kill_switch))
        .routes(routes!(admin::servers::read_plan, admin::servers::set_plan))
        .routes(routes!(admin::servers::read_usage, admin::servers::count_use))
        .routes(routes!(admin::servers::request_grant))
        .routes(routes!(admin::servers::use_grant))
        .routes(routes!(
            admin::servers::checkpoints::list_checkpoints,
            admin::servers::checkpoints::create_checkpoint
        ))
        .routes(routes!(admin::servers::checkpoints::read_checkpoint))
        .routes(routes!(admin::servers::checkpoints::preview_restore))
        .routes(routes!(admin::servers::checkpoints::restore_checkpoint))
        .routes(routes!(admin::approvals::submit_approval))
        .routes(routes!(admin::approvals::read_approval))
}

/// Routes of `arrakis-telegram`, which need a key.
fn internal() -> OpenApiRouter<ApiState> {
    OpenApiRouter::default()
        .routes(routes!(telegram::start_session))
        .routes(routes!(telegram::answer_request))
        .routes(routes!(telegram::account))
        .routes(routes!(telegram::unlink_wallet))
        .routes(routes!(telegram::separate_accounts))
        .routes(routes!(telegram::take_notices))
        .routes(routes!(telegram::delete_notice))
}

/// The description of all routes.
pub(crate) fn document() -> OpenApi {
    public().merge(admin()).merge(internal()).into_openapi()
}

/// The router with its layers, the outermost last.
pub(crate) fn router(services: ApiState) -> Router {
    let layer = from_fn_with_state(services.clone(), authenticate);
    let (admin, _) = admin().merge(internal()).split_for_parts();
    let (public, _) = public().split_for_parts();
    public
        .merge(status::router())
        .merge(admin.route_layer(layer))
        .layer(from_fn_with_state(services.clone(), limit_address))
        .layer(from_fn_with_state(services.clone(), envelope))
        .with_state(services)
}
