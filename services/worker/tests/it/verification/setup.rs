//! A platform whose ranking has the wallet of a test key.

use std::collections::BTreeSet;
use std::sync::Arc;

use alloy::primitives::eip191_hash_message;
use arrakis_broker::{Message, PublishOutcome};
use arrakis_chain::Chains;
use arrakis_contracts::{Job, JobKind, names};
use arrakis_db::registry::{Account as RegistryAccount, Cause, EventSource, IdentityRecord, VerifiedWallet};
use arrakis_db::{JobState, TokenProfileId};
use arrakis_domain::{Address, Balance};
use arrakis_test_support::eventually;
use arrakis_verification::{Progress, RegistryRecord, StoredJob, Submission, Verification, VerificationError};
use k256::ecdsa::SigningKey;
use reqwest::Method;
use serde_json::{Value, json};
use time::OffsetDateTime;
use url::Url;

use crate::platform::{Platform, VERIFY_BASE_URL, Worker};

pub(super) const CHAIN: u64 = 80094;

/// A platform with a worker, and the verification as the api has it.
pub(super) struct Setup {
    pub(super) platform: Platform,
    pub(super) verification: Verification,
    pub(super) key: SigningKey,
    pub(super) worker: Worker,
}

pub(super) fn now() -> OffsetDateTime {
    OffsetDateTime::now_utc()
}

pub(super) fn key(number: u8) -> SigningKey {
    SigningKey::from_slice(&[number; 32]).unwrap()
}

pub(super) fn address_of(key: &SigningKey) -> Address {
    Address::from_bytes(alloy::primitives::Address::from_public_key(key.verifying_key()).0.0)
}

/// A `personal_sign` signature in hexadecimal.
fn sign(key: &SigningKey, text: &str) -> String {
    let hash = eip191_hash_message(text);
    let (signature, recovery) = key.sign_prehash_recoverable(hash.as_slice()).unwrap();
    format!("0x{}{:02x}", hex::encode(signature.to_bytes()), 27 + recovery.to_byte())
}

impl Setup {
    /// A ranking of this number of other wallets, with the wallet of the test key behind them.
    pub(super) async fn ranked_behind(others: u16, held: &str) -> Self {
        let platform = Platform::start().await;
        let key = key(7);
        let mut ranking: Vec<(Address, Balance)> = (0..others)
            .map(|number| {
                let mut bytes = [0xee; 20];
                bytes[..2].copy_from_slice(&number.to_be_bytes());
                (
                    Address::from_bytes(bytes),
                    Balance::from_tokens(u64::from(50_000 - number)),
                )
            })
            .collect();
        ranking.push((address_of(&key), held.parse().unwrap()));
        let token = TokenProfileId::new("bgt").unwrap();
        let mut tx = platform.database.global().await.unwrap();
        tx.replace_ranking(&token, &ranking, 2, now()).await.unwrap();
        tx.commit().await.unwrap();
        let worker = platform.worker().await;
        platform.commands_registered().await;
        let base = Url::parse(VERIFY_BASE_URL).unwrap();
        let database = platform.database.clone();
        let verification = Verification::new(database, Chains::default(), &base, Arc::new(RegistryRecord));
        Self {
            platform,
            verification: verification.unwrap(),
            key,
            worker,
        }
    }

    /// A member runs `/verify start`; returns the interaction's id and the token of the link.
    pub(super) async fn start(&self, user: &str) -> (String, String) {
        self.platform.delete_cooldowns();
        let id = self.platform.run_command(user, "verify start", json!({})).await;
        let reply = self.platform.control.answered(&id).await;
        (id, token_of(&reply))
    }

    /// The key signs the session's message, and the signature is presented.
    pub(super) async fn sign(&self, token: &str, key: &SigningKey) -> Result<Progress, VerificationError> {
        let address = address_of(key).to_string();
        let message = self.verification.message(token, &address, CHAIN, now()).await?.message;
        let submission = Submission {
            signature: sign(key, &message),
            address,
            message: Some(message),
        };
        self.verification.submit(token, &submission, now()).await
    }

    /// A member verifies the wallet of a key; returns the interaction's id and the job.
    pub(super) async fn verify(&self, user: &str, key: &SigningKey) -> (String, StoredJob) {
        let (id, token) = self.start(user).await;
        let job = self.sign(&token, key).await.unwrap().job.unwrap();
        self.publish(&job).await;
        self.until_succeeded(&job.id).await;
        (id, job)
    }

    /// Publishes the message of a job, as the api does.
    pub(super) async fn publish(&self, job: &StoredJob) {
        let community = job.community.map(|community| community.to_string());
        let message_id = format!("{}:{}", community.as_deref().unwrap_or("platform"), job.id);
        let body = Job::new(&job.id, JobKind::Verification, community).encode();
        let message = Message::new(names::JOBS, JobKind::Verification.name(), message_id, "job", body);
        let published = self.platform.publisher.publish(&message).await.unwrap();
        assert_eq!(published, PublishOutcome::Confirmed);
    }

