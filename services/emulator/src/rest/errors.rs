//! Discord's errors: status, code, text and nested field errors.
//!
//! Owns the table of error codes and the shape of the error body
//! (<https://discord.com/developers/docs/reference#error-messages>), and no rules: those are in `validate`, `permissions` and
//! the world. To add a code, add a variant to [`ErrorCode`] and its row in `ErrorCode::row`, from
//! <https://discord.com/developers/docs/topics/opcodes-and-status-codes#json>.

use std::{borrow::Cow, cell::RefCell};

use axum::response::{IntoResponse, Response};
use http::StatusCode;
use serde_json::{Map, Value, json};

/// Discord's JSON error codes that the emulator uses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "each name is Discord's own sentence; `row` holds the words")]
pub enum ErrorCode {
    General,
    NotFound,
    Unauthorized,
    MethodNotAllowed,
    RequestTimeout,
    UnknownChannel,
    UnknownGuild,
    UnknownMember,
    UnknownMessage,
    UnknownOverwrite,
    UnknownRole,
    UnknownUser,
    UnknownEmoji,
    UnknownReactionEmoji,
    UnknownWebhook,
    UnknownBan,
    UnknownSticker,
    UnknownInteraction,
    UnknownVoiceState,
    UnknownCommandPermissions,
    UnknownApplicationCommand,
    UnknownWelcomeScreen,
    UnknownScheduledEvent,
    BotsCannotUse,
    NotYourApplication,
    MaximumPins,
    MaximumRoles,
    MaximumWebhooks,
    MaximumEmojis,
    MaximumReactions,
    MaximumChannels,
    MaximumAttachments,
    MaximumCommands,
    MaximumDailyCommandCreates,
    MaximumScheduledEvents,
    MaximumStickers,
    RequestTooLarge,
    TooManyParentChanges,
    AlreadyCrossposted,
    AlreadyAcknowledged,
    TagNamesNotUnique,
    TagRequired,
    MissingAccess,
    CannotExecuteOnDm,
    CannotEditOthersMessage,
    CannotSendEmptyMessage,
    CannotMessageUser,
    CannotSendInVoice,
    CannotExecuteOnSystemMessage,
    MissingPermissions,
    BulkDeleteCount,
    WrongChannelKind,
    InvalidWebhookToken,
    InvalidRole,
    InvalidRecipients,
    InvalidGuildOwner,
    InvalidOauthToken,
    NotInVoice,
    CannotReplyWithoutHistory,
    NeedsBoosts,
    ThreadArchived,
    ThreadAlreadyCreated,
    ThreadLocked,
    CannotForwardUnread,
    BulkDeleteTooOld,
    InvalidFormBody,
    InvalidApiVersion,
    AssetTooLarge,
    InvalidAsset,
    CannotDeleteCommunityChannel,
    InvalidJson,
    InvalidLottie,
    LottieRasterized,
    StickerFrameCount,
    LottieDimensions,
    StickerDuration,
    WebhooksNotInForums,
    WebhookThreadTwice,
    WebhookThreadOutsideForum,
    WidgetDisabled,
    FailedToBan,
}

