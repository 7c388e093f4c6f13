//! The command: exit codes, output, limits of the child process.

use std::io::Write as _;
use std::path::Path;
use std::process::{Command, Output, Stdio};

use arrakis_policy::{Report, Verdict};

use crate::support::folder;

fn command() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_arrakis-policy"));
    command.env_clear();
    command
}

fn plan(name: &str) -> std::path::PathBuf {
    folder("plans").join(format!("{name}.json"))
}

fn run(arguments: &[&Path]) -> Output {
    command().arg("check").args(arguments).output().unwrap()
}

#[track_caller]
fn assert_code(output: &Output, code: i32) {
    let text = format!(
        "{}{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
    assert_eq!(output.status.code(), Some(code), "{text}");
}

fn report(output: &Output) -> Report {
    serde_json::from_slice(&output.stdout).unwrap()
}

#[test]
fn exit_code_is_the_verdict() {
    assert_code(&run(&[&plan("create_network")]), 0);
    assert_code(&run(&[&plan("import_bucket")]), 2);
    assert_code(&run(&[&plan("delete_database")]), 3);
    assert_code(&run(&[]), 1);
    assert_code(&run(&[&plan("create_network"), Path::new("--no-such-option")]), 1);
    assert_code(&command().arg("--help").output().unwrap(), 0);
}

#[test]
fn report_is_printed_as_text_and_as_json() {
    let text = run(&[&plan("delete_database")]);
    let text = String::from_utf8(text.stdout).unwrap();
    assert!(
        text.starts_with("Blocked: aws_db_instance.main: aws_db_instance (database) would be deleted"),
        "{text}"
    );
    assert!(
        text.contains("\nResult: rejected\nNext: ") && text.contains("no approval overrides a block"),
        "{text}"
    );
    let text = run(&[&plan("import_bucket")]);
    let text = String::from_utf8(text.stdout).unwrap();
    assert!(text.contains("Next: `arrakis-policy submit`"), "{text}");
    let text = run(&[&plan("create_network")]);
    assert!(String::from_utf8(text.stdout).unwrap().ends_with("Result: passed\n"));
    let report = report(&run(&[&plan("delete_database"), Path::new("--json")]));
    assert_eq!((report.verdict, report.risk.score), (Verdict::Rejected, 100));
    assert_eq!(report.plan.sha256.map(|digest| digest.len()), Some(64));
}

#[test]
fn plan_is_read_from_standard_input() {
    let mut child = command()
        .args(["check", "-"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    child
        .stdin
        .take()
        .unwrap()
        .write_all(&std::fs::read(plan("delete_database")).unwrap())
        .unwrap();
    assert_code(&child.wait_with_output().unwrap(), 3);
}

#[test]
fn folders_of_policies_and_migrations_are_read() {
    let with = |folder_name: &str| run(&[&plan("create_network"), Path::new("--policy"), &folder(folder_name)]);
    assert_code(&with("policies/good"), 2);
    assert_code(&with("policies/no_rule"), 3);
    assert_code(&with("plans"), 3);
    let migrations = folder("../../../db/migrations");
    let output = run(&[
        &plan("create_network"),
        Path::new("--migrations"),
        &migrations,
        Path::new("--json"),
    ]);
    assert_code(&output, 2);
    // The table of routes is readable without a tenant.
    let rules: Vec<_> = report(&output)
        .warnings
        .into_iter()
        .map(|warning| warning.rule)
        .collect();
    assert_eq!(rules, ["row_policy_opened"]);
}

#[test]
fn path_that_does_not_exist_is_an_error_of_the_command_that_names_it() {
    let good = plan("create_network");
    let good = good.as_path();
    let missing = Path::new("no-such-path");
    let folder = folder("plans");
    for (arguments, named) in [
        (vec![missing], "error: no-such-path: "),
        (vec![folder.as_path()], "it is a folder"),
        (vec![good, Path::new("--policy"), missing], "--policy no-such-path: "),
        (vec![good, Path::new("--policy"), good], "it is not a folder"),
        (
            vec![good, Path::new("--migrations"), missing],
            "--migrations no-such-path: ",
        ),
        (
            vec![good, Path::new("--infracost"), missing],
            "--infracost no-such-path: ",
        ),
    ] {
        let output = run(&arguments);
        assert_code(&output, 1);
        let text = String::from_utf8(output.stderr).unwrap();
        assert!(text.contains(named), "{named}: {text}");
        assert!(output.stdout.is_empty());
    }
}

#[test]
fn folder_of_policies_without_tests_is_a_warning() {
    let plan = plan("create_network");
    let stderr = |folder: &Path| {
        let output = run(&[&plan, Path::new("--json"), Path::new("--policy"), folder]);
        report(&output);
        String::from_utf8(output.stderr).unwrap()
    };
    let policies = tempfile::tempdir().unwrap();
    let policy = "package acme\ndeny contains \"x\" if input.resource_change\n";
    std::fs::write(policies.path().join("acme.rego"), policy).unwrap();
    assert!(stderr(policies.path()).contains("has no tests"));
    std::fs::write(
        policies.path().join("acme_test.rego"),
        "package acme_test\ntest_a if true\n",
    )
    .unwrap();
    assert_eq!(stderr(policies.path()), "");
}

#[test]
fn folder_with_a_file_that_may_be_a_migration_is_rejected() {
    let plan = plan("create_network");
    for (name, code) in [
        ("b.psql", 3),
        ("b.sql.j2", 3),
        ("b.sql.txt", 3),
        ("b", 3),
        ("README.md", 0),
        (".keep", 0),
    ] {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("a.sql"), "select 1").unwrap();
        std::fs::write(folder.path().join(name), "select 1").unwrap();
        assert_code(&run(&[&plan, Path::new("--migrations"), folder.path()]), code);
    }
}

#[test]
fn estimate_is_read_from_a_file() {
    let with = |name: &str| {
        run(&[
            &plan("create_network"),
            Path::new("--infracost"),
            &folder("estimates").join(name),
        ])
    };
    assert_code(&with("v010_small.json"), 0);
    assert_code(&with("v010_large.json"), 3);
}

#[test]
fn policy_that_crashes_or_does_not_end_is_a_rejection() {
    let plan = plan("create_network");
    for (policy, reason) in [
        // A recursion overflows the stack of the child.
        (
            "package acme\ndeny contains x if { x := f(1) }\nf(x) := f(x + 1)",
            "ended without a result",
        ),
        // The child reaches its limit of memory.
        (
            "package acme\ndeny contains x if { x := count([y | some a in numbers.range(1, 100000); some b in numbers.range(1, 100000); y := [a, b, a, b]]) }",
            "",
        ),
    ] {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("acme.rego"), policy).unwrap();
        let output = run(&[&plan, Path::new("--policy"), folder.path(), Path::new("--json")]);
        assert_code(&output, 3);
        let report = report(&output);
        assert!(report.blocks[0].message.contains(reason), "{report:?}");
    }
}

#[test]
fn plan_of_200_mb_is_rejected_without_being_read_to_its_end() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("plan.json");
    let file = std::fs::File::create(&path).unwrap();
    (&file)
        .write_all(b"{\"format_version\":\"1.2\",\"planned_values\":{},\"configuration\":{},\"x\":\"")
        .unwrap();
    // The rest are zero bytes that take no space on the disk.
    file.set_len(200 << 20).unwrap();
    let output = run(&[&path, Path::new("--json")]);
    assert_code(&output, 3);
    assert!(report(&output).blocks[0].message.contains("larger than 64 MiB"));
}

