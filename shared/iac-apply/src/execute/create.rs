//! Creations: the one kind of step that cannot simply be repeated.
//!
//! A pending record goes to the state before the request. Where the answer is lost, the server is looked through for what was
//! made; the request is made again only after a look that shows that nothing was. What came and cannot be told apart from
//! somebody else's ends the run: see [`LostCreation`].

use arrakis_iac::live::Live;
use arrakis_iac::model::{Address, Attributes, Snowflake};
use arrakis_iac::plan::{LostCreation, STILL_TO_COME_MS, find_doubles, find_pending, there_before};
use arrakis_iac::state::{Entry, Pending, State};
use serde_json::Value;

use super::{ApplyError, Executor, Run, answer, made_without, record_update};
use crate::event::{Event, Wait};
use crate::http::CallError;
use crate::read;
use crate::write::{self, Writing};

/// A creation that is asked for.
struct Attempt<'a> {
    address: &'a Address,
    /// Its record, with that of earlier tries in it.
    pending: Pending,
    /// The record of earlier tries alone.
    earlier: Option<Pending>,
}

/// What was made.
struct Made {
    /// With what was asked for.
    entry: Entry,
    kept: Kept,
}

/// What Discord keeps of it.
enum Kept {
    /// By the answer to the request.
    Answer(Value),
    /// By a look through the server.
    Live(Box<Attributes>),
}

/// What a look through the server shows.
enum Look {
    Found(Box<Made>),
    Absent,
    Unclear(Vec<Snowflake>),
}

