//! The binary: its output when it cannot start.

use std::process::Command;

fn run(variables: &[(&str, &str)]) -> (Option<i32>, String) {
    let output = Command::new(env!("CARGO_BIN_EXE_arrakis-discord-proxy"))
        .env_clear()
        .envs(variables.iter().copied())
        .output()
        .unwrap();
    let printed = [output.stdout, output.stderr].concat();
    (output.status.code(), String::from_utf8(printed).unwrap())
}

#[test]
fn all_missing_variables_are_named_at_once() {
    let (code, printed) = run(&[]);
    assert_eq!(code, Some(78), "{printed}");
    for name in ["DISCORD_TOKEN", "PROXY_CREDENTIALS", "REDIS_URL"] {
        assert!(printed.contains(&format!("{name} is not set")), "{printed}");
    }
}

#[test]
fn address_in_use_is_named_with_an_example() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let (code, printed) = run(&[
        ("DISCORD_TOKEN", "abc.def"),
        ("DISCORD_APPLICATION_ID", "1"),
        ("PROXY_CREDENTIALS", "worker=0123456789abcdef"),
        ("REDIS_URL", "redis://127.0.0.1:1/0"),
        ("HEALTH_ADDR", "127.0.0.1:0"),
        ("PROXY_LISTEN_ADDR", &address),
    ]);
    assert_eq!(code, Some(78), "{printed}");
    assert!(
        printed.contains("PROXY_LISTEN_ADDR=") && printed.contains("example"),
        "{printed}"
    );
    assert!(
        !printed.contains("0123456789abcdef") && !printed.contains("abc.def"),
        "{printed}"
    );
}
