//! The message of an approval at Slack, and the modal that asks for a code: <https://docs.slack.dev/reference/block-kit>.
//!
//! What a pipeline has sent is in blocks of the type `plain_text`, in which Slack interprets nothing: no mention, no link, no emphasis.

use arrakis_db::{Approval, ApprovalState};
use serde_json::{Value, json};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;
use uuid::Uuid;

use super::slack::escaped;

/// Id of the action of the button that approves.
pub(crate) const APPROVE: &str = "approval_approve";
/// Id of the action of the button that rejects.
pub(crate) const REJECT: &str = "approval_reject";
/// Id of the modal that asks for a code, of its block, and of the field.
pub(crate) const CODE: &str = "approval_code";

/// Longest header, in characters.
const MAX_HEADER: usize = 150;
/// Longest text of a section, in characters.
const MAX_TEXT: usize = 2_900;

/// The message about an approval: text for notifications, and blocks. Buttons only while it is pending.
pub(crate) fn message(approval: &Approval) -> Value {
    let mut blocks = vec![
        json!({"type": "header", "text": plain(&approval.title, MAX_HEADER)}),
        json!({"type": "section", "fields": [
            plain(&format!("Risk: {} of 100", approval.risk_score), MAX_TEXT),
            plain(&format!("Policy: {}", approval.verdict.as_str().replace('_', " ")), MAX_TEXT),
            plain(&format!("Requested by: {}", approval.requester), MAX_TEXT),
            plain(&format!("Until: {}", time_text(approval.expires_at)), MAX_TEXT),
        ]}),
    ];
    if !approval.risk_reasons.is_empty() {
        let reasons: Vec<String> = approval
            .risk_reasons
            .iter()
            .map(|reason| format!("• {reason}"))
            .collect();
        blocks.push(json!({"type": "section", "text": plain(&reasons.join("\n"), MAX_TEXT)}));
    }
    if !approval.summary.trim().is_empty() {
        blocks.push(json!({"type": "section", "text": plain(&approval.summary, MAX_TEXT)}));
    }
    let plan: String = approval.plan_digest.iter().map(|byte| format!("{byte:02x}")).collect();
    blocks.push(json!({"type": "context", "elements": [plain(&format!("SHA-256 of the plan: {plan}"), MAX_TEXT)]}));
    if approval.state == ApprovalState::Pending {
        blocks.push(buttons(approval));
    } else {
        blocks.push(json!({"type": "section", "text": plain(&state_text(approval), MAX_TEXT)}));
    }
    let title = shortened(&approval.title, MAX_HEADER);
    let text = match approval.state {
        ApprovalState::Pending => format!("Approval needed: {title} (risk {} of 100)", approval.risk_score),
        _ => format!("{title}: {}", state_text(approval)),
    };
    json!({"text": escaped(&text), "blocks": blocks})
}

/// What became of an approval, in a sentence.
pub(crate) fn state_text(approval: &Approval) -> String {
    let by = approval
        .decision
        .as_ref()
        .map_or("", |decision| decision.actor.as_str());
    let at = approval.decision.as_ref().map(|decision| time_text(decision.at));
    let at = at.unwrap_or_default();
    match approval.state {
        ApprovalState::Approved => format!("Approved by {by} at {at}."),
        ApprovalState::Rejected => format!("Rejected by {by} at {at}."),
        ApprovalState::Lapsed => format!("Lapsed at {at}: nobody decided in time."),
        // Its time is over, and the workers' leader has not ended it yet.
        ApprovalState::Pending => "Its time is over.".to_owned(),
    }
}

/// The modal that asks for a code before a plan of high risk is approved.
pub(crate) fn code_modal(approval: &Approval) -> Value {
    json!({
        "type": "modal",
        "callback_id": CODE,
        "private_metadata": approval.id.to_string(),
        "title": plain("Approve", 24),
        "submit": plain("Approve", 24),
        "close": plain("Cancel", 24),
        "blocks": [
            {"type": "section", "text": plain(&format!("{}: risk {} of 100", approval.title, approval.risk_score), MAX_TEXT)},
            {
                "type": "input",
                "block_id": CODE,
                "label": plain("Code of your second factor", 100),
                "element": {"type": "plain_text_input", "action_id": CODE, "min_length": 6, "max_length": 40, "focus_on_load": true},
            },
        ],
    })
}

