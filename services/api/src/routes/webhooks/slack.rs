//! `POST /webhooks/slack`: clicks and modals of the Slack app, <https://docs.slack.dev/interactivity/handling-user-interaction>.
//!
//! The signature is checked over the bytes of the body, before anything of it is read. Slack waits for three seconds: the decision is made within
//! them, and the message is edited afterwards. A request that is sent twice decides once.

use std::collections::BTreeMap;

use arrakis_db::Approval;
use arrakis_security::verify_slack_request;
use axum::Json;
use axum::extract::{Request, State};
use http::HeaderMap;
use percent_encoding::percent_decode;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use time::OffsetDateTime;
use utoipa::ToSchema;
use uuid::Uuid;

use crate::approvals::{APPROVE, CODE, Decided, REJECT, Slack, SlackDecision, code_modal, decide, message};
use crate::body::receive;
use crate::openapi::EveryRoute;
use crate::problem::{Problem, ProblemBody, ProblemKind};
use crate::services::ApiState;

/// Largest body in bytes. It contains the message, which has at most 50 blocks of 3,000 characters, percent-encoded.
const MAX_BODY: usize = 1 << 20;

/// The answer to Slack. Empty for a click.
#[derive(Debug, Default, Serialize, ToSchema)]
pub(crate) struct SlackAnswer {
    /// `clear` closes the modal; `errors` shows `errors` in it
    #[serde(skip_serializing_if = "Option::is_none")]
    response_action: Option<String>,
    /// Errors by the block to which they belong
    #[serde(skip_serializing_if = "Option::is_none")]
    errors: Option<BTreeMap<String, String>>,
}

impl SlackAnswer {
    fn close() -> Self {
        Self {
            response_action: Some("clear".to_owned()),
            errors: None,
        }
    }

    fn error(text: String) -> Self {
        Self {
            response_action: Some("errors".to_owned()),
            errors: Some(BTreeMap::from([(CODE.to_owned(), text)])),
        }
    }
}

#[derive(Debug, Deserialize)]
struct Payload {
    #[serde(rename = "type")]
    kind: String,
    user: User,
    trigger_id: Option<String>,
    #[serde(default)]
    actions: Vec<Action>,
    container: Option<Container>,
    view: Option<View>,
}

#[derive(Debug, Deserialize)]
struct User {
    id: String,
}

#[derive(Debug, Deserialize)]
struct Action {
    action_id: String,
    value: Option<String>,
}

/// The message with the button.
#[derive(Debug, Deserialize)]
struct Container {
    channel_id: Option<String>,
    message_ts: Option<String>,
}

/// A submitted modal.
#[derive(Debug, Deserialize)]
struct View {
    #[serde(default)]
    callback_id: String,
    #[serde(default)]
    private_metadata: String,
    #[serde(default)]
    state: Value,
}

/// Receive a click or a modal of the Slack app
///
/// For Slack alone: `X-Slack-Signature` is checked over `X-Slack-Request-Timestamp` and the body, and the time must be within five minutes.
#[utoipa::path(
    post,
    path = "/webhooks/slack",
    tag = "approvals",
    request_body(content = String, content_type = "application/x-www-form-urlencoded", description = "The field `payload`: JSON"),
    responses(
        (status = 200, description = "The request is handled", body = SlackAnswer),
        (status = 400, description = "The body is not Slack's", body = ProblemBody, content_type = "application/problem+json"),
        (status = 401, description = "The signature is wrong, or the request is old", body = ProblemBody,
         content_type = "application/problem+json"),
        (status = 413, description = "The body is larger than 1 MiB", body = ProblemBody, content_type = "application/problem+json"),
        EveryRoute
    )
)]
pub(crate) async fn slack(State(services): State<ApiState>, request: Request) -> Result<Json<SlackAnswer>, Problem> {
    let Some(slack) = &services.slack else {
        let detail = "Slack is not configured: SLACK_APPROVALS_CHANNEL of the api is not set";
        return Err(Problem::new(ProblemKind::Unavailable, detail));
    };
    let headers = request.headers().clone();
    let body = receive(request, MAX_BODY).await?;
    verify_slack_request(
        slack.signing_secret().expose().as_bytes(),
        header(&headers, "x-slack-request-timestamp"),
        &body,
        header(&headers, "x-slack-signature"),
        OffsetDateTime::now_utc(),
    )
    .map_err(|error| Problem::new(ProblemKind::InvalidSignature, error.to_string()))?;
    let payload = read(&body)?;
    match payload.kind.as_str() {
        "block_actions" => {
            for action in &payload.actions {
                click(&services, slack, &payload, action).await?;
            }
            Ok(Json(SlackAnswer::default()))
        }
        "view_submission" => submission(&services, &payload).await.map(Json),
        // Such as a closed modal: nothing follows.
        _ => Ok(Json(SlackAnswer::default())),
    }
}

/// A header; empty where it is missing, is there twice, or is no text.
fn header<'a>(headers: &'a HeaderMap, name: &str) -> &'a str {
    let mut values = headers.get_all(name).iter();
    match (values.next(), values.next()) {
        (Some(value), None) => value.to_str().unwrap_or_default(),
        _ => "",
    }
}

