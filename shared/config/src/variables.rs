//! Declarations of the environment variables: name, services that read it, requirement, default, example, meaning.
//!
//! Names that operators and other tools rely on have no prefix. A service's own settings begin with its prefix
//! (`INGESTOR_`, `WORKER_`, `PROXY_`, `API_`, `TELEGRAM_`, `INTERACTIONS_`, `GAIB_`, `POLICY_`); an undeclared name with the prefix is refused at the start.

/// A process that reads configuration.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Service {
    /// `arrakis-ingestor`.
    Ingestor,
    /// `arrakis-worker`.
    Worker,
    /// `arrakis-discord-proxy`.
    DiscordProxy,
    /// `arrakis-api`.
    Api,
    /// `arrakis-telegram`.
    Telegram,
    /// `arrakis-interactions`.
    Interactions,
    /// `gaib`.
    Gaib,
    /// `arrakis-policy`.
    Policy,
}

impl Service {
    /// Name of the binary.
    pub const fn binary(self) -> &'static str {
        match self {
            Self::Ingestor => "arrakis-ingestor",
            Self::Worker => "arrakis-worker",
            Self::DiscordProxy => "arrakis-discord-proxy",
            Self::Api => "arrakis-api",
            Self::Telegram => "arrakis-telegram",
            Self::Interactions => "arrakis-interactions",
            Self::Gaib => "gaib",
            Self::Policy => "arrakis-policy",
        }
    }

    /// Prefix of the names of its own settings.
    pub const fn prefix(self) -> &'static str {
        match self {
            Self::Ingestor => "INGESTOR_",
            Self::Worker => "WORKER_",
            Self::DiscordProxy => "PROXY_",
            Self::Api => "API_",
            Self::Telegram => "TELEGRAM_",
            Self::Interactions => "INTERACTIONS_",
            Self::Gaib => "GAIB_",
            Self::Policy => "POLICY_",
        }
    }
}

/// Whether a service requires a variable.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Requirement {
    /// The service does not start without it.
    Required,
    /// The service starts without it: it has a default, or its absence has a meaning.
    Optional,
}

/// One environment variable.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Variable {
    /// Name in the environment.
    pub name: &'static str,
    /// An older name that is still read.
    pub older_name: Option<&'static str>,
    /// Services that read it.
    pub used_by: &'static [Service],
    /// Whether these services require it.
    pub requirement: Requirement,
    /// Value when it is not set.
    pub default: Option<&'static str>,
    /// A valid value.
    pub example: &'static str,
    /// Its meaning, with the unit.
    pub meaning: &'static str,
    /// Whether its value is never printed.
    pub secret: bool,
}

impl Variable {
    const fn required(
        name: &'static str,
        used_by: &'static [Service],
        example: &'static str,
        meaning: &'static str,
    ) -> Self {
        Self {
            name,
            older_name: None,
            used_by,
            requirement: Requirement::Required,
            default: None,
            example,
            meaning,
            secret: false,
        }
    }

    const fn defaulted(
        name: &'static str,
        used_by: &'static [Service],
        default: &'static str,
        meaning: &'static str,
    ) -> Self {
        let mut variable = Self::required(name, used_by, default, meaning);
        variable.requirement = Requirement::Optional;
        variable.default = Some(default);
        variable
    }

    const fn optional(
        name: &'static str,
        used_by: &'static [Service],
        example: &'static str,
        meaning: &'static str,
    ) -> Self {
        let mut variable = Self::required(name, used_by, example, meaning);
        variable.requirement = Requirement::Optional;
        variable
    }

    const fn secret(mut self) -> Self {
        self.secret = true;
        self
    }

    const fn older(mut self, name: &'static str) -> Self {
        self.older_name = Some(name);
        self
    }

    /// `NAME=example`, a line of an environment file.
    pub fn assignment(&self) -> String {
        format!("{}={}", self.name, self.example)
    }

    /// Whether `key` is its name or its older name.
    pub fn has_name(&self, key: &str) -> bool {
        self.name == key || self.older_name == Some(key)
    }
}

const INGESTOR: &[Service] = &[Service::Ingestor];
const WORKER: &[Service] = &[Service::Worker];
const PROXY: &[Service] = &[Service::DiscordProxy];
const API: &[Service] = &[Service::Api];
const TELEGRAM: &[Service] = &[Service::Telegram];
const INTERACTIONS: &[Service] = &[Service::Interactions];
const GAIB: &[Service] = &[Service::Gaib];
const POLICY: &[Service] = &[Service::Policy];
const API_AND_POLICY: &[Service] = &[Service::Api, Service::Policy];
const GAIB_AND_POLICY: &[Service] = &[Service::Gaib, Service::Policy];
const WORKER_AND_API: &[Service] = &[Service::Worker, Service::Api];
const TO_PROXY: &[Service] = &[Service::Worker, Service::Api, Service::Gaib];
const WORKER_AND_GAIB: &[Service] = &[Service::Worker, Service::Gaib];
const WITH_SIGNING_KEY: &[Service] = &[Service::Worker, Service::Api, Service::Gaib];
const TO_DISCORD: &[Service] = &[Service::Ingestor, Service::DiscordProxy, Service::Gaib];
const WITH_KILL_SWITCH: &[Service] = &[Service::Worker, Service::DiscordProxy, Service::Api];
const WITH_API_BASE: &[Service] = &[Service::Ingestor, Service::Worker, Service::DiscordProxy, Service::Gaib];
/// Prefix of the variables that set a variable of a gaib configuration; the rest of the name is that variable's name.
pub const GAIB_VAR_PREFIX: &str = "GAIB_VAR_";

