//! The arguments of `check` and `submit` that name files, and the reading of these files.

use std::path::PathBuf;
use std::process::Command;

use clap::Args;

use crate::check::{Inputs, MAX_PLAN_BYTES};
use crate::cost;
use crate::files::{self, PathKind};
use crate::report::Report;

/// What is checked, and by what.
#[derive(Clone, Debug, Args)]
pub(crate) struct InputArguments {
    /// Output of `terraform show -json PLAN`, or a file of `gaib server plan --out FILE`; - for standard input
    pub(crate) plan: PathBuf,
    /// Estimate of Infracost as JSON
    #[arg(long, value_name = "FILE")]
    pub(crate) infracost: Option<PathBuf>,
    /// Estimate of Infracost before the change, for `infracost scan` without --diff
    #[arg(long, value_name = "FILE", requires = "infracost")]
    pub(crate) infracost_baseline: Option<PathBuf>,
    /// Folder with further policies in Rego; can be repeated
    #[arg(long = "policy", value_name = "DIR")]
    pub(crate) policies: Vec<PathBuf>,
    /// Migration in SQL, or a folder of them; can be repeated
    #[arg(long, value_name = "PATH")]
    pub(crate) migrations: Vec<PathBuf>,
}

impl InputArguments {
    /// Checks that every path can be read: a wrong one is an error of the command, and no verdict about the plan.
    pub(crate) fn check_paths(&self) -> Result<(), String> {
        files::check_path(&self.plan, PathKind::File)?;
        let estimates = [
            ("--infracost", &self.infracost),
            ("--infracost-baseline", &self.infracost_baseline),
        ];
        let estimates = estimates
            .into_iter()
            .filter_map(|(option, path)| Some((option, path.as_ref()?, PathKind::File)));
        let policies = self.policies.iter().map(|path| ("--policy", path, PathKind::Folder));
        let migrations = self
            .migrations
            .iter()
            .map(|path| ("--migrations", path, PathKind::FileOrFolder));
        for (option, path, kind) in estimates.chain(policies).chain(migrations) {
            files::check_path(path, kind).map_err(|why| format!("{option} {why}"))?;
        }
        Ok(())
    }

    /// Adds the options and the plan to a command line.
    pub(crate) fn append_to(&self, child: &mut Command) {
        for (option, path) in [
            ("--infracost", &self.infracost),
            ("--infracost-baseline", &self.infracost_baseline),
        ] {
            if let Some(path) = path {
                child.arg(option).arg(path);
            }
        }
        for path in &self.policies {
            child.arg("--policy").arg(path);
        }
        for path in &self.migrations {
            child.arg("--migrations").arg(path);
        }
        // A plan whose name begins with a dash is no option.
        child.arg("--").arg(&self.plan);
    }

    /// Reads the files.
    ///
    /// # Errors
    /// A report that rejects: a file cannot be read.
    pub(crate) fn read(&self) -> Result<Inputs, Box<Report>> {
        let rejected = |rule: &str, why: String| Box::new(Report::unchecked(rule, why));
        let plan = files::read(&self.plan, MAX_PLAN_BYTES).map_err(|error| {
            let path = self.plan.display();
            rejected("unreadable_plan", format!("the plan {path} cannot be read: {error}"))
        })?;
        let policies = self.policies.iter().map(|folder| files::read_policies(folder, false));
        let policies = policies
            .collect::<Result<_, _>>()
            .map_err(|why| rejected("policy_failed", why))?;
        let mut migrations = Vec::new();
        for path in &self.migrations {
            migrations.extend(files::read_migrations(path).map_err(|why| rejected("unreadable_migration", why))?);
        }
        let estimate = |path: &Option<PathBuf>| {
            let Some(path) = path else { return Ok(None) };
            let bytes = files::read(path, cost::MAX_BYTES).map(Some);
            bytes.map_err(|error| {
                let path = path.display();
                rejected("cost_unknown", format!("the estimate {path} cannot be read: {error}"))
            })
        };
        Ok(Inputs {
            plan,
            policies,
            migrations,
            infracost: estimate(&self.infracost)?,
            infracost_baseline: estimate(&self.infracost_baseline)?,
        })
    }

    /// A plan without options.
    #[cfg(test)]
    pub(crate) fn of_plan(plan: &std::path::Path) -> Self {
        Self {
            plan: plan.to_owned(),
            infracost: None,
            infracost_baseline: None,
            policies: Vec::new(),
            migrations: Vec::new(),
        }
    }
}
