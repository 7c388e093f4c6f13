//! The data of buttons: at most 64 bytes, with everything that the press needs. The service keeps no state of a button.

use uuid::Uuid;

/// What the press of a button does.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Press {
    /// Unlinks a wallet.
    Unlink {
        /// Its address, `0x` and 40 hexadecimal digits.
        address: String,
        /// The event that verified it. A wallet that was verified again has another one, and stays.
        event: u64,
    },
    /// Separates the accounts.
    Separate,
    /// Changes nothing.
    Keep,
    /// Answers the request of a session.
    Answer {
        /// The session.
        session: Uuid,
        /// Whether the wallet moves.
        consents: bool,
    },
}

impl Press {
    /// The callback data of the button, at most 64 bytes.
    pub(crate) fn data(&self) -> String {
        match self {
            // Without `0x`: with the largest event it is 64 bytes.
            Self::Unlink { address, event } => {
                format!("unlink:{}:{event:x}", address.strip_prefix("0x").unwrap_or(address))
            }
            Self::Separate => "separate".to_owned(),
            Self::Keep => "keep".to_owned(),
            Self::Answer { session, consents } => format!("{}:{session}", if *consents { "agree" } else { "refuse" }),
        }
    }

    /// Parses the callback data of a button; `None` for data that this build gives to no button.
    pub(crate) fn parse(data: &str) -> Option<Self> {
        match data.split_once(':') {
            None if data == "separate" => Some(Self::Separate),
            None if data == "keep" => Some(Self::Keep),
            Some(("unlink", wallet)) => {
                let (digits, event) = wallet.split_once(':')?;
                let address = format!("0x{digits}");
                let event = u64::from_str_radix(event, 16).ok()?;
                is_address(&address).then_some(Self::Unlink { address, event })
            }
            Some((answer @ ("agree" | "refuse"), session)) => Some(Self::Answer {
                session: session.parse().ok()?,
                consents: answer == "agree",
            }),
            _ => None,
        }
    }
}

/// The address becomes a part of a path.
fn is_address(text: &str) -> bool {
    let digits = text.strip_prefix("0x").unwrap_or_default();
    digits.len() == 40 && digits.bytes().all(|byte| byte.is_ascii_hexdigit())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn data_round_trips_within_64_bytes() {
        let session = Uuid::from_u128(u128::MAX);
        for press in [
            Press::Unlink {
                address: format!("0x{}", "ab".repeat(20)),
                event: u64::MAX,
            },
            Press::Separate,
            Press::Keep,
            Press::Answer {
                session,
                consents: true,
            },
            Press::Answer {
                session,
                consents: false,
            },
        ] {
            let data = press.data();
            assert!(data.len() <= 64, "{data}");
            assert_eq!(Press::parse(&data), Some(press));
        }
    }

    #[test]
    fn other_data_is_no_press() {
        for data in [
            "",
            "unlink",
            "unlink:../../x",
            "unlink:../../x:1",
            "unlink:0xabababababababababababababababababababab",
            "unlink:abababababababababababababababababababab:x",
            "agree:1",
            "separate:1",
            "unlink:0x12",
            "keep ",
        ] {
            assert_eq!(Press::parse(data), None, "{data}");
        }
    }
}
