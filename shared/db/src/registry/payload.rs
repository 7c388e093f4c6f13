//! The data of an event, and its canonical encoding.
//!
//! A payload is a JSON object in UTF-8 without white space. Its keys are sorted by their bytes; its values are texts and
//! booleans. Ids and chain ids are decimal texts, addresses and digests lower-case hex, times UTC with six decimals
//! (`2026-11-30T12:00:00.000000Z`). A text escapes `"`, `\` and control characters only, as RFC 8785 does. `v` is the version
//! of the encoding; a field without a value is absent.

use std::collections::BTreeMap;
use std::fmt::Display;
use std::str::FromStr;

use arrakis_domain::Address;
use serde::ser::SerializeMap as _;
use serde::{Serialize, Serializer};
use serde_json::{Map, Value};
use time::OffsetDateTime;

use super::event::EventType;
use super::identity::{SignatureRecord, TelegramUserId};
use super::text::{format_time, parse_time};
use crate::UserId;

/// Version of the encoding.
const VERSION: u64 = 1;

/// Data of an event by its type. Serialised as `{"type": …, "payload": {…}}`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum EventPayload {
    /// An identity was created; it has at least one of the accounts.
    IdentityCreated {
        /// The Discord account.
        discord_user: Option<UserId>,
        /// The Telegram account.
        telegram_user: Option<TelegramUserId>,
        /// The account's name.
        display_name: String,
    },
    /// A Discord account was added; its name becomes the identity's.
    DiscordLinked {
        /// The account.
        discord_user: UserId,
        /// The account's name.
        display_name: String,
    },
    /// A Telegram account was added.
    TelegramLinked {
        /// The account.
        telegram_user: TelegramUserId,
        /// The account's name.
        display_name: String,
    },
    /// The Discord account was taken from the identity.
    DiscordUnlinked {
        /// The account.
        discord_user: UserId,
        /// The name of the identity from now on.
        display_name: String,
        /// Why.
        reason: String,
    },
    /// The Telegram account was taken from the identity.
    TelegramUnlinked {
        /// The account.
        telegram_user: TelegramUserId,
        /// Why.
        reason: String,
    },
    /// A wallet was proved.
    WalletVerified {
        /// The wallet.
        address: Address,
        /// The chain on which it was verified.
        chain_id: u64,
        /// Whether it becomes the primary wallet.
        is_primary: bool,
        /// The signature; `None` for a migrated wallet.
        signature: Option<SignatureRecord>,
        /// When it was proved.
        verified_at: OffsetDateTime,
    },
    /// A wallet was removed, from every chain for which it is held. A removed primary wallet leaves none.
    WalletRemoved {
        /// The wallet.
        address: Address,
        /// Why.
        reason: String,
    },
    /// A wallet became the primary one.
    WalletSetPrimary {
        /// The wallet.
        address: Address,
    },
    /// The identity was suspended.
    IdentitySuspended {
        /// Why.
        reason: String,
        /// The operator.
        by: String,
        /// When it ends by itself.
        expires_at: Option<OffsetDateTime>,
    },
    /// The suspension ended.
    IdentityRestored {
        /// Why.
        reason: String,
        /// The operator; `expiry` when its end passed.
        by: String,
    },
}

/// A stored payload that cannot be decoded.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{field}` of the payload: {reason}")]
pub struct PayloadError {
    field: &'static str,
    reason: String,
}

impl PayloadError {
    /// The error of one field of the payload.
    pub(super) fn new(field: &'static str, reason: &impl Display) -> Self {
        Self {
            field,
            reason: reason.to_string(),
        }
    }
}

impl EventPayload {
    /// The type of the event.
    #[must_use]
    pub const fn event_type(&self) -> EventType {
        match self {
            Self::IdentityCreated { .. } => EventType::IdentityCreated,
            Self::DiscordLinked { .. } => EventType::DiscordLinked,
            Self::TelegramLinked { .. } => EventType::TelegramLinked,
            Self::DiscordUnlinked { .. } => EventType::DiscordUnlinked,
            Self::TelegramUnlinked { .. } => EventType::TelegramUnlinked,
            Self::WalletVerified { .. } => EventType::WalletVerified,
            Self::WalletRemoved { .. } => EventType::WalletRemoved,
            Self::WalletSetPrimary { .. } => EventType::WalletSetPrimary,
            Self::IdentitySuspended { .. } => EventType::IdentitySuspended,
            Self::IdentityRestored { .. } => EventType::IdentityRestored,
        }
    }

