//! `discord-server.yaml` as it is written: which sections there are and what each may hold.
//!
//! The types here and in `kinds` are the one source of the reader, the messages about unknown keys and the JSON schema.

use crate::kinds::{
    AutomodEntry, CategoryEntry, ChannelEntry, Draft, EmojiEntry, Entries, EventEntry, OnboardingEntry, ResourceEntry,
    RoleEntry, Section, ServerEntry, StickerEntry, WebhookEntry, WelcomeEntry, each_kind,
};
use crate::model::{Defaults, Kind};
use crate::yaml::KnownAddresses;
use crate::yaml::reader::{At, Reader};
use crate::yaml::scalar::{Early, FormatVersion, Named, Pick, Text, Truth};

use super::variables::{DefaultEntry, ThemeEntry, TypeName};

macro_rules! server_file {
    ($(
        #[doc = $doc:literal]
        $kind:ident($attributes:ident) $section:ident: $entry:ty, $phase:ident, $removal:ident;
    )+) => {
        document! {
            /// A Discord server as it should be. What is not said here is left as it is.
            pub(crate) struct ServerFile {
                /// The format of this file; 1 when nothing is said.
                version: FormatVersion,
                /// The theme that this file builds on: its id, or a map with `name`, `variables`, `flags` and `without`.
                theme: Early<ThemeEntry>,
                /// Variables, used as `${name}`. Set them by `--var name=value`, `--var-file` or `GAIB_VAR_name`.
                variables: Early<Named<VariableEntry>>,
                /// Flags; `flag: name` on a resource drops it while the flag is off. Set them like variables.
                flags: Early<Named<FlagEntry>>,
                /// What an attribute means that is not written: `unmanaged` leaves it as it is, `managed` sets it to Discord's default. An
                /// export says `managed`; `unmanaged` when nothing is said.
                defaults: Pick<Defaults>,
                $(
                    #[doc = $doc]
                    $section: $entry,
                )+
            }
        }

        impl ServerFile {
            /// The resources of all sections, each with its kind and its name; the one resource of a kind has no name.
            /// Channels under a category are not among them.
            pub(crate) fn resources(&self) -> Vec<(Kind, Option<&At<String>>, &dyn ResourceEntry)> {
                let mut all = Vec::new();
                $(
                    let resources = self.$section.iter().flat_map(Entries::resources);
                    all.extend(resources.map(|(name, entry)| (Kind::$kind, name, entry)));
                )+
                all
            }

            /// Builds the resources of all sections. Each notes what is wrong and goes on.
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
    /// A variable. Without a default it must be set.
    pub(crate) struct VariableEntry {
        /// Its type; `string` when nothing is said.
        r#type: TypeName,
        /// Its value when it is not set.
        default: DefaultEntry,
        /// What it changes.
        description: Text<1, 1024>,
    }
}

document! {
    /// A flag, on or off.
    pub(crate) struct FlagEntry {
        /// Its state when it is not set; on when nothing is said.
        default: Truth,
        /// What it governs.
        description: Text<1, 1024>,
    }
}
