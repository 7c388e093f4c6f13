//! What a member did, read from Discord's interaction into what a command needs to know.
//!
//! Owns the reading; refuses to judge: whether options suit the command is `options.rs`', whether the command exists the
//! dispatcher's.

use std::collections::BTreeMap;

use twilight_model::application::interaction::application_command::CommandOptionValue;
use twilight_model::application::interaction::modal::{ModalInteractionComponent, ModalInteractionData};
use twilight_model::application::interaction::{Interaction, InteractionData, InteractionType};
use twilight_model::guild::Permissions;
use twilight_model::id::Id;
use twilight_model::id::marker::{ChannelMarker, GuildMarker, InteractionMarker, RoleMarker, UserMarker};
use twilight_model::user::User;

use super::options::Options;

/// One interaction.
#[derive(Debug, Clone)]
pub struct Invocation {
    /// Its snowflake, which holds when Discord made it.
    pub id: Id<InteractionMarker>,
    /// Good for one first response and fifteen minutes of edits.
    pub token: String,
    /// Server; `None` in direct messages.
    pub guild: Option<Id<GuildMarker>>,
    /// Channel.
    pub channel: Option<Id<ChannelMarker>>,
    /// Who.
    pub author: Author,
    /// What.
    pub ask: Ask,
}

/// Who did it.
#[derive(Debug, Clone)]
pub struct Author {
    /// User.
    pub id: Id<UserMarker>,
    /// As the server shows it: nickname, else display name, else user name.
    pub name: String,
    /// What the member may do in the channel, as Discord computed it.
    pub permissions: Permissions,
    /// The member's roles.
    pub roles: Vec<Id<RoleMarker>>,
}

/// What was done.
#[derive(Debug, Clone)]
pub enum Ask {
    /// A slash command.
    Command {
        /// Name.
        name: String,
        /// Options as typed.
        options: Options,
    },
    /// An option that completes itself is being typed.
    Suggest {
        /// Name of the command.
        name: String,
        /// Options so far.
        options: Options,
        /// The option being typed.
        focused: String,
        /// What stands there.
        typed: String,
    },
    /// A button or a select.
    Press {
        /// `command:arguments`.
        custom_id: String,
        /// What was selected.
        values: Vec<String>,
        /// Who ran the command that the message answers.
        asked_by: Option<Id<UserMarker>>,
    },
    /// A form was sent.
    Submit {
        /// `command:arguments`.
        custom_id: String,
        /// Text by field.
        fields: BTreeMap<String, String>,
    },
}

/// Why a body is no interaction that we could answer.
#[derive(Debug, thiserror::Error)]
pub enum InvocationError {
    /// Not JSON, or not an interaction as Discord documents it.
    #[error("the body is no interaction: {0}")]
    Malformed(#[from] serde_json::Error),
    /// A kind that this build does not know.
    #[error("interactions of kind {0:?} are not known here")]
    UnknownKind(InteractionType),
    /// Something that its kind always has is missing.
    #[error("the interaction has no {0}")]
    Missing(&'static str),
}

impl Invocation {
    /// Reads the body of a message.
    ///
    /// # Errors
    /// When it is no interaction, or of a kind that has no answer here.
    pub fn read(body: &[u8]) -> Result<Self, InvocationError> {
        let interaction: Interaction = serde_json::from_slice(body)?;
        let author = author(&interaction)?;
        let asked_by = interaction
            .message
            .as_ref()
            .and_then(|message| message.interaction_metadata.as_ref())
            .map(|metadata| metadata.user.id);
        #[expect(deprecated, reason = "older payloads carry the channel's id alone")]
        let channel = interaction
            .channel
            .as_ref()
            .map(|channel| channel.id)
            .or(interaction.channel_id);
        Ok(Self {
            id: interaction.id,
            token: interaction.token,
            guild: interaction.guild_id,
            channel,
            author,
            ask: ask(interaction.kind, interaction.data, asked_by)?,
        })
    }

    /// The command that answers: its name, or the first segment of a custom id.
    pub fn command(&self) -> &str {
        match &self.ask {
            Ask::Command { name, .. } | Ask::Suggest { name, .. } => name,
            Ask::Press { custom_id, .. } | Ask::Submit { custom_id, .. } => {
                custom_id.split(':').next().unwrap_or_default()
            }
        }
    }

    /// Kind, for spans and metrics.
    pub const fn kind(&self) -> &'static str {
        match self.ask {
            Ask::Command { .. } => "command",
            Ask::Suggest { .. } => "autocomplete",
            Ask::Press { .. } => "component",
            Ask::Submit { .. } => "modal",
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

/// How a user without a nickname is shown.
pub(crate) fn display_name(user: &User) -> String {
    user.global_name.clone().unwrap_or_else(|| user.name.clone())
}

fn ask(
    kind: InteractionType,
    data: Option<InteractionData>,
    asked_by: Option<Id<UserMarker>>,
) -> Result<Ask, InvocationError> {
    match (kind, data) {
        (InteractionType::ApplicationCommand, Some(InteractionData::ApplicationCommand(data))) => Ok(Ask::Command {
            name: data.name.clone(),
            options: Options::new(data.options, data.resolved.as_ref()),
        }),
        (InteractionType::ApplicationCommandAutocomplete, Some(InteractionData::ApplicationCommand(data))) => {
            let focused = data.options.iter().find_map(|option| match &option.value {
                CommandOptionValue::Focused(typed, _) => Some((option.name.clone(), typed.clone())),
                _ => None,
            });
            let (focused, typed) = focused.ok_or(InvocationError::Missing("focused option"))?;
            Ok(Ask::Suggest {
                name: data.name.clone(),
                options: Options::new(data.options, data.resolved.as_ref()),
                focused,
                typed,
            })
        }
        (InteractionType::MessageComponent, Some(InteractionData::MessageComponent(data))) => Ok(Ask::Press {
            custom_id: data.custom_id,
            values: data.values,
            asked_by,
        }),
        (InteractionType::ModalSubmit, Some(InteractionData::ModalSubmit(data))) => Ok(Ask::Submit {
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

/// Text inputs of a form, wherever they lie in it.
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
