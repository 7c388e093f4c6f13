//! A closed pipe on standard output or standard error panics no program and changes no exit code.

use std::path::PathBuf;
use std::process::{Command, Output, Stdio};

/// A pipe whose reading end is closed.
fn closed_pipe() -> Stdio {
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    writer.into()
}

fn program(name: &str) -> PathBuf {
    let loadtests = PathBuf::from(env!("CARGO_BIN_EXE_loadtests"));
    let program = loadtests.with_file_name(name);
    assert!(program.is_file(), "{} is not built", program.display());
    program
}

/// Commands of every program but gaib, which has tests of its own: help, lists, and services without configuration.
const CALLS: &[(&str, &[&str])] = &[
    ("loadtests", &["--help"]),
    ("loadtests", &["--version"]),
    ("loadtests", &["chaos", "--help"]),
    ("loadtests", &["chaos", "--list"]),
    ("loadtests", &["chaos", "there-is-no-such-scenario"]),
    ("loadtests", &["bench", "--help"]),
    ("loadtests", &["demo", "--help"]),
    ("loadtests", &["seed", "--help"]),
    ("loadtests", &["no-such-command"]),
    ("arrakis-worker", &["--help"]),
    ("arrakis-worker", &["--version"]),
    ("arrakis-worker", &["topology", "print"]),
    ("arrakis-worker", &["topology", "--help"]),
    ("arrakis-worker", &["commands", "print"]),
    ("arrakis-worker", &["dead-letters", "--help"]),
    ("arrakis-worker", &["dead-letters", "list"]),
    ("arrakis-worker", &["migrate", "--help"]),
    ("arrakis-worker", &["migrate"]),
    ("arrakis-worker", &[]),
    ("arrakis-discord-proxy", &["--help"]),
    ("arrakis-discord-proxy", &[]),
    ("arrakis-ingestor", &["--help"]),
    ("arrakis-ingestor", &["healthcheck", "no-such-endpoint"]),
    ("arrakis-ingestor", &[]),
    ("discord-emulator", &["--help"]),
    ("discord-emulator", &["--version"]),
    ("discord-emulator", &["--log", "=="]),
];

/// Runs a program without environment variables: a service then reports the missing configuration and ends.
pub(crate) fn run(name: &str, arguments: &[&str], stdout: Stdio, stderr: Stdio) -> Output {
    let mut command = Command::new(program(name));
    command.args(arguments).env_clear().stdin(Stdio::null());
    command.stdout(stdout).stderr(stderr).output().unwrap()
}

#[test]
fn closed_pipe_panics_no_program_and_changes_no_exit_code() {
    for (name, arguments) in CALLS {
        let call = format!("{name} {}", arguments.join(" "));
        let read = run(name, arguments, Stdio::piped(), Stdio::piped());
        assert!(read.status.code().is_some_and(|code| code != 101), "{call}: {read:?}");
        for (closed, output) in [
            ("stdout", run(name, arguments, closed_pipe(), Stdio::piped())),
            ("stderr", run(name, arguments, Stdio::piped(), closed_pipe())),
            ("both", run(name, arguments, closed_pipe(), closed_pipe())),
        ] {
            let words = String::from_utf8_lossy(&output.stderr);
            assert!(!words.contains("panicked"), "{call}, {closed} closed: {words}");
            assert_eq!(
                output.status.code(),
                read.status.code(),
                "{call}, {closed} closed: {words}"
            );
        }
    }
}

/// The emulator logs for as long as it runs, and keeps running when its log is no longer read.
#[test]
fn program_that_logs_continues_after_stderr_is_closed() {
    let mut emulator = Command::new(program("discord-emulator"))
        .args(["--log", "trace", "--control-addr", "127.0.0.1:0"])
        .env_clear()
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(closed_pipe())
        .spawn()
        .unwrap();
    let mut line = String::new();
    let mut stdout = std::io::BufReader::new(emulator.stdout.take().unwrap());
    std::io::BufRead::read_line(&mut stdout, &mut line).unwrap();
    let ended = emulator.try_wait().unwrap();
    emulator.kill().unwrap();
    emulator.wait().unwrap();
    assert!(ended.is_none(), "{ended:?}");
    assert!(line.contains("control"), "{line}");
}
