//! Rows of tests: token profiles, rankings, communities, users, keys.

use arrakis_db::mfa::{MfaOutcome, confirm};
use arrakis_db::registry::{Account, Cause, EventSource, IdentityId, VerifiedWallet};
use arrakis_db::{ApiKeyScope, CommunityId, GuildId, NewApiKey, NewCommunity, TokenProfile, TokenProfileId, UserId};
use arrakis_domain::{Address, Balance, Plan, RuleSetId, ThemeId};
use arrakis_security::ApiKeySecret;
use arrakis_security::mfa::{BackupCode, SecretCipher, Totp};
use time::{Duration, OffsetDateTime};
use uuid::Uuid;

use super::TestApi;

/// A key that encrypts the secrets of second factors.
pub(crate) const MFA_KEY: &str = "test:MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY=";

/// The address of a number.
pub(crate) fn address(number: u8) -> Address {
    Address::from_bytes([number; 20])
}

/// A wallet with so many tokens.
pub(crate) fn holder(number: u8, tokens: u64) -> (Address, Balance) {
    (address(number), Balance::from_tokens(tokens))
}

fn profile(name: &str) -> TokenProfile {
    TokenProfile {
        id: TokenProfileId::new(name).unwrap(),
        name: name.to_uppercase(),
        symbol: name.to_uppercase(),
        chain_id: 80094,
        contract: "0x656b95e550c07a9ffe548bd4085c72418ceb1dba".parse().unwrap(),
        decimals: 18,
        claims_from: None,
        burns_to: None,
        start_block: 1,
        standard: arrakis_db::ProfileStandard::Erc20,
        token_ids: Vec::new(),
    }
}

/// A member of a test, with the identity.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Member {
    pub(crate) identity: IdentityId,
}

impl TestApi {
    /// A token profile without a ranking.
    pub(crate) async fn token_profile(&self, name: &str) {
        let mut tx = self.database.global().await.unwrap();
        tx.eligibility().put_token_profile(&profile(name)).await.unwrap();
        tx.commit().await.unwrap();
    }

    /// The ranking of a token profile, synced so long ago.
    pub(crate) async fn ranking(&self, name: &str, holdings: &[(Address, Balance)], age: Duration) {
        let id = TokenProfileId::new(name).unwrap();
        let mut tx = self.database.global().await.unwrap();
        let at = OffsetDateTime::now_utc() - age;
        tx.replace_ranking(&id, holdings, 1_000, at).await.unwrap();
        tx.commit().await.unwrap();
    }

    /// A community of the token profile `bgt`.
    pub(crate) async fn community(&self, guild: u64) -> CommunityId {
        self.token_profile("bgt").await;
        let community = CommunityId::new();
        let mut tx = self.database.tenant(community).await.unwrap();
        let new = NewCommunity {
            guild: GuildId::new(guild).unwrap(),
            name: format!("Community {guild}"),
            theme: ThemeId::new("sietch").unwrap(),
            theme_plan: Plan::Premium,
            rule_set: RuleSetId::new("balance").unwrap(),
            plan: Plan::Premium,
            token_profile: TokenProfileId::new("bgt").unwrap(),
        };
        tx.communities().create(&new).await.unwrap();
        tx.commit().await.unwrap();
        community
    }

    /// A user with an identity and a wallet, who is in these communities.
    pub(crate) async fn member(&self, id: u64, name: &str, wallet: Address, communities: &[CommunityId]) -> Member {
        let (user, now) = (UserId::new(id).unwrap(), OffsetDateTime::now_utc());
        let cause = Cause {
            source: EventSource::DiscordVerification,
            at: now,
        };
        let mut tx = self.database.global().await.unwrap();
        let mut registry = tx.registry();
        let identity = registry.create(Account::Discord(user), name, cause).await.unwrap();
        let verified = VerifiedWallet {
            address: wallet,
            chain_id: 80094,
            signature: None,
            verified_at: now,
        };
        registry.verify_wallet(identity.id, &verified, cause).await.unwrap();
        tx.commit().await.unwrap();
        for community in communities {
            let mut tx = self.database.tenant(*community).await.unwrap();
            tx.profiles().join(user, name, now).await.unwrap();
            tx.commit().await.unwrap();
        }
        Member { identity: identity.id }
    }

    /// Gives a person a second factor; returns its secret and its backup codes. No code of the last minutes was used.
    pub(crate) async fn enrol(&self, user: UserId) -> (Totp, [BackupCode; 10]) {
        let cipher: SecretCipher = MFA_KEY.parse().unwrap();
        let (totp, codes) = (Totp::generate(), BackupCode::generate_all());
        let before = OffsetDateTime::now_utc() - Duration::minutes(5);
        let sealed = cipher.seal(user.get(), totp.secret()).unwrap();
        let mut tx = self.database.global().await.unwrap();
        assert!(tx.mfa().begin(user, &sealed, before).await.unwrap());
        let code = totp.code_at(before);
        let outcome = confirm(&mut tx, &cipher, user, &code, before).await.unwrap();
        assert_eq!(outcome, MfaOutcome::Accepted);
        assert!(tx.mfa().replace_backup_codes(&cipher, user, &codes).await.unwrap());
        tx.commit().await.unwrap();
        (totp, codes)
    }

    /// A key with these scopes, for one community or for all.
    pub(crate) async fn key(&self, community: Option<CommunityId>, scopes: &[ApiKeyScope]) -> String {
        self.key_until(community, scopes, Duration::days(1)).await.1
    }

    /// A key that expires after this time, with its id.
    pub(crate) async fn key_until(
        &self,
        community: Option<CommunityId>,
        scopes: &[ApiKeyScope],
        validity: Duration,
    ) -> (Uuid, String) {
        self.key_of(community, scopes, validity, None).await
    }

    /// A key that belongs to a person.
    pub(crate) async fn key_of(
        &self,
        community: Option<CommunityId>,
        scopes: &[ApiKeyScope],
        validity: Duration,
        user: Option<UserId>,
    ) -> (Uuid, String) {
        let secret = ApiKeySecret::generate();
        let key = NewApiKey {
            id: Uuid::now_v7(),
            name: "test",
            prefix: secret.prefix(),
            hash: *secret.hash().as_bytes(),
            scopes,
            created_by: "stilgar",
            user,
            expires_at: OffsetDateTime::now_utc() + validity,
        };
        match community {
            Some(community) => {
                let mut tx = self.database.tenant(community).await.unwrap();
                tx.create_api_key(&key).await.unwrap();
                tx.commit().await.unwrap();
            }
            None => {
                let mut tx = self.admin.database().global().await.unwrap();
                tx.create_platform_api_key(&key).await.unwrap();
                tx.commit().await.unwrap();
            }
        }
        (key.id, secret.expose().to_owned())
    }
}
