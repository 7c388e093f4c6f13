//! [`Reader`]: reads a service's environment variables and reports all problems together.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::str::FromStr;

use url::Url;

use crate::api_base::parse_discord_api_base;
use crate::backups::{BackupEncryption, BackupSettings, CatalogueLocation, StoreLocation};
use crate::chain_urls::{ChainEndpoints, parse_chain_rpc_urls};
use crate::error::{ConfigErrors, ConfigProblem, printable};
use crate::proxy_url::parse_proxy_url;
use crate::score_api::{ScoreApi, check_score_api_key, parse_score_api_url};
use crate::secret::Secret;
use crate::variables::{
    AWS_ENDPOINT_URL, AWS_PROFILE, AWS_REGION, BACKUP_AGE_IDENTITY, BACKUP_AGE_RECIPIENTS, BACKUP_CATALOGUE,
    BACKUP_KMS_KEY, BACKUP_SIGNING_KEY, BACKUP_STORE, BACKUP_TRUSTED_KEYS, CHAIN_RPC_URLS, DISCORD_API_BASE,
    DISCORD_PROXY_URL, SCORE_API_KEY, SCORE_API_URL, Service, VARIABLES, Variable,
};

/// Values by name: the process's environment, or pairs given by a test.
#[derive(Debug, Clone, Default)]
pub struct Source(BTreeMap<String, String>);

impl Source {
    /// The environment of this process. A value that is not UTF-8 counts as missing.
    pub fn environment() -> Self {
        Self(
            std::env::vars_os()
                .filter_map(|(k, v)| Some((k.into_string().ok()?, v.into_string().ok()?)))
                .collect(),
        )
    }

    /// Removes the variables whose names begin with `prefix`, and returns them by the rest of their names. For variables
    /// whose names the user chooses, such as those with [`crate::variables::GAIB_VAR_PREFIX`].
    pub fn take_prefixed(&mut self, prefix: &str) -> BTreeMap<String, String> {
        let keys: Vec<String> = self.0.keys().filter(|key| key.starts_with(prefix)).cloned().collect();
        let taken = keys.into_iter().filter_map(|key| {
            let value = self.0.remove(&key)?;
            Some((key[prefix.len()..].to_owned(), value))
        });
        taken.collect()
    }

    /// Fixed pairs, for tests.
    pub fn pairs<K: Into<String>, V: Into<String>>(pairs: impl IntoIterator<Item = (K, V)>) -> Self {
        Self(pairs.into_iter().map(|(k, v)| (k.into(), v.into())).collect())
    }
}

/// Reads one service's variables. Each method records a problem and returns `None`, so that a `read` function first reads
/// every variable and then builds its struct with `?`: one start reports all problems.
///
/// ```
/// # use arrakis_config::{variables, Reader, Secret, Service, Source};
/// struct Config { amqp_url: Secret, shards: Option<u32> }
/// fn read(reader: &mut Reader) -> Option<Config> {
///     let amqp_url = reader.secret(&variables::AMQP_URL);
///     let shards = reader.optional(&variables::SHARD_COUNT);
///     Some(Config { amqp_url: amqp_url?, shards: shards? })
/// }
/// let error = Reader::load(Service::Ingestor, Source::pairs([("SHARD_COUNT", "many")]), read).err().unwrap();
/// assert_eq!(error.problems.len(), 2);
/// ```
#[derive(Debug)]
pub struct Reader {
    source: Source,
    problems: Vec<ConfigProblem>,
}

impl Reader {
    /// Runs `read` on `source`. Also refuses unknown names with the service's prefix.
    ///
    /// # Errors
    /// All problems together.
    pub fn load<C>(
        service: Service,
        source: Source,
        read: impl FnOnce(&mut Self) -> Option<C>,
    ) -> Result<C, ConfigErrors> {
        let mut reader = Self {
            source,
            problems: Vec::new(),
        };
        reader.refuse_unknown(service);
        match read(&mut reader) {
            Some(config) if reader.problems.is_empty() => Ok(config),
            _ => Err(ConfigErrors {
                service,
                problems: reader.problems,
            }),
        }
    }

    /// A variable that must be set.
    pub fn required<T: FromStr>(&mut self, variable: &Variable) -> Option<T>
    where
        T::Err: std::fmt::Display,
    {
        match self.optional(variable)? {
            Some(value) => Some(value),
            None => {
                self.problems.push(ConfigProblem::missing(variable));
                None
            }
        }
    }

