//! The api or a worker is killed while members link wallets by a signature.

use std::os::unix::process::ExitStatusExt as _;
use std::time::Duration;

use anyhow::{Context as _, ensure};
use arrakis_domain::Balance;
use arrakis_themes::Registry;
use futures_util::future::join_all;
use rand::rngs::ChaCha8Rng;
use rand::{RngExt as _, SeedableRng as _};
use serde_json::json;
use sqlx::Connection as _;
use tokio::time::{Instant, sleep};

use super::effects::ASSIGN_ROLE;
use super::workers::{POINTS, start_armed, start_unarmed, wait_for_kill};
use crate::chaos::Invariant::{I1, I2, I5};
use crate::chaos::{Deployment, Guard, PROCESS_BACK, Scenario, Testbed, ranks};
use crate::platform::{PageAnswer, Wallet, WalletPage};
use crate::seed::role_of_tier;

/// In one transaction, the session's signature is used, the wallet recorded, and the job stored.
const GUARD: Guard = Guard::FailPoint("verification.guard.transaction=skip");

pub(super) const SCENARIOS: &[Scenario] = &[
    Scenario {
        fault: 54,
        name: "killed-between-signature-and-commit",
        what: "SIGKILL of the api at each seam between a signature and its answer, then of the worker around what follows, under load",
        proves: &[I1, I2],
        alerts: &[],
        expected: "the member's repetition links the wallet: one owner, one event, each role once; `registry verify` finds no problem",
        guard: GUARD,
        without_guard: "a session completed without its wallet",
        run: |testbed| Box::pin(killed_around_commit(testbed)),
    },
    Scenario {
        fault: 57,
        name: "api-killed-while-signing",
        what: "SIGKILL of the api at random moments while twelve members present their signatures",
        proves: &[I1, I2, I5],
        alerts: &[],
        expected: "ready again within 5 s; every session completes by repetition, none twice",
        guard: GUARD,
        without_guard: "a session completed without its wallet",
        run: |testbed| Box::pin(killed_while_signing(testbed)),
    },
];

/// First id of the users who link a wallet, far from those that the load uses.
const FIRST_USER: u64 = 1_240_000_000_000_000_000;
/// Number of the first one's key.
const FIRST_KEY: u64 = 9_000;
/// What each of them holds: enough for a tier, and below the ranks of the first hundred.
const HELD: u64 = 700;
/// Theme of the first server, and the tier of that holding behind the ranks of the council.
const THEME: &str = "sietch";
const TIER: &str = "mushtamal";
/// Members of `api-killed-while-signing`.
const SIGNING: usize = 12;
/// Signal that ends a process at its fail point.
const SIGKILL: i32 = 9;
/// Time limit for a job whose message is lost: the leader publishes it within 30 s.
const FOLLOWS_WITHIN: Duration = Duration::from_secs(40);

/// A member who links a wallet.
struct Signer {
    user: u64,
    wallet: Wallet,
    page: Option<WalletPage>,
    command: u64,
}

/// What the tables have about a wallet.
#[derive(Debug, sqlx::FromRow, PartialEq, Eq)]
struct Recorded {
    /// Identities that hold the wallet.
    owners: i64,
    /// Events that state its verification.
    verified: i64,
    /// Events that create an identity for the member.
    created: i64,
    /// Jobs that follow from the signature, and have succeeded.
    succeeded: i64,
    /// Other jobs that follow from the signature.
    unfinished: i64,
}

const ONCE: Recorded = Recorded {
    owners: 1,
    verified: 1,
    created: 1,
    succeeded: 1,
    unfinished: 0,
};

