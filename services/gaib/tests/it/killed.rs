//! SIGKILL during an apply, after Discord received a request and before the process received the response. The tests of
//! `arrakis-iac-apply` interrupt every request in process.

use std::time::Duration;

use discord_emulator::faults::{Condition, DeadHost, FaultKind};

use crate::session::{GUILD, Session};

/// Applies, kills the process when the fault has taken effect, applies again.
async fn kill_during(fault: FaultKind, method: &str, route: &str) {
    let mut session = Session::start().await;
    let made = session
        .gaib(&format!("server init --theme basic --guild {GUILD}"))
        .await;
    assert_eq!(made.code, 0, "{}", made.stderr);
    let once = Condition {
        count: Some(1),
        method: Some(method.to_owned()),
        route: Some(route.to_owned()),
        ..Condition::default()
    };
    session.emulator.app().faults.arm(fault, once);
    let mut child = session.command("server apply --auto-approve").spawn().unwrap();
    let has_struck = || {
        session
            .emulator
            .app()
            .faults
            .list()
            .iter()
            .any(|fault| fault.struck > 0)
    };
    while !has_struck() {
        assert!(
            child.try_wait().unwrap().is_none(),
            "{method} {route} was never requested"
        );
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
    child.kill().await.unwrap();

    let second = session.gaib("server apply --auto-approve").await;
    assert_eq!(second.code, 0, "{method} {route}: {}", second.stderr);
    assert!(second.stderr.contains("Took over a lock"), "{}", second.stderr);
    let plan = session.gaib("server plan --detailed-exitcode").await;
    assert_eq!(plan.code, 0, "{}", plan.stdout);
    assert_eq!(names(&session).await, expected_names(), "{method} {route}");
}

/// The sorted names of all roles and channels. A resource that was created twice appears twice.
async fn names(session: &Session) -> Vec<String> {
    let guild = session.control().guild(GUILD).await.unwrap();
    let of = |kind: &str| {
        let list = guild[kind]
            .as_array()
            .unwrap_or_else(|| panic!("no {kind} in {guild}"))
            .clone();
        list.into_iter().map(|one| one["name"].as_str().unwrap().to_owned())
    };
    let mut names: Vec<String> = of("roles").chain(of("channels")).collect();
    names.sort();
    names
}

/// The names after an apply without a fault.
fn expected_names() -> Vec<String> {
    static EXPECTED: std::sync::OnceLock<Vec<String>> = std::sync::OnceLock::new();
    let without_fault = || {
        std::thread::spawn(|| {
            let runtime = tokio::runtime::Runtime::new().unwrap();
            runtime.block_on(async {
                let mut session = Session::start().await;
                session
                    .gaib(&format!("server init --theme basic --guild {GUILD}"))
                    .await;
                let done = session.gaib("server apply --auto-approve").await;
                assert_eq!(done.code, 0, "{}", done.stderr);
                names(&session).await
            })
        })
        .join()
        .unwrap()
    };
    EXPECTED.get_or_init(without_fault).clone()
}

#[tokio::test(flavor = "multi_thread")]
async fn apply_after_sigkill_creates_each_resource_once() {
    let lost_response = || FaultKind::RestLostAnswer { mode: DeadHost::Hang };
    let no_effect = || FaultKind::RestLatency {
        ms: 600_000,
        jitter_ms: 0,
    };
    kill_during(lost_response(), "POST", "/guilds/{guild_id}/roles").await;
    kill_during(lost_response(), "POST", "/guilds/{guild_id}/channels").await;
    kill_during(no_effect(), "POST", "/guilds/{guild_id}/channels").await;
}
