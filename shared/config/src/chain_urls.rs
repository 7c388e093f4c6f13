//! The RPC endpoints of chains, from `CHAIN_RPC_URLS`, checked. The text may hold API keys, so no error contains a part of it except
//! chain ids and hosts.

use std::fmt;

use url::Url;

use crate::api_base::is_loopback;
use crate::secret::Secret;

/// The RPC endpoints of one chain.
#[derive(Debug, Clone)]
pub struct ChainEndpoints {
    /// EIP-155 chain id.
    pub chain_id: u64,
    /// URLs, in the order of preference. A URL may hold an API key.
    pub urls: Vec<Secret>,
}

/// Why `CHAIN_RPC_URLS` is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{place}{reason}")]
pub struct ChainUrlsError {
    place: Place,
    reason: String,
}

/// The part of the value that is wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Place {
    /// The whole value.
    Value,
    /// The entry with this number, counted from 1.
    Entry(usize),
    /// A chain.
    Chain(u64),
    /// A URL of a chain, counted from 1.
    Endpoint(u64, usize),
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Value => Ok(()),
            Self::Entry(number) => write!(f, "entry {number}: "),
            Self::Chain(chain) => write!(f, "chain {chain}: "),
            Self::Endpoint(chain, number) => write!(f, "chain {chain}, endpoint {number}: "),
        }
    }
}

impl Place {
    fn refuse<T>(self, reason: impl Into<String>) -> Result<T, ChainUrlsError> {
        Err(ChainUrlsError {
            place: self,
            reason: reason.into(),
        })
    }
}

/// Parses and checks a value of `CHAIN_RPC_URLS`: `80094=https://…,https://…;1=https://…`. Chains are separated by semicolons or
/// white space, endpoints of a chain by commas.
///
/// # Errors
/// What is wrong, with the chain and the number of the endpoint.
///
/// ```
/// use arrakis_config::parse_chain_rpc_urls;
/// let chains = parse_chain_rpc_urls("80094=https://a.example/KEY, https://b.example; 1=http://127.0.0.1:8545").unwrap();
/// assert_eq!((chains[0].chain_id, chains[0].urls.len(), chains[1].chain_id), (80094, 2, 1));
/// assert!(parse_chain_rpc_urls("80094=http://a.example").is_err());
/// ```
pub fn parse_chain_rpc_urls(text: &str) -> Result<Vec<ChainEndpoints>, ChainUrlsError> {
    let mut chains: Vec<ChainEndpoints> = Vec::new();
    let joined = without_space_after_commas(text);
    let entries = joined.split(|c: char| c == ';' || c.is_whitespace());
    for (number, entry) in (1..).zip(entries.filter(|entry| !entry.is_empty())) {
        let chain = parse_entry(number, entry)?;
        if chains.iter().any(|other| other.chain_id == chain.chain_id) {
            return Place::Chain(chain.chain_id).refuse("the chain is listed twice; separate its endpoints by commas");
        }
        chains.push(chain);
    }
    if chains.is_empty() {
        return Place::Value.refuse("there is no chain in it");
    }
    Ok(chains)
}

/// The text without white space around commas, so that white space separates chains only.
fn without_space_after_commas(text: &str) -> String {
    text.split(',').map(str::trim).collect::<Vec<_>>().join(",")
}

fn parse_entry(number: usize, entry: &str) -> Result<ChainEndpoints, ChainUrlsError> {
    let Some((chain_id, urls)) = entry.split_once('=') else {
        return Place::Entry(number).refuse("write chain id, `=` and URLs: 80094=https://…");
    };
    let chain_id = match chain_id.parse::<u64>() {
        Ok(0) => return Place::Entry(number).refuse("chain id 0 does not exist"),
        Ok(chain_id) => chain_id,
        Err(_) => {
            return Place::Entry(number)
                .refuse("the text before `=` is not a chain id, a decimal number such as 80094");
        }
    };
    let mut checked: Vec<Secret> = Vec::new();
    for (number, text) in (1..).zip(urls.split(',')) {
        let place = Place::Endpoint(chain_id, number);
        if text.is_empty() {
            return place.refuse("the URL is missing");
        }
        let url = match check_url(text) {
            Ok(url) => String::from(url),
            Err(reason) => return place.refuse(reason),
        };
        if checked.iter().any(|other| other.expose() == url) {
            return place.refuse("the URL is listed twice");
        }
        checked.push(Secret::new(url));
    }
    Ok(ChainEndpoints {
        chain_id,
        urls: checked,
    })
}

