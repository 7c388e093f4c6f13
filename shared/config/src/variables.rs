//! The declarations: name, who reads it, whether it is needed, default, example, meaning.
//!
//! Names shared with operators (the spec's "Names that others rely on") carry no prefix. A service's own settings begin
//! with its prefix (`INGESTOR_`, `WORKER_`, `PROXY_`); an undeclared name with such a prefix is refused at start.

/// A process that reads configuration.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Service {
    /// `arrakis-ingestor`.
    Ingestor,
    /// `arrakis-worker`.
    Worker,
    /// `arrakis-discord-proxy`.
    DiscordProxy,
    /// `gaib`.
    Gaib,
}

impl Service {
    /// Name of the binary.
    pub const fn binary(self) -> &'static str {
        match self {
            Self::Ingestor => "arrakis-ingestor",
            Self::Worker => "arrakis-worker",
            Self::DiscordProxy => "arrakis-discord-proxy",
            Self::Gaib => "gaib",
        }
    }

    /// What the names of its own settings begin with.
    pub const fn prefix(self) -> &'static str {
        match self {
            Self::Ingestor => "INGESTOR_",
            Self::Worker => "WORKER_",
            Self::DiscordProxy => "PROXY_",
            Self::Gaib => "GAIB_",
        }
    }
}

/// Whether a service starts without it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Whether {
    /// It does not.
    Required,
    /// It does: there is a default, or its absence means something.
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
    /// Whether they start without it.
    pub whether: Whether,
    /// Value when it is not set.
    pub default: Option<&'static str>,
    /// A value that would be accepted.
    pub example: &'static str,
    /// What it means, with its unit.
    pub meaning: &'static str,
    /// Never printed.
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
            whether: Whether::Required,
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
        variable.whether = Whether::Optional;
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
        variable.whether = Whether::Optional;
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

    /// `NAME=example`, as it would stand in a file.
    pub fn assignment(&self) -> String {
        format!("{}={}", self.name, self.example)
    }

    /// Whether `key` is its name or its older name.
    pub fn is_called(&self, key: &str) -> bool {
        self.name == key || self.older_name == Some(key)
    }
}

const INGESTOR: &[Service] = &[Service::Ingestor];
const WORKER: &[Service] = &[Service::Worker];
const PROXY: &[Service] = &[Service::DiscordProxy];
const GAIB: &[Service] = &[Service::Gaib];
const WORKER_AND_GAIB: &[Service] = &[Service::Worker, Service::Gaib];
const TO_DISCORD: &[Service] = &[Service::Ingestor, Service::DiscordProxy, Service::Gaib];
/// What the name of a value for a configuration's variable begins with; the rest is the variable's name.
pub const GAIB_VAR_PREFIX: &str = "GAIB_VAR_";

const EVERY: &[Service] = &[Service::Ingestor, Service::Worker, Service::DiscordProxy];

