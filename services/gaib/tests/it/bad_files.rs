//! Every file that gaib reads or writes, in every bad shape: an error that names the file, says why and what to do; never a
//! panic, and nothing changed.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use crate::session::{GUILD, Outcome, Session};

const ONE_ROLE: &str = "roles:\n  guard: { name: Guard }\n";

/// A managed server, a plan and the files that commands read.
async fn prepared() -> Session {
    let mut session = Session::start().await;
    session.gaib(&format!("server init --guild {GUILD}")).await;
    session.write("discord-server.yaml", ONE_ROLE);
    session.gaib("server apply --auto-approve").await;
    session.write("discord-server.yaml", &ONE_ROLE.replace("Guard", "Warden"));
    let planned = session.gaib("server plan --out next.plan").await;
    assert_eq!(planned.code, 0, "{}", planned.stderr);
    session
}

/// How a file is broken.
#[derive(Clone, Copy, Debug)]
enum Break {
    Missing,
    Folder,
    Empty,
    NotUtf8,
    Truncated,
    Garbage,
    Huge,
    Newer,
}

const BREAKS: [Break; 8] = [
    Break::Missing,
    Break::Folder,
    Break::Empty,
    Break::NotUtf8,
    Break::Truncated,
    Break::Garbage,
    Break::Huge,
    Break::Newer,
];

fn break_it(path: &Path, how: Break) {
    let text = fs::read(path).unwrap_or_default();
    let _ = fs::remove_file(path);
    match how {
        Break::Missing => {}
        Break::Folder => fs::create_dir(path).unwrap(),
        Break::Empty => fs::write(path, "").unwrap(),
        Break::NotUtf8 => fs::write(path, [0xff, 0xfe, 0x00, 0x80]).unwrap(),
        Break::Truncated => fs::write(path, &text[..text.len() / 2]).unwrap(),
        Break::Garbage => fs::write(path, "]{ neither: this\n\t- nor that").unwrap(),
        Break::Huge => fs::write(path, vec![b'x'; 64 << 20]).unwrap(),
        Break::Newer => {
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
fn assert_explained(outcome: &Outcome, file: &str, case: &str) {
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

/// Which file a command reads, with the breaks that are no error there.
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

/// A session with every file that is read.
async fn with_every_file() -> Session {
    let mut session = prepared().await;
    session.write("values.yaml", "{}\n");
    let state = session.folder.path().join(".gaib/workspaces/default/state.json");
    fs::copy(state, session.folder.path().join("pushed.json")).unwrap();
    session
}

/// Whether a file broken like this is another file that can be read.
fn is_whole(file: &str, how: Break) -> bool {
    let has_version = !["values.yaml", ".gaib/workspace", "discord-server.yaml"].contains(&file);
    match how {
        Break::Newer => !has_version,
        Break::Truncated => file.ends_with(".yaml") || file == ".gaib/workspace",
        _ => false,
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_broken_file_is_explained_by_every_command_that_reads_it() {
    let mut cells = 0;
    for (file, line, fine) in READS {
        let mut session = with_every_file().await;
        let path = session.folder.path().join(file);
        let whole = fs::read(&path).unwrap();
        for how in BREAKS {
            if is_whole(file, how) || fine.contains(&format!("{how:?}").as_str()) {
                continue;
            }
            break_it(&path, how);
            let outcome = session.gaib(line).await;
            assert_explained(&outcome, file, &format!("{file} {how:?}, {line}"));
            cells += 1;
            let _ = fs::remove_file(&path).or_else(|_| fs::remove_dir(&path));
            fs::write(&path, &whole).unwrap();
        }
    }
    assert!(cells > 60, "{cells}");
}

#[tokio::test(flavor = "multi_thread")]
async fn absent_and_empty_files_that_may_be_so_end_nothing() {
    for (file, line, fine) in READS {
        for how in BREAKS
            .into_iter()
            .filter(|how| fine.contains(&format!("{how:?}").as_str()))
        {
            let mut session = with_every_file().await;
            break_it(&session.folder.path().join(file), how);
            let outcome = session.gaib(line).await;
            assert!(
                outcome.code < 2 && !outcome.stderr.contains("panicked"),
                "{file} {how:?}, {line}: {outcome:?}"
            );
        }
    }
}

/// Commands that write, into folders that cannot be written.
#[tokio::test(flavor = "multi_thread")]
async fn folders_that_cannot_be_written_are_named() {
    if nix::unistd::geteuid().is_root() {
        // Root writes everywhere: files stand where folders are needed.
        let mut session = prepared().await;
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
    let mut session = prepared().await;
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
