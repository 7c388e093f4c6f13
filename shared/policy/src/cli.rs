//! The command line of `arrakis-policy`.

use std::io::Write as _;
use std::path::PathBuf;
use std::process::{Command as Process, ExitCode};
use std::time::Instant;

use arrakis_config::{Reader, Service, Source, variables};
use clap::{Args, Parser, Subcommand};

use crate::approvals;
use crate::check::{Inputs, MAX_PLAN_BYTES, digest};
use crate::cost;
use crate::estimate::Estimator;
use crate::files;
use crate::policy_tests;
use crate::report::{Format, Report, Verdict, printable};
use crate::supervise;

const EXIT_CODES: &str = "\
Exit codes of check: 0 passed; 1 error of the command; 2 needs an approval; 3 rejected.
Exit codes of submit and wait: as those of check, with 0 also for an approved plan, and 4 for an approval that has lapsed.
A pipeline continues on 0 only: every other code, also that of a killed process, is no pass.
Exit codes of test: 0 all tests passed; 1 a test failed or there is none.
Environment: INFRACOST_API_KEY, INFRACOST_API_URL, POLICY_COST_CACHE, POLICY_METRICS_FILE; of submit and wait ARRAKIS_API_URL, ARRAKIS_API_KEY, APPROVAL_TRUSTED_KEYS.";

/// Checks plans of Terraform and gaib before they are applied.
#[derive(Debug, Parser)]
#[command(name = "arrakis-policy", bin_name = "arrakis-policy", version, after_help = EXIT_CODES)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Check a plan
    Check(CheckArguments),
    /// Submit a plan that needs an approval
    Submit(approvals::SubmitArguments),
    /// Wait for the decision about a submitted plan
    Wait(approvals::WaitArguments),
    /// Run the tests of policies
    Test {
        /// Folder with .rego files
        dir: PathBuf,
        /// Print the results as JSON
        #[arg(long)]
        json: bool,
    },
    /// Check a plan in this process and print the report as JSON
    #[command(hide = true)]
    Evaluate(CheckArguments),
    /// Run the tests of policies in this process
    #[command(hide = true)]
    EvaluateTests {
        /// Folder with .rego files
        dir: PathBuf,
        /// Print the results as JSON
        #[arg(long)]
        json: bool,
    },
}

#[derive(Clone, Debug, Args)]
struct CheckArguments {
    #[command(flatten)]
    input: InputArguments,
    /// Print the report as JSON
    #[arg(long)]
    json: bool,
}

/// What is checked, and by what.
#[derive(Clone, Debug, Args)]
pub(crate) struct InputArguments {
    /// Output of `terraform show -json PLAN`, or a file of `gaib server plan --out FILE`; - for standard input
    pub(crate) plan: PathBuf,
    /// Estimate of Infracost as JSON
    #[arg(long, value_name = "FILE")]
    infracost: Option<PathBuf>,
    /// Estimate of Infracost before the change, for `infracost scan` without --diff
    #[arg(long, value_name = "FILE", requires = "infracost")]
    infracost_baseline: Option<PathBuf>,
    /// Folder with further policies in Rego; can be repeated
    #[arg(long = "policy", value_name = "DIR")]
    policies: Vec<PathBuf>,
    /// Migration in SQL, or a folder of them; can be repeated
    #[arg(long, value_name = "PATH")]
    migrations: Vec<PathBuf>,
}

