//! A scripted demo in three acts, with checks: members and commands; a wallet, a chain and an admin; a server that is set up, badges, a
//! repair.
//!
//! The ranking comes from a local chain, which a worker's job reads. Without anvil it is seeded as rows, and the second act is left out.
//!
//! Each scene is a file with one function. It acts as members through the emulator's control API and checks what the emulator
//! received against literal texts and the seed's plan, never against a service. To add a scene, add its file and its line in
//! [`play`].

mod arrivals;
mod commands;
mod context;
mod faults;
mod refusals;
mod second_act;
mod tenants;
mod third_act;
mod transcript;

use std::io::Write;

use anyhow::ensure;
use arrakis_config::Secret;

use crate::platform::{Chain, Platform};
use crate::seed::{self, RankingSource, TOKEN_PROFILE};

pub use transcript::Transcript;

/// The variables with the addresses of the services.
const SERVICES: [&str; 6] = [
    "AMQP_URL",
    "RABBITMQ_MANAGEMENT_URL",
    "DATABASE_OWNER_URL",
    "DATABASE_URL",
    "DATABASE_ADMIN_URL",
    "REDIS_URL",
];

/// Starts a platform, plays the demo on it and stops it. Returns whether every check held.
///
/// # Errors
/// When a variable with the address of a service is not set, or a process cannot be started or ends early.
pub async fn run(seed: u64) -> anyhow::Result<bool> {
    let is_missing = |name: &&str| std::env::var_os(name).is_none_or(|value| value.is_empty());
    let missing: Vec<_> = SERVICES.into_iter().filter(is_missing).collect();
    ensure!(
        missing.is_empty(),
        "not set: {}; run `./dev demo`, which starts the services and sets these variables",
        missing.join(", ")
    );
    let mut transcript = Transcript::to_stdout();
    let mut stage = open(&mut transcript, seed).await?;
    play(&mut stage, &mut transcript).await?;
    stage.platform.stop().await;
    Ok(transcript.finish())
}

/// What the demo is played on.
#[derive(Debug)]
pub struct Stage {
    /// The services.
    pub platform: Platform,
    /// The seeded communities.
    pub plan: seed::Plan,
    /// The chain that decides the ranking; `None` without anvil.
    pub chain: Option<Chain>,
}

/// Starts and seeds a platform with all services but the api.
///
/// # Errors
/// When a process cannot be started.
pub async fn open<W: Write>(transcript: &mut Transcript<W>, seed: u64) -> anyhow::Result<Stage> {
    transcript.scene("Start");
    let mut platform = Platform::prepare().await?;
    let admin = Secret::new(platform.database().admin_url());
    let chain = if Chain::is_installed() {
        Some(Chain::start().await?)
    } else {
        None
    };
    let source = chain.as_ref().map_or(RankingSource::Rows, RankingSource::LocalChain);
    let plan = seed::run_with(&platform.discord, &admin, seed, source).await?;
    for server in &plan.servers {
        transcript.see(format!("{}: {} members", server.name, server.members.len()));
    }
    if let Some(chain) = &chain {
        platform.read_chain(chain.rpc_urls());
    }
    platform.start().await?;
    transcript.act("emulator, discord-proxy, worker and ingestor are running, each as a process of its own");
    match &chain {
        Some(chain) => {
            platform.sync(TOKEN_PROFILE).await?;
            let wallets = plan.holders.len();
            transcript.act(format!(
                "a worker has read {} blocks of a local chain: the ranking of {wallets} wallets",
                chain.anvil().finalized().await
            ));
        }
        None => transcript.act("there is no local chain: the ranking is seeded as rows"),
    }
    Ok(Stage { platform, plan, chain })
}

/// Plays every scene.
///
/// # Errors
/// When a process ends early or a reply does not arrive; a wrong reply is counted in the transcript.
pub async fn play<W: Write>(stage: &mut Stage, transcript: &mut Transcript<W>) -> anyhow::Result<()> {
    let Stage { platform, plan, chain } = stage;
    let demo = context::DemoContext::find(&platform.discord, plan).await?;
    arrivals::newcomers_get_their_tier(&demo, transcript).await?;
    commands::six_commands(&demo, transcript).await?;
    commands::a_button(&demo, transcript).await?;
    refusals::invalid_commands_are_refused(&demo, transcript).await?;
    tenants::each_sees_its_own(&demo, transcript).await?;
    arrivals::role_changed_by_hand_is_corrected(&demo, transcript).await?;
    faults::a_worker_is_killed(platform, &demo, transcript).await?;
    faults::the_ingestor_restarts(platform, &demo, transcript).await?;
    match chain {
        Some(chain) => second_act::play(platform, &demo, chain, transcript).await?,
        None => transcript.leave_out(
            "the second act (wallet, chain, alert, suspension)",
            "anvil is not installed; ./dev installs it where npm is",
        ),
    }
    third_act::play(&demo, transcript).await?;
    faults::limits_held(&demo, transcript).await
}