fn buttons(approval: &Approval) -> Value {
    let id: Uuid = approval.id;
    let approve = if approval.needs_mfa {
        "Approve with a code"
    } else {
        "Approve"
    };
    let button = |label: &str, action: &str, style: &str| {
        json!({
            "type": "button", "text": plain(label, 75), "action_id": action, "style": style, "value": id.to_string(),
            "confirm": {
                "title": plain("Are you sure?", 100),
                "text": plain("The decision is final.", 300),
                "confirm": plain(label, 30),
                "deny": plain("Cancel", 30),
            },
        })
    };
    let mut approve = button(approve, APPROVE, "primary");
    if approval.needs_mfa {
        // The modal is the confirmation.
        if let Some(button) = approve.as_object_mut() {
            button.remove("confirm");
        }
    }
    json!({"type": "actions", "elements": [approve, button("Reject", REJECT, "danger")]})
}

fn plain(text: &str, max: usize) -> Value {
    // Slack refuses an empty text.
    let text = if text.trim().is_empty() { "–" } else { text };
    json!({"type": "plain_text", "text": shortened(text, max), "emoji": false})
}

fn shortened(text: &str, max: usize) -> String {
    match text.char_indices().nth(max - 1) {
        Some((end, _)) if text[end..].chars().count() > 1 => format!("{}…", &text[..end]),
        _ => text.to_owned(),
    }
}

/// A time in RFC 3339, to the second.
pub(super) fn time_text(at: OffsetDateTime) -> String {
    let at = at.replace_nanosecond(0).unwrap_or(at);
    at.format(&Rfc3339).unwrap_or_else(|_| at.to_string())
}

#[cfg(test)]
mod tests {
    use arrakis_db::{ApprovalDecision, ApprovalVerdict, ApprovalVia};
    use time::macros::datetime;

    use super::*;

    fn approval() -> Approval {
        Approval {
            id: Uuid::from_u128(7),
            title: "Production <!channel>".to_owned(),
            plan_digest: [0xab; 32],
            verdict: ApprovalVerdict::NeedsApproval,
            risk_score: 72,
            risk_reasons: vec!["deletes a role".to_owned(), "x".repeat(5_000)],
            summary: "s".repeat(8_000),
            requester: "chani".to_owned(),
            submitted_by: "api-key:1".to_owned(),
            needs_mfa: true,
            state: ApprovalState::Pending,
            created_at: datetime!(2026-12-01 10:00 UTC),
            expires_at: datetime!(2026-12-02 10:00 UTC),
            decision: None,
            signature: None,
        }
    }

    fn texts(value: &Value, found: &mut Vec<(String, String)>) {
        match value {
            Value::Object(object) => {
                if let (Some(kind), Some(text)) = (object.get("type"), object.get("text").and_then(Value::as_str)) {
                    found.push((kind.as_str().unwrap_or_default().to_owned(), text.to_owned()));
                }
                object.values().for_each(|value| texts(value, found));
            }
            Value::Array(items) => items.iter().for_each(|value| texts(value, found)),
            _ => {}
        }
    }

    #[test]
    fn texts_of_a_pipeline_are_plain_and_within_the_limits_of_slack() {
        let message = message(&approval());
        let mut found = Vec::new();
        texts(&message["blocks"], &mut found);
        assert!(
            found
                .iter()
                .all(|(kind, text)| kind == "plain_text" && text.chars().count() <= 3_000)
        );
        assert!(message["blocks"].as_array().unwrap().len() <= 50);
        assert_eq!(
            message["text"],
            "Approval needed: Production &lt;!channel&gt; (risk 72 of 100)"
        );
        let buttons = message["blocks"].as_array().unwrap().last().unwrap();
        assert_eq!(buttons["elements"][0]["action_id"], APPROVE);
        assert_eq!(buttons["elements"][1]["value"], Uuid::from_u128(7).to_string());
    }

    #[test]
    fn decided_message_names_the_person_and_has_no_buttons() {
        let decided = Approval {
            state: ApprovalState::Rejected,
            decision: Some(ApprovalDecision {
                actor: "stilgar".to_owned(),
                via: ApprovalVia::Discord,
                account: "7".to_owned(),
                second_factor: false,
                at: datetime!(2026-12-01 11:00:00.5 UTC),
            }),
            ..approval()
        };
        let message = message(&decided);
        assert!(!message.to_string().contains("\"actions\""));
        let last = message["blocks"].as_array().unwrap().last().unwrap();
        assert_eq!(last["text"]["text"], "Rejected by stilgar at 2026-12-01T11:00:00Z.");
    }

    #[test]
    fn text_is_shortened_at_a_character() {
        assert_eq!(shortened("ääää", 4), "ääää");
        assert_eq!(shortened("äääää", 4), "äää…");
    }
}
