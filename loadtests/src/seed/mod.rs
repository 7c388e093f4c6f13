//! Seeds two communities: the same members, wallets and balances in Postgres and in the emulator.
//!
//! [`plan`] decides everything and writes nothing; the two writers carry the plan out without further choices.

mod conversations;
mod discord;
mod holders;
mod names;
pub mod plan;
mod postgres;

use anyhow::Context as _;
use arrakis_config::Secret;
use arrakis_db::{Admin, DatabaseOptions};
use arrakis_themes::Registry;
use time::OffsetDateTime;

use crate::platform::Emulator;

pub use discord::role_of_tier;
pub use holders::Holder;
pub use plan::{Community, Member, Newcomer, Plan, Server, TOKEN_PROFILE};

/// Seeds Postgres and the emulator.
///
/// # Errors
/// When Postgres or the emulator cannot be reached or refuses.
pub async fn run(emulator: &Emulator, admin_url: &Secret, seed: u64) -> anyhow::Result<Plan> {
    let plan = Plan::new(seed);
    write(emulator, admin_url, &plan).await?;
    Ok(plan)
}

/// Writes a plan to Postgres and the emulator.
///
/// # Errors
/// When Postgres or the emulator cannot be reached or refuses.
pub async fn write(emulator: &Emulator, admin_url: &Secret, plan: &Plan) -> anyhow::Result<()> {
    let themes = Registry::load(None)?;
    let now = OffsetDateTime::now_utc();
    let options = DatabaseOptions {
        application_name: "seed",
        ..DatabaseOptions::default()
    };
    let admin = Admin::connect(admin_url, options).await.context("DATABASE_ADMIN_URL")?;
    postgres::write(&admin, plan, &themes, now)
        .await
        .context("seeding Postgres")?;
    discord::write(emulator, &admin, plan, &themes, now)
        .await
        .context("seeding the emulator")?;
    Ok(())
}