impl ErrorCode {
    /// HTTP status, Discord's number and Discord's text.
    const fn row(self) -> (u16, u32, &'static str) {
        match self {
            Self::General => (400, 0, "400: Bad Request"),
            Self::NotFound => (404, 0, "404: Not Found"),
            Self::Unauthorized => (401, 0, "401: Unauthorized"),
            Self::MethodNotAllowed => (405, 0, "405: Method Not Allowed"),
            Self::RequestTimeout => (408, 0, "408: Request Timeout"),
            Self::UnknownChannel => (404, 10003, "Unknown Channel"),
            Self::UnknownGuild => (404, 10004, "Unknown Guild"),
            Self::UnknownMember => (404, 10007, "Unknown Member"),
            Self::UnknownMessage => (404, 10008, "Unknown Message"),
            Self::UnknownOverwrite => (404, 10009, "Unknown Overwrite"),
            Self::UnknownRole => (404, 10011, "Unknown Role"),
            Self::UnknownUser => (404, 10013, "Unknown User"),
            Self::UnknownEmoji => (404, 10014, "Unknown Emoji"),
            Self::UnknownReactionEmoji => (400, 10014, "Unknown Emoji"),
            Self::UnknownWebhook => (404, 10015, "Unknown Webhook"),
            Self::UnknownBan => (404, 10026, "Unknown Ban"),
            Self::UnknownSticker => (404, 10060, "Unknown sticker"),
            Self::UnknownInteraction => (404, 10062, "Unknown interaction"),
            Self::UnknownVoiceState => (404, 10065, "Unknown Voice State"),
            Self::UnknownCommandPermissions => (404, 10066, "Unknown application command permissions"),
            Self::UnknownApplicationCommand => (404, 10063, "Unknown application command"),
            Self::UnknownWelcomeScreen => (404, 10069, "Unknown Guild Welcome Screen"),
            Self::UnknownScheduledEvent => (404, 10070, "Unknown Guild Scheduled Event"),
            Self::NotYourApplication => (
                403,
                20012,
                "You are not authorized to perform this action on this application",
            ),
            Self::BotsCannotUse => (403, 20001, "Bots cannot use this endpoint"),
            Self::MaximumPins => (400, 30003, "Maximum number of pins reached (250)"),
            Self::MaximumRoles => (400, 30005, "Maximum number of guild roles reached (250)"),
            Self::MaximumWebhooks => (400, 30007, "Maximum number of webhooks reached (15)"),
            Self::MaximumEmojis => (400, 30008, "Maximum number of emojis reached"),
            Self::MaximumReactions => (400, 30010, "Maximum number of reactions reached (20)"),
            Self::MaximumChannels => (400, 30013, "Maximum number of guild channels reached (500)"),
            Self::MaximumAttachments => (400, 30015, "Maximum number of attachments in a message reached (10)"),
            Self::MaximumCommands => (400, 30032, "Maximum number of application commands reached (100)"),
            Self::MaximumDailyCommandCreates => (
                429,
                30034,
                "Max number of daily application command creates has been reached (200)",
            ),
            Self::MaximumScheduledEvents => (
                400,
                30038,
                "Maximum number of uncompleted guild scheduled events reached (100)",
            ),
            Self::MaximumStickers => (400, 30039, "Maximum number of stickers reached"),
            Self::RequestTooLarge => (413, 40005, "Request entity too large"),
            Self::TooManyParentChanges => (400, 40009, "Only one channel parent_id can be modified at a time"),
            Self::AlreadyCrossposted => (400, 40033, "This message was already crossposted"),
            Self::AlreadyAcknowledged => (400, 40060, "Interaction has already been acknowledged."),
            Self::TagNamesNotUnique => (400, 40061, "Tag names must be unique"),
            Self::TagRequired => (400, 40067, "A tag is required to create a forum post in this channel"),
            Self::MissingAccess => (403, 50001, "Missing Access"),
            Self::CannotExecuteOnDm => (403, 50003, "Cannot execute action on a DM channel"),
            Self::CannotEditOthersMessage => (403, 50005, "Cannot edit a message authored by another user"),
            Self::CannotSendEmptyMessage => (400, 50006, "Cannot send an empty message"),
            Self::CannotMessageUser => (403, 50007, "Cannot send messages to this user"),
            Self::CannotSendInVoice => (400, 50008, "Cannot send messages in a non-text channel"),
            Self::CannotExecuteOnSystemMessage => (403, 50021, "Cannot execute action on a system message"),
            Self::MissingPermissions => (403, 50013, "Missing Permissions"),
            Self::BulkDeleteCount => (
                400,
                50016,
                "Provided too few or too many messages to delete. Must provide at least 2 and at most 100 messages",
            ),
            Self::WrongChannelKind => (400, 50024, "Cannot execute action on this channel type"),
            Self::InvalidWebhookToken => (401, 50027, "Invalid Webhook Token"),
            Self::InvalidRole => (400, 50028, "Invalid Role"),
            Self::InvalidRecipients => (400, 50033, "Invalid Recipient(s)"),
            Self::InvalidGuildOwner => (400, 50055, "Invalid Guild"),
            Self::InvalidOauthToken => (400, 50025, "Invalid OAuth2 access token provided"),
            Self::NotInVoice => (400, 40032, "Target user is not connected to voice."),
            Self::CannotReplyWithoutHistory => {
                (400, 160_002, "Cannot reply without permission to read message history")
            }
            Self::NeedsBoosts => (403, 50101, "This server needs more boosts to perform this action"),
            Self::ThreadArchived => (400, 50083, "Thread is archived"),
            Self::ThreadAlreadyCreated => (400, 160_004, "A thread has already been created for this message"),
            // The texts of the next two are documented; their HTTP statuses are from memory.
            Self::ThreadLocked => (400, 160_005, "Thread is locked"),
            Self::CannotForwardUnread => (
                403,
                160_014,
                "You cannot forward a message whose content you cannot read.",
            ),
            Self::BulkDeleteTooOld => (
                400,
                50034,
                "You can only bulk delete messages that are under 14 days old.",
            ),
            Self::InvalidFormBody => (400, 50035, "Invalid Form Body"),
            Self::InvalidApiVersion => (400, 50041, "Invalid API version provided"),
            // The texts of the next two are those that Discord sends; its documentation has others.
            Self::AssetTooLarge => (400, 50045, "Asset exceeds maximum size: 524288"),
            Self::InvalidAsset => (400, 50046, "Invalid Asset"),
            Self::CannotDeleteCommunityChannel => (400, 50074, "Cannot delete a channel required for Community guilds"),
            Self::InvalidJson => (400, 50109, "The request body contains invalid JSON."),
            Self::InvalidLottie => (400, 170_001, "Invalid Lottie JSON"),
            Self::LottieRasterized => (
                400,
                170_002,
                "Uploaded Lotties cannot contain rasterized images such as PNG or JPEG",
            ),
            Self::StickerFrameCount => (400, 170_004, "Sticker frame count exceeds maximum of 1000 frames"),
            Self::LottieDimensions => (400, 170_005, "Lottie animation maximum dimensions exceeded"),
            Self::StickerDuration => (400, 170_007, "Sticker animation duration exceeds maximum of 5 seconds"),
            Self::WebhooksNotInForums => (
                400,
                220_001,
                "Webhooks posted to forum channels must have a thread_name or thread_id",
            ),
            Self::WebhookThreadTwice => (
                400,
                220_002,
                "Webhooks posted to forum channels cannot have both a thread_name and thread_id",
            ),
            Self::WebhookThreadOutsideForum => (400, 220_003, "Webhooks can only create threads in forum channels"),
            Self::WidgetDisabled => (403, 50004, "Widget Disabled"),
            Self::FailedToBan => (400, 500_000, "Failed to ban users"),
        }
    }

