//! Load runs: start, progress, stop and results.

use arrakis_emulator_client::load::{self as api, LoadStarted, Progress, Results};
use axum::{
    Json,
    body::{Body as HttpBody, Bytes},
    extract::State,
    response::IntoResponse,
};
use futures_util::stream;
use http::header::CONTENT_TYPE;

use super::{
    interactions, names,
    response::{Body, ControlError, bad, conflict, missing},
};
use crate::{
    AppState,
    load::{
        ActingMember, Action, EventKind, MAX_EVENTS, MAX_SECONDS, Plan, Run, acting_members, events_of, problem_of,
    },
    world,
};

pub(super) async fn start(
    State(app): State<AppState>,
    Body(request): Body<api::Load>,
) -> Result<Json<LoadStarted>, ControlError> {
    let plan = app.world.read(|state| validate(state, request))?;
    let (members, expected) = (plan.members.len(), plan.stages.iter().map(events_of).sum::<f64>());
    app.load
        .start(&app, plan)
        .map_err(|error| conflict(error.to_string(), "DELETE /control/load ends it"))?;
    Ok(Json(LoadStarted {
        members,
        expected_events: expected.round(),
    }))
}

fn validate(state: &world::State, request: api::Load) -> Result<Plan, ControlError> {
    if let Some(problem) = request.stages.iter().find_map(problem_of) {
        return Err(bad(
            problem,
            "a stage is {\"name\", \"seconds\", \"rate\", \"from\"?, \"warm_up_s\"?}",
        ));
    }
    let (events, seconds) = (request.stages.iter().map(events_of).sum::<f64>(), request.seconds());
    if request.stages.is_empty() || events > MAX_EVENTS || seconds > MAX_SECONDS {
        return Err(bad(
            format!(
                "{} stages of {seconds} s and {events:.0} events in all",
                request.stages.len()
            ),
            format!("at least one stage, at most {MAX_SECONDS} s and {MAX_EVENTS} events"),
        ));
    }
    let guilds = match &request.guilds {
        None => state.guilds.keys().copied().collect(),
        Some(named) => {
            let id = |name: &String| names::guild(state, name).map(|guild| guild.id);
            named.iter().map(id).collect::<Result<Vec<_>, _>>()?
        }
    };
    let members = acting_members(state, &guilds);
    let first = members.first().ok_or_else(|| {
        bad(
            "the servers have no members",
            "POST /control/seed creates servers with members",
        )
    })?;
    let kinds = request
        .kinds
        .iter()
        .map(|kind| validate_kind(kind, state, (first, guilds.len())))
        .collect::<Result<Vec<_>, _>>()?;
    if kinds.iter().map(|kind| u64::from(kind.weight)).sum::<u64>() == 0 {
        return Err(bad("no event has a weight", "list kinds with a weight above 0"));
    }
    Ok(Plan {
        seed: request.seed,
        arrivals: request.arrivals,
        stages: request.stages,
        kinds,
        members,
    })
}

fn validate_kind(
    requested: &api::EventKind,
    state: &world::State,
    first: (&ActingMember, usize),
) -> Result<EventKind, ControlError> {
    let kind = |name: String, weight: &u32, action: Action| EventKind {
        name,
        weight: (*weight).min(1_000_000),
        action,
    };
    Ok(match requested {
        api::EventKind::Command { name, options, weight } => {
            let action = interactions::validate_for_all(state, first, name, options.as_ref(), None)?;
            kind(format!("command {name}"), weight, action)
        }
        api::EventKind::Autocomplete {
            name,
            options,
            focused,
            weight,
        } => {
            let action = interactions::validate_for_all(state, first, name, options.as_ref(), Some(focused))?;
            kind(format!("autocomplete {name}"), weight, action)
        }
        api::EventKind::MemberJoin { weight } => kind("member_join".to_owned(), weight, Action::Join),
        api::EventKind::MemberLeave { weight } => kind("member_leave".to_owned(), weight, Action::Leave),
        api::EventKind::MemberUpdate { weight } => kind("member_update".to_owned(), weight, Action::Update),
    })
}

fn look<R>(app: &AppState, look: impl FnOnce(&Run) -> R) -> Result<R, ControlError> {
    let none = || missing("there is no load run", "POST /control/load starts one");
    app.load.read(look).ok_or_else(none)
}

pub(super) async fn progress(State(app): State<AppState>) -> Result<Json<Progress>, ControlError> {
    look(&app, Run::progress).map(Json)
}

pub(super) async fn stop(State(app): State<AppState>) -> Result<Json<Progress>, ControlError> {
    app.load.stop();
    look(&app, Run::progress).map(Json)
}

pub(super) async fn results(State(app): State<AppState>) -> Result<Json<Results>, ControlError> {
    look(&app, Run::results).map(Json)
}

/// Lines written while the lock is held once.
const LINES: usize = 5_000;

/// Every event of the run so far as a line of JSON, in the order of the intended times.
pub(super) async fn events(State(app): State<AppState>) -> Result<impl IntoResponse, ControlError> {
    look(&app, |_| ())?;
    let lines = stream::unfold(0, move |from| {
        let text = app.load.read(|run| {
            let mut text = String::new();
            for line in run.lines(from, LINES) {
                if let Ok(line) = serde_json::to_string(&line) {
                    text.push_str(&line);
                    text.push('\n');
                }
            }
            text
        });
        let text = text.filter(|text| !text.is_empty());
        std::future::ready(text.map(|text| (Ok::<_, std::convert::Infallible>(Bytes::from(text)), from + LINES)))
    });
    Ok(([(CONTENT_TYPE, "application/x-ndjson")], HttpBody::from_stream(lines)))
}
