//! Verification of wallets: from `/verify` to roles and the edited reply, on real services. The wallet page is not part of these tests:
//! a signed message is presented to `arrakis-verification`, and the message of the job is published as the api does.

mod consent;
mod job;
mod setup;
mod start;
mod suspended;
mod telegram;
mod unlink;
mod welcome;
