//! Configuration of the ingestor from environment variables.

use std::fmt;
use std::str::FromStr;

use arrakis_broker::BrokerSettings;
use arrakis_config::{Reader, Secret, variables};
use twilight_model::gateway::Intents;
use url::Url;

use crate::events::AllowList;
use crate::resume::SessionLimits;

/// Configuration of the ingestor.
#[derive(Debug, Clone)]
pub struct Config {
    /// Bot token.
    pub token: Secret,
    /// Base URL of Discord's REST API.
    pub api: ApiBase,
    /// Broker connection.
    pub broker: BrokerSettings,
    /// Total number of shards, and those of this process.
    pub shards: Shards,
    /// Gateway intents.
    pub intents: Intents,
    /// Events to forward.
    pub events: AllowList,
    /// Largest number of unconfirmed messages of a shard.
    pub window: usize,
    /// Limits on attempts to resume a session. No variable sets them.
    pub limits: SessionLimits,
}

/// Total number of shards (`SHARD_COUNT`), and those of this process (`SHARD_RANGE`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Shards {
    /// Total number; `None` for Discord's recommendation.
    pub count: Option<u32>,
    /// First and last shard of this process; `None` for all shards.
    pub range: Option<(u32, u32)>,
}

/// Base URL of Discord's REST API.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ApiBase {
    /// Host, port and the path before `/api/v10`.
    pub authority: String,
    /// Whether it is `http`, as an emulator's is.
    pub plain: bool,
}

impl Config {
    /// Reads the configuration. Invalid variables are reported to `reader`.
    pub fn read(reader: &mut Reader) -> Option<Self> {
        let token = reader.secret(&variables::DISCORD_TOKEN);
        let token = token.and_then(|token| {
            if token.expose().trim_start_matches("Bot ").split('.').count() == 3 {
                Some(token)
            } else {
                reader.refuse(
                    &variables::DISCORD_TOKEN,
                    "a bot token has three parts with dots between them; copy it from the Developer Portal, page Bot",
                )
            }
        });
        let api = reader.discord_api_base();
        let api = api.and_then(|url| {
            ApiBase::split(&url).map_or_else(
                || reader.refuse(&variables::DISCORD_API_BASE, "the URL has no host"),
                Some,
            )
        });
        let broker = BrokerSettings::read(reader);
        let shards = shards(reader);
        let intents = reader.defaulted::<IntentList>(&variables::INGESTOR_INTENTS);
        let events = reader.defaulted::<AllowList>(&variables::INGESTOR_EVENTS);
        let window = reader.defaulted::<usize>(&variables::INGESTOR_WINDOW);
        let window = window.and_then(|window| {
            if (1..=10_000).contains(&window) {
                Some(window)
            } else {
                reader.refuse(&variables::INGESTOR_WINDOW, "expected 1 to 10000")
            }
        });
        let events = events?;
        Some(Self {
            token: token?,
            api: api?,
            broker: broker?,
            shards: shards?,
            intents: required_intents(intents?.0, &events),
            events,
            window: window?,
            limits: SessionLimits::default(),
        })
    }
}

/// Removes intents whose events are not forwarded.
fn required_intents(intents: Intents, events: &AllowList) -> Intents {
    if events.allows("MESSAGE_CREATE") {
        intents
    } else {
        intents - Intents::GUILD_MESSAGES - Intents::DIRECT_MESSAGES
    }
}

/// Largest total number of shards. It protects against a mistyped number.
pub(crate) const MAX_SHARDS: u32 = 65_536;
/// Largest number of shards of one process: 2.5 million servers. A connected shard takes some 200 KB, and all share one thread.
pub(crate) const MAX_SHARDS_HELD: u32 = 1_024;

fn shards(reader: &mut Reader) -> Option<Shards> {
    let count = reader.optional::<u32>(&variables::SHARD_COUNT);
    let range = reader.optional::<Range>(&variables::SHARD_RANGE);
    let (count, range) = (count?, range?.map(|range| (range.0, range.1)));
    if count == Some(0) {
        return reader.refuse(&variables::SHARD_COUNT, "expected at least one shard");
    }
    if count.is_some_and(|count| count > MAX_SHARDS) {
        let why = format!("expected at most {MAX_SHARDS} shards, which serve 160 million servers");
        return reader.refuse(&variables::SHARD_COUNT, why);
    }
    if let (Some(count), Some((_, last))) = (count, range)
        && last >= count
    {
        let why = format!("with SHARD_COUNT={count} the last shard is {}", count - 1);
        return reader.refuse(&variables::SHARD_RANGE, why);
    }
    if let Some((first, last)) = range
        && last - first >= MAX_SHARDS_HELD
    {
        let why =
            format!("a process holds at most {MAX_SHARDS_HELD} shards; start several processes with a range each");
        return reader.refuse(&variables::SHARD_RANGE, why);
    }
    Some(Shards { count, range })
}

struct Range(u32, u32);

impl FromStr for Range {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        const EXPECTED: &str = "expected first-last, such as 0-3";
        let (first, last) = text.split_once('-').ok_or(EXPECTED)?;
        let number = |text: &str| text.trim().parse::<u32>().map_err(|_| EXPECTED);
        let (first, last) = (number(first)?, number(last)?);
        if first > last {
            return Err("the first shard must not exceed the last");
        }
        Ok(Self(first, last))
    }
}