impl Executor<'_> {
    pub(super) async fn create(
        &mut self,
        run: &Run<'_>,
        address: &Address,
        attributes: &Attributes,
        state: &mut State,
    ) -> Result<(), ApplyError> {
        let earlier = state.pending.get(address).cloned();
        if let Some(pending) = &earlier
            && let Look::Found(found) = self
                .look_clearly(run, address, pending, state, self.looks_left(pending))
                .await?
        {
            // It is what was asked for then; the next plan tells whether that is still what is wanted.
            state.record(address.clone(), just_made(&found.entry));
            return Ok(());
        }
        let writing = write::create(attributes, &self.context(run, state)).map_err(|error| run.form(error))?;
        let now_ms = self.discord.now_ms();
        // What an earlier try asked for may still come: it goes on being looked for.
        let pending = match &earlier {
            Some(earlier) => {
                let others = there_before(address.kind(), run.live, earlier.since_ms);
                earlier.asked_again(attributes, others, now_ms)
            }
            None => Pending {
                since_ms: now_ms,
                again_ms: None,
                attributes: attributes.clone(),
                others: there_before(address.kind(), run.live, now_ms),
                asked_before: Vec::new(),
            },
        };
        state.begin_create(address.clone(), pending.clone());
        self.save(state).await?;
        let attempt = Attempt {
            address,
            pending,
            earlier,
        };
        let made = self.make(run, attempt, &writing, state).await?;
        self.finish(run, address, &made, state).await
    }

    /// Records what was made, and asks for what takes requests of its own.
    async fn finish(
        &mut self,
        run: &Run<'_>,
        address: &Address,
        made: &Made,
        state: &mut State,
    ) -> Result<(), ApplyError> {
        let entry = &made.entry;
        let later = write::fields_after_create(&entry.attributes);
        let first = just_made(entry);
        state.record(address.clone(), first.clone());
        let asked = (address, &first.attributes);
        match &made.kept {
            Kept::Answer(answer) => answer::record(state, run, asked, None, answer),
            Kept::Live(kept) => answer::record_kept(state, run, asked, None, kept),
        }
        if later.is_empty() {
            return Ok(());
        }
        self.save(state).await?;
        // Of the rest the state goes on saying what Discord keeps.
        let recorded = state
            .entry(address)
            .map_err(|error| run.state(error))?
            .attributes
            .clone();
        let then = recorded.with_fields(&entry.attributes, &later);
        let answer = self.update(run, entry.id, &then, &later, state).await?;
        record_update(state, address, entry.id, &then);
        answer::record(state, run, (address, &then), Some(&later), &answer);
        Ok(())
    }

    /// Asks for it until it is there. Where it fails and it is certain that this try made nothing, the pending record becomes
    /// what it was before: an earlier try stays recorded until it is resolved.
    async fn make(
        &mut self,
        run: &Run<'_>,
        attempt: Attempt<'_>,
        writing: &Writing,
        state: &mut State,
    ) -> Result<Made, ApplyError> {
        let Attempt {
            address,
            mut pending,
            earlier,
        } = attempt;
        let mut unknown = None;
        for _ in 0..self.discord.retry_policy().attempts.max(1) {
            match self.ask(run, writing).await {
                Ok((id, answer)) => {
                    let attributes = pending.attributes.clone();
                    // An earlier request may still take effect: later plans look for that.
                    if unknown.is_some() || earlier.is_some() {
                        state.repeated.insert(address.clone(), pending);
                    }
                    return Ok(Made {
                        entry: Entry { id, attributes },
                        kept: Kept::Answer(answer),
                    });
                }
                Err(error @ CallError::OutcomeUnknown { .. }) => {
                    // The request may have waited for a long time before it was sent.
                    pending.again_ms = Some(self.discord.now_ms());
                    state.begin_create(address.clone(), pending.clone());
                    self.save(state).await?;
                    let looks = self.discord.retry_policy().searches.len();
                    if let Look::Found(found) = self.look_clearly(run, address, &pending, state, looks).await? {
                        return Ok(*found);
                    }
                    unknown = Some(error);
                }
                Err(error) => {
                    if unknown.is_none() {
                        match earlier {
                            Some(earlier) => state.begin_create(address.clone(), earlier),
                            None => state.give_up(address),
                        }
                        self.save(state).await?;
                    }
                    return Err(run.call(error));
                }
            }
        }
        let nothing = || CallError::OutcomeUnknown {
            call: writing.words(),
            why: "it was never asked for".to_owned(),
        };
        Err(run.call(unknown.unwrap_or_else(nothing)))
    }

    /// Asks for it once. A success without an id leaves the outcome unknown.
    async fn ask(&self, run: &Run<'_>, writing: &Writing) -> Result<(Snowflake, Value), CallError> {
        let (method, body) = (writing.method.clone(), writing.body.as_ref());
        let answer = self.discord.write(method, &writing.path, body, &run.reason).await?;
        match answer["id"].as_str().and_then(|id| id.parse().ok()) {
            Some(id) => Ok((id, answer)),
            None => Err(CallError::OutcomeUnknown {
                call: writing.words(),
                why: "the answer has no `id`".to_owned(),
            }),
        }
    }

    /// How often an earlier run's creation is looked for: once, unless it was asked for a moment ago.
    fn looks_left(&self, pending: &Pending) -> usize {
        let policy = self.discord.retry_policy();
        let is_recent = self.discord.now_ms() <= pending.last_ms().saturating_add(policy.search_ms());
        if is_recent { policy.searches.len() } else { 1 }
    }

    /// Looks for what a pending creation made. An unclear outcome is an error.
    async fn look_clearly(
        &self,
        run: &Run<'_>,
        address: &Address,
        pending: &Pending,
        state: &State,
        times: usize,
    ) -> Result<Look, ApplyError> {
        match self.look(run, address, pending, state, times).await? {
            Look::Unclear(candidates) => Err(ApplyError::Unclear {
                step: run.words.clone(),
                address: address.clone(),
                candidates,
            }),
            clear => Ok(clear),
        }
    }

    /// Looks through the server `times` with growing pauses: an answer may be lost before the thing is there.
    async fn look(
        &self,
        run: &Run<'_>,
        address: &Address,
        pending: &Pending,
        state: &State,
        times: usize,
    ) -> Result<Look, ApplyError> {
        let progress = self.discord.progress();
        progress.event(Event::LookingFor {
            address: address.to_string(),
        });
        let mut last = Look::Absent;
        for pause in self.discord.retry_policy().searches.iter().take(times.max(1)) {
            let waited = self.discord.pause(Wait::Backoff, &run.words, *pause).await;
            waited.map_err(|error| run.call(error))?;
            let kinds = [address.kind()].into();
            let live = read::read(self.discord, run.guild(), &kinds).await;
            let live = live.map_err(|source| ApplyError::Look {
                step: run.words.clone(),
                source,
            })?;
            last = match find_pending(address, pending, state, &live) {
                LostCreation::Absent => Look::Absent,
                LostCreation::Unclear(candidates) => Look::Unclear(candidates),
                LostCreation::Found { id, asked } => {
                    progress.event(Event::Found {
                        address: address.to_string(),
                        id: id.get(),
                    });
                    let kept = live.get(address.kind(), id).map(|found| found.attributes.clone());
                    let kept = Kept::Live(kept.map_or_else(|| asked.clone(), Box::new));
                    let entry = Entry { id, attributes: *asked };
                    return Ok(Look::Found(Box::new(Made { entry, kept })));
                }
            };
        }
        Ok(last)
    }

    /// Drops the records of repeated creations whose earlier requests cannot take effect any more, and did not.
    pub(super) async fn settle_repeated(&mut self, live: &Live, state: &mut State) -> Result<(), ApplyError> {
        let now_ms = self.discord.now_ms();
        let doubled: Vec<Address> = find_doubles(state, live)
            .into_iter()
            .map(|(address, _)| address)
            .collect();
        let count = state.repeated.len();
        state.repeated.retain(|address, pending| {
            doubled.contains(address) || now_ms < pending.last_ms().saturating_add(STILL_TO_COME_MS)
        });
        if state.repeated.len() < count {
            self.save(state).await?;
        }
        Ok(())
    }

    /// Drops an address from the state. A creation that was lost a moment ago may still take effect, so it is looked for once
    /// more before its record goes; what is found stays managed, and the next plan decides about it.
    pub(super) async fn forget(&self, run: &Run<'_>, address: &Address, state: &mut State) -> Result<(), ApplyError> {
        let pending = state.pending.get(address).cloned();
        if let Some(pending) = pending.filter(|_| !state.resources.contains_key(address))
            && self.discord.now_ms() < pending.last_ms().saturating_add(STILL_TO_COME_MS)
        {
            let looks = self.discord.retry_policy().searches.len();
            let message = match self.look(run, address, &pending, state, looks).await? {
                Look::Absent => None,
                Look::Found(found) => {
                    state.record(address.clone(), just_made(&found.entry));
                    Some(format!(
                        "{address} is kept in the state; plan again to decide about it."
                    ))
                }
                Look::Unclear(_) => Some(format!(
                    "{address} may have been made; its record is kept. Plan again to see what may have come of it."
                )),
            };
            if let Some(message) = message {
                self.discord.progress().event(Event::Note { message });
                return Ok(());
            }
        }
        state.forget(address);
        Ok(())
    }
}

/// What the state records of a creation whose further requests are not made yet.
fn just_made(made: &Entry) -> Entry {
    let later = write::fields_after_create(&made.attributes);
    Entry {
        id: made.id,
        attributes: made_without(&made.attributes, &later),
    }
}
