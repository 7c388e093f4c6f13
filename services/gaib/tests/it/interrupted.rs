//! Signals that stop an apply.

use std::time::Duration;

use arrakis_emulator_client::Fault;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, BufReader};

use crate::gate::{Gate, Place, Strike};
use crate::session::{GUILD, Session};

#[tokio::test(flavor = "multi_thread")]
async fn stop_signal_finishes_the_request_in_flight_and_the_next_apply_continues() {
    for signal in [Signal::SIGINT, Signal::SIGTERM, Signal::SIGHUP] {
        interrupted_by(signal).await;
    }
}

async fn interrupted_by(signal: Signal) {
    let mut session = Session::start().await;
    session
        .gaib(&format!("server init --theme basic --guild {GUILD}"))
        .await;
    let slow = Fault::rest_latency(100).method("POST").route("/guilds/*");
    session.control().fault(&slow).await.unwrap();

    let mut child = session.command("server apply --auto-approve").spawn().unwrap();
    let mut lines = BufReader::new(child.stderr.take().unwrap()).lines();
    while let Some(line) = lines.next_line().await.unwrap() {
        if line.contains("create role.silver: done") {
            break;
        }
    }
    kill(Pid::from_raw(i32::try_from(child.id().unwrap()).unwrap()), signal).unwrap();
    let mut rest = String::new();
    while let Some(line) = lines.next_line().await.unwrap() {
        if line.contains("Stopping after") {
            // A closed terminal: the shell and the kernel each send one.
            kill(
                Pid::from_raw(i32::try_from(child.id().unwrap()).unwrap()),
                Signal::SIGHUP,
            )
            .unwrap();
        }
        rest.push_str(&line);
        rest.push('\n');
    }
    let mut stdout = String::new();
    child.stdout.take().unwrap().read_to_string(&mut stdout).await.unwrap();
    assert_eq!(child.wait().await.unwrap().code(), Some(1));
    assert!(rest.contains("Stopping after the request in flight"), "{rest}");
    assert!(
        rest.contains("error: stopped after") && rest.contains("continues from there"),
        "{rest}"
    );
    assert!(
        !stdout.contains("Apply complete") && !rest.contains("Stopped at once"),
        "{rest}"
    );

    session.control().clear_faults().await.unwrap();
    let resumed = session.gaib("server apply --auto-approve").await;
    assert_eq!(resumed.code, 0, "{}", resumed.stderr);
    assert!(
        !resumed.stdout.contains("role.silver will be created"),
        "{}",
        resumed.stdout
    );
    assert_eq!(session.gaib("server plan --detailed-exitcode").await.code, 0);
    let roles = session.gaib("server export --include-unmanaged").await.stdout;
    assert_eq!(roles.matches("name: Silver").count(), 1, "{roles}");
}

#[tokio::test(flavor = "multi_thread")]
async fn further_signal_ends_an_apply_whose_request_is_not_answered() {
    for signal in [Signal::SIGINT, Signal::SIGTERM] {
        let mut session = Session::start().await;
        session
            .gaib(&format!("server init --theme basic --guild {GUILD}"))
            .await;
        let gate = Gate::before_discord(&mut session).await;
        let place = Place {
            at: 2,
            strike: Strike::Before,
        };
        // This request is never answered.
        let in_flight = gate.watch(Some(place));
        let mut child = session.command("server apply --auto-approve").spawn().unwrap();
        let mut lines = BufReader::new(child.stderr.take().unwrap()).lines();
        let process = Pid::from_raw(i32::try_from(child.id().unwrap()).unwrap());
        let mut text = String::new();
        in_flight.cancelled().await;
        // Until the process ends: one within a second of the first has no effect.
        loop {
            kill(process, signal).unwrap();
            match tokio::time::timeout(Duration::from_millis(100), lines.next_line()).await {
                Ok(Ok(Some(line))) => text.push_str(&line),
                Ok(_) => break,
                Err(_) => {}
            }
        }
        assert_eq!(child.wait().await.unwrap().code(), Some(1), "{text}");
        assert!(
            text.contains("Stopping after") && text.contains("Stopped at once"),
            "{text}"
        );
    }
}
