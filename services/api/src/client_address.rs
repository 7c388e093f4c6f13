//! The client's address: the peer of the connection, or behind trusted reverse proxies the address in `X-Forwarded-For`.
//!
//! Each proxy appends the address of its peer, so the rightmost entries are from proxies near the api and the leftmost from whoever sent
//! the request. The entries are read from right to left as long as the address before is a trusted proxy's. So a client that
//! sends the header itself changes nothing.

use std::net::{IpAddr, Ipv6Addr, SocketAddr};
use std::str::FromStr;

use http::HeaderMap;
use ipnet::IpNet;

/// Header to which each proxy appends the address of its peer.
const FORWARDED_FOR: &str = "x-forwarded-for";
/// Most entries that are read: more than any chain of proxies has.
const MAX_ENTRIES: usize = 32;

/// Networks of trusted reverse proxies: `API_TRUSTED_PROXIES`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct TrustedProxies(Vec<IpNet>);

/// A text that is not a list of networks.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("\"{0}\" is not a network; write an address and the length of its prefix, such as 10.0.0.0/8, or one address")]
pub struct TrustedProxiesError(String);

impl FromStr for TrustedProxies {
    type Err = TrustedProxiesError;

    fn from_str(text: &str) -> Result<Self, TrustedProxiesError> {
        let items = text.split(',').map(str::trim).filter(|item| !item.is_empty());
        let network = |item: &str| {
            let address = item.parse::<IpAddr>().map(IpNet::from);
            let refuse = |_| TrustedProxiesError(item.chars().take(50).collect());
            item.parse::<IpNet>().or(address).map_err(refuse)
        };
        items.map(network).collect::<Result<_, _>>().map(Self)
    }
}

impl TrustedProxies {
    fn trusts(&self, address: IpAddr) -> bool {
        self.0.iter().any(|network| network.contains(&address))
    }

    /// Whether the peer of a connection is a trusted proxy.
    pub(crate) fn is_proxy(&self, peer: SocketAddr) -> bool {
        self.trusts(peer.ip().to_canonical())
    }

    /// The address of the client that sent a request.
    pub(crate) fn client(&self, peer: SocketAddr, headers: &HeaderMap) -> IpAddr {
        let mut client = peer.ip().to_canonical();
        let lines: Vec<_> = headers.get_all(FORWARDED_FOR).iter().collect();
        // A header that occurs several times is one list, in the order of its lines.
        let entries = lines
            .iter()
            .rev()
            .flat_map(|line| line.as_bytes().rsplit(|byte| *byte == b','));
        for entry in entries.take(MAX_ENTRIES) {
            if !self.trusts(client) {
                break;
            }
            // What is before an entry that is not an address was not written by a proxy.
            let Some(address) = std::str::from_utf8(entry).ok().and_then(parse_entry) else {
                break;
            };
            client = address;
        }
        client
    }
}

/// An address, with or without a port.
fn parse_entry(entry: &str) -> Option<IpAddr> {
    let entry = entry.trim();
    let bare = entry
        .strip_prefix('[')
        .and_then(|rest| rest.strip_suffix(']'))
        .unwrap_or(entry);
    let address = bare.parse::<IpAddr>();
    let address = address.or_else(|_| entry.parse::<SocketAddr>().map(|with_port| with_port.ip()));
    address.ok().map(|address| address.to_canonical())
}

/// The unit of the limit of addresses: an IPv4 address, or the /64 network of an IPv6 address, of which one client has all addresses.
pub(crate) fn rate_limit_id(client: IpAddr) -> String {
    match client {
        IpAddr::V4(address) => address.to_string(),
        IpAddr::V6(address) => network_of(address, 64),
    }
}

/// The unit of the limit of networks: the /48 network of an IPv6 address, which is what a provider assigns to one site and has 65,536
/// networks of 64 bits. `None` for IPv4.
pub(crate) fn network_id(client: IpAddr) -> Option<String> {
    match client {
        IpAddr::V4(_) => None,
        IpAddr::V6(address) => Some(network_of(address, 48)),
    }
}

