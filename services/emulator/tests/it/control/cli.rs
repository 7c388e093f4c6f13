use std::{
    io::{BufRead as _, BufReader},
    net::TcpListener,
    process::{Command, Output, Stdio},
};

use serde_json::Value;

fn emulator(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_discord-emulator"));
    command.args(arguments).env("EMULATOR_LOG", "off");
    command
}

fn refused(arguments: &[&str]) -> (Option<i32>, String) {
    let Output { status, stdout, stderr } = emulator(arguments).output().unwrap();
    assert!(stdout.is_empty(), "{stdout:?}");
    (status.code(), String::from_utf8(stderr).unwrap())
}

#[test]
fn it_prints_one_line_serves_and_stops_on_sigterm() {
    let mut child = emulator(&["--lively", "--token", "Bot secret"])
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let line: Value = serde_json::from_str(&lines.next().unwrap().unwrap()).unwrap();
    assert_eq!(line["token"], "secret");
    for (key, scheme) in [
        ("rest", "http"),
        ("gateway", "ws"),
        ("resume", "ws"),
        ("control", "http"),
        ("page", "http"),
    ] {
        let url = line[key].as_str().unwrap();
        assert!(url.starts_with(&format!("{scheme}://127.0.0.1:")), "{key}: {url}");
    }
    let control = line["control"]
        .as_str()
        .unwrap()
        .strip_prefix("http://")
        .unwrap()
        .to_owned();
    std::net::TcpStream::connect(control).unwrap();
    let killed = Command::new("kill").arg(child.id().to_string()).status().unwrap();
    assert!(killed.success());
    assert_eq!(child.wait().unwrap().code(), Some(0));
    assert!(lines.next().is_none(), "more than one line");
}

#[test]
fn wrong_arguments_are_64_and_taken_addresses_78() {
    let (code, words) = refused(&["--rest-addr", "nowhere"]);
    assert_eq!(code, Some(64), "{words}");
    assert!(words.contains("--rest-addr"), "{words}");
    let (code, words) = refused(&["--log", "a=b=c"]);
    assert_eq!(code, Some(64), "{words}");
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let (code, words) = refused(&["--gateway-addr", &address]);
    assert_eq!(code, Some(78), "{words}");
    assert!(
        words.contains(&address) && words.contains("gateway") && words.contains("port 0"),
        "{words}"
    );
}

#[test]
fn help_teaches() {
    let Output { status, stdout, .. } = emulator(&["--help"]).output().unwrap();
    let help = String::from_utf8(stdout).unwrap();
    assert!(status.success());
    for word in ["EMULATOR_REST_ADDR", "To try it", "/control/seed", "Exit codes"] {
        assert!(help.contains(word), "{word} is not in the help");
    }
}