    /// The stored bytes: canonical JSON, as `docs/registry.md` defines it.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        // Serialising a map of texts, numbers and booleans does not fail.
        serde_json::to_vec(&self.fields()).unwrap_or_default()
    }

    /// The fields in the order of their keys.
    fn fields(&self) -> BTreeMap<&'static str, Value> {
        let mut fields = BTreeMap::from([("v", Value::from(VERSION))]);
        let mut put = |key, value: Option<Value>| {
            if let Some(value) = value {
                fields.insert(key, value);
            }
        };
        let text = |value: &dyn Display| Some(Value::String(value.to_string()));
        match self {
            Self::IdentityCreated {
                discord_user,
                telegram_user,
                display_name,
            } => {
                put("discord_user_id", discord_user.and_then(|id| text(&id)));
                put("telegram_user_id", telegram_user.and_then(|id| text(&id)));
                put("display_name", text(display_name));
            }
            Self::DiscordLinked {
                discord_user,
                display_name,
            } => {
                put("discord_user_id", text(discord_user));
                put("display_name", text(display_name));
            }
            Self::TelegramLinked {
                telegram_user,
                display_name,
            } => {
                put("telegram_user_id", text(telegram_user));
                put("display_name", text(display_name));
            }
            Self::DiscordUnlinked {
                discord_user,
                display_name,
                reason,
            } => {
                put("discord_user_id", text(discord_user));
                put("display_name", text(display_name));
                put("reason", text(reason));
            }
            Self::TelegramUnlinked { telegram_user, reason } => {
                put("telegram_user_id", text(telegram_user));
                put("reason", text(reason));
            }
            Self::WalletVerified {
                address,
                chain_id,
                is_primary,
                signature,
                verified_at,
            } => {
                put("address", text(address));
                put("chain_id", text(chain_id));
                put("is_primary", Some(Value::Bool(*is_primary)));
                put(
                    "signature_kind",
                    signature.and_then(|signature| text(&signature.kind.as_str())),
                );
                put(
                    "signature_digest",
                    signature.and_then(|signature| text(&hex::encode(signature.digest))),
                );
                put("verified_at", text(&format_time(*verified_at)));
            }
            Self::WalletRemoved { address, reason } => {
                put("address", text(address));
                put("reason", text(reason));
            }
            Self::WalletSetPrimary { address } => put("address", text(address)),
            Self::IdentitySuspended { reason, by, expires_at } => {
                put("reason", text(reason));
                put("by", text(by));
                put("expires_at", expires_at.and_then(|at| text(&format_time(at))));
            }
            Self::IdentityRestored { reason, by } => {
                put("reason", text(reason));
                put("by", text(by));
            }
        }
        fields
    }

    /// Decodes the payload of an event of this type.
    ///
    /// # Errors
    /// When it is not an object of this version with the type's fields.
    pub fn decode(event_type: EventType, bytes: &[u8]) -> Result<Self, PayloadError> {
        let fields = Fields(serde_json::from_slice(bytes).map_err(|why| PayloadError::new("", &why))?);
        fields.check_version()?;
        Ok(match event_type {
            EventType::IdentityCreated => Self::IdentityCreated {
                discord_user: fields.optional("discord_user_id")?,
                telegram_user: fields.optional("telegram_user_id")?,
                display_name: fields.required("display_name")?,
            },
            EventType::DiscordLinked => Self::DiscordLinked {
                discord_user: fields.required("discord_user_id")?,
                display_name: fields.required("display_name")?,
            },
            EventType::TelegramLinked => Self::TelegramLinked {
                telegram_user: fields.required("telegram_user_id")?,
                display_name: fields.required("display_name")?,
            },
            EventType::DiscordUnlinked => Self::DiscordUnlinked {
                discord_user: fields.required("discord_user_id")?,
                display_name: fields.required("display_name")?,
                reason: fields.required("reason")?,
            },
            EventType::TelegramUnlinked => Self::TelegramUnlinked {
                telegram_user: fields.required("telegram_user_id")?,
                reason: fields.required("reason")?,
            },
            EventType::WalletVerified => Self::WalletVerified {
                address: fields.required("address")?,
                chain_id: fields.required("chain_id")?,
                is_primary: fields.boolean("is_primary")?,
                signature: fields.signature()?,
                verified_at: fields.time("verified_at")?.ok_or_else(|| missing("verified_at"))?,
            },
            EventType::WalletRemoved => Self::WalletRemoved {
                address: fields.required("address")?,
                reason: fields.required("reason")?,
            },
            EventType::WalletSetPrimary => Self::WalletSetPrimary {
                address: fields.required("address")?,
            },
            EventType::IdentitySuspended => Self::IdentitySuspended {
                reason: fields.required("reason")?,
                by: fields.required("by")?,
                expires_at: fields.time("expires_at")?,
            },
            EventType::IdentityRestored => Self::IdentityRestored {
                reason: fields.required("reason")?,
                by: fields.required("by")?,
            },
        })
    }
}

