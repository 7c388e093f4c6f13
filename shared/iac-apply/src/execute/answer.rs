//! Compares responses with requested values. Values that Discord stored differently are recorded, so that the next plan reports
//! them instead of requesting them again.

use std::collections::{BTreeMap, BTreeSet};

use arrakis_iac::live::{Live, read_answer, read_channels};
use arrakis_iac::model::{Address, Attributes, Target};
use arrakis_iac::plan::{Plan, Step, compare_answer, compare_overwrites};
use arrakis_iac::state::State;
use serde_json::Value;

use super::{ApplyError, Executor, StepContext};

/// Records how a response differs from the attributes that were sent for `address`: `fields`, or all of a new resource. An
/// unreadable response records nothing: the next plan reads the server.
pub(super) fn record(
    state: &mut State,
    run: &StepContext<'_>,
    (address, asked): (&Address, &Attributes),
    fields: Option<&[String]>,
    answer: &Value,
) {
    let sent: Vec<String> = fields.map_or_else(|| asked.to_map().keys().cloned().collect(), <[String]>::to_vec);
    state.ask_again(address, &sent);
    if let Ok(Some(answered)) = read_answer(address.kind(), answer, run.guild()) {
        record_kept(state, run, (address, asked), fields, &answered);
    }
}

/// Records how stored attributes differ from requested ones.
pub(super) fn record_kept(
    state: &mut State,
    run: &StepContext<'_>,
    (address, asked): (&Address, &Attributes),
    fields: Option<&[String]>,
    kept: &Attributes,
) {
    let sent: Vec<String> = fields.map_or_else(|| asked.to_map().keys().cloned().collect(), <[String]>::to_vec);
    let names = state.names(run.guild(), run.plan.made_from.bot_id);
    let altered = compare_answer(asked, fields, kept, &names);
    let Some(entry) = state.resources.get_mut(address) else {
        return;
    };
    // Overwrites and roles of the bot in the entry are of other steps.
    entry.attributes = entry.attributes.with_fields(&altered.attributes, &sent);
    let attributes = entry.attributes.clone();
    state.record_altered(address, attributes, altered.asked);
}

impl Executor<'_> {
    /// Responses to requests for overwrites have no body: after a plan with such requests, the channels are read once.
    pub(super) async fn check_overwrites(
        &mut self,
        plan: &Plan,
        live: &Live,
        state: &mut State,
    ) -> Result<(), ApplyError> {
        let asked = asked_overwrites(plan);
        if asked.is_empty() {
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
        for (address, targets) in asked {
            let Some(entry) = state.resources.get(&address) else {
                continue;
            };
            let Some(found) = by_id.get(&entry.id) else { continue };
            let altered = compare_overwrites(&entry.attributes, targets.as_ref(), found, &names);
            differs |= !altered.asked.is_empty();
            state.record_altered(&address, altered.attributes, altered.asked);
        }
        if differs {
            self.save(state).await?;
        }
        Ok(())
    }
}

/// Categories and channels whose overwrites a plan sets, with the targets; `None` for all targets of a synchronised channel.
fn asked_overwrites(plan: &Plan) -> BTreeMap<Address, Option<BTreeSet<Target>>> {
    let mut asked: BTreeMap<Address, Option<BTreeSet<Target>>> = BTreeMap::new();
    for step in &plan.steps {
        if let Step::PutOverwrite { address, target, .. } | Step::DeleteOverwrite { address, target } = step {
            let targets = asked.entry(address.clone()).or_insert_with(|| Some(BTreeSet::new()));
            targets.get_or_insert_default().insert(target.clone());
        }
    }
    if asked.is_empty() {
        return asked;
    }
    for step in &plan.steps {
        if let Step::Refresh {
            address,
            attributes: Attributes::Channel(_),
        } = step
        {
            asked.entry(address.clone()).or_insert(None);
        }
    }
    asked
}