macro_rules! variables {
    ($($(#[$doc:meta])* $name:ident = $value:expr;)*) => {
        $($(#[$doc])* pub const $name: Variable = $value;)*
        /// All of them, in the order of the reference page.
        pub const VARIABLES: &[Variable] = &[$($name),*];
    };
}

variables! {
    /// Bot token.
    DISCORD_TOKEN = Variable::required("DISCORD_TOKEN", TO_DISCORD, "MTIzNDU2Nzg5MDEyMzQ1Njc4.GaBcDe.example",
        "bot token of the Discord application").secret().older("DISCORD_BOT_TOKEN");
    /// Base of Discord's REST API.
    DISCORD_API_BASE = Variable::defaulted("DISCORD_API_BASE", TO_DISCORD, "https://discord.com/api/v10",
        "base of Discord's REST API, ending in /api/v10; https://, or http:// to this machine; the gateway's address comes from GET /gateway/bot there");
    /// Application id.
    DISCORD_APPLICATION_ID = Variable::required("DISCORD_APPLICATION_ID", &[Service::Worker, Service::DiscordProxy], "123456789012345678",
        "id of the Discord application whose commands are registered and answered, and whose webhooks the proxy lets callers use; the \
         proxy takes it from its bot token where this is not set");
    /// Server that gaib speaks to.
    DISCORD_GUILD_ID = Variable::optional("DISCORD_GUILD_ID", GAIB, "1200000000000000000",
        "id of the Discord server, the default of --guild");
    /// Values for the variables of a configuration.
    GAIB_VAR = Variable::optional("GAIB_VAR_community_name", GAIB, "Sietch Tabr",
        "value of ${community_name} in a configuration, and so for any other name after GAIB_VAR_; --var wins over it");
    /// Folder of records that are kept for a user.
    XDG_STATE_HOME = Variable::optional("XDG_STATE_HOME", GAIB, "/home/stilgar/.local/state",
        "folder below which gaib/servers/ keeps which workspace manages which Discord server; .local/state in the home folder when it is not set");
    /// Addresses of the proxies.
    DISCORD_PROXY_URL = Variable::required("DISCORD_PROXY_URL", WORKER_AND_GAIB, "http://127.0.0.1:8090,http://127.0.0.1:8091",
        "addresses of the discord-proxy replicas, separated by commas; a caller fails over between them; gaib needs none, and with one it needs no DISCORD_TOKEN");
    /// Who asks the proxy.
    DISCORD_PROXY_CREDENTIAL = Variable::required("DISCORD_PROXY_CREDENTIAL", WORKER_AND_GAIB, "a-long-random-string",
        "this service's credential at the discord-proxy").secret();
    /// Who may ask the proxy for what.
    PROXY_CREDENTIALS = Variable::required("PROXY_CREDENTIALS", PROXY, "worker=a-long-random-string",
        "callers and their credentials, name=credential separated by commas; a name picks its allow-list").secret();
    /// Where the proxy listens for callers.
    PROXY_LISTEN_ADDR = Variable::defaulted("PROXY_LISTEN_ADDR", PROXY, "0.0.0.0:8090", "where the proxy listens for callers");
    /// Largest number of replicas.
    PROXY_MAX_REPLICAS = Variable::defaulted("PROXY_MAX_REPLICAS", PROXY, "4",
        "largest number of proxy replicas; with Redis away each keeps to its share of the global limit, and any more to 1 call in 1.1 s");
    /// Broker.
    AMQP_URL = Variable::required("AMQP_URL", &[Service::Ingestor, Service::Worker], "amqp://guest:guest@127.0.0.1:5672/%2f",
        "RabbitMQ, amqp:// or amqps://").secret();
    /// CA of the broker.
    AMQP_CA_FILE = Variable::optional("AMQP_CA_FILE", &[Service::Ingestor, Service::Worker], "/etc/arrakis/broker-ca.pem",
        "PEM file with the authority that signed the broker's certificate, for amqps://; default: the system's");
    /// Which kind of priorities the broker has.
    AMQP_PRIORITIES = Variable::defaulted("AMQP_PRIORITIES", &[Service::Ingestor, Service::Worker], "classic",
        "how interactions are ordered: classic (one classic queue with x-max-priority) or classes (one quorum queue per class)");
    /// App login.
    DATABASE_URL = Variable::required("DATABASE_URL", WORKER, "postgres://arrakis_app:secret@127.0.0.1:5432/arrakis",
        "PostgreSQL, login of the application: row-level security applies").secret();
    /// Admin login.
    DATABASE_ADMIN_URL = Variable::optional("DATABASE_ADMIN_URL", WORKER, "postgres://arrakis_admin:secret@127.0.0.1:5432/arrakis",
        "PostgreSQL, admin login: spans tenants; read by tools, never by the running worker").secret();
    /// Owner login.
    DATABASE_OWNER_URL = Variable::optional("DATABASE_OWNER_URL", WORKER, "postgres://arrakis_owner:secret@127.0.0.1:5432/arrakis",
        "PostgreSQL, owner login: `arrakis-worker migrate` needs it and nothing else does").secret();
    /// Redis.
    REDIS_URL = Variable::required("REDIS_URL", &[Service::Worker, Service::DiscordProxy], "redis://127.0.0.1:6379/0",
        "Redis, redis:// or rediss:// (TLS; SSL_CERT_FILE names a private authority)").secret();
    /// Number of shards.
    SHARD_COUNT = Variable::optional("SHARD_COUNT", INGESTOR, "4", "number of shards in all; default: Discord's recommendation");
    /// Shards of this process.
    SHARD_RANGE = Variable::optional("SHARD_RANGE", INGESTOR, "0-3", "shards of this process, first-last, at most 1,024; default: all");
    /// Gateway intents.
    INGESTOR_INTENTS = Variable::defaulted("INGESTOR_INTENTS", INGESTOR, "guilds,guild_members,guild_messages",
        "gateway intents, separated by commas; message content is never asked for");
    /// Forwarded events.
    INGESTOR_EVENTS = Variable::defaulted("INGESTOR_EVENTS", INGESTOR,
        "INTERACTION_CREATE,GUILD_MEMBER_*,GUILD_CREATE,GUILD_DELETE,GUILD_UPDATE,GUILD_ROLE_*,CHANNEL_*",
        "events that are forwarded, by their names at the gateway, * at the end allowed; add MESSAGE_CREATE to forward chat");
    /// In-flight publishes of a shard.
    INGESTOR_WINDOW = Variable::defaulted("INGESTOR_WINDOW", INGESTOR, "160",
        "messages of one shard that may await the broker's confirmation at once; bounds memory");
    /// Prefetch for interactions.
    WORKER_PREFETCH = Variable::defaulted("WORKER_PREFETCH", WORKER, "30",
        "interactions handled at once by one worker; what is prefetched is no longer ordered by priority. With 10 a worker whose \
         commands take 25 ms under load keeps up with 400 a second, and one that has fallen behind stays so; docs/performance.md");
    /// Prefetch for events.
    WORKER_EVENT_PREFETCH = Variable::defaulted("WORKER_EVENT_PREFETCH", WORKER, "10", "member and server events handled at once");
    /// Prefetch for jobs.
    WORKER_JOB_PREFETCH = Variable::defaulted("WORKER_JOB_PREFETCH", WORKER, "24",
        "jobs of each kind handled at once; most of them wait for the limits of their server at Discord");
    /// Limit of a command.
    WORKER_COMMAND_SECONDS = Variable::defaulted("WORKER_COMMAND_SECONDS", WORKER, "20",
        "seconds one try of a command may take before it is stopped and tried again; three retries of it must fit into the fifteen minutes of an interaction's token");
    /// Limit of an event.
    WORKER_EVENT_SECONDS = Variable::defaulted("WORKER_EVENT_SECONDS", WORKER, "120",
        "seconds one try of an event may take before it is stopped and tried again: a join gives several roles, each of which may wait its turn at the proxy");
    /// Grace period.
    WORKER_GRACE_SECONDS = Variable::defaulted("WORKER_GRACE_SECONDS", WORKER, "20",
        "seconds a worker may take to finish what it holds after SIGTERM; what is unfinished is given back");
    /// Age of a stale ranking.
    WORKER_STALE_SYNC_HOURS = Variable::defaulted("WORKER_STALE_SYNC_HOURS", WORKER, "7",
        "hours after which answers say that the ranking is old; it is read every six");
    /// Operator's own themes.
    THEMES_DIR = Variable::optional("THEMES_DIR", &[Service::Worker, Service::Gaib], "/etc/arrakis/themes", "folder with an operator's own themes beside the built-in ones");
    /// Health endpoints.
    HEALTH_ADDR = Variable::defaulted("HEALTH_ADDR", EVERY, "0.0.0.0:8080", "where /livez, /readyz, /health and /metrics are served");
    /// Log filter.
    RUST_LOG = Variable::defaulted("RUST_LOG", EVERY, "info,lapin=off,rustls_platform_verifier=off",
        "log filter, as tracing-subscriber reads it; lapin stays off, since what it says of lost connections is said by us, and of \
         returned messages it prints the bodies");
    /// Log format.
    LOG_FORMAT = Variable::defaulted("LOG_FORMAT", EVERY, "json", "json or text");
    /// Fail points.
    ARRAKIS_FAIL_POINTS = Variable::optional("ARRAKIS_FAIL_POINTS", EVERY, "broker.consumed=kill@3",
        "places at which a debug build kills itself, hangs or passes over a guard, for fault runs (docs/faults.md); a release build refuses it");
}
