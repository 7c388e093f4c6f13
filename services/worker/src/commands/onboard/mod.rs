//! `/onboard`: a wizard that sets a server up. `/resume` continues it.
//!
//! ```text
//! INIT ─► CHAIN_SELECT ─► ASSET_CONFIG ─► ELIGIBILITY_RULES ─► ROLE_MAPPING ─► CHANNEL_STRUCTURE ─► REVIEW ─► DEPLOY ─► COMPLETE
//!                                                                                                                  └─► FAILED
//! ```
//!
//! | file | what |
//! |---|---|
//! | `../../wizard.rs` | the state and its transitions |
//! | `input.rs` | checks what an admin chose or typed |
//! | `show.rs` | shows a step, with what it needs to read |
//! | `deploy.rs` | stores the community and requests the deploy |
//!
//! The state is a session in Redis, 15 minutes from the last step; no process keeps any. An input names the step that it belongs to: a
//! second run of a press, or a press of an old message, finds another step and shows the present one. Nothing outside of the session
//! changes before the deploy, which is safe to repeat (`deploy.rs`).
//!
//! The metric `arrakis_worker_onboarding_steps_total` counts each step: `entered`; `left` for the next one; `back`; `failed` for an input
//! that is refused, a plan that cannot be made, or a deploy that fails, whatever the reason; `cancelled`. The job of the deploy counts the end
//! of the last step, shows it in the reply, and ends the session then.

mod deploy;
mod input;
mod show;

use arrakis_cache::{Session, SessionError, SessionName, Ttl};
use twilight_model::guild::Permissions;
use twilight_model::id::Id;
use twilight_model::id::marker::GuildMarker;
use uuid::Uuid;

pub(super) use self::show::{deployed, show_step};
use super::{Command, CommandContext, CommandScope, ComponentRule, Definition, ResponseMode, outdated_component};
use crate::interaction::invocation::InvocationData;
use crate::interaction::refusal::Refusal;
use crate::interaction::reply::{CommandError, CommandResult, Reply, message};
use crate::render::onboard::{self as render, Action, NAME};
use crate::wizard::{Step, Wizard};

/// How long a session lasts after its last step.
const SESSION_TTL: Ttl = Ttl::seconds(15 * 60);

/// The command.
#[derive(Debug, Clone, Copy)]
pub(super) struct Onboard;

impl Command for Onboard {
    fn definition(&self) -> Definition {
        Definition::new(NAME, "Set this server up: token, tiers, roles, channels")
            .permissions(Permissions::MANAGE_GUILD)
            .scope(CommandScope::Anywhere)
            .component_rules(&[ComponentRule {
                argument: "contract",
                response: ResponseMode::Modal,
                scope: CommandScope::Anywhere,
            }])
    }

    async fn run(&self, context: &CommandContext<'_>) -> CommandResult {
        let session = match own_session(context).await? {
            Some(session) => session,
            None => begin(context).await?,
        };
        show_step(context, &session).await
    }

    async fn component(&self, context: &CommandContext<'_>, arguments: &[&str]) -> CommandResult {
        let (action, id, argument) = read(arguments)?;
        if action == Action::Contract {
            return Ok(Reply::Modal(render::contract_modal(id)));
        }
        let Some(session) = find(context, id).await? else {
            // The end of a deploy ends its session.
            return deployed(context, id).await?.ok_or_else(|| ended().into());
        };
        let values = match &context.invocation.data {
            InvocationData::Component { values, .. } => values.as_slice(),
            _ => &[],
        };
        press(context, session, action, argument, values).await
    }

    async fn modal_submit(&self, context: &CommandContext<'_>, arguments: &[&str]) -> CommandResult {
        let (action, id, _) = read(arguments)?;
        let InvocationData::ModalSubmit { fields, .. } = &context.invocation.data else {
            return Err(outdated_component().into());
        };
        let mut session = session(context, id).await?;
        if action != Action::Asset || session.data.step != Step::AssetConfig {
            return show_step(context, &session).await;
        }
        let chosen = input::read_contract(context, &session.data, fields).await;
        let asset = chosen.inspect_err(|_| count(context, Step::AssetConfig, "failed"))?;
        session.data.asset = Some(asset);
        store(context, session).await
    }
}

/// The parts of a custom id after the command's name.
fn read<'a>(arguments: &[&'a str]) -> Result<(Action, Uuid, Option<&'a str>), Refusal> {
    let (action, id, argument) = match arguments {
        [action, id] => (*action, *id, None),
        [action, id, argument] => (*action, *id, Some(*argument)),
        _ => return Err(outdated_component()),
    };
    let action = Action::read(action).ok_or_else(outdated_component)?;
    Ok((action, id.parse().map_err(|_| outdated_component())?, argument))
}