/// Starts a platform with a chain and the api, on which these many users have joined and hold tokens.
async fn begin(testbed: &mut Testbed, deployment: Deployment, count: usize) -> anyhow::Result<Vec<Signer>> {
    testbed.prepare(&deployment).await?;
    let mut signers = Vec::new();
    for number in 0..u64::try_from(count)? {
        signers.push(Signer {
            user: FIRST_USER + number,
            wallet: Wallet::numbered(FIRST_KEY + number)?,
            page: None,
            command: 0,
        });
    }
    let held = |signer: &Signer| (signer.wallet.address(), Balance::from_tokens(HELD));
    let chain = testbed
        .start_chain(&signers.iter().map(held).collect::<Vec<_>>())
        .await?;
    testbed.keep_running(chain);
    testbed.start_services(deployment).await?;
    testbed.platform().sync("bgt").await?;
    let guild = testbed.channel(0)?.guild;
    for signer in &signers {
        let name = format!("signer{}", signer.user - FIRST_USER);
        testbed.discord().join(guild, signer.user, &name).await?;
    }
    let users: Vec<i64> = signers.iter().map(|signer| signer.user.cast_signed()).collect();
    let known = async |testbed: &mut Testbed| {
        let mut admin = ranks::admin(testbed).await?;
        let found: i64 = sqlx::query_scalar("select count(*) from profiles where user_id = any($1)")
            .bind(&users)
            .fetch_one(&mut admin)
            .await?;
        admin.close().await?;
        Ok(usize::try_from(found) == Ok(count))
    };
    testbed.wait_until("the members to be known", known).await?;
    Ok(signers)
}

impl Signer {
    /// Runs `/verify start` and opens the page of the link.
    async fn start(&mut self, testbed: &mut Testbed) -> anyhow::Result<()> {
        let channel = testbed.channel(0)?;
        self.command = testbed
            .command_with(channel, self.user, "verify start", json!([]))
            .await?;
        let answer = testbed.discord().answer(&self.command.to_string()).await?;
        let link = answer.message["components"][0]["components"][0]["url"].as_str();
        let link = link.with_context(|| format!("/verify start has no link: {}", answer.message))?;
        self.page = Some(WalletPage::new(link)?);
        Ok(())
    }

    fn page(&self) -> anyhow::Result<&WalletPage> {
        self.page.as_ref().context("the member has no link")
    }

    /// Signs and presents the signature once.
    async fn sign(&self) -> anyhow::Result<PageAnswer> {
        self.page()?.sign(&self.wallet).await
    }

    /// Presents the signature again until the page has a final answer, as a member does. Returns how often it was presented.
    async fn sign_until_answered(&self) -> anyhow::Result<usize> {
        let deadline = Instant::now() + Duration::from_secs(25);
        let mut presented = 0;
        loop {
            presented += 1;
            let session = match self.sign().await {
                // Completed, or completed by an earlier presentation: the page then shows the session.
                Ok(answer) if answer.status.is_success() || answer.status == 409 => return Ok(presented),
                // A used session has no text to sign.
                _ => self.page()?.session().await,
            };
            if session.is_ok_and(|session| session.status.is_success() && session.text("state") != "open") {
                return Ok(presented);
            }
            ensure!(
                Instant::now() < deadline,
                "the member got no answer after {presented} presentations"
            );
            sleep(Duration::from_millis(250)).await;
        }
    }

