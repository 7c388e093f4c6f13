//! Reads variables, collects every problem, and only then gives up.

use std::collections::BTreeMap;
use std::str::FromStr;

use url::Url;

use crate::api_base::discord_api_base;
use crate::error::{ConfigErrors, Problem, shown};
use crate::proxy_url::proxy_url;
use crate::secret::Secret;
use crate::variables::{DISCORD_API_BASE, DISCORD_PROXY_URL, Service, VARIABLES, Variable};

/// Where values come from: the process's environment, or pairs given by a test.
#[derive(Debug, Clone, Default)]
pub struct Source(BTreeMap<String, String>);

impl Source {
    /// The environment of this process. Values that are not UTF-8 are left out, and so count as missing.
    pub fn environment() -> Self {
        Self(
            std::env::vars_os()
                .filter_map(|(k, v)| Some((k.into_string().ok()?, v.into_string().ok()?)))
                .collect(),
        )
    }

    /// Takes out all whose names begin with `prefix`, and gives them by the rest of their names: a family whose members
    /// the user names, such as [`crate::variables::GAIB_VAR_PREFIX`].
    pub fn take_family(&mut self, prefix: &str) -> BTreeMap<String, String> {
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

/// Reads one service's variables. Each method notes a problem and answers `None`, so that a `read` function first asks for
/// everything and then builds its struct with `?`: one start names all that is wrong.
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
    problems: Vec<Problem>,
}

impl Reader {
    /// Runs `read` over `source` and refuses what is missing, wrong, or looks like a mistyped name.
    ///
    /// # Errors
    /// Every problem at once.
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

    /// A variable that must be there.
    pub fn required<T: FromStr>(&mut self, variable: &Variable) -> Option<T>
    where
        T::Err: std::fmt::Display,
    {
        match self.optional(variable)? {
            Some(value) => Some(value),
            None => {
                self.problems.push(Problem::missing(variable));
                None
            }
        }
    }

    /// A variable that may be absent; where it declares a default, the default is read in its place.
    /// The outer `None` means that a problem was noted.
    pub fn optional<T: FromStr>(&mut self, variable: &Variable) -> Option<Option<T>>
    where
        T::Err: std::fmt::Display,
    {
        let Some(raw) = self.raw(variable) else {
            return Some(None);
        };
        match raw.parse::<T>() {
            Ok(value) => Some(Some(value)),
            Err(why) => self.refuse(variable, why.to_string()),
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

    /// A secret that must be there.
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

    /// A URL that must be there (or has a default) and whose scheme is one of `schemes`.
    pub fn url(&mut self, variable: &Variable, schemes: &[&str]) -> Option<Url> {
        let raw = self.required::<String>(variable)?;
        self.check_url(variable, &raw, schemes)
    }

    /// The base of Discord's REST API, from `DISCORD_API_BASE`: see [`crate::discord_api_base`].
    pub fn discord_api_base(&mut self) -> Option<Url> {
        let variable = &DISCORD_API_BASE;
        let raw = self.required::<String>(variable)?;
        match discord_api_base(&raw) {
            Ok(url) => Some(url),
            Err(why) => self.refuse(variable, why.to_string()),
        }
    }

    /// The replicas of the discord-proxy, from `DISCORD_PROXY_URL`, with one of these schemes: see [`crate::proxy_url`].
    pub fn proxy_urls(&mut self, schemes: &[&str]) -> Option<Vec<Url>> {
        let variable = &DISCORD_PROXY_URL;
        let texts = self.list::<String>(variable)?;
        let mut urls = Vec::new();
        for (number, text) in (1..).zip(&texts) {
            match proxy_url(text, schemes) {
                Ok(url) => urls.push(url),
                Err(why) => return self.refuse(variable, format!("address {number}: {why}")),
            }
        }
        Some(urls)
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
                Err(why) => return self.refuse(variable, format!("\"{}\": {why}", shown(item))),
            }
        }
        if items.is_empty() {
            self.refuse(variable, "the list is empty")
        } else {
            Some(items)
        }
    }

    /// Notes that a value, though well-formed, cannot be used. Answers `None` for `return`.
    pub fn refuse<T>(&mut self, variable: &Variable, why: impl Into<String>) -> Option<T> {
        let value = self.raw(variable).unwrap_or_default();
        self.problems.push(Problem::wrong(variable, &value, why));
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
                    // Without a scheme, what stands before the first colon is read as one: a user's name, or a password.
                    return self.refuse(variable, format!("it begins otherwise, and {wanted} is needed"));
                }
                self.refuse(
                    variable,
                    format!("it begins with {}://, and {wanted} is needed", url.scheme()),
                )
            }
            Err(why) => self.refuse(variable, format!("not a URL: {why}")),
        }
    }

    /// The value as set; an empty one counts as not set, as Compose and systemd leave them.
    fn raw(&self, variable: &Variable) -> Option<String> {
        let names = std::iter::once(variable.name).chain(variable.older_name);
        names
            .filter_map(|name| self.source.0.get(name))
            .map(|value| value.trim())
            .find(|value| !value.is_empty())
            .or(variable.default)
            .map(str::to_owned)
    }

    /// A name that begins as ours do but is not declared is a slip of the pen: say so instead of ignoring it.
    fn refuse_unknown(&mut self, service: Service) {
        let prefix = service.prefix();
        let unknown: Vec<_> = self
            .source
            .0
            .iter()
            .filter(|(key, _)| key.starts_with(prefix) && !VARIABLES.iter().any(|v| v.is_called(key)))
            .map(|(key, _)| key.clone())
            .collect();
        for key in unknown {
            let near = nearest(&key).map_or_else(|| "remove it".to_owned(), |name| format!("did you mean {name}?"));
            let why = format!("no variable of {} has this name", service.binary());
            self.problems.push(Problem {
                key,
                value: Some("…".to_owned()),
                why,
                example: near,
            });
        }
    }
}

