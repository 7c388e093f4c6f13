//! Faults on demand: those that act on open connections at once, and those that are armed.

use arrakis_emulator_client::{Fault, FaultCreated};
use axum::{
    Json,
    extract::{Path, State},
};
use serde_json::{Value, json};

use super::response::{Body, ControlError, ControlResult, bad, missing};
use crate::{
    AppState,
    faults::{Condition, DeadHost, FaultKind, SessionResponse},
    gateway::{ConnectionCommand, ConnectionFilter},
};

const KINDS: &str = "gateway_drop, gateway_half_open, gateway_reconnect, gateway_invalid_session, gateway_close, \
     gateway_heartbeat_request, gateway_send; gateway_no_heartbeat_ack, gateway_duplicate_dispatch, \
     gateway_dead_resume_host, gateway_refuse_resume, gateway_resume_answer, gateway_identify_answer, \
     rest_latency, rest_status, rest_rate_limit, rest_lost_answer, \
     rest_reset, rest_half_answer, rest_garbage, rest_slow_body";
/// Kinds for which `after_effect` decides whether the call takes effect.
const WITH_EFFECT: [&str; 5] = [
    "rest_status",
    "rest_lost_answer",
    "rest_reset",
    "rest_half_answer",
    "rest_garbage",
];

pub(super) async fn list(State(app): State<AppState>) -> Json<Value> {
    Json(json!({"faults": app.faults.list()}))
}

pub(super) async fn create(
    State(app): State<AppState>,
    Body(request): Body<Fault>,
) -> Result<Json<FaultCreated>, ControlError> {
    if let Some(command) = connection_command(&request)? {
        let filter = ConnectionFilter {
            shard: request.shard,
            session: request.session,
        };
        let struck = app.hub.command(&filter, &command);
        if struck == 0 {
            return Err(missing(
                "no connected session matches",
                "GET /control/gateway lists the sessions",
            ));
        }
        return Ok(Json(FaultCreated {
            struck: Some(struck),
            ..FaultCreated::default()
        }));
    }
    let kind = armed(&request)?;
    if request.probability.is_some_and(|chance| !(0.0..=1.0).contains(&chance)) {
        return Err(bad(
            "probability is not between 0 and 1",
            "0.1 is every tenth on average",
        ));
    }
    let when = Condition {
        count: request.count,
        probability: request.probability,
        method: request.method,
        route: request.route,
        path: request.path,
        shard: request.shard,
    };
    let id = app.faults.arm(kind, when);
    let armed = app.faults.list().into_iter().find(|fault| fault.id == id);
    Ok(Json(FaultCreated {
        id: Some(id),
        armed: armed.map(|fault| json!(fault)),
        struck: None,
    }))
}

pub(super) async fn clear(State(app): State<AppState>) -> Json<Value> {
    app.faults.clear();
    Json(json!({"faults": []}))
}

pub(super) async fn remove(State(app): State<AppState>, Path(fault): Path<u64>) -> ControlResult {
    if app.faults.disarm(fault) {
        return Ok(Json(json!({"removed": fault})));
    }
    Err(missing(
        format!("there is no fault {fault}"),
        "GET /control/faults lists them",
    ))
}