    /// A variable that may be absent; its declared default is used then. The outer `None` means that a problem was recorded.
    pub fn optional<T: FromStr>(&mut self, variable: &Variable) -> Option<Option<T>>
    where
        T::Err: std::fmt::Display,
    {
        let Some(raw) = self.raw(variable) else {
            return Some(None);
        };
        match raw.parse::<T>() {
            Ok(value) => Some(Some(value)),
            Err(error) => self.refuse(variable, error.to_string()),
        }
    }

    /// A variable with a declared default.
    pub fn defaulted<T: FromStr>(&mut self, variable: &Variable) -> Option<T>
    where
        T::Err: std::fmt::Display,
    {
        debug_assert!(variable.default.is_some(), "{} declares no default", variable.name);
        self.required(variable)
    }

    /// A secret that must be set.
    pub fn secret(&mut self, variable: &Variable) -> Option<Secret> {
        debug_assert!(variable.secret, "{} is not declared secret", variable.name);
        self.required::<String>(variable).map(Secret::new)
    }

    /// A secret URL (it may hold a password) whose scheme is one of `schemes`.
    pub fn secret_url(&mut self, variable: &Variable, schemes: &[&str]) -> Option<Secret> {
        let raw = self.required::<String>(variable)?;
        self.check_url(variable, &raw, schemes)?;
        Some(Secret::new(raw))
    }

    /// A URL that must be set, or has a default, and whose scheme is one of `schemes`.
    pub fn url(&mut self, variable: &Variable, schemes: &[&str]) -> Option<Url> {
        let raw = self.required::<String>(variable)?;
        self.check_url(variable, &raw, schemes)
    }

    /// The base of Discord's REST API, from `DISCORD_API_BASE`: see [`crate::parse_discord_api_base`].
    pub fn discord_api_base(&mut self) -> Option<Url> {
        let variable = &DISCORD_API_BASE;
        let raw = self.required::<String>(variable)?;
        match parse_discord_api_base(&raw) {
            Ok(url) => Some(url),
            Err(why) => self.refuse(variable, why.to_string()),
        }
    }

    /// The addresses of the discord-proxy's replicas, from `DISCORD_PROXY_URL`, each with one of these schemes: see
    /// [`crate::parse_proxy_url`].
    pub fn proxy_urls(&mut self, schemes: &[&str]) -> Option<Vec<Url>> {
        let variable = &DISCORD_PROXY_URL;
        let texts = self.list::<String>(variable)?;
        let mut urls = Vec::new();
        for (number, text) in (1..).zip(&texts) {
            match parse_proxy_url(text, schemes) {
                Ok(url) => urls.push(url),
                Err(why) => return self.refuse(variable, format!("address {number}: {why}")),
            }
        }
        Some(urls)
    }

    /// The RPC endpoints of chains, from `CHAIN_RPC_URLS`; none where it is not set: see [`crate::parse_chain_rpc_urls`].
    pub fn chain_rpc_urls(&mut self) -> Option<Vec<ChainEndpoints>> {
        let variable = &CHAIN_RPC_URLS;
        let Some(text) = self.optional::<String>(variable)? else {
            return Some(Vec::new());
        };
        match parse_chain_rpc_urls(&text) {
            Ok(chains) => Some(chains),
            Err(why) => self.refuse(variable, why.to_string()),
        }
    }

    /// The score service, from `SCORE_API_URL` and `SCORE_API_KEY`; `Some(None)` where the URL is not set.
    pub fn score_api(&mut self) -> Option<Option<ScoreApi>> {
        let url = self.optional::<String>(&SCORE_API_URL)?;
        let key = self.optional::<String>(&SCORE_API_KEY)?;
        let Some(url) = url else {
            return Some(None);
        };
        let base = match parse_score_api_url(&url) {
            Ok(base) => base,
            Err(why) => return self.refuse(&SCORE_API_URL, why.to_string()),
        };
        let Some(key) = key else {
            self.problems.push(ConfigProblem::missing(&SCORE_API_KEY));
            return None;
        };
        if let Err(why) = check_score_api_key(&key) {
            return self.refuse(&SCORE_API_KEY, why.to_string());
        }
        let key = Secret::new(key);
        Some(Some(ScoreApi { base, key }))
    }