/// Handles a button or a menu.
async fn press(
    context: &CommandContext<'_>,
    mut session: Session<Wizard>,
    action: Action,
    argument: Option<&str>,
    values: &[String],
) -> CommandResult {
    let step = session.data.step;
    match action {
        Action::Cancel if step != Step::Deploy => {
            count(context, step, "cancelled");
            sessions(context.services.cache.end_session(&session).await)?;
            Ok(Reply::Message(message(render::cancelled(), Vec::new())))
        }
        Action::Restart if step != Step::Deploy => {
            count(context, step, "back");
            sessions(context.services.cache.end_session(&session).await)?;
            let session = begin(context).await?;
            show_step(context, &session).await
        }
        Action::Deploy if step == Step::Review => deploy::deploy(context, session).await,
        Action::Next if argument == Some(step.name()) => {
            if !session.data.advance() {
                return show_step(context, &session).await;
            }
            count(context, step, "left");
            count(context, session.data.step, "entered");
            store(context, session).await
        }
        Action::Back if argument == Some(step.name()) => {
            if session.data.go_back() {
                count(context, step, "back");
                count(context, session.data.step, "entered");
            }
            store(context, session).await
        }
        _ if action.step() == Some(step) => {
            let chosen = input::choose(context, &mut session.data, action, argument, values).await;
            chosen.inspect_err(|_| count(context, step, "failed"))?;
            if session.data.step != step {
                count(context, step, "left");
                count(context, session.data.step, "entered");
            }
            store(context, session).await
        }
        // A press of an old message, or the second run of one.
        _ => show_step(context, &session).await,
    }
}

/// Writes the session, renews its time, and shows its step. If another press was first, its step is shown.
pub(super) async fn store(context: &CommandContext<'_>, session: Session<Wizard>) -> CommandResult {
    let id = session.id;
    let cache = &context.services.cache;
    match cache.update_session(session, SESSION_TTL).await {
        Ok(session) => show_step(context, &session).await,
        Err(SessionError::Superseded) => {
            let session = self::session(context, id).await?;
            show_step(context, &session).await
        }
        Err(error) => Err(session_refusal(&error).into()),
    }
}

async fn begin(context: &CommandContext<'_>) -> Result<Session<Wizard>, CommandError> {
    let guild = guild(context)?;
    let calls = context.services.discord.interactive(Some(guild));
    let reading = async move { calls.guild(guild).await };
    let name = context.without_tx(Box::pin(reading)).await??.name;
    let wizard = Wizard::new(guild.get(), name);
    let begun = context
        .services
        .cache
        .begin_session(session_name(context, guild), wizard, SESSION_TTL)
        .await;
    let begun = sessions(begun).inspect_err(|_| count(context, Step::Init, "failed"))?;
    count(context, Step::Init, "entered");
    Ok(begun)
}

fn session_name(context: &CommandContext<'_>, guild: Id<GuildMarker>) -> SessionName {
    SessionName::new(guild, NAME, context.invocation.author.id)
}

/// The admin's session in this server.
pub(super) async fn own_session(context: &CommandContext<'_>) -> Result<Option<Session<Wizard>>, CommandError> {
    let name = session_name(context, guild(context)?);
    Ok(sessions(context.services.cache.session(name).await)?)
}

/// The session of this id, of this server.
///
/// # Errors
/// A refusal if it has ended, or Redis is unavailable.
async fn session(context: &CommandContext<'_>, id: Uuid) -> Result<Session<Wizard>, CommandError> {
    find(context, id).await?.ok_or_else(|| ended().into())
}

/// The session of this id, if it is of this server: an admin of one server must not see the steps of another.
pub(super) async fn find(context: &CommandContext<'_>, id: Uuid) -> Result<Option<Session<Wizard>>, CommandError> {
    let guild = guild(context)?;
    let found = sessions(context.services.cache.session_by_id::<Wizard>(id).await)?;
    Ok(found.filter(|session| session.data.guild == guild.get()))
}

/// The server in which the command is used.
pub(super) fn guild(context: &CommandContext<'_>) -> Result<Id<GuildMarker>, Refusal> {
    context.invocation.guild.ok_or_else(|| {
        Refusal::new(
            "A server is set up in the server itself.",
            "Run `/onboard` in a channel of the server.",
        )
    })
}

/// The refusal of a session that has ended.
pub(super) fn ended() -> Refusal {
    Refusal::new(
        "This setup has ended: it was finished, cancelled, or untouched for 15 minutes.",
        "Run `/onboard` to begin again; nothing was changed unless you pressed Deploy. `/resume` shows a deploy.",
    )
}

/// The result of a session operation, with its error as a refusal.
pub(super) fn sessions<T>(result: Result<T, SessionError>) -> Result<T, Refusal> {
    result.map_err(|error| session_refusal(&error))
}

fn session_refusal(error: &SessionError) -> Refusal {
    Refusal::new(
        error.to_string(),
        "`/resume` continues where you were, if it is still known.",
    )
}

/// Counts an event of a step. A second run of a press finds another step and counts nothing.
fn count(context: &CommandContext<'_>, step: Step, event: &str) {
    let labels = [step.name(), event];
    context.services.metrics.onboarding.with_label_values(&labels).inc();
}