impl Serialize for EventPayload {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(2))?;
        map.serialize_entry("type", &self.event_type())?;
        map.serialize_entry("payload", &self.fields())?;
        map.end()
    }
}

fn missing(field: &'static str) -> PayloadError {
    PayloadError::new(field, &"is missing")
}

struct Fields(Map<String, Value>);

impl Fields {
    fn check_version(&self) -> Result<(), PayloadError> {
        match self.0.get("v").and_then(Value::as_u64) {
            Some(VERSION) => Ok(()),
            Some(version) => Err(PayloadError::new(
                "v",
                &format_args!("version {version} is not supported"),
            )),
            None => Err(missing("v")),
        }
    }

    fn text(&self, field: &'static str) -> Result<Option<&str>, PayloadError> {
        match self.0.get(field) {
            None => Ok(None),
            Some(Value::String(text)) => Ok(Some(text)),
            Some(_) => Err(PayloadError::new(field, &"is not a text")),
        }
    }

    fn optional<T: FromStr<Err: Display>>(&self, field: &'static str) -> Result<Option<T>, PayloadError> {
        let text = self.text(field)?;
        text.map(|text| text.parse().map_err(|why: T::Err| PayloadError::new(field, &why)))
            .transpose()
    }

    fn required<T: FromStr<Err: Display>>(&self, field: &'static str) -> Result<T, PayloadError> {
        self.optional(field)?.ok_or_else(|| missing(field))
    }

    fn boolean(&self, field: &'static str) -> Result<bool, PayloadError> {
        let value = self.0.get(field).and_then(Value::as_bool);
        value.ok_or_else(|| PayloadError::new(field, &"is not a boolean"))
    }

    fn time(&self, field: &'static str) -> Result<Option<OffsetDateTime>, PayloadError> {
        let text = self.text(field)?;
        text.map(|text| parse_time(text).map_err(|why| PayloadError::new(field, &why)))
            .transpose()
    }

    fn signature(&self) -> Result<Option<SignatureRecord>, PayloadError> {
        let Some(kind) = self.optional("signature_kind")? else {
            return Ok(None);
        };
        let field = "signature_digest";
        let mut digest = [0; 32];
        hex::decode_to_slice(self.required::<String>(field)?, &mut digest)
            .map_err(|why| PayloadError::new(field, &why))?;
        Ok(Some(SignatureRecord { kind, digest }))
    }
}

#[cfg(test)]
mod tests {
    use time::macros::datetime;

    use super::super::identity::SignatureKind;
    use super::*;