/// The field `payload` of a form.
fn read(body: &[u8]) -> Result<Payload, Problem> {
    let invalid = |why: &str| Problem::new(ProblemKind::InvalidBody, format!("payload: {why}"));
    let field = body
        .split(|byte| *byte == b'&')
        .find_map(|pair| pair.strip_prefix(b"payload="));
    let field = field.ok_or_else(|| invalid("the form has no such field"))?;
    // A space is a plus sign in a form.
    let field: Vec<u8> = field
        .iter()
        .map(|byte| if *byte == b'+' { b' ' } else { *byte })
        .collect();
    let json: Vec<u8> = percent_decode(&field).collect();
    serde_json::from_slice(&json).map_err(|error| invalid(&error.to_string()))
}

/// A click on a button.
async fn click(services: &ApiState, slack: &Slack, payload: &Payload, action: &Action) -> Result<(), Problem> {
    let approves = match action.action_id.as_str() {
        APPROVE => true,
        REJECT => false,
        // A button of another message of the app.
        _ => return Ok(()),
    };
    let Some(approval) = action.value.as_deref().and_then(|value| value.parse::<Uuid>().ok()) else {
        return Err(Problem::new(
            ProblemKind::InvalidBody,
            "payload: the button has no id of an approval",
        ));
    };
    let decision = SlackDecision {
        approval,
        approves,
        user: &payload.user.id,
        code: None,
    };
    match decide(services, decision).await? {
        Decided::Show(approval) => edit(services, payload.container.as_ref(), *approval),
        Decided::AskForCode(approval) => {
            let opened = slack
                .open(
                    payload.trigger_id.as_deref().unwrap_or_default(),
                    &code_modal(&approval),
                )
                .await;
            if let Err(error) = opened {
                // The user clicks again.
                tracing::warn!(%error, approval = %approval.id, "the modal for the code was not opened");
            }
        }
        Decided::Refused(reason, outdated) => {
            tell(services, &payload.user.id, reason);
            if let Some(approval) = outdated {
                edit(services, payload.container.as_ref(), *approval);
            }
        }
    }
    Ok(())
}

/// A submitted modal with a code.
async fn submission(services: &ApiState, payload: &Payload) -> Result<SlackAnswer, Problem> {
    let view = payload.view.as_ref().filter(|view| view.callback_id == CODE);
    let Some(view) = view else {
        return Ok(SlackAnswer::default());
    };
    let invalid = |why: &str| Problem::new(ProblemKind::InvalidBody, format!("payload: {why}"));
    let approval: Uuid = view
        .private_metadata
        .parse()
        .map_err(|_| invalid("the modal has no id of an approval"))?;
    let code = view.state["values"][CODE][CODE]["value"]
        .as_str()
        .ok_or_else(|| invalid("the modal has no code"))?;
    let decision = SlackDecision {
        approval,
        approves: true,
        user: &payload.user.id,
        code: Some(code.trim()),
    };
    Ok(match decide(services, decision).await? {
        // The delivery edits the message.
        Decided::Show(_) => SlackAnswer::close(),
        // Its approval needs no code, so it was decided, or the code is missing.
        Decided::AskForCode(_) => SlackAnswer::error("Type the code of your second factor.".to_owned()),
        Decided::Refused(reason, Some(_)) => {
            tell(services, &payload.user.id, reason);
            SlackAnswer::close()
        }
        Decided::Refused(reason, None) => SlackAnswer::error(reason),
    })
}

/// Edits the message with the button at once, beside the answer to Slack. The delivery repeats it if it fails.
fn edit(services: &ApiState, container: Option<&Container>, approval: Approval) {
    let container = container.and_then(|container| container.channel_id.clone().zip(container.message_ts.clone()));
    let Some((channel, ts)) = container else {
        return;
    };
    let services = ApiState::clone(services);
    tokio::spawn(async move {
        let Some(slack) = &services.slack else {
            return;
        };
        if let Err(error) = slack.update(&channel, &ts, message(&approval)).await {
            tracing::warn!(%error, approval = %approval.id, "the message of an approval was not edited at once");
        }
    });
}

/// Shows the user why nothing was decided, beside the answer to Slack.
fn tell(services: &ApiState, user: &str, reason: String) {
    let (services, user) = (ApiState::clone(services), user.to_owned());
    tokio::spawn(async move {
        let Some(slack) = &services.slack else {
            return;
        };
        if let Err(error) = slack.tell(&user, &reason).await {
            tracing::warn!(%error, "a user of Slack was not shown why nothing was decided");
        }
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn payload_is_read_from_a_form() {
        let body = b"other=1&payload=%7B%22type%22%3A%22block_actions%22%2C%22user%22%3A%7B%22id%22%3A%22U1%22%7D%2C%22trigger_id%22%3A%22a+b%2Bc%22%7D";
        let payload = read(body).unwrap();
        assert_eq!(
            (payload.kind.as_str(), payload.user.id.as_str()),
            ("block_actions", "U1")
        );
        assert_eq!(payload.trigger_id.as_deref(), Some("a b+c"));
        for body in [
            &b""[..],
            b"payload=",
            b"payload=%7B",
            b"payload=%ff",
            b"xpayload=%7B%7D",
        ] {
            assert_eq!(read(body).unwrap_err().kind, ProblemKind::InvalidBody);
        }
    }

    #[test]
    fn header_that_is_there_twice_is_not_used() {
        let mut headers = HeaderMap::new();
        headers.append("x-slack-signature", http::HeaderValue::from_static("v0=1"));
        assert_eq!(header(&headers, "x-slack-signature"), "v0=1");
        headers.append("x-slack-signature", http::HeaderValue::from_static("v0=2"));
        assert_eq!(header(&headers, "x-slack-signature"), "");
    }
}
