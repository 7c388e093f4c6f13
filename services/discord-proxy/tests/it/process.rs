//! The binary: what it says when it cannot start.

use std::process::Command;

fn run(variables: &[(&str, &str)]) -> (Option<i32>, String) {
    let output = Command::new(env!("CARGO_BIN_EXE_arrakis-discord-proxy"))
        .env_clear()
        .envs(variables.iter().copied())
        .output()
        .unwrap();
    let said = [output.stdout, output.stderr].concat();
    (output.status.code(), String::from_utf8(said).unwrap())
}

#[test]
fn everything_that_is_missing_is_named_at_once() {
    let (code, said) = run(&[]);
    assert_eq!(code, Some(78), "{said}");
    for name in ["DISCORD_TOKEN", "PROXY_CREDENTIALS", "REDIS_URL"] {
        assert!(said.contains(&format!("{name} is not set")), "{said}");
    }
}

#[test]
fn an_address_in_use_is_named_with_an_example() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let (code, said) = run(&[
        ("DISCORD_TOKEN", "abc.def"),
        ("DISCORD_APPLICATION_ID", "1"),
        ("PROXY_CREDENTIALS", "worker=0123456789abcdef"),
        ("REDIS_URL", "redis://127.0.0.1:1/0"),
        ("HEALTH_ADDR", "127.0.0.1:0"),
        ("PROXY_LISTEN_ADDR", &address),
    ]);
    assert_eq!(code, Some(78), "{said}");
    assert!(
        said.contains("PROXY_LISTEN_ADDR=") && said.contains("example"),
        "{said}"
    );
    assert!(
        !said.contains("0123456789abcdef") && !said.contains("abc.def"),
        "{said}"
    );
}
