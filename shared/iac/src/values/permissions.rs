//! Sets of permissions by Discord's names, with bits without a name as `BIT_47`.

use arrakis_domain::{Permission, Permissions};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// The names of the permissions in a set, ordered by bit. A bit without a name is `BIT_n`.
#[must_use]
pub fn permission_names(permissions: Permissions) -> Vec<String> {
    permissions
        .bit_numbers()
        .map(|bit| {
            let named = Permission::ALL.iter().find(|permission| **permission as u32 == bit);
            named.map_or_else(|| format!("BIT_{bit}"), |permission| permission.name().to_owned())
        })
        .collect()
}

/// The permission with this name, or the bit of `BIT_n`; `None` for an unknown name.
#[must_use]
pub fn permission_by_name(name: &str) -> Option<Permissions> {
    if let Ok(permission) = name.parse::<Permission>() {
        return Some(Permissions::from_bits(permission.bits()));
    }
    let bit: u32 = name.strip_prefix("BIT_")?.parse().ok()?;
    Permissions::of_bit(bit)
}

/// A set of permissions that serde writes as a list of names.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct PermissionNames(pub Permissions);

impl Serialize for PermissionNames {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(permission_names(self.0))
    }
}

impl<'de> Deserialize<'de> for PermissionNames {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let mut set = Permissions::NONE;
        for name in Vec::<String>::deserialize(deserializer)? {
            set |= permission_by_name(&name)
                .ok_or_else(|| serde::de::Error::custom(format!("`{name}` is not a permission")))?;
        }
        Ok(Self(set))
    }
}

/// For `#[serde(with)]` on a set.
pub(crate) mod names {
    use super::{Deserialize, Deserializer, PermissionNames, Permissions, Serialize, Serializer};

    pub(crate) fn serialize<S: Serializer>(set: &Permissions, serializer: S) -> Result<S::Ok, S::Error> {
        PermissionNames(*set).serialize(serializer)
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Permissions, D::Error> {
        PermissionNames::deserialize(deserializer).map(|names| names.0)
    }
}

/// For `#[serde(with)]` on a set that may be absent.
pub(crate) mod optional_names {
    use super::{Deserialize, Deserializer, PermissionNames, Permissions, Serialize, Serializer};

    #[allow(clippy::ref_option, reason = "serde calls it with a reference to the field")]
    pub(crate) fn serialize<S: Serializer>(set: &Option<Permissions>, serializer: S) -> Result<S::Ok, S::Error> {
        set.map(PermissionNames).serialize(serializer)
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Permissions>, D::Error> {
        Ok(Option::<PermissionNames>::deserialize(deserializer)?.map(|names| names.0))
    }
}
