//! The second act: a stranger joins, proves a wallet on the wallet page, subscribes to the waitlist, crosses its line by a claim on the
//! chain, receives one alert, and is suspended and restored by an admin.
//!
//! Expected ranks are counted from the seed's plan, never read from a service.

mod alert;
mod line;
mod stranger;
mod suspension;

use std::io::Write;

use anyhow::Context as _;
use arrakis_domain::{Address, Balance};
use serde_json::Value;

use super::Transcript;
use super::context::DemoContext;
use crate::platform::{Chain, Platform, Wallet};
use crate::seed::{Plan, TOKEN_PROFILE};

/// The stranger's Discord id and name: a user whom the seed does not have.
const STRANGER: u64 = 1_210_000_000_000_000_500;
const NAME: &str = "duncan";
/// Number of the stranger's wallet.
const WALLET: u64 = 0xdca4;

/// What the scenes of this act use.
struct Act<'a> {
    platform: &'a Platform,
    demo: &'a DemoContext<'a>,
    chain: &'a Chain,
    wallet: Wallet,
    http: reqwest::Client,
}

/// Plays the act.
///
/// # Errors
/// When a service does not respond or a reply does not arrive; a wrong reply is counted in the transcript.
pub(super) async fn play<W: Write>(
    platform: &mut Platform,
    demo: &DemoContext<'_>,
    chain: &Chain,
    transcript: &mut Transcript<W>,
) -> anyhow::Result<()> {
    platform.start_api().await?;
    let act = Act {
        platform,
        demo,
        chain,
        wallet: Wallet::numbered(WALLET)?,
        http: reqwest::Client::builder().no_proxy().build()?,
    };
    stranger::arrives(&act, transcript).await?;
    stranger::proves_a_wallet(&act, transcript).await?;
    alert::is_subscribed_to(&act, transcript).await?;
    line::is_crossed(&act, transcript).await?;
    alert::arrives(&act, transcript).await?;
    suspension::and_restoring(&act, transcript).await?;
    alert::arrived_once(&act, transcript).await
}

impl Act<'_> {
    /// A claim of the stranger's wallet on the chain, and the sync that reads it.
    async fn claim(&self, amount: Balance) -> anyhow::Result<()> {
        self.chain.claim(self.wallet.address(), amount).await;
        self.platform.sync(TOKEN_PROFILE).await
    }

    /// `GET /eligibility/{address}` of the api.
    async fn standing(&self, address: Address) -> anyhow::Result<Value> {
        self.get(&format!("/eligibility/{address}")).await
    }

    async fn get(&self, path: &str) -> anyhow::Result<Value> {
        let url = format!("{}{path}", self.platform.api_url());
        let response = self.http.get(url).send().await.context("the api")?;
        Ok(response.json().await?)
    }
}

/// The rank of a holding that is newer than those of the plan.
fn rank_of(plan: &Plan, held: Balance) -> usize {
    let before = plan.holders.iter().filter(|holder| holder.held >= held);
    before.count() + 1
}
