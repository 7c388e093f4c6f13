//! SIGKILL in the middle of an apply, with the real process: what it asked for is done, and it never learns of it. (Every
//! single request is gone through in process, in `arrakis-iac-apply`.)

use std::time::Duration;

use discord_emulator::faults::{Condition, DeadHost, FaultKind};

use crate::session::{GUILD, Session};

/// Applies, kills the process when the fault has struck, applies again.
async fn killed_at(fault: FaultKind, method: &str, route: &str) {
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
    let struck = || {
        session
            .emulator
            .app()
            .faults
            .list()
            .iter()
            .any(|fault| fault.struck > 0)
    };
    while !struck() {
        assert!(
            child.try_wait().unwrap().is_none(),
            "{method} {route} was never asked for"
        );
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
    child.kill().await.unwrap();

    let second = session.gaib("server apply --auto-approve").await;
    assert_eq!(second.code, 0, "{method} {route}: {}", second.stderr);
    assert!(second.stderr.contains("Took over a lock"), "{}", second.stderr);
    let plan = session.gaib("server plan --detailed-exitcode").await;
    assert_eq!(plan.code, 0, "{}", plan.stdout);
    assert_eq!(names(&session).await, wanted(), "{method} {route}");
}

/// Names of all roles and channels, sorted: a doubled one would be there twice.
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

/// What an apply that nobody disturbs makes of the theme.
fn wanted() -> Vec<String> {
    static WANTED: std::sync::OnceLock<Vec<String>> = std::sync::OnceLock::new();
    let undisturbed = || {
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
    WANTED.get_or_init(undisturbed).clone()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_killed_process_doubles_and_orphans_nothing() {
    let done_and_unknown = || FaultKind::RestLostAnswer { mode: DeadHost::Hang };
    let never_done = || FaultKind::RestLatency {
        ms: 600_000,
        jitter_ms: 0,
    };
    killed_at(done_and_unknown(), "POST", "/guilds/{guild_id}/roles").await;
    killed_at(done_and_unknown(), "POST", "/guilds/{guild_id}/channels").await;
    killed_at(never_done(), "POST", "/guilds/{guild_id}/channels").await;
}
