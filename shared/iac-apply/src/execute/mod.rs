//! Applies a plan step by step.
//!
//! The state is written after each step, so that it is correct wherever the process ends. Creations, which cannot simply be
//! repeated, are in `create`; values that Discord stored differently are recorded by `answer`.

mod answer;
mod create;
mod error;

use arrakis_iac::live::LiveServer;
use arrakis_iac::model::{Address, Attributes, Overwrite, Snowflake, Target};
use arrakis_iac::plan::{Mode, Plan, ResourcePosition, Step, overwrite_key};
use arrakis_iac::state::{State, StateEntry, StateError};
use http::Method;
use serde_json::{Value, json};
use tokio::time::Instant;

pub use error::ApplyError;

use crate::event::Event;
use crate::http::{CallError, Discord, Reason};
use crate::image::ImageSource;
use crate::kinds::{self, Context, FormError, WriteRequest};
use crate::store::StateLock;

/// Applies plans under a lock.
#[derive(Debug)]
pub struct Executor<'a> {
    discord: &'a Discord,
    guard: &'a mut dyn StateLock,
    images: &'a dyn ImageSource,
}

/// The context of the current step.
struct StepContext<'a> {
    plan: &'a Plan,
    live: &'a LiveServer,
    /// Description of the step, as in `create role.naib`.
    step: String,
    reason: Reason,
}

impl StepContext<'_> {
    fn guild(&self) -> Snowflake {
        self.plan.made_from.guild_id
    }

    fn call(&self, source: CallError) -> ApplyError {
        let step = self.step.clone();
        ApplyError::Call { step, source }
    }

    fn form(&self, source: FormError) -> ApplyError {
        let step = self.step.clone();
        ApplyError::Form { step, source }
    }

    fn state(&self, source: StateError) -> ApplyError {
        let step = self.step.clone();
        ApplyError::State { step, source }
    }
}

impl<'a> Executor<'a> {
    /// An executor that writes the state with `guard`.
    #[must_use]
    pub fn new(discord: &'a Discord, guard: &'a mut dyn StateLock, images: &'a dyn ImageSource) -> Self {
        Self { discord, guard, images }
    }

    /// Applies `plan` and changes `state` with each step. `live` is the server immediately before. The caller checks that
    /// the plan is not stale.
    ///
    /// # Errors
    /// The first error ends the apply. `state` and the written state contain the completed steps.
    pub async fn run(&mut self, plan: &Plan, live: &LiveServer, state: &mut State) -> Result<(), ApplyError> {
        if plan.made_from.lineage != state.lineage {
            return Err(ApplyError::Lineage {
                planned: plan.made_from.lineage.clone(),
                present: state.lineage.clone(),
            });
        }
        let progress = self.discord.progress();
        progress.event(Event::Started {
            steps: plan.steps.len(),
        });
        let name: String = plan.digest().chars().take(12).collect();
        for (index, step) in plan.steps.iter().enumerate() {
            let description = step.describe();
            let began = Instant::now();
            progress.event(Event::StepStarted {
                index,
                step: description.clone(),
            });
            let run = StepContext {
                plan,
                live,
                reason: Reason::new(&format!("gaib plan {name}: {description}")),
                step: description,
            };
            self.step(&run, step, state).await?;
            if let (Step::Refresh { address, .. }, Mode::RefreshOnly) = (step, plan.mode) {
                state.altered.remove(address);
                self.save(state).await?;
            }
            progress.event(Event::StepDone {
                index,
                id: step.address().and_then(|address| state.id(address)).map(Snowflake::get),
                step: run.step,
                elapsed: began.elapsed(),
            });
        }
        self.check_overwrites(plan, live, state).await?;
        self.settle_repeated(live, state).await
    }

    async fn step(&mut self, run: &StepContext<'_>, step: &Step, state: &mut State) -> Result<(), ApplyError> {
        state.guild_id = Some(run.guild());
        match step {
            Step::Create { address, attributes } => self.create(run, address, attributes, state).await?,
            Step::Update {
                address,
                id,
                attributes,
                fields,
            } => {
                let answer = self.update(run, *id, attributes, fields, state).await?;
                record_update(state, address, *id, attributes);
                let sent = answer::Sent {
                    address,
                    attributes,
                    fields: Some(fields),
                };
                answer::record(state, run, sent, &answer);
            }
            Step::PutOverwrite {
                address,
                target,
                overwrite,
            } => self.overwrite(run, address, target, Some(*overwrite), state).await?,
            Step::DeleteOverwrite { address, target } => self.overwrite(run, address, target, None, state).await?,
            Step::BotRole { address, give } => self.bot_role(run, address, *give, state).await?,
            Step::MoveRoles { places } => return self.move_all(run, "roles", places, state).await,
            Step::MoveChannels { places } => return self.move_all(run, "channels", places, state).await,
            Step::Delete { address, id } => {
                if let Some(writing) = kinds::delete(address.kind(), *id, run.guild()) {
                    match self.send(run, writing).await {
                        // It was deleted already.
                        Err(error) if error.is_gone() => {}
                        other => drop(other.map_err(|error| run.call(error))?),
                    }
                }
                state.delete(address);
            }
            Step::Adopt {
                address,
                id,
                attributes,
            } => {
                let entry = StateEntry {
                    id: *id,
                    attributes: attributes.clone(),
                };
                state.import(address.clone(), entry).map_err(|error| run.state(error))?;
            }
            Step::Refresh { address, attributes } => {
                let id = state.entry(address).map_err(|error| run.state(error))?.id;
                let attributes = attributes.clone();
                state.record(address.clone(), StateEntry { id, attributes });
            }
            Step::Forget { address } => self.forget(run, address, state).await?,
        }
        self.save(state).await
    }