#[test]
fn checks_are_counted_and_settings_are_checked() {
    let folder = tempfile::tempdir().unwrap();
    let metrics = folder.path().join("policy.prom");
    let check = |name: &str| {
        command()
            .env("POLICY_METRICS_FILE", &metrics)
            .arg("check")
            .arg(plan(name))
            .output()
            .unwrap()
    };
    assert_code(&check("delete_database"), 3);
    assert_code(&check("create_network"), 0);
    let text = std::fs::read_to_string(&metrics).unwrap();
    assert!(
        text.contains("arrakis_policy_blocks_total{rule=\"protected_delete\"} 1\n"),
        "{text}"
    );
    assert!(
        text.contains("arrakis_policy_checks_total{verdict=\"passed\"} 1\n"),
        "{text}"
    );
    for (name, value) in [
        ("POLICY_METRICS_FLIE", "x"),
        ("INFRACOST_API_URL", "http://infracost.example"),
    ] {
        assert_code(
            &command()
                .env(name, value)
                .arg("check")
                .arg(plan("create_network"))
                .output()
                .unwrap(),
            1,
        );
    }
}

#[test]
fn unreachable_api_rejects_and_a_rejected_plan_is_not_sent() {
    let with_key = |name: &str| {
        let mut command = command();
        // No listener has port 9 of this machine.
        command
            .env("INFRACOST_API_KEY", "ico-test")
            .env("INFRACOST_API_URL", "http://127.0.0.1:9");
        command.args(["check", "--json"]).arg(plan(name)).output().unwrap()
    };
    let output = with_key("create_network");
    assert_code(&output, 3);
    assert_eq!(report(&output).blocks[0].rule, "cost_unknown");
    let pipe = tempfile::tempdir().unwrap();
    let pipe = pipe.path().join("plan.json");
    assert!(Command::new("mkfifo").arg(&pipe).status().unwrap().success());
    let written = pipe.clone();
    let writer = std::thread::spawn(move || std::fs::write(written, std::fs::read(plan("create_network")).unwrap()));
    let output = command()
        .env("INFRACOST_API_KEY", "ico-test")
        .env("INFRACOST_API_URL", "http://127.0.0.1:9")
        .args(["check", "--json"])
        .arg(&pipe)
        .output()
        .unwrap();
    writer.join().unwrap().unwrap();
    assert!(report(&output).blocks[0].message.contains("regular file"));
    let rejected = report(&with_key("delete_database"));
    assert!(
        rejected.blocks.iter().all(|block| block.rule == "protected_delete"),
        "{rejected:?}"
    );
}

