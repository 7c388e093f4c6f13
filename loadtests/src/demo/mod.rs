//! A scripted hour of a community, in under a minute, checked as it goes.

mod transcript;

pub use transcript::Transcript;