    /// Discord's number, as in the `code` of the body.
    #[must_use]
    pub const fn number(self) -> u32 {
        self.row().1
    }
}

/// An error response.
#[derive(Clone, Debug)]
pub struct ApiError {
    /// HTTP status.
    pub status: StatusCode,
    /// Discord's JSON error code; 0 means a plain HTTP error.
    pub code: u32,
    /// Discord's text.
    pub message: Cow<'static, str>,
    /// Nested errors by field, with code 50035 only.
    pub errors: Option<Value>,
    /// Milliseconds to wait, for a limit that a handler counts itself (429).
    pub retry_after_ms: Option<u64>,
}

impl ApiError {
    /// The error with this code.
    #[must_use]
    pub fn new(code: ErrorCode) -> Self {
        let (status, number, words) = code.row();
        Self {
            status: StatusCode::from_u16(status).unwrap_or(StatusCode::BAD_REQUEST),
            code: number,
            message: Cow::Borrowed(words),
            errors: None,
            retry_after_ms: None,
        }
    }

    /// 429 of a limit that has no headers.
    #[must_use]
    pub fn rate_limited(retry_after_ms: u64) -> Self {
        Self {
            status: StatusCode::TOO_MANY_REQUESTS,
            message: Cow::Borrowed("You are being rate limited."),
            retry_after_ms: Some(retry_after_ms),
            ..Self::new(ErrorCode::General)
        }
    }

    /// 50035 with one error at `path` (segments joined by dots, numbers are list indices).
    #[must_use]
    pub fn field(path: &str, code: &str, message: impl Into<String>) -> Self {
        let errors = FieldErrors::default();
        errors.add(
            &path
                .split('.')
                .filter(|segment| !segment.is_empty())
                .map(str::to_owned)
                .collect::<Vec<_>>(),
            code,
            message,
        );
        errors
            .into_error()
            .unwrap_or_else(|| Self::new(ErrorCode::InvalidFormBody))
    }

    /// The JSON body.
    #[must_use]
    pub fn body(&self) -> Value {
        let mut body = json!({ "message": self.message, "code": self.code });
        if let (Some(errors), Value::Object(fields)) = (&self.errors, &mut body) {
            fields.insert("errors".to_owned(), errors.clone());
        }
        body
    }
}

impl From<ErrorCode> for ApiError {
    fn from(code: ErrorCode) -> Self {
        Self::new(code)
    }
}

impl std::fmt::Display for ApiError {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "{} {}: {}", self.status.as_u16(), self.code, self.message)
    }
}

impl std::error::Error for ApiError {}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        (self.status, axum::Json(self.body())).into_response()
    }
}

/// Result of a route or of an operation of the world.
pub type ApiResult<T> = Result<T, ApiError>;