    /// Where backups are stored, from `BACKUP_STORE`, `BACKUP_CATALOGUE` and the variables of AWS; `default` where `BACKUP_STORE` is not
    /// set. `Some(None)` without either.
    pub fn backups(&mut self, default: Option<StoreLocation>) -> Option<Option<BackupSettings>> {
        let store = self.optional::<StoreLocation>(&BACKUP_STORE)?.or(default);
        let catalogue = self.optional::<CatalogueLocation>(&BACKUP_CATALOGUE)?;
        let kms_key = self.optional::<String>(&BACKUP_KMS_KEY)?;
        let signing_key = self.optional::<PathBuf>(&BACKUP_SIGNING_KEY)?;
        let trusted_keys = self.trusted_backup_keys()?;
        let aws_endpoint = self.optional::<String>(&AWS_ENDPOINT_URL)?;
        if aws_endpoint.is_some() {
            self.url(&AWS_ENDPOINT_URL, &["https", "http"])?;
        }
        let aws_region = self.optional::<String>(&AWS_REGION)?;
        let aws_profile = self.optional::<String>(&AWS_PROFILE)?;
        let Some(store) = store else {
            return match catalogue {
                Some(_) => self.refuse(
                    &BACKUP_CATALOGUE,
                    "BACKUP_STORE is not set: a catalogue lists the backups of a store",
                ),
                None => Some(None),
            };
        };
        let settings = BackupSettings::new(store);
        Some(Some(BackupSettings {
            catalogue: catalogue.unwrap_or_else(|| settings.catalogue.clone()),
            kms_key,
            signing_key,
            trusted_keys,
            aws_endpoint,
            aws_region,
            aws_profile,
            ..settings
        }))
    }

    /// How backups are encrypted on this machine, from `BACKUP_AGE_IDENTITY` and `BACKUP_AGE_RECIPIENTS`. `Some(None)` where they are not.
    pub fn backup_encryption(&mut self) -> Option<Option<BackupEncryption>> {
        let identity = self.optional::<PathBuf>(&BACKUP_AGE_IDENTITY)?;
        let has_recipients = self.optional::<String>(&BACKUP_AGE_RECIPIENTS)?.is_some();
        let Some(identity) = identity else {
            return match has_recipients {
                true => self.refuse(
                    &BACKUP_AGE_RECIPIENTS,
                    "BACKUP_AGE_IDENTITY is not set: without an identity, gaib cannot read what it stores",
                ),
                false => Some(None),
            };
        };
        let recipients = match has_recipients {
            true => self.list::<String>(&BACKUP_AGE_RECIPIENTS)?,
            false => Vec::new(),
        };
        Some(Some(BackupEncryption { identity, recipients }))
    }

    /// The public keys of `BACKUP_TRUSTED_KEYS`.
    pub(crate) fn trusted_backup_keys(&mut self) -> Option<Vec<String>> {
        let variable = &BACKUP_TRUSTED_KEYS;
        if self.optional::<String>(variable)?.is_none() {
            return Some(Vec::new());
        }
        let keys = self.list::<String>(variable)?;
        let is_key = |key: &String| key.len() == 64 && key.bytes().all(|byte| byte.is_ascii_hexdigit());
        match keys.iter().position(|key| !is_key(key)) {
            Some(at) => self.refuse(variable, format!("key {} has not 64 hexadecimal digits", at + 1)),
            None => Some(keys),
        }
    }

    /// A comma-separated list that must have at least one item.
    pub fn list<T: FromStr>(&mut self, variable: &Variable) -> Option<Vec<T>>
    where
        T::Err: std::fmt::Display,
    {
        let raw = self.required::<String>(variable)?;
        let mut items = Vec::new();
        let texts = raw.split(',').map(str::trim).filter(|item| !item.is_empty());
        for (number, item) in (1..).zip(texts) {
            match item.parse() {
                Ok(value) => items.push(value),
                Err(why) if variable.secret => return self.refuse(variable, format!("item {number}: {why}")),
                Err(why) => return self.refuse(variable, format!("\"{}\": {why}", printable(item))),
            }
        }
        if items.is_empty() {
            self.refuse(variable, "the list is empty")
        } else {
            Some(items)
        }
    }

    /// Records that a value is refused, or that a variable is missing that other variables require. Returns `None` for use with `return`.
    pub fn refuse<T>(&mut self, variable: &Variable, reason: impl Into<String>) -> Option<T> {
        let value = self.raw(variable);
        let problem = ConfigProblem::invalid(variable, value.as_deref(), reason);
        self.problems.push(problem);
        None
    }

