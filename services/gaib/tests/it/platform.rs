//! The platform of a test: a real api in this process, with a database of its own, and a community of the session's server.

use arrakis_api::{Config, serve_on};
use arrakis_broker::{BrokerConnection, BrokerSettings, Priorities, Topology};
use arrakis_config::{Reader, Service, Source};
use arrakis_db::mfa::{MfaOutcome, confirm};
use arrakis_db::{
    Admin, ApiKeyScope, Community, CommunityId, Database, GuildId, NewApiKey, NewCommunity, ProfileStandard,
    TokenProfile, TokenProfileId, UserId,
};
use arrakis_domain::{Plan, RoleBindings, RuleSetId, ThemeId};
use arrakis_runtime::Runtime;
use arrakis_security::ApiKeySecret;
use arrakis_security::mfa::{BackupCode, SecretCipher, Totp};
use arrakis_test_support::{TestDatabase, TestRedis, TestVhost};
use time::{Duration, OffsetDateTime};
use tokio::net::TcpListener;
use uuid::Uuid;

use crate::session::{GUILD, Session};

/// A key that encrypts the secrets of second factors.
const MFA_KEY: &str = "test:MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY=";

/// The api and its database. Dropping it stops it.
pub(crate) struct Platform {
    pub(crate) url: String,
    pub(crate) database: Database,
    pub(crate) community: CommunityId,
    admin: Admin,
    runtime: Runtime,
    _redis: TestRedis,
    _vhost: TestVhost,
    _database: TestDatabase,
}

impl Drop for Platform {
    fn drop(&mut self) {
        self.runtime.shutdown.soft.cancel();
        self.runtime.shutdown.hard.cancel();
    }
}

impl Platform {
    /// An api with a community of the session's server, with the theme Sietch and the premium plan.
    pub(crate) async fn start() -> Self {
        arrakis_runtime::install_crypto_provider();
        let (test_database, redis, vhost) = (
            TestDatabase::create().await,
            TestRedis::create(),
            TestVhost::create().await,
        );
        let connection = BrokerConnection::open(&BrokerSettings::new(vhost.url()), "test");
        let topology = Topology::new(Priorities::Classic);
        topology.declare(&connection.current().await.unwrap()).await.unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let pairs = [
            ("AMQP_URL", vhost.url()),
            ("DATABASE_URL", test_database.app_url()),
            ("DATABASE_ADMIN_URL", test_database.admin_url()),
            ("REDIS_URL", redis.url()),
            ("VERIFY_BASE_URL", url.clone()),
            ("MFA_ENCRYPTION_KEY", MFA_KEY.to_owned()),
        ];
        let config = Reader::load(Service::Api, Source::pairs(pairs), Config::read).unwrap();
        let runtime = Runtime::for_test(Service::Api);
        tokio::spawn({
            let runtime = runtime.clone();
            async move { serve_on(listener, config, runtime).await.unwrap() }
        });
        let database = test_database.database().await;
        Self {
            url,
            community: create_community(&database).await,
            database,
            admin: test_database.admin().await,
            runtime,
            _redis: redis,
            _vhost: vhost,
            _database: test_database,
        }
    }

    /// Sets the variables of a session, with a new key for all communities.
    pub(crate) async fn connect(&self, session: &mut Session, scopes: &[ApiKeyScope]) {
        let secret = ApiKeySecret::generate();
        let key = NewApiKey {
            id: Uuid::now_v7(),
            name: "gaib",
            prefix: secret.prefix(),
            hash: *secret.hash().as_bytes(),
            scopes,
            created_by: "stilgar",
            user: Some(stilgar()),
            expires_at: OffsetDateTime::now_utc() + Duration::days(1),
        };
        let mut tx = self.admin.database().global().await.unwrap();
        tx.create_platform_api_key(&key).await.unwrap();
        tx.commit().await.unwrap();
        session.environment("ARRAKIS_API_URL", Some(&self.url));
        session.environment("ARRAKIS_API_KEY", Some(secret.expose()));
    }

    /// A code of the person to whom the keys belong, whose second factor has other codes from now on.
    pub(crate) async fn code(&self) -> String {
        let (user, cipher): (UserId, SecretCipher) = (stilgar(), MFA_KEY.parse().unwrap());
        let now = OffsetDateTime::now_utc();
        let mut tx = self.database.tenant(self.community).await.unwrap();
        let status = tx.mfa().status(user).await.unwrap();
        if status.is_none() {
            let totp = Totp::generate();
            let sealed = cipher.seal(user.get(), totp.secret()).unwrap();
            assert!(tx.mfa().begin(user, &sealed, now).await.unwrap());
            let outcome = confirm(&mut tx, &cipher, user, &totp.code_at(now), now).await.unwrap();
            assert_eq!(outcome, MfaOutcome::Accepted);
        }
        let code = BackupCode::generate();
        let codes = std::slice::from_ref(&code);
        assert!(tx.mfa().replace_backup_codes(&cipher, user, codes).await.unwrap());
        tx.commit().await.unwrap();
        code.expose().to_owned()
    }

    /// How many codes were counted as wrong or used.
    pub(crate) async fn refused_codes(&self) -> usize {
        let mut tx = self.database.tenant(self.community).await.unwrap();
        let entries = tx.audit_entries(100).await.unwrap();
        entries.iter().filter(|entry| entry.action == "mfa.refused").count()
    }

    /// The community.
    pub(crate) async fn record(&self) -> Community {
        let mut tx = self.database.tenant(self.community).await.unwrap();
        tx.communities().get().await.unwrap().unwrap()
    }

    /// Its role bindings.
    pub(crate) async fn bindings(&self) -> RoleBindings {
        let mut tx = self.database.tenant(self.community).await.unwrap();
        tx.communities().role_bindings().await.unwrap()
    }
}

/// The person to whom the keys belong.
fn stilgar() -> UserId {
    UserId::new(7).unwrap()
}

async fn create_community(database: &Database) -> CommunityId {
    let profile = TokenProfile {
        id: TokenProfileId::new("bgt").unwrap(),
        name: "BGT".to_owned(),
        symbol: "BGT".to_owned(),
        chain_id: 80_094,
        contract: "0x656b95e550c07a9ffe548bd4085c72418ceb1dba".parse().unwrap(),
        decimals: 18,
        claims_from: None,
        burns_to: None,
        start_block: 1,
        standard: ProfileStandard::Erc20,
        token_ids: Vec::new(),
    };
    let mut tx = database.global().await.unwrap();
    tx.eligibility().put_token_profile(&profile).await.unwrap();
    tx.commit().await.unwrap();
    let community = CommunityId::new();
    let new = NewCommunity {
        guild: GUILD.parse::<GuildId>().unwrap(),
        name: "Sietch Tabr".to_owned(),
        theme: ThemeId::new("sietch").unwrap(),
        theme_plan: Plan::Premium,
        rule_set: RuleSetId::new("balance").unwrap(),
        plan: Plan::Premium,
        token_profile: profile.id.clone(),
    };
    let mut tx = database.tenant(community).await.unwrap();
    tx.communities().create(&new).await.unwrap();
    tx.commit().await.unwrap();
    community
}