fn check_url(text: &str) -> Result<Url, String> {
    if !text.contains("://") {
        // The text before a colon would be parsed as a scheme.
        return Err("the URL does not begin with https://".to_owned());
    }
    let url = Url::parse(text).map_err(|why| format!("not a URL: {why}"))?;
    match url.scheme() {
        "https" => {}
        "http" if is_loopback(&url) => {}
        "http" => {
            return Err(format!(
                "http:// would exchange chain data with {} in clear text, where others can change balances; use https://, or an \
                 address of this machine (127.0.0.1, [::1] or localhost)",
                url.host_str().unwrap_or_default()
            ));
        }
        "ws" | "wss" => {
            return Err("WebSocket endpoints are not supported; use the provider's https:// endpoint".to_owned());
        }
        _ => return Err("the URL must begin with https:// or http://".to_owned()),
    }
    if url.fragment().is_some() {
        return Err("the URL has a fragment (#), which is not sent; remove it".to_owned());
    }
    Ok(url)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn error(text: &str) -> String {
        parse_chain_rpc_urls(text).unwrap_err().to_string()
    }

    #[test]
    fn chains_and_endpoints_keep_their_order() {
        for text in [
            "80094=https://a.example/v2/k?x=1=2,https://b.example;1=http://127.0.0.1:8545",
            "80094=https://a.example/v2/k?x=1=2, https://b.example 1=http://127.0.0.1:8545;",
            "\n80094=https://a.example/v2/k?x=1=2\n  ,https://b.example\n;\n1=http://127.0.0.1:8545\n",
        ] {
            let chains = parse_chain_rpc_urls(text).unwrap();
            let read: Vec<(u64, Vec<&str>)> = chains
                .iter()
                .map(|chain| (chain.chain_id, chain.urls.iter().map(Secret::expose).collect()))
                .collect();
            let wanted = [
                (80094, vec!["https://a.example/v2/k?x=1=2", "https://b.example/"]),
                (1, vec!["http://127.0.0.1:8545/"]),
            ];
            assert_eq!(read, wanted, "{text}");
        }
    }

    #[test]
    fn problem_is_named_with_its_place() {
        for (text, wanted) in [
            ("", "no chain"),
            (" ; ", "no chain"),
            ("https://a.example/KEY", "entry 1: write chain id"),
            (
                "1=https://a.example;https://b.example/?key=KEY",
                "entry 2: the text before",
            ),
            ("0=https://a.example", "entry 1: chain id 0"),
            ("0x1=https://a.example", "entry 1: the text before"),
            (
                "1=https://a.example/KEY,KEY",
                "chain 1, endpoint 2: the URL does not begin",
            ),
            ("1=", "chain 1, endpoint 1: the URL is missing"),
            ("1=https://a.example,", "chain 1, endpoint 2: the URL is missing"),
            (
                "1=https://a.example 1=https://b.example",
                "chain 1: the chain is listed twice",
            ),
            (
                "1=https://a.example/KEY,https://a.example/KEY",
                "endpoint 2: the URL is listed twice",
            ),
            ("1=wss://a.example/KEY", "WebSocket"),
            ("1=ftp://a.example/KEY", "must begin with https://"),
            ("1=http://a.example/KEY", "with a.example in clear text"),
            ("1=http://10.0.0.1:8545/KEY", "in clear text"),
            ("1=https://a.example/#KEY", "fragment"),
            ("1=https://", "not a URL"),
        ] {
            let message = error(text);
            assert!(message.contains(wanted), "{text}: {message}");
            assert!(!message.contains("KEY"), "{text}: {message}");
        }
    }
}