    fn check_url(&mut self, variable: &Variable, raw: &str, schemes: &[&str]) -> Option<Url> {
        match Url::parse(raw) {
            Ok(url) if schemes.contains(&url.scheme()) => Some(url),
            Ok(url) => {
                let wanted = schemes
                    .iter()
                    .map(|scheme| format!("{scheme}://"))
                    .collect::<Vec<_>>()
                    .join(" or ");
                if variable.secret {
                    // In a value without a scheme, the text before the first colon is parsed as one: a user name, or a
                    // password.
                    return self.refuse(variable, format!("the URL must begin with {wanted}"));
                }
                self.refuse(
                    variable,
                    format!("the URL begins with {}:// and must begin with {wanted}", url.scheme()),
                )
            }
            Err(why) => self.refuse(variable, format!("not a URL: {why}")),
        }
    }

    /// The value; an empty one counts as not set, because Compose and systemd set empty values.
    fn raw(&self, variable: &Variable) -> Option<String> {
        let names = std::iter::once(variable.name).chain(variable.older_name);
        names
            .filter_map(|name| self.source.0.get(name))
            .map(|value| value.trim())
            .find(|value| !value.is_empty())
            .or(variable.default)
            .map(str::to_owned)
    }

    /// Refuses undeclared names with the service's prefix, which are probably mistyped.
    fn refuse_unknown(&mut self, service: Service) {
        let prefix = service.prefix();
        let unknown: Vec<_> = self
            .source
            .0
            .iter()
            .filter(|(key, _)| key.starts_with(prefix) && !VARIABLES.iter().any(|v| v.has_name(key)))
            .map(|(key, _)| key.clone())
            .collect();
        for key in unknown {
            let suggestion =
                nearest(&key).map_or_else(|| "remove it".to_owned(), |name| format!("did you mean {name}?"));
            let reason = format!("{} has no variable of this name", service.binary());
            self.problems.push(ConfigProblem {
                key,
                value: Some("…".to_owned()),
                reason,
                example: suggestion,
            });
        }
    }
}

/// Largest edit distance of a mistyped name from the declared one.
const MAX_EDITS: usize = 3;

