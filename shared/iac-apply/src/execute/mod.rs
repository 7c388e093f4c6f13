//! Carries out a plan, step by step, and decides nothing.
//!
//! After each step the state is written, so that it says what exists wherever the process ends. A creation is the one step
//! that cannot simply be repeated: a pending record goes to the state first, and where one is found (an answer was lost, a
//! process was killed) the server is looked through for what it made before anything else is made.

mod answer;
mod error;

use std::collections::BTreeSet;

use arrakis_iac::live::Live;
use arrakis_iac::model::{Address, Attributes, Overwrite, Snowflake, Target, same_name};
use arrakis_iac::plan::{Mode, Place, Plan, Step, find_pending, overwrite_key};
use arrakis_iac::state::{Entry, Pending, State, StateError};
use http::Method;
use serde_json::{Value, json};
use tokio::time::Instant;

pub use error::ApplyError;

use crate::event::{Event, Wait};
use crate::http::{CallError, Discord, Reason};
use crate::picture::Pictures;
use crate::read;
use crate::store::Guard;
use crate::write::{self, Context, FormError, Writing};

/// How long after a creation was asked for it may still take effect, in milliseconds: far longer than any request lives.
const STILL_TO_COME_MS: u64 = 600_000;

/// A creation that is asked for.
#[derive(Clone, Copy)]
struct Attempt<'a> {
    address: &'a Address,
    /// Its record, with that of earlier tries in it.
    pending: &'a Pending,
    /// The record of earlier tries alone.
    earlier: Option<&'a Pending>,
}

/// Carries out plans under a lock.
#[derive(Debug)]
pub struct Executor<'a> {
    discord: &'a Discord,
    guard: &'a mut dyn Guard,
    pictures: &'a dyn Pictures,
}

/// The step that is carried out, with what every part of it needs.
struct Run<'a> {
    plan: &'a Plan,
    live: &'a Live,
    /// `create role.naib`.
    words: String,
    reason: Reason,
}

impl Run<'_> {
    fn guild(&self) -> Snowflake {
        self.plan.made_from.guild_id
    }

    /// What has this kind and name already.
    fn alike(&self, attributes: &Attributes) -> BTreeSet<Snowflake> {
        let alike = self.live.of_kind(attributes.kind());
        let alike = alike.filter(|found| match (&found.attributes, attributes) {
            (Attributes::Channel(found), Attributes::Channel(asked)) => {
                let names = found.name.as_deref().zip(asked.name.as_deref());
                names.is_some_and(|(one, other)| same_name(asked.kind, one, other))
            }
            (found, asked) => found.name() == asked.name(),
        });
        alike.map(|found| found.id).collect()
    }

    fn call(&self, source: CallError) -> ApplyError {
        let step = self.words.clone();
        ApplyError::Call { step, source }
    }

    fn form(&self, source: FormError) -> ApplyError {
        let step = self.words.clone();
        ApplyError::Form { step, source }
    }

    fn state(&self, source: StateError) -> ApplyError {
        let step = self.words.clone();
        ApplyError::State { step, source }
    }
}

impl<'a> Executor<'a> {
    /// An executor that writes the state by way of `guard`.
    #[must_use]
    pub fn new(discord: &'a Discord, guard: &'a mut dyn Guard, pictures: &'a dyn Pictures) -> Self {
        Self {
            discord,
            guard,
            pictures,
        }
    }

