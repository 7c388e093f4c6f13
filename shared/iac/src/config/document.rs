//! The format of `discord-server.yaml`: its sections.
//!
//! The reader, the messages about unknown keys and the JSON schema are derived from the types here and in `kinds`.

use crate::kinds::{
    AutomodEntry, CategoryEntry, ChannelEntry, Draft, EmojiEntry, Entries, EventEntry, OnboardingEntry, ResourceEntry,
    RoleEntry, Section, ServerEntry, StickerEntry, WebhookEntry, WelcomeEntry, each_kind,
};
use crate::model::{Defaults, Kind};
use crate::yaml::KnownAddresses;
use crate::yaml::reader::{At, Reader};
use crate::yaml::scalar::{Early, FormatVersion, Named, Pick, Text, Truth};

use super::merged::FromThemeEntry;
use super::variables::{DefaultEntry, ThemeEntry, TypeName};

macro_rules! server_file {
    ($(
        #[doc = $doc:literal]
        $kind:ident($attributes:ident) $section:ident: $entry:ty, $phase:ident, $removal:ident;
    )+) => {
        document! {
            /// The configuration of a Discord server. Resources and attributes that are absent stay unchanged.
            pub(crate) struct ServerFile {
                /// The version of the format; 1 when absent.
                version: FormatVersion,
                /// The theme of this file: its id, or a map with `name`, `variables`, `flags` and `without`.
                theme: Early<ThemeEntry>,
                /// The theme that this file was written from; it adds no resources.
                from_theme: Early<FromThemeEntry>,
                /// Variables, used as `${name}` and set by `--var name=value`, `--var-file` or `GAIB_VAR_name`.
                variables: Early<Named<VariableEntry>>,
                /// Flags, set like variables. A resource with `flag: name` is removed from the configuration while the flag
                /// is off.
                flags: Early<Named<FlagEntry>>,
                /// The meaning of absent attributes: `unmanaged` leaves them unchanged, `managed` sets them to the default
                /// of Discord. `unmanaged` when absent; `managed` in exports.
                defaults: Pick<Defaults>,
                $(
                    #[doc = $doc]
                    $section: $entry,
                )+
            }
        }

        impl ServerFile {
            /// The resources of all sections, with kind and name; `server`, `welcome_screen` and `onboarding` have no name.
            /// Without channels of categories.
            pub(crate) fn resources(&self) -> Vec<(Kind, Option<&At<String>>, &dyn ResourceEntry)> {
                let mut all = Vec::new();
                $(
                    let resources = self.$section.iter().flat_map(Entries::resources);
                    all.extend(resources.map(|(name, entry)| (Kind::$kind, name, entry)));
                )+
                all
            }

            /// Builds the resources of all sections. Problems are collected in the reader.
            pub(crate) fn build(&self, names: &KnownAddresses, draft: &mut Draft, reader: &mut Reader<'_>) {
                $(if let Some(section) = &self.$section {
                    Section::build(section, names, draft, reader);
                })+
            }
        }
    };
}

each_kind!(server_file);

document! {
    /// A variable. It must be set if it has no default.
    pub(crate) struct VariableEntry {
        /// The type; `string` when absent.
        r#type: TypeName,
        /// The default value.
        default: DefaultEntry,
        /// The description.
        description: Text<1, 1024>,
    }
}

document! {
    /// A flag: on or off.
    pub(crate) struct FlagEntry {
        /// The default state; on when absent.
        default: Truth,
        /// The description.
        description: Text<1, 1024>,
    }
}