impl ApiBase {
    /// Splits an address that [`arrakis_config::parse_discord_api_base`] accepts. `None` when it has no host.
    fn split(url: &Url) -> Option<Self> {
        let prefix = url.path().trim_end_matches('/').strip_suffix("/api/v10")?;
        let host = url.host_str()?;
        let port = url.port().map(|port| format!(":{port}")).unwrap_or_default();
        Some(Self {
            authority: format!("{host}{port}{prefix}"),
            plain: url.scheme() == "http",
        })
    }
}

impl fmt::Display for ApiBase {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scheme = if self.plain { "http" } else { "https" };
        write!(f, "{scheme}://{}/api/v10", self.authority)
    }
}

/// Supported intents by name. Message content and intents whose events are not forwarded are not supported.
const INTENTS: [(&str, Intents); 4] = [
    ("guilds", Intents::GUILDS),
    ("guild_members", Intents::GUILD_MEMBERS),
    ("guild_messages", Intents::GUILD_MESSAGES),
    ("direct_messages", Intents::DIRECT_MESSAGES),
];

struct IntentList(Intents);

impl FromStr for IntentList {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let mut all = Intents::empty();
        for name in text.split(',').map(str::trim).filter(|name| !name.is_empty()) {
            let Some((_, intent)) = INTENTS.iter().find(|(known, _)| *known == name) else {
                let known: Vec<_> = INTENTS.iter().map(|(name, _)| *name).collect();
                return Err(match name {
                    "message_content" => "message content is not supported".to_owned(),
                    _ => format!("\"{name}\" is not one of {}", known.join(", ")),
                });
            };
            all |= *intent;
        }
        Ok(Self(all))
    }
}

#[cfg(test)]
mod tests {
    use arrakis_config::{Service, Source};

    use super::*;

    fn load(pairs: &[(&str, &str)]) -> Result<Config, String> {
        let needed = [
            ("DISCORD_TOKEN", "MTIz.GaBcDe.example"),
            ("AMQP_URL", "amqp://guest:guest@127.0.0.1/%2f"),
        ];
        let pairs = needed
            .iter()
            .filter(|(name, _)| !pairs.iter().any(|(given, _)| given == name))
            .chain(pairs);
        Reader::load(Service::Ingestor, Source::pairs(pairs.copied()), Config::read).map_err(|error| error.to_string())
    }

    fn refusal(pairs: &[(&str, &str)]) -> String {
        load(pairs).map(|_| ()).unwrap_err()
    }

    #[test]
    fn token_and_broker_are_sufficient() {
        let config = load(&[]).unwrap();
        assert_eq!(
            config.api,
            ApiBase {
                authority: "discord.com".to_owned(),
                plain: false
            }
        );
        assert_eq!(config.shards, Shards::default());
        assert_eq!(config.intents, Intents::GUILDS | Intents::GUILD_MEMBERS);
        assert!(!format!("{config:?}").contains("GaBcDe"));
    }

    #[test]
    fn message_intents_are_requested_only_if_messages_are_forwarded() {
        let config = load(&[("INGESTOR_EVENTS", "INTERACTION_CREATE,MESSAGE_CREATE")]).unwrap();
        assert!(config.intents.contains(Intents::GUILD_MESSAGES));
        assert!(!config.intents.contains(Intents::MESSAGE_CONTENT));
    }

    #[test]
    fn api_base_is_split() {
        let config = load(&[("DISCORD_API_BASE", "http://127.0.0.1:9000/emulated/api/v10/")]).unwrap();
        assert_eq!(
            config.api,
            ApiBase {
                authority: "127.0.0.1:9000/emulated".to_owned(),
                plain: true
            }
        );
        assert_eq!(config.api.to_string(), "http://127.0.0.1:9000/emulated/api/v10");
        for (refused, corrected) in [
            ("https://discord.com/api/v9", "https://discord.com/api/v10 ?"),
            ("http://discord.com/api/v10", "use https://"),
            ("http://127.0.0.1:9000", "http://127.0.0.1:9000/api/v10 ?"),
        ] {
            let error = refusal(&[("DISCORD_API_BASE", refused)]);
            assert!(error.contains(corrected), "{refused}: {error}");
        }
    }

    #[test]
    fn all_invalid_variables_are_named_at_once() {
        let error = refusal(&[
            ("DISCORD_TOKEN", "abc"),
            ("SHARD_RANGE", "3"),
            ("INGESTOR_INTENTS", "guilds,message_content"),
            ("INGESTOR_EVENTS", "GUILD_MEMBER_AD"),
            ("INGESTOR_WINDOW", "0"),
        ]);
        for words in [
            "three parts",
            "first-last",
            "message content is not supported",
            "GUILD_MEMBER_AD",
            "1 to 10000",
        ] {
            assert!(error.contains(words), "{words}: {error}");
        }
        assert!(error.contains("DISCORD_TOKEN=[redacted]"), "{error}");
    }

    #[test]
    fn range_outside_the_count_is_refused() {
        let config = load(&[("SHARD_COUNT", "4"), ("SHARD_RANGE", "2-3")]).unwrap();
        assert_eq!(
            config.shards,
            Shards {
                count: Some(4),
                range: Some((2, 3))
            }
        );
        assert!(refusal(&[("SHARD_COUNT", "4"), ("SHARD_RANGE", "0-4")]).contains("the last shard is 3"));
        assert!(refusal(&[("SHARD_COUNT", "0")]).contains("at least one shard"));
        assert!(refusal(&[("SHARD_COUNT", "4000000000")]).contains("at most 65536"));
        assert!(refusal(&[("SHARD_RANGE", "3-2")]).contains("must not exceed the last"));
        assert!(refusal(&[("SHARD_RANGE", "0-1024")]).contains("at most 1024 shards"));
    }
}
