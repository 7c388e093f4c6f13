//! Live eligibility of a wallet, from two tiers: the chain (tier 1) and a score service (tier 2).
//!
//! [`EligibilityProvider::answer`] reads both tiers at the same time and returns the best answer within a fixed time: a member never
//! waits for a slow score service, and never gets an error because of it. Each [`Answer`] names its [`Source`] and its time.
//!
//! Owns the client of the score service (`docs/score-service.md`), its circuit breaker, the stored answers in Redis, and the rule that
//! several concurrent questions about one wallet are one request. Refuses to decide what a holding is worth: tiers and zones
//! are rules of `arrakis-domain`.
//!
//! To add a field of the score service: a field in [`Score`], its check in `score/wire.rs`, a row in `docs/score-service.md`.

mod answer;
mod breaker;
mod in_flight;
mod native;
mod observer;
mod provider;
mod score;
mod settings;
mod stored;

pub use answer::{Answer, DegradedBecause, Holding, Question, Score, Source, Tier, Unanswered};
pub use breaker::{BreakerState, BreakerStatus};
pub use native::{NativeError, NativeReader};
pub use observer::{NoObserver, ProviderObserver};
pub use provider::EligibilityProvider;
pub use score::ScoreFailure;
pub use settings::{BreakerSettings, ProviderSettings};