    /// Carries out `plan`, changing `state` as it goes. `live` is the server just before; whether the plan is stale is for
    /// the caller to ask.
    ///
    /// # Errors
    /// The first thing that goes wrong ends it; `state`, and the one that is written, say what is done.
    pub async fn run(&mut self, plan: &Plan, live: &Live, state: &mut State) -> Result<(), ApplyError> {
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
            let words = step.describe();
            let began = Instant::now();
            progress.event(Event::StepStarted {
                index,
                step: words.clone(),
            });
            let run = Run {
                plan,
                live,
                reason: Reason::new(&format!("gaib plan {name}: {words}")),
                words,
            };
            self.step(&run, step, state).await?;
            if let (Step::Refresh { address, .. }, Mode::RefreshOnly) = (step, plan.mode) {
                state.altered.remove(address);
                self.save(state).await?;
            }
            progress.event(Event::StepDone {
                index,
                id: step.address().and_then(|address| state.id(address)).map(Snowflake::get),
                step: run.words,
                elapsed: began.elapsed(),
            });
        }
        self.check_overwrites(plan, live, state).await
    }

    async fn step(&mut self, run: &Run<'_>, step: &Step, state: &mut State) -> Result<(), ApplyError> {
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
                answer::record(state, run, (address, attributes), Some(fields), &answer);
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
                if let Some(writing) = write::delete(address.kind(), *id, run.guild()) {
                    match self.send(run, writing).await {
                        // Somebody was faster.
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
                let entry = Entry {
                    id: *id,
                    attributes: attributes.clone(),
                };
                state.adopt(address.clone(), entry).map_err(|error| run.state(error))?;
            }
            Step::Refresh { address, attributes } => {
                let id = state.entry(address).map_err(|error| run.state(error))?.id;
                let attributes = attributes.clone();
                state.record(address.clone(), Entry { id, attributes });
            }
            Step::Forget { address } => self.forget(run, address, state).await?,
        }
        self.save(state).await
    }

    async fn save(&mut self, state: &mut State) -> Result<(), ApplyError> {
        let bytes = state.advance();
        Ok(self.guard.write(&bytes).await?)
    }

    fn context<'b>(&'b self, run: &Run<'_>, state: &'b State) -> Context<'b> {
        Context {
            guild: run.guild(),
            bot: run.plan.made_from.bot_id,
            state,
            pictures: self.pictures,
        }
    }

    async fn send(&self, run: &Run<'_>, writing: Writing) -> Result<Value, CallError> {
        let Writing { method, path, body } = writing;
        self.discord.write(method, &path, body.as_ref(), &run.reason).await
    }

    async fn create(
        &mut self,
        run: &Run<'_>,
        address: &Address,
        attributes: &Attributes,
        state: &mut State,
    ) -> Result<(), ApplyError> {
        let earlier = state.pending.get(address).cloned();
        if let Some(pending) = &earlier
            && let Some(found) = self.look(run, address, pending, state, 1).await?
        {
            // It is what was asked for then; the next plan tells whether that is still what is wanted.
            state.record(address.clone(), just_made(&found));
            return Ok(());
        }
        let writing = write::create(attributes, &self.context(run, state)).map_err(|error| run.form(error))?;
        // What an earlier try asked for may still come: it goes on being looked for.
        let pending = match &earlier {
            Some(earlier) => earlier.asked_again(attributes, run.alike(attributes)),
            None => Pending {
                since_ms: self.discord.now_ms(),
                attributes: attributes.clone(),
                others: run.alike(attributes),
                asked_before: Vec::new(),
            },
        };
        state.begin_create(address.clone(), pending.clone());
        self.save(state).await?;
        let attempt = Attempt {
            address,
            pending: &pending,
            earlier: earlier.as_ref(),
        };
        let (made, answer) = self.make(run, &attempt, &writing, state).await?;
        let later = write::fields_after_create(&made.attributes);
        let first = just_made(&made);
        state.record(address.clone(), first.clone());
        answer::record(state, run, (address, &first.attributes), None, &answer);
        if !later.is_empty() {
            self.save(state).await?;
            // Of the rest the state goes on saying what Discord keeps.
            let recorded = state
                .entry(address)
                .map_err(|error| run.state(error))?
                .attributes
                .clone();
            let then = recorded.with_fields(&made.attributes, &later);
            let answer = self.update(run, made.id, &then, &later, state).await?;
            record_update(state, address, made.id, &then);
            answer::record(state, run, (address, &then), Some(&later), &answer);
        }
        Ok(())
    }

    /// Asks for it until it is there. Where it fails and it is certain that this try made nothing, the pending record becomes
    /// what it was before: an earlier try stays recorded until it is resolved. Returns Discord's answer too, which is `null`
    /// for what was found after an answer was lost.
    async fn make(
        &mut self,
        run: &Run<'_>,
        attempt: &Attempt<'_>,
        writing: &Writing,
        state: &mut State,
    ) -> Result<(Entry, Value), ApplyError> {
        let Attempt {
            address,
            pending,
            earlier,
        } = *attempt;
        let mut unknown = None;
        for _ in 0..self.discord.patience().tries.max(1) {
            let sent = self.discord.write(
                writing.method.clone(),
                &writing.path,
                writing.body.as_ref(),
                &run.reason,
            );
            match sent.await {
                Ok(answer) => {
                    let id = answer["id"].as_str().and_then(|id| id.parse().ok());
                    let id = id.ok_or_else(|| ApplyError::NoId {
                        step: run.words.clone(),
                    })?;
                    let attributes = pending.attributes.clone();
                    return Ok((Entry { id, attributes }, answer));
                }
                Err(error @ CallError::OutcomeUnknown { .. }) => {
                    let looks = self.discord.patience().looks.len();
                    if let Some(found) = self.look(run, address, pending, state, looks).await? {
                        return Ok((found, Value::Null));
                    }
                    unknown = Some(error);
                }
                Err(error @ CallError::Unreadable { .. }) => return Err(run.call(error)),
                Err(error) => {
                    if unknown.is_none() {
                        match earlier {
                            Some(earlier) => state.begin_create(address.clone(), earlier.clone()),
                            None => state.give_up(address),
                        }
                        self.save(state).await?;
                    }
                    return Err(run.call(error));
                }
            }
        }
        let step = run.words.clone();
        Err(unknown.map_or(ApplyError::NoId { step }, |error| run.call(error)))
    }

    /// Looks through the server for what may have been made, `times` with growing pauses: an answer may be lost before the
    /// thing is there. Returns its id and what was asked for.
    async fn look(
        &self,
        run: &Run<'_>,
        address: &Address,
        pending: &Pending,
        state: &State,
        times: usize,
    ) -> Result<Option<Entry>, ApplyError> {
        let progress = self.discord.progress();
        progress.event(Event::LookingFor {
            address: address.to_string(),
        });
        for pause in self.discord.patience().looks.iter().take(times.max(1)) {
            let waited = self.discord.pause(Wait::Backoff, &run.words, *pause).await;
            waited.map_err(|error| run.call(error))?;
            let kinds = [address.kind()].into();
            let live = read::read(self.discord, run.guild(), &kinds).await;
            let live = live.map_err(|source| ApplyError::Look {
                step: run.words.clone(),
                source,
            })?;
            if let Some(found) = found_as_asked(address, pending, state, &live) {
                progress.event(Event::Found {
                    address: address.to_string(),
                    id: found.id.get(),
                });
                return Ok(Some(found));
            }
        }
        Ok(None)
    }

    /// Drops an address from the state. A creation that was lost a moment ago may still take effect, so it is looked for once
    /// more before its record goes; what is found stays managed, and the next plan decides about it.
    async fn forget(&self, run: &Run<'_>, address: &Address, state: &mut State) -> Result<(), ApplyError> {
        let pending = state.pending.get(address).cloned();
        if let Some(pending) = pending.filter(|_| !state.resources.contains_key(address))
            && self.discord.now_ms() < pending.since_ms.saturating_add(STILL_TO_COME_MS)
        {
            let looks = self.discord.patience().looks.len();
            if let Some(found) = self.look(run, address, &pending, state, looks).await? {
                state.record(address.clone(), just_made(&found));
                self.discord.progress().event(Event::Note {
                    message: format!("{address} is kept in the state; plan again to decide about it."),
                });
                return Ok(());
            }
        }
        state.forget(address);
        Ok(())
    }

    async fn update(
        &self,
        run: &Run<'_>,
        id: Snowflake,
        attributes: &Attributes,
        fields: &[String],
        state: &State,
    ) -> Result<Value, ApplyError> {
        let current = match write::needs_current(attributes.kind(), id, run.guild(), fields) {
            Some(path) => self.discord.get(&path).await.map_err(|error| run.call(error))?,
            None => Value::Null,
        };
        let writing = write::update(id, attributes, fields, &current, &self.context(run, state));
        let writing = writing.map_err(|error| run.form(error))?;
        self.send(run, writing).await.map_err(|error| run.call(error))
    }

    async fn overwrite(
        &mut self,
        run: &Run<'_>,
        address: &Address,
        target: &Target,
        overwrite: Option<Overwrite>,
        state: &mut State,
    ) -> Result<(), ApplyError> {
        let channel = state.entry(address).map_err(|error| run.state(error))?.id;
        let form = write::overwrite(target, overwrite.unwrap_or_default(), &self.context(run, state));
        let (id, body) = match form {
            Ok(form) => form,
            // A role that is gone took its overwrites with it.
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
        state.ask_again(address, &[overwrite_key(target)]);
        Ok(())
    }

    async fn bot_role(
        &mut self,
        run: &Run<'_>,
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

    /// All in one request. Positions are not in the state: there is nothing to write.
    async fn move_all(&self, run: &Run<'_>, what: &str, places: &[Place], state: &State) -> Result<(), ApplyError> {
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

/// What of a pending record is on the server, with what was asked for by the try that made it.
fn found_as_asked(address: &Address, pending: &Pending, state: &State, live: &Live) -> Option<Entry> {
    pending.asked().find_map(|asked| {
        let one = Pending {
            attributes: asked.clone(),
            asked_before: Vec::new(),
            ..pending.clone()
        };
        let id = find_pending(address, &one, state, live)?;
        let attributes = asked.clone();
        Some(Entry { id, attributes })
    })
}

/// What the state records of a creation whose further requests are not made yet.
fn just_made(made: &Entry) -> Entry {
    let later = write::fields_after_create(&made.attributes);
    Entry {
        id: made.id,
        attributes: made_without(&made.attributes, &later),
    }
}

/// What it has when it is made: the rest follows in steps, or requests, of its own.
fn made_without(attributes: &Attributes, later: &[String]) -> Attributes {
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

/// Overwrites and the bot's roles are steps of their own: of them the state goes on saying what was.
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
    state.record(address.clone(), Entry { id, attributes });
}
