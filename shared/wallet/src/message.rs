//! [`SignIn`]: the message that a wallet signs, by EIP-4361 (<https://eips.ethereum.org/EIPS/eip-4361>).
//!
//! The message of a session, an address and a chain is always the same text. So nothing is stored when it is shown, and two
//! open pages of one session do not disturb each other. A presented text must equal it byte for byte; the comparison field by
//! field only finds the reason of a refusal.

use arrakis_domain::Address;
use signinwithethereum::{Message, ParseError, Version};
use time::{Duration, OffsetDateTime};
use url::Url;
use uuid::Uuid;

use crate::{Account, MessageRefusal, printable};

/// A presented message longer than this is malformed. The longest of ours has about 1,200 bytes.
const MAX_MESSAGE_BYTES: usize = 4_096;

/// How far the clocks of two of our machines may differ: one begins a session, another one checks its message.
const CLOCK_DIFFERENCE: Duration = Duration::minutes(1);

/// The website that a message names: what the wallet compares with the page's address.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Origin {
    domain: String,
    uri: String,
}

/// An address that is not suitable for a message.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum OriginError {
    /// The address has no host, or is not http or https.
    #[error("`{0}` is not a web address; write it as https://example.org")]
    NoWebAddress(String),
    /// The address has a user name, a query or a fragment.
    #[error("`{0}` has a user name, a query or a fragment; write only scheme, host, port and path")]
    MoreThanAPath(String),
}

impl Origin {
    /// The origin of the page at this address. Letters of the host that are not ASCII become punycode, as in a browser.
    ///
    /// # Errors
    /// When the address is not one of a web page.
    pub fn of(base: &Url) -> Result<Self, OriginError> {
        let host = base.host_str().filter(|_| matches!(base.scheme(), "http" | "https"));
        let Some(host) = host else {
            return Err(OriginError::NoWebAddress(base.to_string()));
        };
        if !base.username().is_empty()
            || base.password().is_some()
            || base.query().is_some()
            || base.fragment().is_some()
        {
            return Err(OriginError::MoreThanAPath(base.to_string()));
        }
        // The default port of the scheme is not part of the page's `location.host` either.
        let domain = base
            .port()
            .map_or_else(|| host.to_owned(), |port| format!("{host}:{port}"));
        let uri = format!("{}/verify", base.as_str().trim_end_matches('/'));
        Ok(Self { domain, uri })
    }

    /// The `domain` of EIP-4361: host, and port unless it is the default of the scheme.
    #[must_use]
    pub fn domain(&self) -> &str {
        &self.domain
    }

    /// Address of the page without the session's token: the token is a secret, and a wallet may show or keep the message.
    #[must_use]
    pub fn uri(&self) -> &str {
        &self.uri
    }
}

/// The content of a session's sign-in message ([EIP-4361](https://eips.ethereum.org/EIPS/eip-4361)) for one address.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SignIn<'a> {
    /// The website on which it is signed: `domain` and `URI` of the message.
    pub origin: &'a Origin,
    /// Id of the session: `Request ID` of the message.
    pub session: Uuid,
    /// The account for which the wallet is verified.
    pub account: Account,
    /// The account's name, for display.
    pub account_name: &'a str,
    /// The wallet.
    pub address: Address,
    /// Chain on which a contract wallet is checked.
    pub chain_id: u64,
    /// The session's nonce: 8 or more letters and digits.
    pub nonce: &'a str,
    /// When the session began, in whole seconds: `Issued At` of the message.
    pub issued_at: OffsetDateTime,
    /// When the session ends: `Expiration Time` of the message.
    pub expires_at: OffsetDateTime,
}

