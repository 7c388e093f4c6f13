//! SIGKILL at each request of a teardown (Discord, the store of its snapshot, the platform) and of `gaib restore exec`: the same command
//! completes it, and what it has left recovers the server.

use arrakis_test_support::Moto;
use futures_util::StreamExt as _;

use super::*;
use crate::backups::bucket::{create_bucket, share_as};
use crate::gate::{Gate, Place, Seen, Strike, places};

/// Teardowns at the same time. Most of their time is the pace of requests to Discord.
const AT_ONCE: usize = 6;

/// The service whose requests the kills are at.
#[derive(Clone, Copy)]
enum Service<'a> {
    Discord,
    /// A bucket and tables, which have the snapshot.
    Store(&'a Moto),
}

impl Service<'_> {
    /// A session with a proxy in front of the service. `name` is of its objects and tables in the store.
    async fn session(self, name: &str) -> (Session, Gate) {
        let mut session = start().await;
        let gate = match self {
            Self::Discord => Gate::before_discord(&mut session).await,
            Self::Store(moto) => {
                let gate = Gate::in_front_of(moto.url()).await;
                share_as(&mut session, moto, gate.url(), name).await;
                gate
            }
        };
        (session, gate)
    }

    /// The requests of a teardown that is not interrupted.
    async fn run(self) -> Vec<Seen> {
        let (mut session, gate) = self.session("whole").await;
        gate.watch(None);
        let whole = session.answering(&line(), Some(&answers())).await;
        assert_eq!(whole.code, 0, "{}", whole.stderr);
        gate.seen()
    }

    /// Kills a teardown at a place, and runs it again.
    async fn kill(self, place: Place) {
        let (mut session, gate) = self.session(&format!("{:?}-{}", place.strike, place.at)).await;
        let (before, compared) = (names(&session).await, without_ids(&session).await);
        let seen = gate.kill(&session, &line(), &answers(), place).await;
        let seen = seen.unwrap_or_else(|| panic!("{place}: it was not reached"));
        let context = format!("{place} ({seen})");
        let was_deleting = is_deleting(&session);
        let left = answers_left(&session).await;
        let second = session.answering(&line(), Some(&left)).await;
        assert_eq!(second.code, 0, "{context}: {}", second.stderr);
        let continues = second.stderr.contains("Continuing the interrupted teardown");
        assert_eq!(continues, was_deleting, "{context}: {}", second.stderr);
        let exports = second.stderr.contains("Wrote server");
        assert_eq!(exports, !was_deleting, "{context}: {}", second.stderr);
        assert_eq!(names(&session).await, kept(&before), "{context}");
        let file = export(&second);
        let finished = file.replace("server.yaml", "teardown.json");
        assert!(exists(&session, &finished) && !exists(&session, &record()), "{context}");
        // The killed run may have stored its snapshot; the second one stored one where it exported the server.
        let listed = session
            .gaib(&format!("server backup verify --all --guild {GUILD}"))
            .await;
        let is_whole = |count: usize| {
            let line = format!("Whole: {count} (backups and snapshots). Damaged: 0.");
            listed.stdout.contains(&line)
        };
        assert_eq!(listed.code, 0, "{context}: {}", listed.stderr);
        assert!(is_whole(1) || (exports && is_whole(2)), "{context}: {}", listed.stdout);
        let applied = session
            .gaib(&format!("server apply -f {file} --guild {GUILD} --auto-approve"))
            .await;
        assert_eq!(applied.code, 0, "{context}: {}", applied.stderr);
        assert_eq!(without_ids(&session).await, compared, "{context}");
    }

    /// Kills teardowns at those places of a part, of `parts` parts in turn.
    async fn kill_each(self, strike: Strike, part: usize, parts: usize) {
        let run = self.run().await;
        let places: Vec<Place> = places(strike, &run)
            .take_while(|place| place.at <= run.len())
            .enumerate()
            .filter(|(index, _)| index % parts == part)
            .map(|(_, place)| place)
            .collect();
        assert!(places.len() > 4, "{places:?} of {run:?}");
        futures_util::stream::iter(places)
            .for_each_concurrent(AT_ONCE, |place| Box::pin(self.kill(place)))
            .await;
    }
}

fn record() -> String {
    format!(".gaib/teardown/{GUILD}/record.json")
}

/// Whether the record of the interrupted teardown has the begin of the deletion.
fn is_deleting(session: &Session) -> bool {
    if !exists(session, &record()) {
        return false;
    }
    let recorded: Value = serde_json::from_str(&session.read(&record())).unwrap();
    recorded["deleting"].as_bool().unwrap()
}

/// The answers to the questions of a teardown that continues: a stage without anything to delete has none.
async fn answers_left(session: &Session) -> String {
    let there = names(session).await;
    let is_there = |names: &[&str]| there.iter().any(|name| names.contains(&name.as_str()));
    let mut answers = String::new();
    if !is_deleting(session) {
        answers.push_str("yes\nyes\n");
    }
    if is_there(&["Commons", "general", "voices", "naibs"]) {
        answers.push_str("Sietch Tabr\n");
    }
    if is_there(&["Naib", "Usul"]) {
        answers.push_str(&format!("{GUILD}\n"));
    }
    answers
}

