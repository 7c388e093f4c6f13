//! An interaction, decoded into the fields that commands need.
//!
//! Decoding checks only the form. `options.rs` checks the options against the command's definition, and the pipeline whether the
//! command exists.

use std::collections::BTreeMap;

use twilight_model::application::interaction::application_command::CommandOptionValue;
use twilight_model::application::interaction::modal::{ModalInteractionComponent, ModalInteractionData};
use twilight_model::application::interaction::{Interaction, InteractionData, InteractionType};
use twilight_model::guild::Permissions;
use twilight_model::id::Id;
use twilight_model::id::marker::{GuildMarker, InteractionMarker, RoleMarker, UserMarker};
use twilight_model::user::User;

use super::options::Options;

/// A decoded interaction.
#[derive(Debug, Clone)]
pub struct Invocation {
    /// The interaction's id: a snowflake, which contains the time at which Discord created it.
    pub id: Id<InteractionMarker>,
    /// The token that authorizes one first response, and edits and follow-ups within fifteen minutes.
    pub token: String,
    /// The server's id; `None` in direct messages.
    pub guild: Option<Id<GuildMarker>>,
    /// The member or user who caused it.
    pub author: Author,
    /// The data of its type.
    pub data: InvocationData,
}

/// The member or user who caused an interaction.
#[derive(Debug, Clone)]
pub struct Author {
    /// The user's id.
    pub id: Id<UserMarker>,
    /// Name as the server shows it: nickname, else display name, else user name.
    pub name: String,
    /// The member's permissions in the channel, as Discord computed them.
    pub permissions: Permissions,
    /// The member's roles when Discord sent the interaction; none in direct messages.
    pub roles: Vec<Id<RoleMarker>>,
}

/// The data of an interaction, by its type.
#[derive(Debug, Clone)]
pub enum InvocationData {
    /// A slash command.
    Command {
        /// Name.
        name: String,
        /// Options as typed.
        options: Options,
    },
    /// A request for suggestions for an option that is being typed.
    Autocomplete {
        /// Name of the command.
        name: String,
        /// Options so far.
        options: Options,
        /// Name of the option that is being typed.
        focused: String,
        /// Its text so far.
        typed: String,
    },
    /// A click on a button, or a selection.
    Component {
        /// `command:arguments`.
        custom_id: String,
        /// The selected values.
        values: Vec<String>,
        /// Who ran the command whose reply contains the component.
        command_user: Option<Id<UserMarker>>,
    },
    /// A submitted modal.
    ModalSubmit {
        /// `command:arguments`.
        custom_id: String,
        /// The texts, by custom id of the field.
        fields: BTreeMap<String, String>,
    },
}

