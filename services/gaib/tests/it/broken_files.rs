//! Broken files: each one that gaib reads or writes, broken in each way, is an error that contains the file, the reason and advice.
//! There is no panic, and nothing changes.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use crate::session::{GUILD, Outcome, Session, exists};

const ONE_ROLE: &str = "roles:\n  guard: { name: Guard }\n";

/// A session with a managed server and a saved plan.
async fn with_saved_plan() -> Session {
    let mut session = Session::start().await;
    session.gaib(&format!("server init --guild {GUILD}")).await;
    session.write("discord-server.yaml", ONE_ROLE);
    session.gaib("server apply --auto-approve").await;
    session.write("discord-server.yaml", &ONE_ROLE.replace("Guard", "Warden"));
    let planned = session.gaib("server plan --out next.plan").await;
    assert_eq!(planned.code, 0, "{}", planned.stderr);
    session
}

/// A way in which a file is broken.
#[derive(Clone, Copy, Debug)]
enum Damage {
    Missing,
    Folder,
    Empty,
    NotUtf8,
    Truncated,
    Garbage,
    Huge,
    Newer,
}

const DAMAGES: [Damage; 8] = [
    Damage::Missing,
    Damage::Folder,
    Damage::Empty,
    Damage::NotUtf8,
    Damage::Truncated,
    Damage::Garbage,
    Damage::Huge,
    Damage::Newer,
];

fn damage_file(path: &Path, damage: Damage) {
    let text = fs::read(path).unwrap_or_default();
    let _ = fs::remove_file(path);
    match damage {
        Damage::Missing => {}
        Damage::Folder => fs::create_dir(path).unwrap(),
        Damage::Empty => fs::write(path, "").unwrap(),
        Damage::NotUtf8 => fs::write(path, [0xff, 0xfe, 0x00, 0x80]).unwrap(),
        Damage::Truncated => fs::write(path, &text[..text.len() / 2]).unwrap(),
        Damage::Garbage => fs::write(path, "]{ neither: this\n\t- nor that").unwrap(),
        Damage::Huge => fs::write(path, vec![b'x'; 64 << 20]).unwrap(),
        Damage::Newer => {
            let text = String::from_utf8(text).unwrap();
            let newer = [
                ("\"version\": 1,", "\"version\": 99,"),
                ("\"version\": 2,", "\"version\": 99,"),
                ("version: 1", "version: 99"),
            ];
            let newer = newer.iter().fold(text, |text, (old, new)| text.replacen(old, new, 1));
            fs::write(path, newer).unwrap();
        }
    }
}

#[track_caller]
fn assert_error_with_advice(outcome: &Outcome, file: &str, case: &str) {
    assert_eq!(outcome.code, 1, "{case}: {outcome:?}");
    assert!(!outcome.stderr.contains("panicked"), "{case}: {}", outcome.stderr);
    let name = Path::new(file).file_name().unwrap().to_str().unwrap();
    assert!(
        outcome.stderr.contains(name),
        "{case} does not name {name}: {}",
        outcome.stderr
    );
    assert!(outcome.stderr.contains("what to do:"), "{case}: {}", outcome.stderr);
    assert!(outcome.stderr.len() < 4_000, "{case}: {} bytes", outcome.stderr.len());
}

/// Commands and the file that each one reads, with the damages that are no error.
const READS: [(&str, &str, &[&str]); 12] = [
    ("discord-server.yaml", "server plan", &["Empty"]),
    ("discord-server.yaml", "server validate", &["Empty"]),
    (
        "discord-server.yaml",
        "apply discord-server.yaml --guild 1200000000000000555",
        &["Empty"],
    ),
    ("next.plan", "server apply next.plan", &[]),
    ("values.yaml", "server plan --var-file values.yaml", &["Empty"]),
    (".gaib/config.yaml", "server plan", &["Missing"]),
    (".gaib/workspace", "server plan", &["Missing"]),
    (".gaib/workspaces/default/state.json", "server plan", &["Missing"]),
    (
        ".gaib/workspaces/default/state.json",
        "server apply --auto-approve",
        &["Missing"],
    ),
    (
        ".gaib/workspaces/default/state.json",
        "server destroy --auto-approve",
        &["Missing"],
    ),
    (".gaib/workspaces/default/state.json", "server state ls", &["Missing"]),
    ("pushed.json", "server state push pushed.json", &[]),
];

/// A session with every file that a command reads.
async fn with_every_file() -> Session {
    let mut session = with_saved_plan().await;
    session.write("values.yaml", "{}\n");
    let state = session.folder.path().join(".gaib/workspaces/default/state.json");
    fs::copy(state, session.folder.path().join("pushed.json")).unwrap();
    session
}