#[tokio::test(flavor = "multi_thread")]
async fn teardown_killed_before_a_request_to_discord_continues_part_1() {
    Service::Discord.kill_each(Strike::Before, 0, 3).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn teardown_killed_before_a_request_to_discord_continues_part_2() {
    Service::Discord.kill_each(Strike::Before, 1, 3).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn teardown_killed_before_a_request_to_discord_continues_part_3() {
    Service::Discord.kill_each(Strike::Before, 2, 3).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn teardown_killed_after_any_effect_at_discord_continues() {
    Service::Discord.kill_each(Strike::After, 0, 1).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn teardown_killed_before_any_request_to_the_store_continues() {
    let moto = Moto::start(1_000).await;
    create_bucket(&moto).await;
    Service::Store(&moto).kill_each(Strike::Before, 0, 1).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn teardown_killed_after_any_effect_on_the_store_continues() {
    let moto = Moto::start(1_000).await;
    create_bucket(&moto).await;
    Service::Store(&moto).kill_each(Strike::After, 0, 1).await;
}

/// The ids of the community's checkpoints for a purpose.
async fn checkpoints(session: &mut Session, purpose: &str) -> Vec<String> {
    let listed = session.gaib(&format!("--json restore list --guild {GUILD}")).await;
    assert_eq!(listed.code, 0, "{}", listed.stderr);
    let messages = listed.stdout.lines().map(|line| serde_json::from_str(line).unwrap());
    messages
        .filter(|message: &Value| message["checkpoint"]["purpose"] == purpose)
        .map(|message| message["checkpoint"]["id"].as_str().unwrap().to_owned())
        .collect()
}

/// The requests to the platform are to read the community and to store the checkpoint. The checkpoint of a killed run is the one of the next.
async fn teardown_killed_at_the_platform(place: Place) {
    let platform = Platform::start().await;
    let mut session = start().await;
    configure(&platform, &session.control().guild(GUILD).await.unwrap()).await;
    platform.connect(&mut session, &[ServersRead, ServersWrite]).await;
    let gate = Gate::in_front_of(&platform.url).await;
    session.environment("ARRAKIS_API_URL", Some(gate.url()));
    let code = platform.code().await;
    let line = format!("server teardown --confirm-teardown --mfa {code} --guild {GUILD}");
    let seen = gate.kill(&session, &line, &answers(), place).await;
    assert!(seen.is_some(), "{place}: it was not reached");
    let second = session.answering(&line, Some(&answers())).await;
    assert_eq!(second.code, 0, "{place}: {}", second.stderr);
    // Before the first deletion, the community is read again, and the code is checked by two requests.
    assert_eq!(gate.seen().len(), 5, "{:?}", gate.seen());
    let stored = checkpoints(&mut session, "teardown").await;
    assert_eq!(stored, [checkpoint(&second.stdout)], "{place}");
    let frozen = platform.record().await.frozen.unwrap();
    assert!(frozen.reason.contains(&stored[0]), "{place}: {}", frozen.reason);
}

#[tokio::test(flavor = "multi_thread")]
async fn teardown_killed_at_each_request_to_the_platform_stores_one_checkpoint() {
    for (at, strike) in [(1, Strike::Before), (2, Strike::Before), (2, Strike::After)] {
        Box::pin(teardown_killed_at_the_platform(Place { at, strike })).await;
    }
}

/// What the community loses between two restores.
async fn unconfigure(platform: &Platform) {
    let bindings = platform.bindings().await;
    let mut tx = platform.database.tenant(platform.community).await.unwrap();
    for role in bindings.values() {
        tx.communities().unbind_role(*role).await.unwrap();
    }
    tx.communities().set_welcome_channel(None).await.unwrap();
    tx.commit().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn restore_exec_killed_at_any_request_restores_once() {
    let platform = Platform::start().await;
    let mut session = start().await;
    let before = session.control().guild(GUILD).await.unwrap();
    configure(&platform, &before).await;
    platform.connect(&mut session, &[ServersRead, ServersWrite]).await;
    let code = platform.code().await;
    let line = format!("server teardown --confirm-teardown --mfa {code} --guild {GUILD}");
    let emptied = session.answering(&line, Some(&answers())).await;
    assert_eq!(emptied.code, 0, "{}", emptied.stderr);
    let file = export(&emptied);
    let applied = session
        .gaib(&format!("server apply -f {file} --guild {GUILD} --auto-approve"))
        .await;
    assert_eq!(applied.code, 0, "{}", applied.stderr);
    let discord = Gate::before_discord(&mut session).await;
    let api = Gate::in_front_of(&platform.url).await;
    session.environment("ARRAKIS_API_URL", Some(api.url()));
    let stored = checkpoint(&emptied.stdout);
    let exec = format!("restore exec --checkpoint {stored} --guild {GUILD} --auto-approve");
    for (gate, strike, least) in [
        (&discord, Strike::Before, 4),
        (&api, Strike::Before, 2),
        (&api, Strike::After, 2),
    ] {
        for place in places(strike, &[]) {
            unconfigure(&platform).await;
            let undos = checkpoints(&mut session, "restore").await.len();
            let killed = gate.kill(&session, &exec, "", place).await;
            if let Some(seen) = &killed {
                let second = session.gaib(&exec).await;
                assert_eq!(second.code, 0, "{place} ({seen}): {}", second.stderr);
                // Only a request that was carried out is not carried out again.
                let is_complete = second.stdout.contains("that was interrupted is complete");
                let was_restored = strike == Strike::After && seen.to_string().contains("/restore");
                assert_eq!(is_complete, was_restored, "{place} ({seen}): {}", second.stdout);
            }
            assert_restored(&platform, &session, &before).await;
            let now = checkpoints(&mut session, "restore").await.len();
            assert_eq!(now, undos + 1, "{place}");
            if killed.is_none() {
                assert!(place.at > least, "{place}");
                break;
            }
        }
    }
    // The response to its own first request is lost: this command has restored the checkpoint.
    unconfigure(&platform).await;
    api.watch(Some(Place {
        at: 2,
        strike: Strike::Lost,
    }));
    let restored = session.gaib(&exec).await;
    assert_eq!(restored.code, 0, "{}", restored.stderr);
    let requests = api.seen();
    let sent = requests.iter().filter(|seen| seen.to_string().contains("/restore "));
    assert_eq!(sent.count(), 2, "{requests:?}");
    assert!(
        restored.stdout.contains("Restored checkpoint") && !restored.stdout.contains("interrupted"),
        "{}",
        restored.stdout
    );
    assert_restored(&platform, &session, &before).await;
}

/// A server that was recovered, or changed, after the kill has what the export does not have: nothing of it is deleted.
#[tokio::test(flavor = "multi_thread")]
async fn resource_that_is_newer_than_the_export_is_not_deleted() {
    let mut session = start().await;
    let fault = FaultKind::RestLostAnswer { mode: DeadHost::Hang };
    kill_during(&session, fault, "DELETE", "/channels/{channel_id}").await;
    session.emulator.app().faults.clear();
    let late = json!({"name": "late"});
    session.by_hand(reqwest::Method::POST, "channels", late).await;
    let there = names(&session).await;
    let left = answers_left(&session).await;
    let refused = session.answering(&line(), Some(&left)).await;
    assert_eq!(refused.code, 1, "{}", refused.stdout);
    for expected in ["channel.late", "does not have", &record(), "manually"] {
        assert!(refused.stderr.contains(expected), "{expected}: {}", refused.stderr);
    }
    assert_eq!(names(&session).await, there);
    // Another teardown exports it first.
    std::fs::remove_file(session.folder.path().join(record())).unwrap();
    let another = session.answering(&line(), Some(&answers())).await;
    assert_eq!(another.code, 0, "{}", another.stderr);
    assert!(session.read(&export(&another)).contains("name: late"));
    assert_eq!(names(&session).await, kept_without_late(&there));
}

/// The rest of the server is no export to recover it from: another folder with the same store is refused, and names what is.
#[tokio::test(flavor = "multi_thread")]
async fn teardown_that_was_killed_is_not_begun_again_in_another_folder() {
    let mut session = start().await;
    let store = tempfile::TempDir::new().unwrap();
    let location = format!("file://{}", store.path().display());
    session.environment("BACKUP_STORE", Some(&location));
    session.environment("GAIB_BACKEND", Some(&format!("{location}/states")));
    let fault = FaultKind::RestLostAnswer { mode: DeadHost::Hang };
    kill_during(&session, fault, "DELETE", "/channels/{channel_id}").await;
    let recorded: Value = serde_json::from_str(&session.read(&record())).unwrap();
    let snapshot = recorded["snapshot"].as_str().unwrap().to_owned();
    let other = tempfile::TempDir::new().unwrap();
    let there = names(&session).await;
    let unlock = |text: &str| {
        let (_, rest) = text.split_once("force-unlock ").unwrap();
        let id: String = rest.chars().take(36).collect();
        format!("server force-unlock {id} --force")
    };
    let locked = session.gaib_in(other.path(), &line()).await;
    let unlocked = session.gaib_in(other.path(), &unlock(&locked.stderr)).await;
    assert_eq!(unlocked.code, 0, "{}", unlocked.stderr);
    let refused = session.gaib_in(other.path(), &line()).await;
    assert_eq!(refused.code, 1, "{}", refused.stdout);
    for expected in ["is not finished", snapshot.as_str(), "server.yaml", "--begin-again"] {
        assert!(refused.stderr.contains(expected), "{expected}: {}", refused.stderr);
    }
    assert_eq!(names(&session).await, there);
    // The folder that began it continues.
    let left = answers_left(&session).await;
    let second = session.answering(&line(), Some(&left)).await;
    assert_eq!(second.code, 0, "{}", second.stderr);
    assert!(!store.path().join(format!("metadata/{GUILD}/teardown.json")).exists());
}

fn kept_without_late(there: &[String]) -> Vec<String> {
    let mut names = kept(there);
    names.retain(|name| name != "late");
    names
}
