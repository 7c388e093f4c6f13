//! Discord's REST API, v10.
//!
//! Owns routes, validation, permissions, rate limits and error bodies, all written from Discord's documentation. Its only state
//! is the counters of the rate limits; `world` has everything else.
//!
//! A request is checked in this order: the edge's ban, the route table, faults, the token, the global limit, the bucket, the
//! handler; then it is recorded. A handler (`routes/…`, one file per resource) reads its form with `validate`, checks
//! permissions with [`call::AccessChecks`], and calls one operation of the world. To add a route, add a handler and a line in
//! its file's table.

pub mod body;
pub mod call;
pub mod errors;
pub mod limits;
pub mod permissions;
pub mod response;
pub mod route;
pub mod routes;
pub mod serve;
pub mod table;
pub mod validate;

use std::sync::Arc;

use axum::Router;

use crate::AppState;

/// Shared state of the REST listener's requests.
#[derive(Clone)]
pub struct Rest {
    /// The emulator.
    pub app: AppState,
    /// Counters of the rate limits.
    pub limits: Arc<limits::Limits>,
    /// The table of routes.
    pub routes: Arc<[route::Route]>,
}

/// The whole REST API, below `/api/v10` (and the other versions that Discord accepts), and the content network that serves
/// files.
pub fn router(app: AppState) -> Router {
    let rest = Rest {
        app,
        limits: Arc::default(),
        routes: routes::all().into(),
    };
    Router::new().fallback(serve::serve).with_state(rest)
}
