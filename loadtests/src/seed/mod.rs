//! Seeds two communities: the same members, wallets and balances in Postgres and in the emulator.
//!
//! [`plan`] decides everything and writes nothing; the writers carry the plan out without further choices. The ranking is written to
//! Postgres or to a local chain: see [`RankingSource`].

mod conversations;
mod discord;
mod holders;
mod names;
pub mod plan;
mod postgres;
mod ranking;

use anyhow::Context as _;
use arrakis_config::Secret;
use arrakis_db::{Admin, DatabaseOptions};
use arrakis_themes::Registry;
use time::OffsetDateTime;

use crate::platform::{Chain, Emulator};

pub use discord::role_of_tier;
pub use holders::Holder;
pub use plan::{Community, Member, Newcomer, Plan, Server, TOKEN_PROFILE};

/// Where the ranking of the seeded communities comes from.
#[derive(Debug, Clone, Copy)]
pub enum RankingSource<'a> {
    /// Rows in Postgres, with the plan's holdings. No chain is read.
    Rows,
    /// A local chain, to which the plan's holdings are written. A sync reads them from there.
    LocalChain(&'a Chain),
    /// A chain of the operator's own: nothing is written to it, and a token profile that is stored stays.
    OwnChain,
}

/// Seeds Postgres and the emulator, with the ranking as rows.
///
/// # Errors
/// When Postgres or the emulator cannot be reached or refuses.
pub async fn run(emulator: &Emulator, admin_url: &Secret, seed: u64) -> anyhow::Result<Plan> {
    run_with(emulator, admin_url, seed, RankingSource::Rows).await
}

/// As [`run`], with another source of the ranking.
///
/// # Errors
/// When Postgres or the emulator cannot be reached or refuses.
pub async fn run_with(
    emulator: &Emulator,
    admin_url: &Secret,
    seed: u64,
    source: RankingSource<'_>,
) -> anyhow::Result<Plan> {
    let plan = Plan::new(seed);
    write_with(emulator, admin_url, &plan, source).await?;
    Ok(plan)
}

/// Writes a plan to Postgres and the emulator, with the ranking as rows.
///
/// # Errors
/// When Postgres or the emulator cannot be reached or refuses.
pub async fn write(emulator: &Emulator, admin_url: &Secret, plan: &Plan) -> anyhow::Result<()> {
    write_with(emulator, admin_url, plan, RankingSource::Rows).await
}

async fn write_with(
    emulator: &Emulator,
    admin_url: &Secret,
    plan: &Plan,
    source: RankingSource<'_>,
) -> anyhow::Result<()> {
    let themes = Registry::load(None)?;
    let now = OffsetDateTime::now_utc();
    let admin = connect(admin_url).await?;
    ranking::write(&admin, plan, source, now)
        .await
        .context("seeding the ranking")?;
    postgres::write(&admin, plan, &themes, now)
        .await
        .context("seeding Postgres")?;
    discord::write(emulator, &admin, plan, &themes, now)
        .await
        .context("seeding the emulator")?;
    Ok(())
}

/// Writes the token profile and the holdings alone: what must be there before a sync.
///
/// # Errors
/// When Postgres cannot be reached or refuses.
pub async fn write_ranking(admin_url: &Secret, plan: &Plan, source: RankingSource<'_>) -> anyhow::Result<()> {
    let admin = connect(admin_url).await?;
    ranking::write(&admin, plan, source, OffsetDateTime::now_utc()).await
}

/// Connects with the admin login.
pub(crate) async fn connect(admin_url: &Secret) -> anyhow::Result<Admin> {
    let options = DatabaseOptions {
        application_name: "seed",
        ..DatabaseOptions::default()
    };
    Admin::connect(admin_url, options).await.context("DATABASE_ADMIN_URL")
}
