//! The formats of messages in queues and of requests between services.
//!
//! Owns names (exchanges, queues, routing keys), the labels of an event, the job envelope, the fields of a dead letter, the
//! headers between callers and the discord-proxy, sign-ins at the status page, and the bodies between the api and its callers: the service for Telegram, and gaib. It has
//! no input or output. A payload is versioned: to change one, add a version and a committed sample; samples of old versions must still
//! decode.

pub mod approvals;
pub mod dead_letter;
pub mod event;
pub mod headers;
pub mod interaction;
pub mod job;
pub mod labels;
pub mod names;
pub mod proxy;
pub mod redact;
pub mod rollout;
pub mod routing;
pub mod servers;
pub mod status;
pub mod telegram;

pub use dead_letter::DeadLetter;
pub use event::EventId;
pub use interaction::InteractionFields;
pub use job::{Job, JobKind};
pub use labels::{LABELS_VERSION, LabelError, Labels};