fn network_of(address: Ipv6Addr, length: u32) -> String {
    let network = address.to_bits() & (u128::MAX << (128 - length));
    format!("{}/{length}", Ipv6Addr::from_bits(network))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn client(proxies: &str, peer: &str, forwarded: &[&str]) -> String {
        let mut headers = HeaderMap::new();
        for line in forwarded {
            headers.append(FORWARDED_FOR, line.parse().unwrap());
        }
        let peer = SocketAddr::new(peer.parse().unwrap(), 4_000);
        proxies
            .parse::<TrustedProxies>()
            .unwrap()
            .client(peer, &headers)
            .to_string()
    }

    #[test]
    fn header_of_an_untrusted_peer_is_ignored() {
        assert_eq!(client("", "192.0.2.1", &["198.51.100.7"]), "192.0.2.1");
        assert_eq!(client("10.0.0.0/8", "192.0.2.1", &["10.0.0.1"]), "192.0.2.1");
    }

    #[test]
    fn entries_are_read_from_right_to_left_through_trusted_proxies() {
        let proxies = "10.0.0.0/8, fd00::/8, 203.0.113.9";
        for (forwarded, expected) in [
            (&["198.51.100.7"][..], "198.51.100.7"),
            // The client sent the first entry itself.
            (&["127.0.0.1, 198.51.100.7"], "198.51.100.7"),
            (&["1.2.3.4, 198.51.100.7, 10.2.0.1"], "198.51.100.7"),
            (
                &["1.2.3.4, 198.51.100.7", "10.2.0.1, fd00::5", "203.0.113.9"],
                "198.51.100.7",
            ),
            (&["198.51.100.7:4711, [fd00::5]:80"], "198.51.100.7"),
            (&["[2001:db8::1]"], "2001:db8::1"),
            (&["::ffff:198.51.100.7"], "198.51.100.7"),
            (&["10.7.7.7, 10.2.0.1"], "10.7.7.7"),
            (&["1.2.3.4, unknown, 10.2.0.1"], "10.2.0.1"),
            (&[""], "10.0.0.1"),
            (&[], "10.0.0.1"),
        ] {
            assert_eq!(client(proxies, "10.0.0.1", forwarded), expected, "{forwarded:?}");
            assert_eq!(client(proxies, "::ffff:10.0.0.1", forwarded), expected, "{forwarded:?}");
        }
    }

    #[test]
    fn list_with_an_invalid_network_is_refused() {
        for text in ["10.0.0.0/33", "everyone", "10.0.0.0/8,x"] {
            assert!(text.parse::<TrustedProxies>().is_err(), "{text}");
        }
    }

    #[test]
    fn addresses_of_one_ipv6_network_share_a_limit() {
        assert_eq!(rate_limit_id("192.0.2.1".parse().unwrap()), "192.0.2.1");
        assert_eq!(
            rate_limit_id("2001:db8:1:2:3:4:5:6".parse().unwrap()),
            "2001:db8:1:2::/64"
        );
    }

    #[test]
    fn networks_of_one_site_share_a_second_limit() {
        for address in ["2001:db8:1:2:3:4:5:6", "2001:db8:1:ffff::1"] {
            assert_eq!(network_id(address.parse().unwrap()).as_deref(), Some("2001:db8:1::/48"));
        }
        assert_eq!(network_id("192.0.2.1".parse().unwrap()), None);
    }

    proptest! {
        #[test]
        fn untrusted_client_cannot_choose_its_address(sent in "[0-9a-f.:, \\[\\]]{0,60}") {
            // The proxy appends what it sees.
            let forwarded = format!("{sent}, 198.51.100.7");
            prop_assert_eq!(client("10.0.0.0/8", "10.0.0.1", &[&forwarded]), "198.51.100.7");
        }
    }
}