const EVERY: &[Service] = &[
    Service::Ingestor,
    Service::Worker,
    Service::DiscordProxy,
    Service::Api,
    Service::Telegram,
    Service::Interactions,
];
const TO_WALLET_PAGE: &[Service] = &[Service::Worker, Service::Api, Service::Telegram];
const TO_BROKER: &[Service] = &[Service::Ingestor, Service::Worker, Service::Api, Service::Interactions];

macro_rules! variables {
    ($($(#[$doc:meta])* $name:ident = $value:expr;)*) => {
        $($(#[$doc])* pub const $name: Variable = $value;)*
        /// All environment variables, in the order of `.env.example`.
        pub const VARIABLES: &[Variable] = &[$($name),*];
    };
}

variables! {
    /// Bot token.
    DISCORD_TOKEN = Variable::required("DISCORD_TOKEN", TO_DISCORD, "MTIzNDU2Nzg5MDEyMzQ1Njc4.GaBcDe.example",
        "bot token of the Discord application").secret().older("DISCORD_BOT_TOKEN");
    /// Base URL of Discord's REST API.
    DISCORD_API_BASE = Variable::defaulted("DISCORD_API_BASE", WITH_API_BASE, "https://discord.com/api/v10",
        "base URL of Discord's REST API, ending in /api/v10; https://, or http:// to this machine; GET /gateway/bot there returns the gateway's URL; \
         the worker sends no request there: it reads images for snapshots from the content network of this API");
    /// Application id.
    DISCORD_APPLICATION_ID = Variable::required("DISCORD_APPLICATION_ID", &[Service::Worker, Service::DiscordProxy], "123456789012345678",
        "id of the Discord application: the worker registers and answers its commands, the proxy permits calls with its webhooks; the \
         proxy derives it from its bot token when this is not set");
    /// Server that gaib manages.
    DISCORD_GUILD_ID = Variable::optional("DISCORD_GUILD_ID", GAIB, "1200000000000000000",
        "id of the Discord server; the default of --guild");
    /// Values of the variables of a configuration.
    GAIB_VAR = Variable::optional("GAIB_VAR_community_name", GAIB, "Sietch Tabr",
        "value of ${community_name} in a configuration, and likewise for any other name after GAIB_VAR_; --var overrides it");
    /// Where gaib keeps its states.
    GAIB_BACKEND = Variable::optional("GAIB_BACKEND", GAIB, "s3://example-states/gaib",
        "where gaib keeps its states: local, s3://BUCKET/PREFIX or file:///FOLDER; overrides backend in .gaib/config.yaml");
    /// Table of the locks of gaib's states.
    GAIB_LOCK_TABLE = Variable::optional("GAIB_LOCK_TABLE", GAIB, "gaib-locks",
        "DynamoDB table with the locks of states in S3, with the partition key LockID; without it, locks are objects in the bucket");
    /// Address of the platform, for gaib.
    ARRAKIS_API_URL = Variable::optional("ARRAKIS_API_URL", GAIB_AND_POLICY, "https://api.example.org",
        "address of the api of the platform, https://, or http:// to this machine; the default of --api-url");
    /// Key at the platform, for gaib and pipelines.
    ARRAKIS_API_KEY = Variable::optional("ARRAKIS_API_KEY", GAIB_AND_POLICY, "arrakis_aBcDeFgH_a-long-random-string",
        "API key of the platform; for gaib with the scopes `servers:read` and `servers:write`: arrakis-worker api-key create --guild ID --scope \
         servers:read,servers:write --name gaib --by NAME; for arrakis-policy with `approvals:write`; the default of --api-key").secret();
    /// Folder of a user's records.
    XDG_STATE_HOME = Variable::optional("XDG_STATE_HOME", GAIB, "/home/stilgar/.local/state",
        "folder in which gaib/servers/ records which workspace manages which Discord server; default: .local/state in the home folder");
    /// Addresses of the proxies.
    DISCORD_PROXY_URL = Variable::required("DISCORD_PROXY_URL", TO_PROXY, "http://127.0.0.1:8090,http://127.0.0.1:8091",
        "addresses of the discord-proxy replicas, separated by commas; a caller fails over between them; with KILL_SWITCH_CREDENTIAL, every replica; optional for gaib, which with it needs no DISCORD_TOKEN, and for the api, which turns the kill switch on at them");
    /// Credential of a caller of the proxy.
    DISCORD_PROXY_CREDENTIAL = Variable::required("DISCORD_PROXY_CREDENTIAL", WORKER_AND_GAIB, "a-long-random-string",
        "this service's credential at the discord-proxy").secret();
    /// Callers of the proxy.
    PROXY_CREDENTIALS = Variable::required("PROXY_CREDENTIALS", PROXY, "worker=a-long-random-string",
        "callers and their credentials, name=credential separated by commas; the name selects the allow-list").secret();
    /// Address on which the proxy listens for callers.
    PROXY_LISTEN_ADDR = Variable::defaulted("PROXY_LISTEN_ADDR", PROXY, "0.0.0.0:8090", "address on which the proxy listens for callers");
    /// Largest number of replicas.
    PROXY_MAX_REPLICAS = Variable::defaulted("PROXY_MAX_REPLICAS", PROXY, "4",
        "largest number of proxy replicas; while Redis is unavailable each uses its share of the global limit, and any further replica 1 call in 1.1 s");
    /// Credential of the kill switch at the proxies.
    KILL_SWITCH_CREDENTIAL = Variable::optional("KILL_SWITCH_CREDENTIAL", WITH_KILL_SWITCH, "another-long-random-string",
        "credential with which workers and the api turn the kill switch on and off at each discord-proxy of DISCORD_PROXY_URL, at least 16 \
         characters; without it no freeze reaches the proxies, and the kill switch cannot be turned on by these services").secret();
    /// The credential before, while it is changed.
    KILL_SWITCH_CREDENTIAL_PREVIOUS = Variable::optional("KILL_SWITCH_CREDENTIAL_PREVIOUS", WITH_KILL_SWITCH, "the-long-random-string-before",
        "the KILL_SWITCH_CREDENTIAL before, only while it is changed: the proxies accept both, and an end of the kill switch that was proven by this one \
         counts; without it, a kill switch that was ever on is on again after the change").secret();
    /// Who may turn the kill switch off.
    KILL_SWITCH_OPERATORS = Variable::optional("KILL_SWITCH_OPERATORS", WORKER_AND_API, "200000000000000001,200000000000000002",
        "ids of the Discord users who may turn the kill switch off, separated by commas; each needs a second factor; default: nobody");
    /// File of the kill switch.
    KILL_SWITCH_FILE = Variable::optional("KILL_SWITCH_FILE", PROXY, "/var/lib/arrakis/kill-switch.json",
        "file in which a discord-proxy keeps the state of the kill switch: it is still on after a restart at which neither Redis nor a worker responds; \
         each replica has its own; default: the state is not kept");
    /// Broker.
    AMQP_URL = Variable::required("AMQP_URL", TO_BROKER, "amqp://guest:guest@127.0.0.1:5672/%2f",
        "RabbitMQ, amqp:// or amqps://").secret();
    /// CA of the broker.
    AMQP_CA_FILE = Variable::optional("AMQP_CA_FILE", TO_BROKER, "/etc/arrakis/broker-ca.pem",
        "PEM file with the certificate authority of the broker, for amqps://; default: the system's authorities");
    /// How the broker orders interactions.
    AMQP_PRIORITIES = Variable::defaulted("AMQP_PRIORITIES", TO_BROKER, "classic",
        "how interactions are ordered: classic (one classic queue with x-max-priority) or classes (one quorum queue per class)");
    /// App login.
    DATABASE_URL = Variable::required("DATABASE_URL", WORKER_AND_API, "postgres://arrakis_app:secret@127.0.0.1:5432/arrakis",
        "PostgreSQL, login of the application, to which row-level security applies").secret();
    /// Admin login.
    DATABASE_ADMIN_URL = Variable::required("DATABASE_ADMIN_URL", WORKER_AND_API, "postgres://arrakis_admin:secret@127.0.0.1:5432/arrakis",
        "PostgreSQL, admin login, which spans tenants: the api looks up API keys with it, and serves keys that are valid for all communities; \
         optional for the worker, whose tools use it and which never uses it while it serves").secret();
    /// Owner login.
    DATABASE_OWNER_URL = Variable::optional("DATABASE_OWNER_URL", WORKER, "postgres://arrakis_owner:secret@127.0.0.1:5432/arrakis",
        "PostgreSQL, owner login; only `arrakis-worker migrate` and `registry migrate-verifications` use it").secret();
    /// Redis.
    REDIS_URL = Variable::required("REDIS_URL", &[Service::Worker, Service::DiscordProxy, Service::Api, Service::Telegram], "redis://127.0.0.1:6379/0",
        "Redis, redis:// or rediss:// (TLS; SSL_CERT_FILE names a private authority)").secret();
    /// RPC endpoints of chains.
    CHAIN_RPC_URLS = Variable::optional("CHAIN_RPC_URLS", WORKER_AND_API, "80094=https://rpc.example/KEY,https://other.example;1=https://rpc.example/KEY",
        "JSON-RPC endpoints of chains: chain id, =, URLs separated by commas, in the order of preference; chains separated by ; or white \
         space; https://, or http:// to this machine; without it no holdings are read from a chain").secret();
    /// Depth of the finalised block.
    CHAIN_FINALIZED_DEPTH = Variable::defaulted("CHAIN_FINALIZED_DEPTH", WORKER_AND_API, "64",
        "blocks behind the latest one from which a block counts as final, on chains whose endpoints do not support the tag `finalized`");
    /// Base URL of the score service.
    SCORE_API_URL = Variable::optional("SCORE_API_URL", WORKER, "https://score.example/api",
        "base URL of the score service (docs/score-service.md), https://, or http:// to this machine; without it answers come from the chain alone");
    /// Key of the score service.
    SCORE_API_KEY = Variable::optional("SCORE_API_KEY", WORKER, "a-long-random-string",
        "key of the score service, sent as a bearer token; required with SCORE_API_URL").secret();
    /// Number of shards.
    SHARD_COUNT = Variable::optional("SHARD_COUNT", INGESTOR, "4", "total number of shards; default: Discord's recommendation");
    /// Shards of this process.
    SHARD_RANGE = Variable::optional("SHARD_RANGE", INGESTOR, "0-3", "shards of this process, first-last, at most 1,024; default: all");
    /// Gateway intents.
    INGESTOR_INTENTS = Variable::defaulted("INGESTOR_INTENTS", INGESTOR, "guilds,guild_members,guild_messages",
        "gateway intents, separated by commas; MESSAGE_CONTENT is never requested");
    /// Published events.
    INGESTOR_EVENTS = Variable::defaulted("INGESTOR_EVENTS", INGESTOR,
        "INTERACTION_CREATE,GUILD_MEMBER_*,GUILD_CREATE,GUILD_DELETE,GUILD_UPDATE,GUILD_ROLE_*,CHANNEL_*",
        "gateway events that are published, separated by commas; a name may end in *; add MESSAGE_CREATE to publish messages of members");
    /// Unconfirmed messages of a shard.
    INGESTOR_WINDOW = Variable::defaulted("INGESTOR_WINDOW", INGESTOR, "160",
        "largest number of unconfirmed messages of one shard; limits memory");
    /// Public key of the Discord application.
    DISCORD_PUBLIC_KEY = Variable::required("DISCORD_PUBLIC_KEY", INTERACTIONS, "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a",
        "public key of the Discord application, 64 hexadecimal digits (Developer Portal, page General Information): the signatures of interactions \
         that Discord delivers by HTTP are checked with it");
    /// Address on which interactions are received.
    INTERACTIONS_ADDR = Variable::defaulted("INTERACTIONS_ADDR", INTERACTIONS, "0.0.0.0:8050",
        "address on which the service listens for the interactions that Discord delivers to the application's interactions endpoint URL, path \
         /interactions; a reverse proxy ends TLS");
    /// Group of a worker.
    WORKER_GROUP = Variable::defaulted("WORKER_GROUP", WORKER, "stable",
        "stable; canary: a worker of another build that serves the share of the servers that `arrakis-worker canary set` states; shadow: a worker that \
         answers copies of events to nobody, on a copy of the database (docs/safe-change.md)");
    /// Prefetch for interactions.
    WORKER_PREFETCH = Variable::defaulted("WORKER_PREFETCH", WORKER, "30",
        "interactions that one worker handles concurrently; prefetched messages are no longer ordered by priority. With 10 a worker whose \
         commands take 25 ms handles at most 400 a second and cannot catch up once it is behind; docs/performance.md");
    /// Prefetch for events.
    WORKER_EVENT_PREFETCH = Variable::defaulted("WORKER_EVENT_PREFETCH", WORKER, "10", "member and server events that one worker handles concurrently");
    /// Prefetch for jobs.
    WORKER_JOB_PREFETCH = Variable::defaulted("WORKER_JOB_PREFETCH", WORKER, "24",
        "jobs of each kind that one worker handles concurrently; most of them wait for their server's rate limits at Discord");
    /// Time limit of a command.
    WORKER_COMMAND_SECONDS = Variable::defaulted("WORKER_COMMAND_SECONDS", WORKER, "20",
        "time limit of one attempt of a command in seconds; the command is then retried, and three retries must fit into the 15 minutes of an interaction's token");
    /// Time limit of an event.
    WORKER_EVENT_SECONDS = Variable::defaulted("WORKER_EVENT_SECONDS", WORKER, "120",
        "time limit of one attempt of an event in seconds, after which it is retried; a join assigns several roles, and each call may wait at the proxy");
    /// Grace period.
    WORKER_GRACE_SECONDS = Variable::defaulted("WORKER_GRACE_SECONDS", WORKER, "20",
        "seconds in which a worker finishes its messages after SIGTERM; unfinished messages are returned to their queues");
    /// Age from which the ranking is stale.
    WORKER_STALE_SYNC_HOURS = Variable::defaulted("WORKER_STALE_SYNC_HOURS", WORKER, "7",
        "hours since the last sync after which replies state that the ranking is old; the sync runs every 6 h");
    /// Address on which the api listens.
    API_ADDR = Variable::defaulted("API_ADDR", API, "0.0.0.0:8070", "address on which the api listens for browsers and callers");
    /// Proxies whose headers the api trusts.
    API_TRUSTED_PROXIES = Variable::optional("API_TRUSTED_PROXIES", API, "10.0.0.0/8,fd00::/8",
        "networks of the reverse proxies in front of the api, separated by commas; the client's address is read from X-Forwarded-For only on \
         connections from these; default: none, the client is the peer of the connection");
    /// Age from which the ranking is stale for the api.
    API_STALE_SYNC_HOURS = Variable::defaulted("API_STALE_SYNC_HOURS", API, "7",
        "hours since the last sync after which answers of the api mark the ranking as stale; the sync runs every 6 h");
    /// Public address of the wallet page.
    VERIFY_BASE_URL = Variable::required("VERIFY_BASE_URL", TO_WALLET_PAGE, "https://verify.example.org",
        "public address of the api, at which members open the wallet page: https://, or http:// to this machine, without a path; \
         optional for the worker, which without it refuses /verify and welcomes no members");
    /// Address of the api.
    API_URL = Variable::required("API_URL", TELEGRAM, "http://127.0.0.1:8070",
        "address of the api inside the private network, http:// or https://, without a path");
    /// Key at the api.
    API_CREDENTIAL = Variable::required("API_CREDENTIAL", TELEGRAM, "arrakis_aBcDeFgH_a-long-random-string",
        "API key with the scope `telegram`: arrakis-worker api-key create --all-communities --scope telegram --name telegram --by NAME").secret();
    /// Token of the Telegram bot.
    TELEGRAM_BOT_TOKEN = Variable::required("TELEGRAM_BOT_TOKEN", TELEGRAM, "123456789:AAExample-Example_Example-Example_Ex",
        "token of the Telegram bot, from @BotFather").secret();
    /// Base URL of Telegram's Bot API.
    TELEGRAM_API_BASE = Variable::defaulted("TELEGRAM_API_BASE", TELEGRAM, "https://api.telegram.org",
        "base URL of Telegram's Bot API, of a Bot API server of one's own or of a test double; https://, or http:// to this machine");
    /// Public address of the webhook.
    TELEGRAM_WEBHOOK_URL = Variable::optional("TELEGRAM_WEBHOOK_URL", TELEGRAM, "https://bot.example.org/telegram",
        "public https:// address at which Telegram delivers updates, on port 443, 80, 88 or 8443; without it the service requests updates itself (long polling), and only one replica may run");
    /// Address on which the webhook listens.
    TELEGRAM_WEBHOOK_ADDR = Variable::defaulted("TELEGRAM_WEBHOOK_ADDR", TELEGRAM, "0.0.0.0:8060",
        "address on which the service listens for the updates that Telegram delivers to TELEGRAM_WEBHOOK_URL; a reverse proxy ends TLS");
    /// An operator's own themes.
    THEMES_DIR = Variable::optional("THEMES_DIR", &[Service::Worker, Service::Api, Service::Gaib], "/etc/arrakis/themes", "folder with an operator's own themes, in addition to the built-in ones");
    /// Store of backups.
    BACKUP_STORE = Variable::optional("BACKUP_STORE", WORKER_AND_GAIB, "s3://gaib-backups-123456789012/production",
        "where backups and snapshots are stored: file:///folder, or s3://bucket with a prefix; default: for gaib the folder .gaib/backups of \
         the project, for the worker none; the worker also stores versions of configurations there");
    /// Catalogue of backups.
    BACKUP_CATALOGUE = Variable::optional("BACKUP_CATALOGUE", WORKER_AND_GAIB, "dynamodb://gaib-backup-metadata/gaib-server-tiers",
        "where the records of backups are: file:///folder, or dynamodb:// with the tables of records and of plans; default: the folder \
         .catalogue of a folder store, for a bucket the tables of the example");
    /// KMS key of backups.
    BACKUP_KMS_KEY = Variable::optional("BACKUP_KMS_KEY", WORKER_AND_GAIB, "alias/gaib-backups",
        "KMS key that encrypts the objects in the bucket: id, ARN or alias; default: the encryption of the bucket");
    /// Key that signs: of gaib, and of the platform with `SIGNER=local`.
    BACKUP_SIGNING_KEY = Variable::optional("BACKUP_SIGNING_KEY", WITH_SIGNING_KEY, "/etc/arrakis/backup-signing-key.pem",
        "file with the Ed25519 key that signs backups, snapshots, deployments, shadows of configurations and, with SIGNER=local, all else that \
         the platform signs; PEM, readable by its owner only; created where there is none; default: for gaib backup-signing-key.pem in its \
         state folder");
    /// Public keys of other machines.
    BACKUP_TRUSTED_KEYS = Variable::optional("BACKUP_TRUSTED_KEYS", WITH_SIGNING_KEY,
        "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a",
        "public keys of other signers whose backups, snapshots, deployments, shadows of configurations and other signatures are accepted, \
         each of 64 hexadecimal digits, separated by commas; `arrakis-worker signing keys` prints those of the platform");
    /// Where the key that signs is.
    SIGNER = Variable::defaulted("SIGNER", WORKER_AND_API, "local",
        "where the key that signs backups, snapshots, deployments, chain heads, shadows, approvals and links is: local (the file BACKUP_SIGNING_KEY, for development) \
         or transit (HashiCorp Vault or OpenBao at VAULT_ADDR)");
    /// Address of Vault or OpenBao.
    VAULT_ADDR = Variable::optional("VAULT_ADDR", WORKER_AND_API, "https://vault.example.org:8200",
        "address of HashiCorp Vault or OpenBao, https://, or http:// to this machine; required with SIGNER=transit");
    /// CA of Vault or OpenBao.
    VAULT_CACERT = Variable::optional("VAULT_CACERT", WORKER_AND_API, "/etc/arrakis/vault-ca.pem",
        "PEM file with the certificate authority of VAULT_ADDR; default: the system's authorities");
    /// Namespace of Vault or OpenBao.
    VAULT_NAMESPACE = Variable::optional("VAULT_NAMESPACE", WORKER_AND_API, "platform",
        "namespace on the server at VAULT_ADDR; default: none");
    /// Mount of Transit.
    VAULT_TRANSIT_MOUNT = Variable::defaulted("VAULT_TRANSIT_MOUNT", WORKER_AND_API, "transit",
        "path at which the Transit engine is mounted");
    /// Key of Transit.
    VAULT_TRANSIT_KEY = Variable::defaulted("VAULT_TRANSIT_KEY", WORKER_AND_API, "arrakis",
        "name of the key of Transit, of the type ed25519 and not exportable");
    /// Method of the login.
    VAULT_AUTH = Variable::defaulted("VAULT_AUTH", WORKER_AND_API, "approle",
        "how the process logs in at VAULT_ADDR: approle (VAULT_ROLE_ID, VAULT_SECRET_ID_FILE) or kubernetes (VAULT_ROLE, VAULT_TOKEN_FILE)");
    /// Mount of the method of the login.
    VAULT_AUTH_MOUNT = Variable::optional("VAULT_AUTH_MOUNT", WORKER_AND_API, "approle",
        "path at which the method of VAULT_AUTH is mounted; default: its name");
    /// Id of the AppRole.
    VAULT_ROLE_ID = Variable::optional("VAULT_ROLE_ID", WORKER_AND_API, "a39396b5-fad6-b9bd-e11c-818b922b0cde",
        "role id of the AppRole of this service; required with VAULT_AUTH=approle");
    /// File with the secret id.
    VAULT_SECRET_ID_FILE = Variable::optional("VAULT_SECRET_ID_FILE", WORKER_AND_API, "/run/secrets/vault-secret-id",
        "file with the secret id of the AppRole, read at each login; required with VAULT_AUTH=approle");
    /// Role of the service account.
    VAULT_ROLE = Variable::optional("VAULT_ROLE", WORKER_AND_API, "arrakis-worker",
        "role of the login by a service account; required with VAULT_AUTH=kubernetes");
    /// File with the token of the service account.
    VAULT_TOKEN_FILE = Variable::defaulted("VAULT_TOKEN_FILE", WORKER_AND_API, "/var/run/secrets/kubernetes.io/serviceaccount/token",
        "file with the token of the service account, read at each login");
    /// Policies that the kill switch replaces.
    VAULT_SIGNING_POLICIES = Variable::optional("VAULT_SIGNING_POLICIES", WORKER_AND_API, "arrakis-worker,arrakis-api",
        "policies at VAULT_ADDR by which services sign, separated by commas; the kill switch replaces them, so they have nothing else; default: the \
         kill switch does not revoke the permission to sign");
    /// Id of the AppRole of the kill switch.
    VAULT_REVOKER_ROLE_ID = Variable::optional("VAULT_REVOKER_ROLE_ID", WORKER_AND_API, "b7d1c1a3-5d2e-0c7f-6f63-0c6b1a2f9a11",
        "role id of the AppRole by which the kill switch revokes; required with VAULT_SIGNING_POLICIES and VAULT_AUTH=approle");
    /// File with the secret id of the kill switch.
    VAULT_REVOKER_SECRET_ID_FILE = Variable::optional("VAULT_REVOKER_SECRET_ID_FILE", WORKER_AND_API, "/run/secrets/vault-revoker-secret-id",
        "file with the secret id of that AppRole, read at each login; required with VAULT_SIGNING_POLICIES and VAULT_AUTH=approle");
    /// Role of the kill switch, of a service account.
    VAULT_REVOKER_ROLE = Variable::optional("VAULT_REVOKER_ROLE", WORKER_AND_API, "arrakis-revoker",
        "role by which the kill switch revokes, with the service account of VAULT_TOKEN_FILE; required with VAULT_SIGNING_POLICIES and \
         VAULT_AUTH=kubernetes");
    /// Identity of the encryption of backups.
    BACKUP_AGE_IDENTITY = Variable::optional("BACKUP_AGE_IDENTITY", GAIB, "/home/stilgar/backup-identity.txt",
        "file with an age identity, as age-keygen writes it, readable by its owner only: backups are encrypted on this machine and decrypted \
         with it; none: not encrypted, also in a store with encrypted objects of the server, which refuses that else; default: not encrypted");
    /// Further recipients of the encryption of backups.
    BACKUP_AGE_RECIPIENTS = Variable::optional("BACKUP_AGE_RECIPIENTS", GAIB,
        "age1t7rxyev2z3rw82stdlrrepyc39nvn86l5078zqkf5uasdy86jp6svpy7pa",
        "age recipients that can decrypt backups beside BACKUP_AGE_IDENTITY, separated by commas");
    /// Store of gaib's states.
    BACKUP_STATE_STORE = Variable::optional("BACKUP_STATE_STORE", WORKER, "s3://gaib-states-123456789012/production",
        "where gaib keeps the states of servers, as its setting `backend`; scheduled backups contain these states; default: BACKUP_STORE");
    /// Second store of backups.
    BACKUP_SECOND_STORE = Variable::optional("BACKUP_SECOND_STORE", WORKER, "s3://gaib-backups-123456789012-us-west-2/production",
        "where scheduled backups of servers with the premium plan are copied to, such as a bucket in another region; default: nowhere");
    /// Region of the second store.
    BACKUP_SECOND_REGION = Variable::optional("BACKUP_SECOND_REGION", WORKER, "us-west-2",
        "AWS region of BACKUP_SECOND_STORE; default: AWS_REGION");
    /// KMS key of the second store.
    BACKUP_SECOND_KMS_KEY = Variable::optional("BACKUP_SECOND_KMS_KEY", WORKER, "alias/gaib-backups",
        "KMS key that encrypts the objects in BACKUP_SECOND_STORE, of its region; default: the encryption of the bucket");
    /// Switches notices on.
    GAIB_NOTIFICATIONS_ENABLED = Variable::optional("GAIB_NOTIFICATIONS_ENABLED", WORKER, "yes",
        "yes: operators are notified of completed and failed scheduled backups, at NOTIFY_WEBHOOK_URL and BACKUP_NOTIFICATION_TOPIC; default: no");
    /// Webhook for notices.
    NOTIFY_WEBHOOK_URL = Variable::optional("NOTIFY_WEBHOOK_URL", WORKER_AND_API, "https://discord.com/api/webhooks/123456789012345678/example",
        "URL of a webhook of Discord, in a channel of the operators, for notices; changes of the kill switch are sent there whatever \
         GAIB_NOTIFICATIONS_ENABLED is").secret();
    /// Topic for notices.
    BACKUP_NOTIFICATION_TOPIC = Variable::optional("BACKUP_NOTIFICATION_TOPIC", WORKER,
        "arn:aws:sns:us-east-1:123456789012:gaib-backup-notifications",
        "ARN of the SNS topic for notices about scheduled backups, with the attributes outcome, task, plan and server");
    /// Another store than AWS's.
    AWS_ENDPOINT_URL = Variable::optional("AWS_ENDPOINT_URL", WORKER_AND_GAIB, "http://127.0.0.1:9000",
        "URL of a store and a catalogue with the protocols of S3 and DynamoDB that are not those of AWS; buckets are in the path then");
    /// AWS region.
    AWS_REGION = Variable::optional("AWS_REGION", WORKER_AND_GAIB, "eu-central-1",
        "AWS region; default: that of the profile or of the machine");
    /// AWS profile.
    AWS_PROFILE = Variable::optional("AWS_PROFILE", WORKER_AND_GAIB, "gaib",
        "profile of ~/.aws/config and ~/.aws/credentials; single sign-on by credential_process = aws configure export-credentials --format process");
    /// Id of an access key.
    AWS_ACCESS_KEY_ID = Variable::optional("AWS_ACCESS_KEY_ID", WORKER_AND_GAIB, "AKIAIOSFODNN7EXAMPLE",
        "id of the access key; default: the profile, the role of the container or of the machine");
    /// Secret access key.
    AWS_SECRET_ACCESS_KEY = Variable::optional("AWS_SECRET_ACCESS_KEY", WORKER_AND_GAIB, "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY",
        "the secret access key; with AWS_SESSION_TOKEN for temporary credentials").secret();
    /// Key of Infracost.
    INFRACOST_API_KEY = Variable::optional("INFRACOST_API_KEY", POLICY, "ico-a-long-random-string",
        "key of Infracost's API: plans without a report of Infracost are estimated there, without their sensitive values; default: no estimate").secret();
    /// Address of Infracost's API.
    INFRACOST_API_URL = Variable::defaulted("INFRACOST_API_URL", POLICY, "https://pricing.api.infracost.io",
        "base URL of Infracost's API, https://, or http:// to this machine");
    /// Cache of estimates.
    POLICY_COST_CACHE = Variable::optional("POLICY_COST_CACHE", POLICY, "/var/cache/arrakis-policy",
        "folder in which estimates of Infracost's API are kept for 24 hours; default: none are kept");
    /// Metrics of checks.
    POLICY_METRICS_FILE = Variable::optional("POLICY_METRICS_FILE", POLICY, "/var/lib/node_exporter/arrakis_policy.prom",
        "file with the counters of checks and blocks, for the textfile collector of the node exporter; default: nothing is counted");
    /// Public keys by which decisions about plans are signed.
    APPROVAL_TRUSTED_KEYS = Variable::optional("APPROVAL_TRUSTED_KEYS", POLICY,
        "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a",
        "public keys of the workers, separated by commas, as arrakis-worker signing keys prints them: submit --wait and wait accept decisions that one of \
         them has signed; the default of --trusted-key");
    /// Permits admin commands that need MFA.
    ADMIN_COMMANDS_WITHOUT_MFA = Variable::optional("ADMIN_COMMANDS_WITHOUT_MFA", WORKER, "yes",
        "yes: /admin-migrate and /admin-takeover work without a second factor; for development: refused unless DATABASE_URL is on this machine");
    /// Keys that encrypt the secrets of second factors.
    MFA_ENCRYPTION_KEY = Variable::optional("MFA_ENCRYPTION_KEY", WORKER_AND_API, "2026:MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY=",
        "keys that encrypt the secrets of second factors, ID:BASE64 with commas between them; the first one encrypts, all decrypt; \
         arrakis-worker mfa new-key prints one; without it, operations that need a second factor are refused").secret();
    /// People who request and decide about plans.
    APPROVAL_PEOPLE = Variable::optional("APPROVAL_PEOPLE", WORKER_AND_API, "stilgar=123456789012345678/U012AB3CD,chani=U045EF6GH,thufir=",
        "people who request plans of infrastructure and decide about them, separated by commas: a name, and the ids of the account at Discord and at \
         Slack; a person without an account only requests; without it nothing is submitted");
    /// Risk score from which a second factor is needed.
    APPROVAL_MFA_FROM_RISK = Variable::defaulted("APPROVAL_MFA_FROM_RISK", API_AND_POLICY, "70",
        "risk score of a plan, 0 to 100, from which its approval needs a second factor; 101: never; for arrakis-policy the default of --mfa-from-risk: an \
         approval of this risk without one is refused");
    /// Channel of approvals at Discord.
    DISCORD_APPROVALS_CHANNEL = Variable::optional("DISCORD_APPROVALS_CHANNEL", WORKER, "123456789012345678",
        "id of the channel of Discord in which plans are shown for approval; the bot needs View Channel, Send Messages, Embed Links and Read Message \
         History there; default: none");
    /// Channel of approvals at Slack.
    SLACK_APPROVALS_CHANNEL = Variable::optional("SLACK_APPROVALS_CHANNEL", API, "C0123456789",
        "id of the channel of Slack in which plans are shown for approval; needs SLACK_SIGNING_SECRET and SLACK_BOT_TOKEN; default: none");
    /// Secret of Slack's signatures.
    SLACK_SIGNING_SECRET = Variable::optional("SLACK_SIGNING_SECRET", API, "8f742231b10e8888abcd99yyyzzz85a5",
        "signing secret of the Slack app, by which its requests are checked").secret();
    /// Token of the Slack app.
    SLACK_BOT_TOKEN = Variable::optional("SLACK_BOT_TOKEN", API, "xoxb-123456789012-example",
        "token of the bot of the Slack app, with the scope chat:write").secret();
    /// Base URL of Slack's Web API.
    SLACK_API_BASE = Variable::defaulted("SLACK_API_BASE", API, "https://slack.com/api",
        "base URL of Slack's Web API, or of a test double; https://, or http:// to this machine");
    /// Health endpoints.
    HEALTH_ADDR = Variable::defaulted("HEALTH_ADDR", EVERY, "0.0.0.0:8080", "address on which /livez, /readyz, /health and /metrics are served");
    /// Log filter.
    RUST_LOG = Variable::defaulted("RUST_LOG", EVERY, "info,lapin=off,rustls_platform_verifier=off",
        "log filter in the syntax of tracing-subscriber; lapin is off because the services log lost connections themselves, and lapin logs \
         the bodies of returned messages");
    /// Log format.
    LOG_FORMAT = Variable::defaulted("LOG_FORMAT", EVERY, "json", "json or text");
    /// Collector of traces.
    OTEL_EXPORTER_OTLP_ENDPOINT = Variable::optional("OTEL_EXPORTER_OTLP_ENDPOINT", EVERY, "http://127.0.0.1:4318",
        "base URL of a collector, to which traces are exported by OTLP over HTTP with protobuf; unset: no export. The SDK's other variables apply \
         as well (OTEL_BSP_*, OTEL_EXPORTER_OTLP_TIMEOUT, OTEL_RESOURCE_ATTRIBUTES)");
    /// Headers of the export.
    OTEL_EXPORTER_OTLP_HEADERS = Variable::optional("OTEL_EXPORTER_OTLP_HEADERS", EVERY, "authorization=Bearer%20example",
        "headers of requests to the collector: name=value, separated by commas, with values in URL encoding").secret();
    /// Part of the traces that is exported.
    OTEL_TRACES_SAMPLER_ARG = Variable::defaulted("OTEL_TRACES_SAMPLER_ARG", EVERY, "0.05",
        "part of the traces that is exported, from 0 to 1; where a trace has begun in another process, that one decides");
    /// Fail points.
    ARRAKIS_FAIL_POINTS = Variable::optional("ARRAKIS_FAIL_POINTS", EVERY, "broker.consumed=kill@3",
        "fail points at which a debug build kills itself, hangs or skips a guard, for fault scenarios (docs/faults.md); a release build refuses the variable");
}