impl InputArguments {
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

/// Exit code of an error of the command itself.
const ERROR: u8 = 1;

/// Runs the command with the arguments and the environment of this process.
#[must_use]
pub fn main() -> ExitCode {
    let arguments = match Arguments::try_parse() {
        Ok(arguments) => arguments,
        Err(error) => {
            // The exit code of clap for a wrong command line is 2, which means "needs an approval" here.
            let code = if error.use_stderr() { ERROR } else { 0 };
            let _ = error.print();
            return ExitCode::from(code);
        }
    };
    let result = match arguments.command {
        Command::Check(arguments) => check(&arguments),
        Command::Evaluate(arguments) => evaluate(&arguments),
        Command::Submit(arguments) => submit(&arguments),
        Command::Wait(arguments) => approvals::wait(&arguments),
        Command::Test { dir, json } => test(&dir, json),
        Command::EvaluateTests { dir, json } => evaluate_tests(&dir, json),
    };
    match result {
        Ok(code) => ExitCode::from(code),
        Err(why) => {
            let _ = writeln!(std::io::stderr(), "error: {}", printable(&why));
            ExitCode::from(ERROR)
        }
    }
}

/// Settings from the environment.
struct Settings {
    estimator: Option<Estimator>,
    metrics: Option<PathBuf>,
}

impl Settings {
    fn read() -> Result<Self, String> {
        let read = |reader: &mut Reader| {
            let key = reader.optional::<String>(&variables::INFRACOST_API_KEY);
            let api = reader.url(&variables::INFRACOST_API_URL, &["https", "http"]);
            let cache = reader.optional::<PathBuf>(&variables::POLICY_COST_CACHE);
            let metrics = reader.optional::<PathBuf>(&variables::POLICY_METRICS_FILE);
            let (key, api, cache) = (key?, api?, cache?);
            let local = api
                .host_str()
                .is_some_and(|host| matches!(host, "127.0.0.1" | "localhost" | "[::1]"));
            if api.scheme() == "http" && !local {
                return reader.refuse(&variables::INFRACOST_API_URL, "http:// is for this machine only");
            }
            let estimator = key.map(|key| Estimator {
                api: api.to_string(),
                key: arrakis_config::Secret::new(key),
                cache,
            });
            Some(Self {
                estimator,
                metrics: metrics?,
            })
        };
        Reader::load(Service::Policy, Source::environment(), read).map_err(|errors| errors.to_string())
    }
}

/// Checks, counts and prints the report.
fn check(arguments: &CheckArguments) -> Result<u8, String> {
    let settings = Settings::read()?;
    let report = judge(&arguments.input, settings.estimator)?;
    if let Some(path) = settings.metrics {
        // The verdict does not depend on whether it is counted.
        if let Err(error) = crate::metrics::record(&path, &report) {
            let _ = writeln!(
                std::io::stderr(),
                "warning: metrics were not written to {}: {error}",
                path.display()
            );
        }
    }
    print_report(&report, arguments.json)?;
    Ok(report.verdict.exit_code())
}

/// Checks and submits.
fn submit(arguments: &approvals::SubmitArguments) -> Result<u8, String> {
    let settings = Settings::read()?;
    let report = judge(&arguments.input, settings.estimator)?;
    if report.verdict == Verdict::Rejected {
        let _ = write!(std::io::stderr(), "{}", report.to_text());
    }
    approvals::submit(arguments, report)
}

/// Checks in a child process, and estimates the cost.
fn judge(arguments: &InputArguments, estimator: Option<Estimator>) -> Result<Report, String> {
    let program = std::env::current_exe().map_err(|error| format!("the program cannot find itself: {error}"))?;
    let mut child = Process::new(program);
    child.arg("evaluate");
    for (option, path) in [
        ("--infracost", &arguments.infracost),
        ("--infracost-baseline", &arguments.infracost_baseline),
    ] {
        if let Some(path) = path {
            child.arg(option).arg(path);
        }
    }
    for path in &arguments.policies {
        child.arg("--policy").arg(path);
    }
    for path in &arguments.migrations {
        child.arg("--migrations").arg(path);
    }
    // A plan whose name begins with a dash is no option.
    child.arg("--").arg(&arguments.plan);
    for secret in [&variables::INFRACOST_API_KEY, &variables::ARRAKIS_API_KEY] {
        child.env_remove(secret.name);
    }
    let report = supervise::run(&mut child);
    match estimator.filter(|_| arguments.infracost.is_none()) {
        Some(estimator) => with_estimate(report, &estimator, arguments),
        None => Ok(report),
    }
}

/// A rejected plan needs no estimate, and one of gaib has no cost.
fn with_estimate(report: Report, estimator: &Estimator, arguments: &InputArguments) -> Result<Report, String> {
    if report.verdict == Verdict::Rejected || report.plan.format != Some(Format::Terraform) {
        return Ok(report);
    }
    if arguments.plan.as_os_str() == "-" {
        let why = "an estimate by the API needs the plan in a file, not on standard input";
        return Ok(report.with_cost(cost::Outcome::failed(why)));
    }
    // A pipe is read once only.
    if !arguments.plan.is_file() {
        let why = "an estimate by the API needs the plan in a regular file";
        return Ok(report.with_cost(cost::Outcome::failed(why)));
    }
    let plan = match files::read(&arguments.plan, MAX_PLAN_BYTES) {
        Ok(plan) => plan,
        Err(error) => return Ok(report.with_cost(cost::Outcome::failed(&error.to_string()))),
    };
    if report.plan.sha256 != Some(digest(&plan)) {
        return Ok(report.with_cost(cost::Outcome::failed("the plan changed during the check")));
    }
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(|error| format!("no runtime for the estimate: {error}"))?;
    Ok(report.with_cost(runtime.block_on(estimator.estimate(&plan))))
}

/// Checks in this process, with limits, and prints the report as JSON.
fn evaluate(arguments: &CheckArguments) -> Result<u8, String> {
    let deadline = Instant::now() + supervise::CHILD_TIME_LIMIT;
    supervise::limit_memory().map_err(|error| format!("the limit of memory was refused: {error}"))?;
    let report = match read_inputs(&arguments.input) {
        Ok(inputs) => crate::check::check_until(&inputs, deadline),
        Err(report) => *report,
    };
    print_report(&report, true)?;
    Ok(0)
}

fn read_inputs(arguments: &InputArguments) -> Result<Inputs, Box<Report>> {
    let rejected = |rule: &str, why: String| Box::new(Report::unchecked(rule, why));
    let plan = files::read(&arguments.plan, MAX_PLAN_BYTES)
        .map_err(|error| rejected("unreadable_plan", format!("the plan cannot be read: {error}")))?;
    let policies = arguments
        .policies
        .iter()
        .map(|folder| files::read_policies(folder, false));
    let policies = policies
        .collect::<Result<_, _>>()
        .map_err(|why| rejected("policy_failed", why))?;
    let mut migrations = Vec::new();
    for path in &arguments.migrations {
        migrations.extend(files::read_migrations(path).map_err(|why| rejected("unreadable_migration", why))?);
    }
    let estimate = |path: &Option<PathBuf>| {
        let bytes = path.as_ref().map(|path| files::read(path, cost::MAX_BYTES)).transpose();
        bytes.map_err(|error| rejected("cost_unknown", format!("the estimate cannot be read: {error}")))
    };
    Ok(Inputs {
        plan,
        policies,
        migrations,
        infracost: estimate(&arguments.infracost)?,
        infracost_baseline: estimate(&arguments.infracost_baseline)?,
    })
}

/// Runs the tests in a child process: a policy whose functions call each other without end overflows its stack.
fn test(dir: &std::path::Path, json: bool) -> Result<u8, String> {
    let program = std::env::current_exe().map_err(|error| format!("the program cannot find itself: {error}"))?;
    let mut child = Process::new(program);
    child.arg("evaluate-tests");
    if json {
        child.arg("--json");
    }
    let status = child.arg("--").arg(dir).status();
    let status = status.map_err(|error| format!("the tests could not be started: {error}"))?;
    match status.code() {
        Some(0) => Ok(0),
        Some(code) if code == i32::from(ERROR) => Ok(ERROR),
        _ => Err(format!("the tests ended without a result ({status})")),
    }
}

/// Runs the tests in this process, with limits.
fn evaluate_tests(dir: &std::path::Path, json: bool) -> Result<u8, String> {
    supervise::limit_memory().map_err(|error| format!("the limit of memory was refused: {error}"))?;
    let results = policy_tests::run(&files::read_policies(dir, true)?)?;
    let failed = results.iter().filter(|result| result.failure.is_some()).count();
    if json {
        print(&format!(
            "{}\n",
            serde_json::to_string_pretty(&results).map_err(|error| error.to_string())?
        ))?;
    } else {
        let mut text = String::new();
        for result in &results {
            let outcome = result
                .failure
                .as_ref()
                .map_or("passed".to_owned(), |why| format!("failed: {}", printable(why)));
            text.push_str(&format!("{}: {outcome}\n", result.name));
        }
        text.push_str(&format!("{} passed, {failed} failed\n", results.len() - failed));
        print(&text)?;
    }
    Ok(if failed == 0 { 0 } else { ERROR })
}

fn print_report(report: &Report, json: bool) -> Result<(), String> {
    if json {
        let text = serde_json::to_string_pretty(report).map_err(|error| error.to_string())?;
        print(&format!("{text}\n"))
    } else {
        print(&report.to_text())
    }
}

fn print(text: &str) -> Result<(), String> {
    let mut output = std::io::stdout().lock();
    let written = output.write_all(text.as_bytes()).and_then(|()| output.flush());
    written.map_err(|error| format!("the result cannot be written: {error}"))
}
