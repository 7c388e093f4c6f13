//! Compares responses with requested values. Values that Discord stored differently are recorded, so that the next plan reports
//! them instead of requesting them again.

use std::collections::{BTreeMap, BTreeSet};

use arrakis_iac::live::{LiveServer, read_answer, read_channels};
use arrakis_iac::model::{Address, Attributes, Target};
use arrakis_iac::plan::{Plan, Step, compare_answer, compare_overwrites};
use arrakis_iac::state::State;
use serde_json::Value;

use super::{ApplyError, Executor, StepContext};

/// The attributes that a request sent.
#[derive(Clone, Copy, Debug)]
pub(super) struct Sent<'a> {
    pub(super) address: &'a Address,
    pub(super) attributes: &'a Attributes,
    /// Names of the sent attributes; `None` for all, of a new resource.
    pub(super) fields: Option<&'a [String]>,
}

impl Sent<'_> {
    fn names(&self) -> Vec<String> {
        let all = || self.attributes.to_map().keys().cloned().collect();
        self.fields.map_or_else(all, <[String]>::to_vec)
    }
}

/// Records how a response differs from the sent attributes. An unreadable response records nothing: the next plan reads the server.
pub(super) fn record(state: &mut State, run: &StepContext<'_>, sent: Sent<'_>, answer: &Value) {
    state.clear_altered(sent.address, &sent.names());
    if let Ok(Some(stored)) = read_answer(sent.address.kind(), answer, run.guild()) {
        record_stored(state, run, sent, &stored);
    }
}

/// Records how stored attributes differ from requested ones.
pub(super) fn record_stored(state: &mut State, run: &StepContext<'_>, sent: Sent<'_>, stored: &Attributes) {
    let names = state.names(run.guild(), run.plan.made_from.bot_id);
    let altered = compare_answer(sent.attributes, sent.fields, stored, &names);
    let Some(entry) = state.resources.get_mut(sent.address) else {
        return;
    };
    // Overwrites and roles of the bot in the entry are of other steps.
    entry.attributes = entry.attributes.with_fields(&altered.attributes, &sent.names());
    let attributes = entry.attributes.clone();
    state.record_altered(sent.address, attributes, altered.requested);
}

impl Executor<'_> {
    /// Responses to requests for overwrites have no body: after a plan with such requests, the channels are read once.
    pub(super) async fn check_overwrites(
        &mut self,
        plan: &Plan,
        live: &LiveServer,
        state: &mut State,
    ) -> Result<(), ApplyError> {
        let requested = requested_overwrites(plan);
        if requested.is_empty() {
            return Ok(());
        }
        let guild = live.guild_id;
        let answer = self.discord.get::<Value>(&format!("/guilds/{guild}/channels")).await;
        // The plan is applied; after a failure here, the next apply compares.
        let Some(found) = answer.ok().and_then(|answer| read_channels(&answer, guild).ok()) else {
            return Ok(());
        };
        let names = state.names(guild, live.bot.user_id);
        let by_id: BTreeMap<_, _> = found.into_iter().collect();
        let mut differs = false;
        for (address, targets) in requested {
            let Some(entry) = state.resources.get(&address) else {
                continue;
            };
            let Some(found) = by_id.get(&entry.id) else { continue };
            let altered = compare_overwrites(&entry.attributes, targets.as_ref(), found, &names);
            differs |= !altered.requested.is_empty();
            state.record_altered(&address, altered.attributes, altered.requested);
        }
        if differs {
            self.save(state).await?;
        }
        Ok(())
    }
}

/// Categories and channels whose overwrites a plan sets, with the targets; `None` for all targets of a synchronised channel.
fn requested_overwrites(plan: &Plan) -> BTreeMap<Address, Option<BTreeSet<Target>>> {
    let mut requested: BTreeMap<Address, Option<BTreeSet<Target>>> = BTreeMap::new();
    for step in &plan.steps {
        if let Step::PutOverwrite { address, target, .. } | Step::DeleteOverwrite { address, target } = step {
            let targets = requested
                .entry(address.clone())
                .or_insert_with(|| Some(BTreeSet::new()));
            targets.get_or_insert_default().insert(target.clone());
        }
    }
    if requested.is_empty() {
        return requested;
    }
    for step in &plan.steps {
        if let Step::Refresh {
            address,
            attributes: Attributes::Channel(_),
        } = step
        {
            requested.entry(address.clone()).or_insert(None);
        }
    }
    requested
}