/// The command for open connections, for a kind that acts at once.
fn connection_command(request: &Fault) -> Result<Option<ConnectionCommand>, ControlError> {
    Ok(Some(match request.kind.as_str() {
        "gateway_drop" => ConnectionCommand::Drop,
        "gateway_half_open" => ConnectionCommand::HalfOpen,
        "gateway_reconnect" => ConnectionCommand::Reconnect,
        "gateway_heartbeat_request" => ConnectionCommand::Heartbeat,
        "gateway_invalid_session" => ConnectionCommand::Invalidate {
            resumable: request.resumable.unwrap_or(false),
        },
        "gateway_close" => {
            let code = request.code.filter(|code| (1_000..5_000).contains(code));
            ConnectionCommand::Close(code.ok_or_else(|| bad("gateway_close needs a code", "e.g. \"code\": 4009"))?)
        }
        "gateway_send" => ConnectionCommand::Send(
            request
                .text
                .clone()
                .ok_or_else(|| bad("gateway_send needs a text", r#"e.g. "text": "{\"op\":0,""#))?,
        ),
        _ => return Ok(None),
    }))
}

fn armed(request: &Fault) -> Result<FaultKind, ControlError> {
    let kind = request.kind.as_str();
    if request.after_effect.is_some() && !WITH_EFFECT.contains(&kind) {
        return Err(bad(
            format!("after_effect has no meaning for {kind}"),
            format!("it belongs to {}", WITH_EFFECT.join(", ")),
        ));
    }
    Ok(match kind {
        "rest_latency" => FaultKind::RestLatency {
            ms: request
                .ms
                .ok_or_else(|| bad("rest_latency needs ms", "e.g. \"ms\": 500"))?,
            jitter_ms: request.jitter_ms.unwrap_or(0),
        },
        "rest_status" => {
            let status = request.status.filter(|status| (200..600).contains(status));
            let status = status.ok_or_else(|| bad("rest_status needs a status", "e.g. \"status\": 503"))?;
            if request.after_effect == Some(true) {
                FaultKind::RestStatusAfterEffect { status }
            } else {
                FaultKind::RestStatus { status }
            }
        }
        "rest_rate_limit" => {
            let scope = request.scope.clone().unwrap_or_else(|| "user".to_owned());
            if !matches!(scope.as_str(), "user" | "global" | "shared") {
                return Err(bad(format!("{scope} is not a scope"), "user, global or shared"));
            }
            FaultKind::RestRateLimit {
                scope,
                retry_after: request.retry_after.unwrap_or(1.0).max(0.0),
            }
        }
        "rest_lost_answer" if request.after_effect == Some(false) => FaultKind::RestNoAnswer { mode: mode(request)? },
        "rest_lost_answer" => FaultKind::RestLostAnswer { mode: mode(request)? },
        "rest_reset" => FaultKind::RestReset {
            after_effect: request.after_effect.unwrap_or(false),
        },
        "rest_half_answer" => FaultKind::RestHalfAnswer {
            after_effect: request.after_effect.unwrap_or(true),
        },
        "rest_garbage" => FaultKind::RestGarbage {
            after_effect: request.after_effect.unwrap_or(true),
        },
        "rest_slow_body" => FaultKind::RestSlowBody {
            ms: request
                .ms
                .ok_or_else(|| bad("rest_slow_body needs ms", "e.g. \"ms\": 2000"))?,
        },
        "gateway_no_heartbeat_ack" => FaultKind::GatewayNoHeartbeatAck,
        "gateway_duplicate_dispatch" => FaultKind::GatewayDuplicateDispatch {
            event: request.event.clone(),
        },
        "gateway_refuse_resume" => FaultKind::GatewayRefuseResume,
        "gateway_resume_answer" => FaultKind::GatewayResumeAnswer {
            answer: session_answer(request)?,
        },
        "gateway_identify_answer" => FaultKind::GatewayIdentifyAnswer {
            answer: session_answer(request)?,
        },
        "gateway_dead_resume_host" => FaultKind::GatewayDeadResumeHost { mode: mode(request)? },
        other => return Err(bad(format!("{other:?} is not a kind of fault"), KINDS)),
    })
}

/// The response in place of a session. The default resets the connection.
fn session_answer(request: &Fault) -> Result<SessionResponse, ControlError> {
    match request.mode.as_deref() {
        None | Some("reset") => Ok(SessionResponse::Reset),
        Some("silence") => Ok(SessionResponse::Silence),
        Some("invalid_session") => Ok(SessionResponse::InvalidSession),
        Some("close") => {
            let code = request.code.filter(|code| (1_000..5_000).contains(code));
            let code = code.ok_or_else(|| bad("mode close needs a code", "e.g. \"code\": 4000"))?;
            Ok(SessionResponse::Close(code))
        }
        Some(other) => Err(bad(
            format!("{other} is not a mode"),
            "reset, silence, invalid_session or close",
        )),
    }
}

/// How an unreachable host behaves. The default closes connections.
fn mode(request: &Fault) -> Result<DeadHost, ControlError> {
    match request.mode.as_deref() {
        None | Some("refuse") => Ok(DeadHost::Refuse),
        Some("hang") => Ok(DeadHost::Hang),
        Some(other) => Err(bad(format!("{other} is not a mode"), "refuse or hang")),
    }
}