/// The declared name with the smallest edit distance, if that is at most [`MAX_EDITS`].
fn nearest(key: &str) -> Option<&'static str> {
    let candidates = VARIABLES
        .iter()
        // The distance is at least the difference in length. A name can be of any length, and a long one takes long to
        // compare.
        .filter(|variable| variable.name.len().abs_diff(key.len()) <= MAX_EDITS)
        .map(|variable| (strsim::levenshtein(key, variable.name), variable.name));
    candidates
        .min()
        .filter(|(distance, _)| *distance <= MAX_EDITS)
        .map(|(_, name)| name)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::variables::{AMQP_URL, DISCORD_TOKEN, HEALTH_ADDR, SHARD_COUNT};

    fn load<C>(pairs: &[(&str, &str)], read: impl FnOnce(&mut Reader) -> Option<C>) -> Result<C, ConfigErrors> {
        Reader::load(Service::Ingestor, Source::pairs(pairs.iter().copied()), read)
    }

    #[test]
    fn password_in_the_api_base_is_redacted() {
        let pairs = [("DISCORD_API_BASE", "https://bot:hunter2@discord.com/api/v10")];
        let error = load(&pairs, Reader::discord_api_base).unwrap_err().to_string();
        assert!(
            error.contains("DISCORD_API_BASE=[redacted]") && !error.contains("hunter2"),
            "{error}"
        );
    }

    #[test]
    fn missing_variable_is_reported_with_an_example() {
        let error = load(&[], |r| r.secret(&DISCORD_TOKEN)).unwrap_err().to_string();
        assert!(error.contains("DISCORD_TOKEN is not set"), "{error}");
        assert!(error.contains("example: DISCORD_TOKEN="), "{error}");
    }

    #[test]
    fn refused_variable_without_a_value_is_not_set() {
        for variable in [&DISCORD_TOKEN, &SHARD_COUNT] {
            let error = load(&[], |r| r.refuse::<()>(variable, "another variable requires it"));
            let error = error.unwrap_err().to_string();
            let wanted = format!(
                "{} is not set\n    why:     another variable requires it",
                variable.name
            );
            assert!(error.contains(&wanted) && !error.contains("[redacted]"), "{error}");
        }
    }

    #[test]
    fn invalid_secret_is_redacted() {
        let error = load(&[("AMQP_URL", "http://guest:pass@host")], |r| {
            r.secret_url(&AMQP_URL, &["amqp", "amqps"])
        });
        let error = error.unwrap_err().to_string();
        assert!(
            error.contains("AMQP_URL=[redacted]") && !error.contains("pass"),
            "{error}"
        );
        assert!(error.contains("must begin with amqp:// or amqps://"), "{error}");
    }

    #[test]
    fn older_name_of_the_token_is_accepted() {
        let token = load(&[("DISCORD_BOT_TOKEN", "abc")], |r| r.secret(&DISCORD_TOKEN)).unwrap();
        assert_eq!(token.expose(), "abc");
    }

    #[test]
    fn prefixed_variables_are_taken_by_the_rest_of_their_names() {
        let mut source = Source::pairs([("GAIB_VAR_a", "1"), ("GAIB_VAR_B_C", "2"), ("GAIB_VARS", "3")]);
        let taken = source.take_prefixed(crate::variables::GAIB_VAR_PREFIX);
        let pair = |key: &str, value: &str| (key.to_owned(), value.to_owned());
        assert_eq!(taken, BTreeMap::from([pair("a", "1"), pair("B_C", "2")]));
        let error = Reader::load(Service::Gaib, source, |_| Some(()))
            .unwrap_err()
            .to_string();
        assert!(error.contains("GAIB_VARS"), "{error}");
    }

    #[test]
    fn empty_value_counts_as_unset_and_the_default_is_used() {
        let addr = load(&[("HEALTH_ADDR", " ")], |r| {
            r.defaulted::<std::net::SocketAddr>(&HEALTH_ADDR)
        })
        .unwrap();
        assert_eq!(addr.to_string(), "0.0.0.0:8080");
    }

    #[test]
    fn backups_are_optional_and_the_catalogue_follows_from_the_store() {
        let read = |pairs: &[(&str, &str)]| load(pairs, |r| r.backups(None));
        assert_eq!(read(&[]).unwrap(), None);
        let settings = read(&[("BACKUP_STORE", "s3://bucket/a"), ("AWS_REGION", "eu-central-1")]).unwrap();
        let settings = settings.unwrap();
        assert_eq!(settings.store.to_string(), "s3://bucket/a");
        assert_eq!(
            settings.catalogue.to_string(),
            "dynamodb://gaib-backup-metadata/gaib-server-tiers"
        );
        assert_eq!(settings.aws_region.as_deref(), Some("eu-central-1"));
        let folder = Some(StoreLocation::Folder("/project/.gaib/backups".into()));
        let settings = load(&[], |r| r.backups(folder)).unwrap().unwrap();
        assert_eq!(
            settings.catalogue.to_string(),
            "file:///project/.gaib/backups/.catalogue"
        );
    }

    #[test]
    fn encryption_of_backups_has_an_identity_and_may_have_further_recipients() {
        let read = |pairs: &[(&str, &str)]| load(pairs, Reader::backup_encryption);
        assert_eq!(read(&[]).unwrap(), None);
        let identity = ("BACKUP_AGE_IDENTITY", "/keys/identity.txt");
        let recipients = ("BACKUP_AGE_RECIPIENTS", "age1a, age1b");
        let alone = read(&[identity]).unwrap().unwrap();
        assert_eq!(
            (alone.identity, alone.recipients),
            ("/keys/identity.txt".into(), Vec::new())
        );
        let both = read(&[identity, recipients]).unwrap().unwrap();
        assert_eq!(both.recipients, ["age1a", "age1b"]);
        let refused = read(&[recipients]).unwrap_err().to_string();
        assert!(refused.contains("BACKUP_AGE_IDENTITY is not set"), "{refused}");
    }

    #[test]
    fn invalid_setting_of_backups_is_named_with_a_valid_one() {
        for (pairs, wanted) in [
            (vec![("BACKUP_STORE", "/backups")], "BACKUP_STORE=/backups"),
            (
                vec![("BACKUP_CATALOGUE", "dynamodb://table")],
                "BACKUP_STORE is not set",
            ),
            (
                vec![("BACKUP_STORE", "s3://abc"), ("BACKUP_TRUSTED_KEYS", "00,")],
                "key 1 has not 64",
            ),
            (
                vec![("BACKUP_STORE", "s3://abc"), ("AWS_ENDPOINT_URL", "127.0.0.1:9")],
                "AWS_ENDPOINT_URL",
            ),
        ] {
            let error = load(&pairs, |r| r.backups(None)).unwrap_err().to_string();
            assert!(error.contains(wanted) && error.contains("example: "), "{error}");
        }
    }

    #[test]
    fn mistyped_name_is_refused_with_a_suggestion() {
        let error = load(&[("INGESTOR_EVENT", "x")], |r| r.optional::<u32>(&SHARD_COUNT))
            .unwrap_err()
            .to_string();
        assert!(error.contains("did you mean INGESTOR_EVENTS?"), "{error}");
    }
}