/// Collects field errors while a form is read, so that one response lists all of them.
///
/// Uses interior mutability because many nested forms write into the same list at once.
#[derive(Debug, Default)]
pub struct FieldErrors {
    found: RefCell<Vec<FieldError>>,
}

#[derive(Debug)]
struct FieldError {
    path: Vec<String>,
    code: String,
    message: String,
}

impl FieldErrors {
    /// Adds an error at `path`.
    pub fn add(&self, path: &[String], code: &str, message: impl Into<String>) {
        self.found.borrow_mut().push(FieldError {
            path: path.to_vec(),
            code: code.to_owned(),
            message: message.into(),
        });
    }

    /// Whether there are no errors.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.found.borrow().is_empty()
    }

    /// The error that lists every field error; `None` when there is none.
    #[must_use]
    pub fn into_error(self) -> Option<ApiError> {
        let found = self.found.into_inner();
        if found.is_empty() {
            return None;
        }
        let mut tree = Value::Object(Map::new());
        for error in found {
            place(&mut tree, &error);
        }
        Some(ApiError {
            errors: Some(tree),
            ..ApiError::new(ErrorCode::InvalidFormBody)
        })
    }

    /// Returns `value` when there are no errors.
    ///
    /// # Errors
    /// 50035 with all collected field errors.
    pub fn finish<T>(self, value: T) -> ApiResult<T> {
        match self.into_error() {
            Some(error) => Err(error),
            None => Ok(value),
        }
    }
}

/// Inserts an error into the tree of `errors`. A leaf has `_errors` and nothing else, so an error below an existing leaf, or a
/// leaf above existing branches, is dropped: the first one is kept, as in Discord's responses.
fn place(tree: &mut Value, error: &FieldError) {
    let mut node = tree;
    for segment in &error.path {
        let Value::Object(fields) = node else { return };
        if fields.contains_key("_errors") {
            return;
        }
        node = fields
            .entry(segment.clone())
            .or_insert_with(|| Value::Object(Map::new()));
    }
    let Value::Object(fields) = node else { return };
    if !fields.is_empty() && !fields.contains_key("_errors") {
        return;
    }
    let list = fields.entry("_errors").or_insert_with(|| Value::Array(Vec::new()));
    if let Value::Array(list) = list {
        list.push(json!({ "code": error.code, "message": error.message }));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn path(segments: &[&str]) -> Vec<String> {
        segments.iter().map(|segment| (*segment).to_owned()).collect()
    }

    #[test]
    fn nested_errors_share_their_branches() {
        let errors = FieldErrors::default();
        errors.add(
            &path(&["embeds", "0", "title"]),
            "BASE_TYPE_MAX_LENGTH",
            "Must be 256 or fewer in length.",
        );
        errors.add(
            &path(&["embeds", "0", "fields", "1", "name"]),
            "BASE_TYPE_REQUIRED",
            "This field is required",
        );
        errors.add(
            &path(&["content"]),
            "BASE_TYPE_MAX_LENGTH",
            "Must be 2000 or fewer in length.",
        );
        let body = errors.into_error().unwrap().body();
        assert_eq!(body["code"], 50035);
        assert_eq!(
            body["errors"]["embeds"]["0"]["title"]["_errors"][0]["code"],
            "BASE_TYPE_MAX_LENGTH"
        );
        assert_eq!(
            body["errors"]["embeds"]["0"]["fields"]["1"]["name"]["_errors"][0]["message"],
            "This field is required"
        );
        assert_eq!(body["errors"]["content"]["_errors"].as_array().unwrap().len(), 1);
    }

    #[test]
    fn a_leaf_never_has_branches_beside_its_errors() {
        let errors = FieldErrors::default();
        errors.add(&path(&["options", "0"]), "A", "first");
        errors.add(&path(&["options", "0", "name"]), "B", "below a leaf");
        let body = errors.into_error().unwrap().body();
        assert_eq!(
            body["errors"]["options"]["0"],
            json!({"_errors": [{"code": "A", "message": "first"}]})
        );
    }

    #[test]
    fn root_may_have_errors() {
        let body = ApiError::field(
            "",
            "APPLICATION_COMMAND_TOO_LARGE",
            "Command exceeds maximum size (8000)",
        )
        .body();
        assert_eq!(body["errors"]["_errors"][0]["code"], "APPLICATION_COMMAND_TOO_LARGE");
    }

    #[test]
    fn plain_http_errors_use_code_zero() {
        let error = ApiError::new(ErrorCode::Unauthorized);
        assert_eq!(
            (error.status.as_u16(), error.body()),
            (401, json!({"message": "401: Unauthorized", "code": 0}))
        );
    }
}