    /// Checks that the wallet is linked once, with everything that follows. Returns by how many calls the member's roles were assigned
    /// more than once.
    async fn expect_linked(&self, testbed: &mut Testbed, what: &str) -> anyhow::Result<usize> {
        let session = self.page()?.session().await?;
        let state = session.text("state").to_owned();
        testbed.expect(
            I1,
            format!("{what}: the session is completed"),
            state == "completed",
            &state,
        );
        let deadline = Instant::now()
            + if testbed.guarded() {
                FOLLOWS_WITHIN
            } else {
                PROCESS_BACK
            };
        let mut recorded = self.recorded(testbed).await?;
        while recorded != ONCE && Instant::now() < deadline {
            sleep(Duration::from_millis(100)).await;
            recorded = self.recorded(testbed).await?;
        }
        testbed.expect(
            I2,
            format!("{what}: one owner, one event, one job"),
            recorded == ONCE,
            format!("{recorded:?}"),
        );
        let guild = testbed.channel(0)?.guild;
        let themes = Registry::load(None)?;
        let role = role_of_tier(themes.theme(THEME)?, guild, TIER).context("the theme has no such role")?;
        let member = testbed.discord().member(guild, self.user).await?;
        let roles = member.context("the member is absent")?.roles;
        testbed.expect(
            I1,
            format!("{what}: the member has the role of the tier"),
            roles.contains(&role.to_string()),
            format!("{roles:?}"),
        );
        let calls = testbed.discord().rest_calls().await?;
        let of_member = format!("/members/{}/roles/", self.user);
        let given = calls
            .iter()
            .filter(|call| call.method == "PUT" && call.status == 204 && call.path.contains(&of_member))
            .count();
        let reply = testbed.discord().answer(&self.command.to_string()).await?.text();
        testbed.expect(
            I1,
            format!("{what}: the reply states the result"),
            reply.contains("is linked to you"),
            &reply,
        );
        Ok(given.saturating_sub(roles.len()))
    }

    async fn recorded(&self, testbed: &mut Testbed) -> anyhow::Result<Recorded> {
        let mut admin = ranks::admin(testbed).await?;
        let found = sqlx::query_as(
            "select (select count(*) from identity_wallets join user_identities using (identity_id)
                      where address = $1 and removed_at is null and discord_user_id = $2) as owners,
                    (select count(*) from identity_events_as_json
                      where event_type = 'WALLET_VERIFIED' and payload ->> 'address' = $1) as verified,
                    (select count(*) from identity_events_as_json
                      where event_type = 'IDENTITY_CREATED' and payload ->> 'discord_user_id' = $2::text) as created,
                    (select count(*) from jobs
                      where kind = 'verification' and payload ->> 'address' = $1 and state = 'succeeded') as succeeded,
                    (select count(*) from jobs
                      where kind = 'verification' and payload ->> 'address' = $1 and state <> 'succeeded') as unfinished",
        )
        .bind(self.wallet.address().to_string())
        .bind(self.user.cast_signed())
        .fetch_one(&mut admin)
        .await?;
        admin.close().await?;
        Ok(found)
    }
}

/// The api is started again, with these fail points or none.
async fn start_api(testbed: &mut Testbed, points: Option<&str>) -> anyhow::Result<()> {
    let own = points.map(|points| (POINTS.to_owned(), points.to_owned()));
    let armed = testbed.with_guard_points(own.into_iter().collect());
    let api = testbed.platform().api.as_mut().context("the api was not started")?;
    api.kill().await;
    api.set(POINTS, None);
    for (name, value) in &armed {
        api.set(name, Some(value));
    }
    api.start_again();
    api.ready().await;
    Ok(())
}

/// Checks the chain of the identity registry and its tables, as an operator does.
async fn expect_sound_registry(testbed: &mut Testbed) {
    let verified = testbed.platform().worker_task(&["registry", "verify"]).await;
    let found = verified.as_ref().err().map(ToString::to_string).unwrap_or_default();
    testbed.expect(I2, "`registry verify` finds no problem", verified.is_ok(), found);
}

