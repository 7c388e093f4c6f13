//! The command line of every program but gaib, whose exit codes are Terraform's: help, version, invalid arguments.

use std::process::Stdio;

use crate::pipes::run;

const PROGRAMS: [&str; 5] = [
    "arrakis-discord-proxy",
    "arrakis-ingestor",
    "arrakis-worker",
    "discord-emulator",
    "loadtests",
];

/// Exit code, standard output and standard error.
fn output(name: &str, arguments: &[&str]) -> (Option<i32>, String, String) {
    let output = run(name, arguments, Stdio::piped(), Stdio::piped());
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (output.status.code(), text(output.stdout), text(output.stderr))
}

#[test]
fn help_and_version_are_printed_with_exit_code_0() {
    for name in PROGRAMS {
        let (code, help, _) = output(name, &["--help"]);
        assert!(
            code == Some(0) && help.contains(&format!("Usage: {name}")),
            "{name}: {help}"
        );
        let (code, version, _) = output(name, &["--version"]);
        assert!(
            code == Some(0) && version.starts_with(&format!("{name} ")),
            "{name}: {version}"
        );
    }
}

#[test]
fn invalid_argument_is_refused_with_exit_code_64() {
    for name in PROGRAMS {
        let (code, printed, error) = output(name, &["--bogus"]);
        assert_eq!((code, printed.as_str()), (Some(64), ""), "{name}: {error}");
        assert!(error.contains("--bogus"), "{name}: {error}");
    }
}

#[test]
fn demo_without_services_names_the_command_that_starts_them() {
    let (code, _, error) = output("loadtests", &["demo"]);
    assert_eq!(code, Some(1), "{error}");
    assert!(error.contains("`./dev demo`") && !error.contains("panicked"), "{error}");
}
