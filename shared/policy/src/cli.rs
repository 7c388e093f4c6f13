//! The command line of `arrakis-policy`.

use std::io::Write as _;
use std::path::PathBuf;
use std::process::{Command as Process, ExitCode};
use std::time::Instant;

use arrakis_config::{Reader, Service, Source, is_loopback, variables};
use clap::{Args, Parser, Subcommand};

use crate::approvals;
use crate::check::{MAX_PLAN_BYTES, digest};
use crate::cost;
use crate::estimate::Estimator;
use crate::files;
use crate::inputs::InputArguments;
use crate::report::{Format, Report, Verdict, printable};
use crate::supervise;
use crate::test_runner;

const EXIT_CODES: &str = "\
Exit codes of check: 0 passed; 1 error of the command, such as a path that does not exist; 2 needs an approval; 3 rejected.
Exit codes of submit and wait: as those of check, with 0 also for an approved plan, and 4 for an approval that has lapsed.
A pipeline continues on 0 only: every other code, also that of a killed process, is no pass.
Exit codes of test: 0 all tests passed; 1 a test failed or there is none.
Environment: INFRACOST_API_KEY, INFRACOST_API_URL, POLICY_COST_CACHE, POLICY_METRICS_FILE; of submit and wait ARRAKIS_API_URL, ARRAKIS_API_KEY, APPROVAL_TRUSTED_KEYS, APPROVAL_MFA_FROM_RISK.";

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
            if api.scheme() == "http" && !is_loopback(&api) {
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
            warn(&format!("metrics were not written to {}: {error}", path.display()));
        }
    }
    print_report(&report, arguments.json)?;
    if let Some(next) = report.verdict.next_step().filter(|_| !arguments.json) {
        print(&format!("Next: {next}\n"))?;
    }
    Ok(report.verdict.exit_code())
}

/// Checks and submits.
fn submit(arguments: &approvals::SubmitArguments) -> Result<u8, String> {
    let settings = Settings::read()?;
    let report = judge(&arguments.input, settings.estimator)?;
    approvals::submit(arguments, report)
}

/// Checks in a child process, and estimates the cost.
fn judge(arguments: &InputArguments, estimator: Option<Estimator>) -> Result<Report, String> {
    arguments.check_paths()?;
    warn_of_untested(&arguments.policies);
    let program = std::env::current_exe().map_err(|error| format!("the program cannot find itself: {error}"))?;
    let mut child = Process::new(program);
    child.arg("evaluate");
    arguments.append_to(&mut child);
    for secret in [&variables::INFRACOST_API_KEY, &variables::ARRAKIS_API_KEY] {
        child.env_remove(secret.name);
    }
    let report = supervise::run(&mut child);
    match estimator.filter(|_| arguments.infracost.is_none()) {
        Some(estimator) => with_estimate(report, &estimator, arguments),
        None => Ok(report),
    }
}

/// Rego does not report a misspelled attribute: its rule never matches. Only a test finds it.
fn warn_of_untested(policies: &[PathBuf]) {
    for folder in policies {
        // A folder that cannot be read is a rejected plan.
        if matches!(files::has_tests(folder), Ok(false)) {
            let folder = folder.display();
            warn(&format!(
                "{folder} has no tests, and a rule with a misspelled attribute never matches: write tests and run `arrakis-policy test {folder}`"
            ));
        }
    }
}

fn warn(text: &str) {
    let _ = writeln!(std::io::stderr(), "warning: {}", printable(text));
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
    let report = match arguments.input.read() {
        Ok(inputs) => crate::check::check_until(&inputs, deadline),
        Err(report) => *report,
    };
    print_report(&report, true)?;
    Ok(0)
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
    let results = test_runner::run(&files::read_policies(dir, true)?)?;
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
