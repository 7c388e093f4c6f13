//! Two shapes that every kind repeats: a struct of attributes, and an enumeration with Discord's numbers.

/// A struct whose every field is an `Option`, after one in round brackets that must be there. Absent fields are not written.
macro_rules! attributes {
    (
        $(#[$doc:meta])*
        pub struct $name:ident $(($(#[$required_doc:meta])* $required:ident: $required_type:ty))? {
            $($(#[$field_doc:meta])* $(@with($with:literal))? $field:ident: $type:ty,)*
        }
    ) => {
        $(#[$doc])*
        #[derive(Clone, Debug, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
        #[serde(deny_unknown_fields)]
        pub struct $name {
            $($(#[$required_doc])* pub $required: $required_type,)?
            $($(#[$field_doc])* #[serde(default, skip_serializing_if = "Option::is_none" $(, with = $with)?)] pub $field: Option<$type>,)*
        }

        impl $name {
            /// Names of its attributes, in the order in which they are displayed.
            pub const FIELDS: &'static [&'static str] = &[$(stringify!($required),)? $(stringify!($field),)*];

            /// Replaces every attribute that is not `None` in `other`.
            pub fn override_with(&mut self, other: Self) {
                $(self.$required = other.$required;)?
                $(if other.$field.is_some() { self.$field = other.$field; })*
            }

            /// Copies every attribute that is `None` from `other`, except those named in `except`.
            pub fn complete_with(&mut self, other: &Self, except: &[String]) {
                $(if self.$field.is_none() && !except.iter().any(|name| name == stringify!($field)) {
                    self.$field.clone_from(&other.$field);
                })*
            }

            /// Stops managing the attribute of this name.
            pub fn release(&mut self, name: &str) {
                $(if name == stringify!($field) { self.$field = None; })*
            }

            /// Only the attributes that `managed` has too, for a comparison.
            #[must_use]
            pub fn restricted_to(&self, managed: &Self) -> Self {
                let mut narrowed = self.clone();
                $(if managed.$field.is_none() { narrowed.$field = None; })*
                narrowed
            }
        }
    };
}

/// Serde by `Display` and `FromStr`.
macro_rules! serde_as_text {
    ($name:ty) => {
        impl serde::Serialize for $name {
            fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(self)
            }
        }

        impl<'de> serde::Deserialize<'de> for $name {
            fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let text = <std::borrow::Cow<'de, str>>::deserialize(deserializer)?;
                text.parse().map_err(serde::de::Error::custom)
            }
        }
    };
}

/// An enumeration with the name that YAML and state use and the number that Discord's API uses.
macro_rules! choices {
    (
        $(#[$doc:meta])*
        pub enum $name:ident {
            $($(#[$variant_doc:meta])* $variant:ident $text:literal = $wire:literal,)+
        }
    ) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum $name {
            $($(#[$variant_doc])* $variant,)+
        }

        impl $name {
            /// All variants, in Discord's order.
            pub const ALL: &'static [Self] = &[$(Self::$variant,)+];

            /// The name in YAML and state.
            #[must_use]
            pub const fn name(self) -> &'static str {
                match self {
                    $(Self::$variant => $text,)+
                }
            }

            /// The number in Discord's API.
            #[must_use]
            pub const fn discord_number(self) -> u64 {
                match self {
                    $(Self::$variant => $wire,)+
                }
            }

            /// The variant with this number of Discord; `None` for an unknown number.
            #[must_use]
            pub fn from_discord_number(number: u64) -> Option<Self> {
                Self::ALL.iter().copied().find(|one| one.discord_number() == number)
            }

            /// The variant with this name; `None` for an unknown name.
            #[must_use]
            pub fn from_name(name: &str) -> Option<Self> {
                Self::ALL.iter().copied().find(|one| one.name() == name)
            }
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str(self.name())
            }
        }

        impl $crate::values::Choice for $name {
            fn all() -> &'static [Self] {
                Self::ALL
            }

            fn text(self) -> &'static str {
                self.name()
            }
        }

        impl std::str::FromStr for $name {
            type Err = $crate::values::UnknownName;

            fn from_str(name: &str) -> Result<Self, Self::Err> {
                Self::from_name(name).ok_or_else(|| $crate::values::UnknownName::among(name, Self::ALL.iter().map(|one| one.name())))
            }
        }

        serde_as_text!($name);
    };
}
