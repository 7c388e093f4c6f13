//! The message of an approval at Discord, and the modal that asks for a code.
//!
//! What a pipeline has sent is escaped, or in a block of code: it cannot format, link or mention.

use arrakis_db::{Approval, ApprovalState};
use twilight_model::channel::message::component::{ButtonStyle, Label, TextInput, TextInputStyle};
use twilight_model::channel::message::{Component, Embed};
use twilight_model::http::interaction::InteractionResponseData;
use twilight_util::builder::embed::{EmbedBuilder, EmbedFieldBuilder};

use super::buttons::{button, rows};
use super::text;

/// First segment of the custom ids.
pub const NAME: &str = "approval";
/// Argument of the button that approves.
pub const APPROVE: &str = "approve";
/// Argument of the button that opens the modal for a code.
pub const ASK: &str = "ask";
/// Argument of the modal with a code, and custom id of its field.
pub const CODE: &str = "code";
/// Argument of the button that rejects.
pub const REJECT: &str = "reject";

/// Longest title of an embed, in characters: <https://discord.com/developers/docs/resources/message#embed-object-embed-limits>.
const MAX_TITLE: usize = 250;
/// Longest summary that is shown, in characters. All texts of a message have 6,000 together.
const MAX_SUMMARY: usize = 2_500;
/// Longest field.
const MAX_FIELD: usize = 1_000;

const AMBER: u32 = 0x00E6_9F00;
const GREEN: u32 = 0x0000_9E73;
const RED: u32 = 0x00D5_5E00;
const GREY: u32 = 0x0080_8080;

/// The message about an approval. Buttons only while it is pending.
pub fn message(approval: &Approval) -> InteractionResponseData {
    InteractionResponseData {
        embeds: Some(vec![embed(approval)]),
        components: Some(components(approval)),
        ..InteractionResponseData::default()
    }
}

fn embed(approval: &Approval) -> Embed {
    let color = match approval.state {
        ApprovalState::Pending => AMBER,
        ApprovalState::Approved => GREEN,
        ApprovalState::Rejected => RED,
        ApprovalState::Lapsed => GREY,
    };
    let field = |name: &str, value: &str| EmbedFieldBuilder::new(name, text::truncate(value, MAX_FIELD)).inline();
    let plan: String = approval.plan_digest.iter().map(|byte| format!("{byte:02x}")).collect();
    let mut embed = EmbedBuilder::new()
        .color(color)
        .title(text::truncate(&text::name(&approval.title), MAX_TITLE))
        .field(field("Risk", &format!("{} of 100", approval.risk_score)))
        .field(field("Policy", &approval.verdict.as_str().replace('_', " ")))
        .field(field("Requested by", &text::name(&approval.requester)))
        .field(field("Until", &text::date_and_time(approval.expires_at)));
    if !approval.summary.trim().is_empty() {
        // Nothing closes the block: a backtick becomes an apostrophe.
        let summary = text::truncate(&approval.summary.replace('`', "'"), MAX_SUMMARY);
        embed = embed.description(format!("```\n{summary}\n```"));
    }
    let reasons: Vec<String> = approval
        .risk_reasons
        .iter()
        .map(|reason| format!("• {}", text::name(reason)))
        .collect();
    if !reasons.is_empty() {
        embed = embed.field(EmbedFieldBuilder::new("Why", text::lines(&reasons, MAX_FIELD)));
    }
    if approval.state != ApprovalState::Pending {
        embed = embed.field(EmbedFieldBuilder::new("Decision", state_text(approval)));
    }
    embed
        .field(EmbedFieldBuilder::new("SHA-256 of the plan", format!("`{plan}`")))
        .build()
}

fn components(approval: &Approval) -> Vec<Component> {
    if approval.state != ApprovalState::Pending {
        return Vec::new();
    }
    let id = |argument: &str| format!("{NAME}:{argument}:{}", approval.id);
    let approve = match approval.needs_mfa {
        true => button("Approve with a code", id(ASK), ButtonStyle::Success),
        false => button("Approve", id(APPROVE), ButtonStyle::Success),
    };
    rows(vec![approve, button("Reject", id(REJECT), ButtonStyle::Danger)])
}

