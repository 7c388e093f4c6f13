//! Creations, which cannot simply be repeated after a missing response.
//!
//! A pending record is written to the state before the request. If the response is missing, the resource is searched on the
//! server; the request is repeated only after a search without a result. An ambiguous result ends the apply: see
//! [`CreationOutcome`].

use arrakis_iac::live::LiveServer;
use arrakis_iac::model::{Address, Attributes, Snowflake};
use arrakis_iac::plan::{CreationOutcome, LATEST_EFFECT_MS, find_duplicates, find_pending, ids_before};
use arrakis_iac::state::{PendingCreation, State, StateEntry};
use serde_json::Value;

use super::answer::Sent;
use super::{ApplyError, Executor, StepContext, answer, record_update, without_fields};
use crate::event::{Event, Wait};
use crate::http::CallError;
use crate::kinds::{self, WriteRequest};
use crate::read;

/// A creation that is requested.
struct CreationAttempt<'a> {
    address: &'a Address,
    /// The pending record, which includes earlier attempts.
    pending: PendingCreation,
    /// The pending record of earlier attempts only.
    earlier: Option<PendingCreation>,
}

/// A created resource.
struct CreatedResource {
    /// The requested attributes.
    entry: StateEntry,
    stored: StoredAttributes,
}

/// The source of the stored attributes.
enum StoredAttributes {
    /// The response to the request.
    Answer(Value),
    /// A search on the server.
    Live(Box<Attributes>),
}

/// The result of a search on the server.
enum SearchOutcome {
    Found(Box<CreatedResource>),
    Absent,
    Unclear(Vec<Snowflake>),
}