    fn payloads() -> [(EventPayload, &'static str); 11] {
        let address: Address = "0xD2f19a79b026Fb636A7c300bF5947df113940761".parse().unwrap();
        let discord_user = UserId::new(80_351_110_224_678_912).unwrap();
        let telegram_user = TelegramUserId::new(5_000_000_000).unwrap();
        let signature = SignatureRecord {
            kind: SignatureKind::Erc1271,
            digest: [0xab; 32],
        };
        let name = || "Chani \"沙\" \\ \t".to_owned();
        [
            (
                EventPayload::IdentityCreated {
                    discord_user: Some(discord_user),
                    telegram_user: None,
                    display_name: name(),
                },
                r#"{"discord_user_id":"80351110224678912","display_name":"Chani \"沙\" \\ \t","v":1}"#,
            ),
            (
                EventPayload::DiscordLinked {
                    discord_user,
                    display_name: name(),
                },
                r#"{"discord_user_id":"80351110224678912","display_name":"Chani \"沙\" \\ \t","v":1}"#,
            ),
            (
                EventPayload::TelegramLinked {
                    telegram_user,
                    display_name: "Chani".to_owned(),
                },
                r#"{"display_name":"Chani","telegram_user_id":"5000000000","v":1}"#,
            ),
            (
                EventPayload::DiscordUnlinked {
                    discord_user,
                    display_name: "Chani".to_owned(),
                    reason: "separated".to_owned(),
                },
                r#"{"discord_user_id":"80351110224678912","display_name":"Chani","reason":"separated","v":1}"#,
            ),
            (
                EventPayload::TelegramUnlinked {
                    telegram_user,
                    reason: "separated".to_owned(),
                },
                r#"{"reason":"separated","telegram_user_id":"5000000000","v":1}"#,
            ),
            (
                EventPayload::WalletVerified {
                    address,
                    chain_id: 80094,
                    is_primary: false,
                    signature: Some(signature),
                    verified_at: datetime!(2026-01-01 00:01:00.5 UTC),
                },
                "{\"address\":\"0xd2f19a79b026fb636a7c300bf5947df113940761\",\"chain_id\":\"80094\",\"is_primary\":false,\
                 \"signature_digest\":\"abababababababababababababababababababababababababababababababab\",\
                 \"signature_kind\":\"erc1271\",\"v\":1,\"verified_at\":\"2026-01-01T00:01:00.500000Z\"}",
            ),
            (
                EventPayload::WalletVerified {
                    address,
                    chain_id: 1,
                    is_primary: true,
                    signature: None,
                    verified_at: datetime!(2026-01-01 00:01:00 UTC),
                },
                "{\"address\":\"0xd2f19a79b026fb636a7c300bf5947df113940761\",\"chain_id\":\"1\",\"is_primary\":true,\"v\":1,\
                 \"verified_at\":\"2026-01-01T00:01:00.000000Z\"}",
            ),
            (
                EventPayload::WalletRemoved {
                    address,
                    reason: "unlinked".to_owned(),
                },
                r#"{"address":"0xd2f19a79b026fb636a7c300bf5947df113940761","reason":"unlinked","v":1}"#,
            ),
            (
                EventPayload::WalletSetPrimary { address },
                r#"{"address":"0xd2f19a79b026fb636a7c300bf5947df113940761","v":1}"#,
            ),
            (
                EventPayload::IdentitySuspended {
                    reason: "spam".to_owned(),
                    by: "ops".to_owned(),
                    expires_at: Some(datetime!(9999-12-31 23:59:59 UTC)),
                },
                r#"{"by":"ops","expires_at":"9999-12-31T23:59:59.000000Z","reason":"spam","v":1}"#,
            ),
            (
                EventPayload::IdentityRestored {
                    reason: "appeal".to_owned(),
                    by: "ops".to_owned(),
                },
                r#"{"by":"ops","reason":"appeal","v":1}"#,
            ),
        ]
    }

    #[test]
    fn each_type_has_one_encoding() {
        for (payload, expected) in payloads() {
            let bytes = payload.encode();
            assert_eq!(String::from_utf8_lossy(&bytes), expected);
            assert_eq!(EventPayload::decode(payload.event_type(), &bytes), Ok(payload));
        }
    }

    #[test]
    fn payload_that_is_not_of_its_type_is_an_error_with_the_field() {
        for (event_type, text, field) in [
            (EventType::WalletRemoved, "[]", "``"),
            (EventType::WalletRemoved, "{}", "`v`"),
            (EventType::WalletRemoved, r#"{"v":2}"#, "`v` of the payload: version 2"),
            (
                EventType::WalletRemoved,
                r#"{"address":"0x12","reason":"x","v":1}"#,
                "`address`",
            ),
            (EventType::WalletSetPrimary, r#"{"v":1}"#, "`address`"),
            (
                EventType::DiscordLinked,
                r#"{"discord_user_id":7,"display_name":"x","v":1}"#,
                "`discord_user_id`",
            ),
            (
                EventType::IdentitySuspended,
                r#"{"by":"x","expires_at":"soon","reason":"x","v":1}"#,
                "`expires_at`",
            ),
        ] {
            let error = EventPayload::decode(event_type, text.as_bytes())
                .unwrap_err()
                .to_string();
            assert!(error.starts_with(field), "{text}: {error}");
        }
    }
}