    async fn save(&mut self, state: &mut State) -> Result<(), ApplyError> {
        let bytes = state.advance();
        Ok(self.guard.write(&bytes).await?)
    }

    fn context<'b>(&'b self, run: &StepContext<'_>, state: &'b State) -> Context<'b> {
        Context {
            guild: run.guild(),
            bot: run.plan.made_from.bot_id,
            state,
            images: self.images,
        }
    }

    async fn send(&self, run: &StepContext<'_>, writing: WriteRequest) -> Result<Value, CallError> {
        let WriteRequest { method, path, body } = writing;
        self.discord.send(method, &path, body, &run.reason).await
    }

    async fn update(
        &self,
        run: &StepContext<'_>,
        id: Snowflake,
        attributes: &Attributes,
        fields: &[String],
        state: &State,
    ) -> Result<Value, ApplyError> {
        let current = match kinds::current(attributes.kind(), id, run.guild(), fields) {
            Some(current) => self.discord.get(&current.path).await.map_err(|error| run.call(error))?,
            None => Value::Null,
        };
        let writing = kinds::update(id, attributes, fields, &current, &self.context(run, state));
        let writing = writing.map_err(|error| run.form(error))?;
        self.send(run, writing).await.map_err(|error| run.call(error))
    }

    async fn overwrite(
        &mut self,
        run: &StepContext<'_>,
        address: &Address,
        target: &Target,
        overwrite: Option<Overwrite>,
        state: &mut State,
    ) -> Result<(), ApplyError> {
        let channel = state.entry(address).map_err(|error| run.state(error))?.id;
        let form = kinds::overwrite(target, overwrite.unwrap_or_default(), &self.context(run, state));
        let (id, body) = match form {
            Ok(form) => form,
            // Discord removes the overwrites of a deleted role.
            Err(FormError::Unresolved(_)) if overwrite.is_none() => {
                state.record_overwrite(address, target, None);
                return Ok(());
            }
            Err(error) => return Err(run.form(error)),
        };
        let path = format!("/channels/{channel}/permissions/{id}");
        let sent = match overwrite {
            Some(_) => self.discord.write(Method::PUT, &path, Some(&body), &run.reason).await,
            None => self.discord.write(Method::DELETE, &path, None, &run.reason).await,
        };
        match sent {
            Err(error) if overwrite.is_none() && error.is_gone() => {}
            other => drop(other.map_err(|error| run.call(error))?),
        }
        state.record_overwrite(address, target, overwrite);
        state.clear_altered(address, &[overwrite_key(target)]);
        Ok(())
    }

    async fn bot_role(
        &mut self,
        run: &StepContext<'_>,
        address: &Address,
        give: bool,
        state: &mut State,
    ) -> Result<(), ApplyError> {
        let role = state.entry(address).map_err(|error| run.state(error))?.id;
        let (guild, bot) = (run.guild(), run.plan.made_from.bot_id);
        let path = format!("/guilds/{guild}/members/{bot}/roles/{role}");
        let method = if give { Method::PUT } else { Method::DELETE };
        let sent = self.discord.write(method, &path, None, &run.reason).await;
        sent.map_err(|error| run.call(error))?;
        if let Some(Attributes::Role(role)) = state.resources.get_mut(address).map(|entry| &mut entry.attributes) {
            role.given_to_bot = Some(give);
        }
        Ok(())
    }

    /// Moves all in one request. The state does not contain positions, so it does not change.
    async fn move_all(
        &self,
        run: &StepContext<'_>,
        what: &str,
        places: &[ResourcePosition],
        state: &State,
    ) -> Result<(), ApplyError> {
        let context = self.context(run, state);
        let entries: Result<Vec<Value>, FormError> = places
            .iter()
            .map(|place| Ok(json!({ "id": context.id(&place.of)?.to_string(), "position": place.position })))
            .collect();
        let entries = Value::from(entries.map_err(|error| run.form(error))?);
        let path = format!("/guilds/{}/{what}", run.guild());
        let sent = self
            .discord
            .write(Method::PATCH, &path, Some(&entries), &run.reason)
            .await;
        sent.map_err(|error| run.call(error))?;
        Ok(())
    }
}

/// The attributes of the creation request. Further steps or requests set the others.
fn without_fields(attributes: &Attributes, later: &[String]) -> Attributes {
    let mut made = attributes.clone();
    match &mut made {
        Attributes::Role(role) if role.given_to_bot.is_some() => role.given_to_bot = Some(false),
        Attributes::Channel(channel) => {
            for field in later {
                match field.as_str() {
                    "require_tag" => channel.require_tag = Some(false),
                    "hide_download_options" => channel.hide_download_options = Some(false),
                    _ => {}
                }
            }
        }
        _ => {}
    }
    made
}

/// Overwrites and roles of the bot are separate steps: the state keeps their earlier values.
fn record_update(state: &mut State, address: &Address, id: Snowflake, attributes: &Attributes) {
    let mut attributes = attributes.clone();
    let before = state.resources.get(address).map(|entry| &entry.attributes);
    match (&mut attributes, before) {
        (Attributes::Role(now), Some(Attributes::Role(before))) if before.given_to_bot.is_some() => {
            now.given_to_bot = before.given_to_bot;
        }
        (Attributes::Channel(now), Some(Attributes::Channel(before)))
        | (Attributes::Category(now), Some(Attributes::Category(before)))
            if before.overwrites.is_some() =>
        {
            now.overwrites.clone_from(&before.overwrites);
        }
        _ => {}
    }
    state.record(address.clone(), StateEntry { id, attributes });
}