/// Letters by which a mistyped name may differ from the one that is meant.
const SLIPS: usize = 3;

/// The declared name that differs least, if one is near enough to be meant.
fn nearest(key: &str) -> Option<&'static str> {
    let candidates = VARIABLES
        .iter()
        // So many letters must at least be changed; a name may be as long as somebody likes.
        .filter(|variable| variable.name.len().abs_diff(key.len()) <= SLIPS)
        .map(|variable| (distance(key, variable.name), variable.name));
    candidates
        .min()
        .filter(|(distance, _)| *distance <= SLIPS)
        .map(|(_, name)| name)
}

/// Levenshtein's distance of two short names.
fn distance(a: &str, b: &str) -> usize {
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, x) in a.bytes().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, y) in b.bytes().enumerate() {
            let substituted = diagonal + usize::from(x != y);
            diagonal = row[j + 1];
            row[j + 1] = substituted.min(row[j] + 1).min(diagonal + 1);
        }
    }
    row[b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::variables::{AMQP_URL, DISCORD_TOKEN, HEALTH_ADDR, SHARD_COUNT};

    fn load<C>(pairs: &[(&str, &str)], read: impl FnOnce(&mut Reader) -> Option<C>) -> Result<C, ConfigErrors> {
        Reader::load(Service::Ingestor, Source::pairs(pairs.iter().copied()), read)
    }

    #[test]
    fn a_password_in_the_api_base_is_not_printed() {
        let pairs = [("DISCORD_API_BASE", "https://bot:hunter2@discord.com/api/v10")];
        let error = load(&pairs, Reader::discord_api_base).unwrap_err().to_string();
        assert!(
            error.contains("DISCORD_API_BASE=[redacted]") && !error.contains("hunter2"),
            "{error}"
        );
    }

    #[test]
    fn a_missing_variable_is_named_with_an_example() {
        let error = load(&[], |r| r.secret(&DISCORD_TOKEN)).unwrap_err().to_string();
        assert!(error.contains("DISCORD_TOKEN is not set"), "{error}");
        assert!(error.contains("example: DISCORD_TOKEN="), "{error}");
    }

    #[test]
    fn a_secret_is_not_printed_when_it_is_wrong() {
        let error = load(&[("AMQP_URL", "http://guest:pass@host")], |r| {
            r.secret_url(&AMQP_URL, &["amqp", "amqps"])
        });
        let error = error.unwrap_err().to_string();
        assert!(
            error.contains("AMQP_URL=[redacted]") && !error.contains("pass"),
            "{error}"
        );
        assert!(error.contains("amqp:// or amqps:// is needed"), "{error}");
    }

    #[test]
    fn the_older_name_of_the_token_is_accepted() {
        let token = load(&[("DISCORD_BOT_TOKEN", "abc")], |r| r.secret(&DISCORD_TOKEN)).unwrap();
        assert_eq!(token.expose(), "abc");
    }

    #[test]
    fn a_family_is_taken_out_by_the_rest_of_its_names() {
        let mut source = Source::pairs([("GAIB_VAR_a", "1"), ("GAIB_VAR_B_C", "2"), ("GAIB_VARS", "3")]);
        let family = source.take_family(crate::variables::GAIB_VAR_PREFIX);
        let pair = |key: &str, value: &str| (key.to_owned(), value.to_owned());
        assert_eq!(family, BTreeMap::from([pair("a", "1"), pair("B_C", "2")]));
        let error = Reader::load(Service::Gaib, source, |_| Some(()))
            .unwrap_err()
            .to_string();
        assert!(error.contains("GAIB_VARS"), "{error}");
    }

    #[test]
    fn an_empty_value_counts_as_unset_and_a_default_serves() {
        let addr = load(&[("HEALTH_ADDR", " ")], |r| {
            r.defaulted::<std::net::SocketAddr>(&HEALTH_ADDR)
        })
        .unwrap();
        assert_eq!(addr.to_string(), "0.0.0.0:8080");
    }

    #[test]
    fn a_mistyped_name_is_refused_with_the_near_one() {
        let error = load(&[("INGESTOR_EVENT", "x")], |r| r.optional::<u32>(&SHARD_COUNT))
            .unwrap_err()
            .to_string();
        assert!(error.contains("did you mean INGESTOR_EVENTS?"), "{error}");
    }

    #[test]
    fn two_names_differ_by_their_edits() {
        assert_eq!(distance("SHARD_COUNT", "SHARD_COUNT"), 0);
        assert_eq!(distance("SHARDCOUNT", "SHARD_COUNT"), 1);
        assert_eq!(distance("kitten", "sitting"), 3);
    }
}
