//! Execution of a plan: progress and the result.

use std::sync::Arc;

use arrakis_iac::grammar::counted;
use arrakis_iac::live::LiveServer;
use arrakis_iac::model::Snowflake;
use arrakis_iac::plan::{Mode, Plan};
use arrakis_iac::render;
use arrakis_iac::state::State;
use arrakis_iac_apply::http::Discord;
use arrakis_iac_apply::store::{StateLock, StoreError};
use arrakis_iac_apply::{ApplyError, Executor, ImageSource};
use serde_json::json;

use crate::connection::connect;
use crate::context::Context;
use crate::error::{CHECK_PATH_AND_DISK, Failure, Result};
use crate::guard::Permit;
use crate::progress::Reporter;

/// A client that reports its progress.
pub(super) struct Execution {
    pub(super) discord: Discord,
    reporter: Arc<Reporter>,
}

impl Execution {
    pub(super) fn new(context: &Context, guild: Snowflake) -> Result<Self> {
        let reporter = Arc::new(Reporter::new(context.printer));
        let discord = connect(context, guild, reporter.clone())?;
        Ok(Self { discord, reporter })
    }

    /// Executes a plan that its permit covers, and prints the result. Writes the state through `guard` after each step.
    pub(super) async fn run(
        &self,
        context: &Context,
        (plan, permit): (&Plan, &Permit),
        live: &LiveServer,
        state: &mut State,
        guard: &mut dyn StateLock,
        images: &dyn ImageSource,
    ) -> Result<()> {
        let printer = context.printer;
        if !permit.covers(plan) {
            return Err(
                Failure::new("nothing was changed: the plan deletes channels or roles without a permission")
                    .help("this is a defect of gaib; please report it"),
            );
        }
        self.reporter.expect(plan);
        let outcome = Executor::new(&self.discord, guard, images).run(plan, live, state).await;
        outcome.map_err(|error| self.failure(plan, &error))?;
        let counts = plan.counts();
        printer.message(&json!({
            "type": "apply_complete", "added": counts.add, "changed": counts.change, "destroyed": counts.destroy,
            "reordered": counts.reorder, "adopted": counts.adopt, "forgotten": counts.forget, "serial": state.serial,
        }));
        let operation = if plan.mode == Mode::Destroy { "Destroy" } else { "Apply" };
        printer.text(&match plan.is_empty() || plan.mode == Mode::RefreshOnly {
            true => "The state is up to date.\n".to_owned(),
            false => format!("\n{}\n", render::outcome(operation, &counts)),
        });
        Ok(())
    }

    fn failure(&self, plan: &Plan, error: &ApplyError) -> Failure {
        let progress = format!("{} of {}", self.reporter.completed(), counted(plan.steps.len(), "step"));
        if let ApplyError::Store(store) = error {
            let cause = match store {
                StoreError::Io { .. } => CHECK_PATH_AND_DISK,
                StoreError::StateChanged { .. } => "wait for the end of the other operation",
                _ => "check that the store of the states responds",
            };
            return Failure::new(format!(
                "failed after {progress}, and the last step is not in the state: {error}"
            ))
            .help(format!(
                "{cause}; then run the same command again: it searches the server for the result of the last step"
            ));
        }
        let again = match plan.mode {
            Mode::Destroy => "the same command continues from there: the completed steps are in the state",
            _ => {
                "the same command continues from there: the completed steps are in the state, and no step is done twice"
            }
        };
        match error.is_cancelled() {
            true => Failure::new(format!("stopped after {progress}")).help(again),
            false if error.stays() => Failure::new(format!("failed after {progress}: {error}")).help(format!(
                "the same command would fail at the same step: correct the cause first; then {again}"
            )),
            false => Failure::new(format!("failed after {progress}: {error}")).help(again),
        }
    }
}