#[test]
fn submit_judges_the_plan_itself_whatever_the_report_claims() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("report.json");
    let checked = run(&[&plan("delete_database"), Path::new("--json")]);
    let text = String::from_utf8(checked.stdout).unwrap();
    let edited = text.replace("\"verdict\": \"rejected\"", "\"verdict\": \"passed\"");
    assert_ne!(edited, text);
    std::fs::write(&path, edited).unwrap();
    let submit = |arguments: &[&Path]| {
        let mut command = command();
        command.args(["submit", "--title", "T", "--requester", "chani"]);
        // No listener has port 9 of this machine.
        command.args(["--api-url", "http://127.0.0.1:9", "--api-key", "arrakis_test"]);
        command.args(arguments).output().unwrap()
    };
    let blocked = plan("delete_database");
    assert_code(&submit(&[&blocked, Path::new("--report"), &path]), 3);
    assert_code(&submit(&[&blocked]), 3);
    let passed = submit(&[&plan("create_network")]);
    assert_code(&passed, 0);
    assert!(String::from_utf8(passed.stderr).unwrap().contains("needs no approval"));
    let rejected = submit(&[&blocked]);
    let text = String::from_utf8(rejected.stderr).unwrap();
    assert!(
        text.contains("would be deleted") && text.contains("Not submitted: "),
        "{text}"
    );
    assert_code(&submit(&[Path::new("no-such-plan.json")]), 1);
    // Of another plan.
    assert_code(&submit(&[&plan("create_network"), Path::new("--report"), &path]), 1);
    // Without a key to check the decision by, nothing is submitted.
    assert_code(&submit(&[&plan("import_bucket"), Path::new("--wait")]), 1);
}

#[test]
fn tests_of_policies_have_an_exit_code() {
    let run = |dir: &Path| command().arg("test").arg(dir).output().unwrap();
    let passed = run(&folder("policies/good"));
    assert_code(&passed, 0);
    assert!(
        String::from_utf8(passed.stdout)
            .unwrap()
            .ends_with("3 passed, 0 failed\n")
    );
    assert_code(&run(&folder("policies/no_rule")), 1);
    let failing = tempfile::tempdir().unwrap();
    std::fs::write(failing.path().join("a_test.rego"), "package a\ntest_a if false\n").unwrap();
    assert_code(&run(failing.path()), 1);
    // A recursion overflows the stack of the child.
    let endless = "package a\nf(x) := f(x + 1)\ntest_a if f(1) == 2\n";
    std::fs::write(failing.path().join("a_test.rego"), endless).unwrap();
    assert_code(&run(failing.path()), 1);
}