impl SignIn<'_> {
    /// The text to sign.
    ///
    /// # Errors
    /// When a field cannot be in such a message: an invalid nonce, domain or URI.
    pub fn text(&self) -> Result<String, MessageRefusal> {
        Ok(self.message()?.to_string())
    }

    fn message(&self) -> Result<Message, MessageRefusal> {
        let malformed = |_| MessageRefusal::Malformed;
        if self.nonce.len() < 8 || !self.nonce.bytes().all(|byte| byte.is_ascii_alphanumeric()) {
            return Err(MessageRefusal::Malformed);
        }
        Ok(Message {
            scheme: None,
            domain: self.origin.domain.parse().map_err(|_| MessageRefusal::Malformed)?,
            address: *self.address.as_bytes(),
            address_raw: None,
            statement: Some(self.statement()),
            uri: self.origin.uri.parse().map_err(malformed)?,
            version: Version::V1,
            chain_id: self.chain_id,
            nonce: self.nonce.to_owned(),
            issued_at: whole_second(self.issued_at).into(),
            expiration_time: Some(whole_second(self.expires_at).into()),
            not_before: None,
            request_id: Some(self.session.to_string()),
            resources: vec![self.account.uri().parse().map_err(malformed)?],
            warnings: Vec::new(),
        })
    }

    fn statement(&self) -> String {
        format!(
            "Link this wallet to the {} ({}). Signing is free. It sends no transaction and gives no access to your tokens.",
            self.account,
            printable(self.account_name)
        )
    }

    /// Compares a presented text with this message.
    ///
    /// # Errors
    /// The first field that differs.
    pub fn compare(&self, presented: &str, now: OffsetDateTime) -> Result<(), MessageRefusal> {
        if presented.len() > MAX_MESSAGE_BYTES {
            return Err(MessageRefusal::Malformed);
        }
        let expected = self.message()?;
        let parsed: Message = presented.parse().map_err(|error| refusal_of(&error, presented))?;
        compare_fields(&parsed, &expected)?;
        compare_times(&parsed, &expected, now)?;
        // What the fields do not show: an address in other case, other digits of a time, a name in the statement.
        if presented == expected.to_string() {
            Ok(())
        } else {
            Err(MessageRefusal::Altered)
        }
    }
}

fn compare_fields(presented: &Message, expected: &Message) -> Result<(), MessageRefusal> {
    let same = |same: bool, refusal| if same { Ok(()) } else { Err(refusal) };
    // Exact, not as `Authority` compares, which ignores case.
    let domain = presented.domain.as_str() == expected.domain.as_str();
    same(domain && presented.scheme.is_none(), MessageRefusal::WrongDomain)?;
    same(presented.uri == expected.uri, MessageRefusal::WrongUri)?;
    same(presented.resources.len() <= 1, MessageRefusal::ExtraLines)?;
    same(presented.not_before.is_none(), MessageRefusal::ExtraLines)?;
    // Before the session: another account's message is of another session, too, and this is the reason to name.
    same(presented.resources == expected.resources, MessageRefusal::OtherAccount)?;
    same(
        presented.request_id == expected.request_id,
        MessageRefusal::AnotherSession,
    )?;
    same(presented.chain_id == expected.chain_id, MessageRefusal::WrongChain)?;
    same(presented.address == expected.address, MessageRefusal::WrongAddress)?;
    same(presented.nonce == expected.nonce, MessageRefusal::WrongNonce)
}

fn compare_times(presented: &Message, expected: &Message, now: OffsetDateTime) -> Result<(), MessageRefusal> {
    if *presented.issued_at.as_ref() > now + CLOCK_DIFFERENCE {
        return Err(MessageRefusal::IssuedInFuture);
    }
    let Some(expires_at) = &presented.expiration_time else {
        return Err(MessageRefusal::Altered);
    };
    // The earlier of the two, so that a later time in the text gives no longer validity.
    let ends = expected.expiration_time.as_ref().map(AsRef::as_ref);
    if *expires_at.as_ref() <= now || ends.is_some_and(|ends| *ends <= now) {
        return Err(MessageRefusal::Expired);
    }
    Ok(())
}

/// Why a text is not of the form of EIP-4361.
fn refusal_of(error: &ParseError, presented: &str) -> MessageRefusal {
    match error {
        // A domain with letters that are not ASCII is no authority of RFC 3986.
        ParseError::Domain(_) => MessageRefusal::WrongDomain,
        // Lines after the last field, or among the resources.
        ParseError::Format("Unexpected Content" | "- ") => MessageRefusal::ExtraLines,
        ParseError::Format("Missing blank line after statement") => MessageRefusal::ExtraLines,
        _ if presented.lines().count() > 16 => MessageRefusal::ExtraLines,
        _ => MessageRefusal::Malformed,
    }
}

/// Without the fraction: a shorter text, and PostgreSQL's microseconds cannot differ from ours.
fn whole_second(time: OffsetDateTime) -> OffsetDateTime {
    time.to_offset(time::UtcOffset::UTC)
        .replace_nanosecond(0)
        .unwrap_or(time)
}

#[cfg(test)]
mod tests;