/// What became of an approval, in a sentence.
pub fn state_text(approval: &Approval) -> String {
    let by = approval
        .decision
        .as_ref()
        .map_or("", |decision| decision.actor.as_str());
    let by = text::name(by);
    let at = approval
        .decision
        .as_ref()
        .map_or(approval.expires_at, |decision| decision.at);
    let at = text::date_and_time(at);
    match approval.state {
        ApprovalState::Approved => format!("Approved by {by} at {at}."),
        ApprovalState::Rejected => format!("Rejected by {by} at {at}."),
        ApprovalState::Lapsed => format!("Lapsed at {at}: nobody decided in time."),
        // The leader has not ended it yet.
        ApprovalState::Pending => "Its time is over.".to_owned(),
    }
}

/// The modal that asks for a code before a plan of high risk is approved.
pub fn code_modal(approval: &Approval) -> InteractionResponseData {
    #[expect(deprecated, reason = "the field is a part of the struct")]
    let input = TextInput {
        custom_id: CODE.to_owned(),
        id: None,
        label: None,
        max_length: Some(40),
        min_length: Some(6),
        placeholder: None,
        required: Some(true),
        style: TextInputStyle::Short,
        value: None,
    };
    let title = format!("Risk {} of 100", approval.risk_score);
    InteractionResponseData {
        custom_id: Some(format!("{NAME}:{CODE}:{}", approval.id)),
        title: Some(title),
        components: Some(vec![Component::Label(Label {
            component: Box::new(Component::TextInput(input)),
            description: Some(text::truncate(&approval.title, 100)),
            id: None,
            label: "Code of your second factor".to_owned(),
        })]),
        ..InteractionResponseData::default()
    }
}

#[cfg(test)]
mod tests {
    use arrakis_db::{ApprovalDecision, ApprovalVerdict, ApprovalVia};
    use time::macros::datetime;
    use uuid::Uuid;

    use super::*;

    fn approval() -> Approval {
        Approval {
            id: Uuid::from_u128(7),
            title: "@everyone ".repeat(20),
            plan_digest: [0xab; 32],
            verdict: ApprovalVerdict::NeedsApproval,
            risk_score: 72,
            risk_reasons: vec!["[link](https://example.org) ".repeat(10); 50],
            summary: format!("``` <@1> {}", "s".repeat(8_000)),
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

    #[test]
    fn message_is_within_the_limits_of_discord_and_escaped() {
        let json = serde_json::to_value(message(&approval())).unwrap();
        let embed = &json["embeds"][0];
        let length = |text: &serde_json::Value| text.as_str().unwrap_or_default().chars().count();
        let fields = embed["fields"].as_array().unwrap();
        let all: usize = fields
            .iter()
            .map(|field| length(&field["name"]) + length(&field["value"]))
            .sum();
        assert!(fields.iter().all(|field| length(&field["value"]) <= 1_024));
        assert!(all + length(&embed["title"]) + length(&embed["description"]) <= 6_000);
        let description = embed["description"].as_str().unwrap();
        assert_eq!(description.matches("```").count(), 2, "{description}");
        assert!(!embed["title"].as_str().unwrap().contains(" @"), "{embed}");
        let buttons = &json["components"][0]["components"];
        assert_eq!(buttons[0]["custom_id"], format!("approval:ask:{}", Uuid::from_u128(7)));
        let modal = serde_json::to_value(code_modal(&approval())).unwrap();
        assert!(length(&modal["title"]) <= 45);
    }

    #[test]
    fn decided_message_names_the_person_and_has_no_buttons() {
        let decided = Approval {
            state: ApprovalState::Approved,
            decision: Some(ApprovalDecision {
                actor: "stilgar".to_owned(),
                via: ApprovalVia::Slack,
                account: "U1".to_owned(),
                second_factor: true,
                at: datetime!(2026-12-01 11:00 UTC),
            }),
            ..approval()
        };
        let json = serde_json::to_value(message(&decided)).unwrap();
        assert!(
            json["embeds"][0].to_string().contains("Approved by stilgar at "),
            "{json}"
        );
        assert_eq!(json["components"], serde_json::json!([]));
        // With the date: an approval is valid for 24 hours.
        for time in ["<t:1796122800:f>", "<t:1796205600:f>"] {
            assert!(json["embeds"][0].to_string().contains(time), "{json}");
        }
    }
}