/// Why a body cannot be read as an interaction that this build handles.
#[derive(Debug, thiserror::Error)]
pub enum InvocationError {
    /// Not JSON, or not an interaction as Discord documents it.
    #[error("the body is not an interaction: {0}")]
    Malformed(#[from] serde_json::Error),
    /// A type that this build does not handle.
    #[error("interactions of type {0:?} are not handled by this build")]
    UnknownKind(InteractionType),
    /// A field that its type always has is missing.
    #[error("the interaction has no {0}")]
    Missing(&'static str),
}

impl Invocation {
    /// Decodes the body of a message.
    ///
    /// # Errors
    /// If the body is not an interaction, or its type is not handled by this build.
    pub fn read(body: &[u8]) -> Result<Self, InvocationError> {
        let interaction: Interaction = serde_json::from_slice(body)?;
        let author = author(&interaction)?;
        let command_user = interaction
            .message
            .as_ref()
            .and_then(|message| message.interaction_metadata.as_ref())
            .map(|metadata| metadata.user.id);
        Ok(Self {
            id: interaction.id,
            token: interaction.token,
            guild: interaction.guild_id,
            author,
            data: read_data(interaction.kind, interaction.data, command_user)?,
        })
    }

    /// The name of the command that handles the interaction; for a component or modal, the first segment of the custom id.
    pub fn command(&self) -> &str {
        match &self.data {
            InvocationData::Command { name, .. } | InvocationData::Autocomplete { name, .. } => name,
            InvocationData::Component { custom_id, .. } | InvocationData::ModalSubmit { custom_id, .. } => {
                custom_id.split(':').next().unwrap_or_default()
            }
        }
    }

    /// Name of its type, for spans and metrics.
    pub const fn kind(&self) -> &'static str {
        match self.data {
            InvocationData::Command { .. } => "command",
            InvocationData::Autocomplete { .. } => "autocomplete",
            InvocationData::Component { .. } => "component",
            InvocationData::ModalSubmit { .. } => "modal",
        }
    }
}

fn author(interaction: &Interaction) -> Result<Author, InvocationError> {
    let user = interaction.author().ok_or(InvocationError::Missing("user"))?;
    let member = interaction.member.as_ref();
    let nick = member.and_then(|member| member.nick.clone());
    Ok(Author {
        id: user.id,
        name: nick.unwrap_or_else(|| display_name(user)),
        permissions: member
            .and_then(|member| member.permissions)
            .unwrap_or(Permissions::empty()),
        roles: member.map(|member| member.roles.clone()).unwrap_or_default(),
    })
}

/// The name that Discord shows for a user without a nickname.
pub(crate) fn display_name(user: &User) -> String {
    user.global_name.clone().unwrap_or_else(|| user.name.clone())
}

fn read_data(
    kind: InteractionType,
    data: Option<InteractionData>,
    command_user: Option<Id<UserMarker>>,
) -> Result<InvocationData, InvocationError> {
    match (kind, data) {
        (InteractionType::ApplicationCommand, Some(InteractionData::ApplicationCommand(data))) => {
            Ok(InvocationData::Command {
                name: data.name.clone(),
                options: Options::new(data.options, data.resolved.as_ref()),
            })
        }
        (InteractionType::ApplicationCommandAutocomplete, Some(InteractionData::ApplicationCommand(data))) => {
            let focused = data.options.iter().find_map(|option| match &option.value {
                CommandOptionValue::Focused(typed, _) => Some((option.name.clone(), typed.clone())),
                _ => None,
            });
            let (focused, typed) = focused.ok_or(InvocationError::Missing("focused option"))?;
            Ok(InvocationData::Autocomplete {
                name: data.name.clone(),
                options: Options::new(data.options, data.resolved.as_ref()),
                focused,
                typed,
            })
        }
        (InteractionType::MessageComponent, Some(InteractionData::MessageComponent(data))) => {
            Ok(InvocationData::Component {
                custom_id: data.custom_id,
                values: data.values,
                command_user,
            })
        }
        (InteractionType::ModalSubmit, Some(InteractionData::ModalSubmit(data))) => Ok(InvocationData::ModalSubmit {
            fields: fields(&data),
            custom_id: data.custom_id,
        }),
        (
            InteractionType::ApplicationCommand
            | InteractionType::ApplicationCommandAutocomplete
            | InteractionType::MessageComponent
            | InteractionType::ModalSubmit,
            _,
        ) => Err(InvocationError::Missing("data")),
        (kind, _) => Err(InvocationError::UnknownKind(kind)),
    }
}

/// The text inputs of a modal, at any depth.
fn fields(data: &ModalInteractionData) -> BTreeMap<String, String> {
    let mut found = BTreeMap::new();
    for component in &data.components {
        collect(component, &mut found);
    }
    found
}

fn collect(component: &ModalInteractionComponent, found: &mut BTreeMap<String, String>) {
    match component {
        ModalInteractionComponent::ActionRow(row) => {
            for inner in &row.components {
                collect(inner, found);
            }
        }
        ModalInteractionComponent::Label(label) => collect(&label.component, found),
        ModalInteractionComponent::TextInput(input) => {
            found.insert(input.custom_id.clone(), input.value.clone());
        }
        _ => {}
    }
}