async fn killed_around_commit(testbed: &mut Testbed) -> anyhow::Result<()> {
    let of_api = [
        ("a wallet that is committed and not answered", "verification.recorded"),
        ("a wallet that is recorded and not committed", "verification.recording"),
        ("a signature that is checked and not used", "verification.proven"),
    ];
    let of_worker = [
        (
            "a worker before a role is assigned",
            format!("discord.calling[{ASSIGN_ROLE}]=kill"),
        ),
        (
            "a worker after a role is assigned",
            format!("discord.called[{ASSIGN_ROLE}]=kill"),
        ),
        (
            "a worker before the acknowledgement",
            "broker.handled[verification]=kill".to_owned(),
        ),
    ];
    let signers = begin(testbed, Deployment::default().api(), of_api.len() + of_worker.len()).await?;
    testbed.load_of_joins_and_leaves(15).await?;
    let mut signers = signers.into_iter();
    let mut linked = Vec::new();
    for ((what, point), mut signer) in of_api.into_iter().zip(signers.by_ref()) {
        signer.start(testbed).await?;
        start_api(testbed, Some(&format!("{point}=kill"))).await?;
        let answer = signer.sign().await;
        ensure!(answer.is_err(), "the api answered: {answer:?}");
        let api = testbed.platform().api.as_mut().context("the api was not started")?;
        let status = api.wait_for_exit(PROCESS_BACK).await;
        ensure!(status.signal() == Some(SIGKILL), "the api ended by itself: {status}");
        start_api(testbed, None).await?;
        signer.sign_until_answered().await?;
        linked.push((what, signer));
    }
    // A new leader looks for lost messages at once, and not only after 30 s.
    start_unarmed(testbed, 0).await;
    let mut again = 0;
    for (what, signer) in &linked {
        again += signer.expect_linked(testbed, what).await?;
    }
    testbed.expect(
        I2,
        "without a killed worker, each role is assigned once",
        again == 0,
        again,
    );
    for ((what, points), mut signer) in of_worker.iter().zip(signers) {
        signer.start(testbed).await?;
        start_armed(testbed, 0, Some(points)).await;
        signer.sign_until_answered().await?;
        wait_for_kill(testbed, 0).await?;
        start_unarmed(testbed, 0).await;
        again = signer.expect_linked(testbed, what).await?;
        let what = format!("{what}: a role is assigned at most once more");
        testbed.expect(I2, what, again <= 1, again);
    }
    expect_sound_registry(testbed).await;
    Ok(())
}

async fn killed_while_signing(testbed: &mut Testbed) -> anyhow::Result<()> {
    const KILLS: usize = 3;
    // A transaction lasts for a while, so that a kill meets some.
    let deployment = Deployment::default()
        .api()
        .api_env(POINTS, "verification.recording=sleep(250)");
    let mut signers = begin(testbed, deployment, SIGNING).await?;
    testbed.load_of_joins_and_leaves(15).await?;
    for signer in &mut signers {
        signer.start(testbed).await?;
    }
    let mut random = ChaCha8Rng::seed_from_u64(testbed.seed());
    let signing = join_all((0..).zip(&signers).map(|(number, signer)| async move {
        sleep(Duration::from_millis(200) * number).await;
        signer.sign_until_answered().await
    }));
    let killing = async {
        let mut slowest = Duration::ZERO;
        for _ in 0..KILLS {
            sleep(Duration::from_millis(random.random_range(250..600))).await;
            let begun = Instant::now();
            let api = testbed.platform().api.as_mut().context("the api was not started")?;
            api.kill().await;
            api.start_again();
            api.ready().await;
            slowest = slowest.max(begun.elapsed());
        }
        anyhow::Ok(slowest)
    };
    let (presented, slowest) = tokio::join!(signing, killing);
    testbed.record_recovery(slowest?, PROCESS_BACK);
    let presented: Vec<usize> = presented.into_iter().collect::<anyhow::Result<_>>()?;
    let repeated = presented.iter().filter(|times| **times > 1).count();
    testbed.expect(
        I1,
        "the api is killed while members sign",
        repeated > 0,
        "no signature was presented again",
    );
    testbed.note(format!(
        "{repeated} of {SIGNING} members presented their signature again"
    ));
    let mut again = 0;
    for signer in &signers {
        let what = format!("member {}", signer.user - FIRST_USER);
        again += signer.expect_linked(testbed, &what).await?;
    }
    testbed.expect(I2, "each role is assigned once", again == 0, again);
    expect_sound_registry(testbed).await;
    Ok(())
}