impl Executor<'_> {
    pub(super) async fn create(
        &mut self,
        run: &StepContext<'_>,
        address: &Address,
        attributes: &Attributes,
        state: &mut State,
    ) -> Result<(), ApplyError> {
        let earlier = state.pending.get(address).cloned();
        if let Some(pending) = &earlier
            && let SearchOutcome::Found(found) = self
                .search_unambiguously(run, address, pending, state, self.search_attempts(pending))
                .await?
        {
            // It has the attributes of the earlier request; the next plan compares them with the configuration.
            state.record(address.clone(), before_further_requests(&found.entry));
            return Ok(());
        }
        let writing = kinds::create(attributes, &self.context(run, state)).map_err(|error| run.form(error))?;
        let now_ms = self.discord.now_ms();
        // The earlier request may still take effect, so its record stays.
        let pending = match &earlier {
            Some(earlier) => {
                let others = ids_before(address.kind(), run.live, earlier.since_ms);
                earlier.retried(attributes, others, now_ms)
            }
            None => PendingCreation {
                since_ms: now_ms,
                again_ms: None,
                attributes: attributes.clone(),
                others: ids_before(address.kind(), run.live, now_ms),
                asked_before: Vec::new(),
            },
        };
        state.begin_create(address.clone(), pending.clone());
        self.save(state).await?;
        let attempt = CreationAttempt {
            address,
            pending,
            earlier,
        };
        let made = self.request_until_created(run, attempt, &writing, state).await?;
        self.finish(run, address, &made, state).await
    }

    /// Records a created resource and makes the further requests that it requires.
    async fn finish(
        &mut self,
        run: &StepContext<'_>,
        address: &Address,
        made: &CreatedResource,
        state: &mut State,
    ) -> Result<(), ApplyError> {
        let entry = &made.entry;
        let later = kinds::fields_after_create(&entry.attributes);
        let first = before_further_requests(entry);
        state.record(address.clone(), first.clone());
        let sent = Sent {
            address,
            attributes: &first.attributes,
            fields: None,
        };
        match &made.stored {
            StoredAttributes::Answer(answer) => answer::record(state, run, sent, answer),
            StoredAttributes::Live(stored) => answer::record_stored(state, run, sent, stored),
        }
        if later.is_empty() {
            return Ok(());
        }
        self.save(state).await?;
        // The other attributes in the state stay as Discord stored them.
        let recorded = state
            .entry(address)
            .map_err(|error| run.state(error))?
            .attributes
            .clone();
        let then = recorded.with_fields(&entry.attributes, &later);
        let answer = self.update(run, entry.id, &then, &later, state).await?;
        record_update(state, address, entry.id, &then);
        let sent = Sent {
            address,
            attributes: &then,
            fields: Some(&later),
        };
        answer::record(state, run, sent, &answer);
        Ok(())
    }

    /// Requests the creation until the resource exists. If it certainly created nothing, the pending record is restored: an
    /// earlier attempt stays recorded until it is resolved.
    async fn request_until_created(
        &mut self,
        run: &StepContext<'_>,
        attempt: CreationAttempt<'_>,
        writing: &WriteRequest,
        state: &mut State,
    ) -> Result<CreatedResource, ApplyError> {
        let CreationAttempt {
            address,
            mut pending,
            earlier,
        } = attempt;
        let mut unknown = None;
        for _ in 0..self.discord.retry_policy().attempts.max(1) {
            match self.request_creation(run, writing).await {
                Ok((id, answer)) => {
                    let attributes = pending.attributes.clone();
                    // An earlier request may still take effect: later plans search for its result.
                    if unknown.is_some() || earlier.is_some() {
                        state.repeated.insert(address.clone(), pending);
                    }
                    return Ok(CreatedResource {
                        entry: StateEntry { id, attributes },
                        stored: StoredAttributes::Answer(answer),
                    });
                }
                Err(error @ CallError::OutcomeUnknown { .. }) => {
                    // The request may have waited long before it was sent.
                    pending.again_ms = Some(self.discord.now_ms());
                    state.begin_create(address.clone(), pending.clone());
                    self.save(state).await?;
                    let looks = self.discord.retry_policy().searches.len();
                    if let SearchOutcome::Found(found) =
                        self.search_unambiguously(run, address, &pending, state, looks).await?
                    {
                        return Ok(*found);
                    }
                    unknown = Some(error);
                }
                Err(error) => {
                    if unknown.is_none() {
                        match earlier {
                            Some(earlier) => state.begin_create(address.clone(), earlier),
                            None => state.remove_pending(address),
                        }
                        self.save(state).await?;
                    }
                    return Err(run.call(error));
                }
            }
        }
        let nothing = || CallError::OutcomeUnknown {
            call: writing.call(),
            why: "the request was not sent".to_owned(),
        };
        Err(run.call(unknown.unwrap_or_else(nothing)))
    }

    /// Requests the creation once. The outcome of a success without an id is unknown.
    async fn request_creation(
        &self,
        run: &StepContext<'_>,
        writing: &WriteRequest,
    ) -> Result<(Snowflake, Value), CallError> {
        let (method, body) = (writing.method.clone(), writing.body.clone());
        let answer = self.discord.send(method, &writing.path, body, &run.reason).await?;
        match answer["id"].as_str().and_then(|id| id.parse().ok()) {
            Some(id) => Ok((id, answer)),
            None => Err(CallError::OutcomeUnknown {
                call: writing.call(),
                why: "the response has no `id`".to_owned(),
            }),
        }
    }

    /// Number of searches for a creation of an earlier apply: one, unless it was requested recently.
    fn search_attempts(&self, pending: &PendingCreation) -> usize {
        let policy = self.discord.retry_policy();
        let is_recent = self.discord.now_ms() <= pending.last_request_ms().saturating_add(policy.search_ms());
        if is_recent { policy.searches.len() } else { 1 }
    }

    /// Searches for the result of a pending creation. An ambiguous result is an error.
    async fn search_unambiguously(
        &self,
        run: &StepContext<'_>,
        address: &Address,
        pending: &PendingCreation,
        state: &State,
        times: usize,
    ) -> Result<SearchOutcome, ApplyError> {
        match self.search(run, address, pending, state, times).await? {
            SearchOutcome::Unclear(candidates) => Err(ApplyError::Unclear {
                step: run.step.clone(),
                address: address.clone(),
                candidates,
            }),
            clear => Ok(clear),
        }
    }

    /// Searches on the server up to `times` times with growing pauses: the resource may appear after the lost response.
    async fn search(
        &self,
        run: &StepContext<'_>,
        address: &Address,
        pending: &PendingCreation,
        state: &State,
        times: usize,
    ) -> Result<SearchOutcome, ApplyError> {
        let progress = self.discord.progress();
        progress.event(Event::LookingFor {
            address: address.to_string(),
        });
        let mut last = SearchOutcome::Absent;
        for pause in self.discord.retry_policy().searches.iter().take(times.max(1)) {
            let waited = self.discord.pause(Wait::Backoff, &run.step, *pause).await;
            waited.map_err(|error| run.call(error))?;
            let kinds = [address.kind()].into();
            let live = read::read(self.discord, run.guild(), &kinds).await;
            let live = live.map_err(|source| ApplyError::Search {
                step: run.step.clone(),
                source,
            })?;
            last = match find_pending(address, pending, state, &live) {
                CreationOutcome::Absent => SearchOutcome::Absent,
                CreationOutcome::Unclear(candidates) => SearchOutcome::Unclear(candidates),
                CreationOutcome::Found { id, requested } => {
                    progress.event(Event::Found {
                        address: address.to_string(),
                        id: id.get(),
                    });
                    let stored = live.get(address.kind(), id).map(|found| found.attributes.clone());
                    let stored = StoredAttributes::Live(stored.map_or_else(|| requested.clone(), Box::new));
                    let entry = StateEntry {
                        id,
                        attributes: *requested,
                    };
                    return Ok(SearchOutcome::Found(Box::new(CreatedResource { entry, stored })));
                }
            };
        }
        Ok(last)
    }

    /// Removes the records of repeated creations whose earlier requests can no longer take effect.
    pub(super) async fn settle_repeated(&mut self, live: &LiveServer, state: &mut State) -> Result<(), ApplyError> {
        let now_ms = self.discord.now_ms();
        let doubled: Vec<Address> = find_duplicates(state, live)
            .into_iter()
            .map(|(address, _)| address)
            .collect();
        let count = state.repeated.len();
        state.repeated.retain(|address, pending| {
            doubled.contains(address) || now_ms < pending.last_request_ms().saturating_add(LATEST_EFFECT_MS)
        });
        if state.repeated.len() < count {
            self.save(state).await?;
        }
        Ok(())
    }

    /// Removes an address from the state. A recent creation without a response may still take effect, so it is searched once
    /// more before its record is removed; a found resource stays managed, and the next plan decides about it.
    pub(super) async fn forget(
        &self,
        run: &StepContext<'_>,
        address: &Address,
        state: &mut State,
    ) -> Result<(), ApplyError> {
        let pending = state.pending.get(address).cloned();
        if let Some(pending) = pending.filter(|_| !state.resources.contains_key(address))
            && self.discord.now_ms() < pending.last_request_ms().saturating_add(LATEST_EFFECT_MS)
        {
            let looks = self.discord.retry_policy().searches.len();
            let message = match self.search(run, address, &pending, state, looks).await? {
                SearchOutcome::Absent => None,
                SearchOutcome::Found(found) => {
                    state.record(address.clone(), before_further_requests(&found.entry));
                    Some(format!(
                        "{address} exists and stays in the state; the next plan includes it."
                    ))
                }
                SearchOutcome::Unclear(_) => Some(format!(
                    "{address} may have been created; its pending record stays in the state. The next plan shows the candidates."
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

/// The attributes that the state records before the further requests of a creation.
fn before_further_requests(made: &StateEntry) -> StateEntry {
    let later = kinds::fields_after_create(&made.attributes);
    StateEntry {
        id: made.id,
        attributes: without_fields(&made.attributes, &later),
    }
}