    /// Makes a job due again, as if its worker had died before it recorded the end, and publishes its message.
    pub(super) async fn repeat(&self, job: &StoredJob) {
        let community = self.platform.community.id;
        let statement = format!(
            "set app.current_tenant = '{community}'; update jobs set state = 'queued', finished_at = null where job_id = '{}'",
            job.id
        );
        self.platform.sql(&statement).await;
        self.publish(job).await;
        self.until_succeeded(&job.id).await;
    }

    pub(super) async fn until_succeeded(&self, job: &str) {
        eventually(
            || async {
                let found = self.platform.tenant().await.jobs().get(job).await.unwrap();
                found.is_some_and(|job| job.state == JobState::Succeeded)
            },
            format!("job {job} to succeed"),
        )
        .await;
    }

    /// Waits until a member has these roles of the theme.
    pub(super) async fn until_roles(&self, user: &str, wanted: &[&str]) {
        let wanted: BTreeSet<&str> = wanted.iter().copied().collect();
        let community = &self.platform.community;
        eventually(
            || async {
                let member = self.platform.control.member(community, user).await;
                community.keys(&member["roles"]).into_iter().collect::<BTreeSet<_>>() == wanted
            },
            format!("{user} to have {wanted:?}"),
        )
        .await;
    }

    /// The identity of a member.
    pub(super) async fn identity(&self, user: &str) -> Option<IdentityRecord> {
        let account = RegistryAccount::Discord(self.platform.community.user_id(user));
        let mut tx = self.platform.database.global().await.unwrap();
        tx.registry().by_account(account).await.unwrap()
    }

    /// The wallet in a member's profile.
    pub(super) async fn profile_wallet(&self, user: &str) -> Option<Address> {
        let user = self.platform.community.user_id(user);
        let profile = self.platform.tenant().await.profiles().by_user(user).await.unwrap();
        profile.unwrap().wallet
    }

    /// Links the wallet of the test key to a member, as an earlier verification did.
    pub(super) async fn hold(&self, user: &str) {
        let cause = Cause {
            source: EventSource::DiscordVerification,
            at: now(),
        };
        let user = self.platform.community.user_id(user);
        let wallet = VerifiedWallet {
            address: address_of(&self.key),
            chain_id: CHAIN,
            signature: None,
            verified_at: now(),
        };
        let mut tx = self.platform.tenant().await;
        let mut registry = tx.registry();
        let identity = registry.create(RegistryAccount::Discord(user), "holder", cause).await;
        registry
            .verify_wallet(identity.unwrap().id, &wallet, cause)
            .await
            .unwrap();
        tx.profiles().copy_wallet_from_registry(user).await.unwrap();
        tx.commit().await.unwrap();
    }

    /// The messages that the bot sent to a user.
    pub(super) async fn direct_messages(&self, user: &str) -> Vec<Value> {
        let user = self.platform.community.user(user);
        let path = format!("/dms/{user}/messages");
        let listed: Result<Vec<Value>, _> = self.platform.control.request(Method::GET, &path, None::<&()>).await;
        listed.unwrap_or_default()
    }

    /// A user presses a button in a direct message; returns the interaction's id.
    pub(super) async fn press_in_dm(&self, user: &str, message: &Value, custom_id: &str) -> String {
        let request = json!({
            "kind": "component", "user_id": self.platform.community.user(user), "message_id": message["id"],
            "custom_id": custom_id, "force": true,
        });
        let id = self.platform.control.interact(request).await;
        self.platform.deliver("INTERACTION_CREATE").await;
        id
    }

    /// A member presses a button of a message in the server; returns the record of the interaction once it is answered.
    pub(super) async fn press(&self, user: &str, message: &Value, custom_id: &str) -> Value {
        let platform = &self.platform;
        let message = message["id"].as_str().unwrap();
        let id = platform
            .control
            .press(&platform.community, user, message, custom_id)
            .await;
        platform.deliver("INTERACTION_CREATE").await;
        platform.control.answered(&id).await
    }
}

/// The token of the link in a reply to `/verify start`.
pub(super) fn token_of(reply: &Value) -> String {
    let url = reply["message"]["components"][0]["components"][0]["url"].as_str();
    let url = url.unwrap_or_else(|| panic!("no link in {reply:#}"));
    let token = url.strip_prefix(&format!("{VERIFY_BASE_URL}/verify/"));
    token.unwrap_or_else(|| panic!("unexpected link {url}")).to_owned()
}

/// The custom id of the button with this label.
pub(super) fn button(message: &Value, label: &str) -> String {
    let rows = message["components"].as_array().unwrap().iter();
    let buttons = rows.flat_map(|row| row["components"].as_array().unwrap());
    let found = buttons.filter(|button| button["label"].as_str().unwrap().starts_with(label));
    let found: Vec<_> = found.collect();
    assert_eq!(found.len(), 1, "buttons {label:?} in {message:#}");
    found[0]["custom_id"].as_str().unwrap().to_owned()
}