/// Whether the damaged file is another valid file.
fn is_valid_after(file: &str, damage: Damage) -> bool {
    let has_version = !["values.yaml", ".gaib/workspace", "discord-server.yaml"].contains(&file);
    match damage {
        Damage::Newer => !has_version,
        Damage::Truncated => file.ends_with(".yaml") || file == ".gaib/workspace",
        _ => false,
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn broken_file_is_an_error_with_advice_in_every_command_that_reads_it() {
    let mut cases = 0;
    for (file, line, accepted) in READS {
        let mut session = with_every_file().await;
        let path = session.folder.path().join(file);
        let valid = fs::read(&path).unwrap();
        for damage in DAMAGES {
            if is_valid_after(file, damage) || accepted.contains(&format!("{damage:?}").as_str()) {
                continue;
            }
            damage_file(&path, damage);
            let outcome = session.gaib(line).await;
            assert_error_with_advice(&outcome, file, &format!("{file} {damage:?}, {line}"));
            cases += 1;
            let _ = fs::remove_file(&path).or_else(|_| fs::remove_dir(&path));
            fs::write(&path, &valid).unwrap();
        }
    }
    assert!(cases > 60, "{cases}");
}

#[tokio::test(flavor = "multi_thread")]
async fn optional_file_that_is_missing_or_empty_is_accepted() {
    for (file, line, accepted) in READS {
        for damage in DAMAGES
            .into_iter()
            .filter(|damage| accepted.contains(&format!("{damage:?}").as_str()))
        {
            let mut session = with_every_file().await;
            damage_file(&session.folder.path().join(file), damage);
            let outcome = session.gaib(line).await;
            assert!(
                outcome.code < 2 && !outcome.stderr.contains("panicked"),
                "{file} {damage:?}, {line}: {outcome:?}"
            );
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn unwritable_folder_is_an_error_that_names_it() {
    if nix::unistd::geteuid().is_root() {
        // Root may write everywhere, so files are in the place of folders.
        let mut session = with_saved_plan().await;
        session.write("a-file", "");
        for line in [
            "server plan --out a-file/x.plan",
            "server export -o a-file/x.yaml",
            "man --out a-file/pages",
            "-C a-file server plan",
            "-C nowhere server plan",
        ] {
            let outcome = session.gaib(line).await;
            assert_eq!(outcome.code, 1, "{line}: {outcome:?}");
            assert!(outcome.stderr.contains("what to do:"), "{line}: {}", outcome.stderr);
        }
        let mut session = Session::start().await;
        session.write(".gaib", "");
        session.write("f.yaml", ONE_ROLE);
        for line in [
            format!("server init --guild {GUILD}"),
            format!("apply f.yaml --guild {GUILD} --auto-approve"),
            format!("server plan --file f.yaml --guild {GUILD} --out x.plan"),
            "server workspace ls".to_owned(),
        ] {
            let outcome = session.gaib(&line).await;
            assert_eq!(outcome.code, 1, "{line}: {outcome:?}");
            assert!(
                outcome.stderr.contains(".gaib") && outcome.stderr.contains("what to do:"),
                "{line}: {}",
                outcome.stderr
            );
        }
        return;
    }
    let mut session = with_saved_plan().await;
    let workspaces = session.folder.path().join(".gaib/workspaces/default");
    fs::set_permissions(&workspaces, fs::Permissions::from_mode(0o500)).unwrap();
    for line in [
        "server apply --auto-approve",
        "server state rm role.guard",
        "server lock",
    ] {
        let outcome = session.gaib(line).await;
        assert_eq!(outcome.code, 1, "{line}: {outcome:?}");
        assert!(outcome.stderr.contains(".gaib"), "{line}: {}", outcome.stderr);
    }
    fs::set_permissions(&workspaces, fs::Permissions::from_mode(0o700)).unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn folder_or_missing_path_as_a_configuration_is_an_error_with_fitting_advice() {
    let mut session = Session::start().await;
    fs::create_dir(session.folder.path().join("there")).unwrap();
    for (path, advice) in [
        (
            "there",
            "there is a folder: name a file, for example there/discord-server.yaml",
        ),
        ("nosuch.yaml", "check the path"),
    ] {
        for line in [
            format!("server validate --file {path}"),
            format!("server plan --guild {GUILD} --file {path}"),
            format!("apply {path} --guild {GUILD}"),
        ] {
            let outcome = session.gaib(&line).await;
            assert_error_with_advice(&outcome, path, &line);
            assert!(outcome.stderr.contains(advice), "{line}: {}", outcome.stderr);
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn saved_plan_in_a_missing_folder_is_refused() {
    let mut session = with_saved_plan().await;
    let outcome = session.gaib("server plan --out nosuch/x.plan").await;
    assert_error_with_advice(&outcome, "nosuch/x.plan", "plan --out");
    assert_eq!(outcome.stdout, "");
    assert!(!exists(&session, "nosuch"));
}
