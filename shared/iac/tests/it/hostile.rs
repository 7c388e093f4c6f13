//! Files that are broken, on purpose or not: a clear word, no panic, bounded memory and time.

use std::fmt::Write as _;
use std::path::Path;

use arrakis_iac::config::{VariableFile, VariableInputs, load};
use proptest::prelude::*;
use proptest::sample::{Index, select};

use crate::export::cases;
use crate::themes;

/// The problems of a file, or that it was accepted.
fn error_text(bytes: &[u8]) -> String {
    match load("server.yaml", bytes, themes(), &VariableInputs::default()) {
        Ok(loaded) => {
            let rules = crate::config::rules(&loaded.configuration);
            format!("taken, {} resources\n{rules}", loaded.configuration.resources.len())
        }
        Err(problems) => problems.to_string(),
    }
}

fn corpus() -> Vec<(String, Vec<u8>)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut files = Vec::new();
    for folder in [folder.join("tests/corpus"), folder.join("../../services/gaib/examples")] {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.extension().is_some_and(|extension| extension == "yaml") {
                let name = path.file_name().unwrap().to_string_lossy().into_owned();
                files.push((name, std::fs::read(path).unwrap()));
            }
        }
    }
    files.sort();
    files
}

#[test]
fn invalid_files_have_clear_errors() {
    let mut report = String::new();
    for (name, bytes) in corpus() {
        if !["basic.yaml", "community.yaml", "game-club.yaml", "sietch.yaml"].contains(&name.as_str()) {
            write!(report, "=== {name}\n{}\n\n", error_text(&bytes)).unwrap();
        }
    }
    insta::assert_snapshot!(report);
}

/// A file that would need too much memory, or too deep a stack, is refused before it is built.
#[test]
fn too_large_files_are_refused() {
    let deep_flow = format!("roles: {}{}", "[".repeat(100_000), "]".repeat(100_000));
    let deep_block: String = (0..1_000).map(|depth| format!("{}a:\n", " ".repeat(depth))).collect();
    // Values of a list are the cheapest to write, and aliases are cheaper still: both are counted.
    let wide = format!("a: [{}]", "1,".repeat(250_001));
    let spread_wide = format!("a: &a [{}]\nb: [{}]\n", "1,".repeat(2_500), "*a,".repeat(101));
    let long = format!("server: {{ name: {} }}", "x".repeat(4_000_000));
    let huge = vec![b'#'; 17 * 1024 * 1024];
    let chain: String = (0..5_000)
        .map(|number| format!("  v{number}: {{ default: \"${{v{}}}\" }}\n", number + 1))
        .collect();
    let chain = format!("variables:\n{chain}");
    let many = format!(
        "roles:\n{}",
        (0..5_000)
            .map(|number| format!("  r{number}: {{ colour: red }}\n"))
            .collect::<String>()
    );
    let spread = format!(
        "variables:\n  big: {{ default: {} }}\nroles:\n{}",
        "y".repeat(60_000),
        (0..2_000)
            .map(|number| format!("  r{number}: {{ name: \"${{big}}\" }}\n"))
            .collect::<String>()
    );
    for (bytes, word) in [
        (deep_flow.as_bytes(), "levels of nesting"),
        (deep_block.as_bytes(), "levels of nesting"),
        (wide.as_bytes(), "more than 250000 values"),
        (spread_wide.as_bytes(), "more than 250000 values"),
        (long.as_bytes(), "4000000 characters; at most 100 fit"),
        (huge.as_slice(), "bytes; the maximum is"),
        (chain.as_bytes(), "more than 32 variables"),
        (many.as_bytes(), "more problems are not shown"),
        (
            spread.as_bytes(),
            "the values of the variables in this file have more than",
        ),
    ] {
        let error_text = error_text(bytes);
        assert!(
            error_text.contains(word),
            "{word}: {}",
            error_text.chars().take(600).collect::<String>()
        );
        assert!(
            error_text.len() < 400_000,
            "{word}: the message stays readable, {} bytes",
            error_text.len()
        );
    }
}

#[test]
fn invalid_variable_files_have_clear_errors() {
    for (name, bytes) in corpus() {
        let inputs = VariableInputs {
            files: vec![VariableFile { name, bytes }],
            ..VariableInputs::default()
        };
        let _ = load("server.yaml", b"theme: basic", themes(), &inputs);
    }
}

/// One change to a file.
#[derive(Clone, Debug)]
enum Mutation {
    Flip(Index, u8),
    Cut(Index, Index),
    Repeat(Index, Index, u8),
    Insert(Index, &'static str),
    Swap(Index, Index),
}

const FRAGMENTS: &[&str] = &[
    "\n",
    "  ",
    "\t",
    ": ",
    "- ",
    "{",
    "}",
    "[",
    "]",
    "\"",
    "'",
    "#",
    "&a ",
    "*a",
    "<<: ",
    "!x ",
    "| \n",
    "> \n",
    "? ",
    "---\n",
    "...\n",
    "%YAML 1.2\n",
    "${",
    "$${",
    "${club}",
    "~",
    "null",
    "\u{feff}",
    "\u{0}",
    "\u{2028}",
    "overwrites: synced\n",
    "kind: forum\n",
    "99999999999999999999",
    "-1",
    "0x10",
    "1e9",
    "flag: voice\n",
    "after: host\n",
    "everyone",
    "role:1",
    "member:0",
    "BIT_63",
    "🏜️",
];

fn mutation() -> impl Strategy<Value = Mutation> {
    prop_oneof![
        3 => (any::<Index>(), any::<u8>()).prop_map(|(at, byte)| Mutation::Flip(at, byte)),
        2 => (any::<Index>(), any::<Index>()).prop_map(|(from, to)| Mutation::Cut(from, to)),
        1 => (any::<Index>(), any::<Index>(), 1_u8..4).prop_map(|(from, to, times)| Mutation::Repeat(from, to, times)),
        5 => (any::<Index>(), select(FRAGMENTS)).prop_map(|(at, fragment)| Mutation::Insert(at, fragment)),
        2 => (any::<Index>(), any::<Index>()).prop_map(|(one, other)| Mutation::Swap(one, other)),
    ]
}

fn changed(mut bytes: Vec<u8>, mutation: &Mutation) -> Vec<u8> {
    let span = |from: &Index, to: &Index, length: usize| {
        let (from, to) = (from.index(length + 1), to.index(length + 1));
        // Cuts of a few lines leave something to read; whole files are cut now and then all the same.
        from.min(to)..from.max(to).min(from.min(to) + 200)
    };
    match mutation {
        Mutation::Flip(at, byte) if !bytes.is_empty() => *at.get_mut(&mut bytes) ^= byte,
        Mutation::Flip(..) => {}
        Mutation::Cut(from, to) => drop(bytes.drain(span(from, to, bytes.len()))),
        Mutation::Repeat(from, to, times) => {
            let span = span(from, to, bytes.len());
            let piece = bytes[span.clone()].repeat(usize::from(*times));
            bytes.splice(span.end..span.end, piece);
        }
        Mutation::Insert(at, fragment) => {
            let at = at.index(bytes.len() + 1);
            bytes.splice(at..at, fragment.bytes());
        }
        Mutation::Swap(one, other) => {
            let mut lines: Vec<&[u8]> = bytes.split(|byte| *byte == b'\n').collect();
            let (one, other) = (one.index(lines.len()), other.index(lines.len()));
            lines.swap(one, other);
            bytes = lines.join(&b'\n');
        }
    }
    bytes
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(cases(400)))]

    /// Longer by `PROPTEST_CASES=100000`.
    #[test]
    fn changed_files_do_not_panic(chosen in any::<Index>(), mutations in proptest::collection::vec(mutation(), 1..8)) {
        let corpus = corpus();
        let (name, bytes) = chosen.get(&corpus).clone();
        let bytes = mutations.iter().fold(bytes, changed);
            match load(&name, &bytes, themes(), &VariableInputs::default()) {
            // What is taken is whole: it can be written, and read again.
            Ok(loaded) => {
                let yaml = arrakis_iac::export::to_yaml(&loaded.configuration, "");
                let back = crate::export::read_back(&yaml);
                prop_assert_eq!(crate::export::canonical(&back), crate::export::canonical(&loaded.configuration));
            }
            Err(problems) => {
                prop_assert!(!problems.0.is_empty() && problems.0.len() <= 201);
                let lines = u64::try_from(bytes.split(|byte| *byte == b'\n' || *byte == b'\r').count()).unwrap();
                for problem in &problems.0 {
                    prop_assert!(!problem.reason.is_empty());
                    prop_assert!(problem.location.as_ref().is_none_or(|place| place.line >= 1 && place.line <= lines + 1), "{problem}");
                }
                prop_assert!(problems.to_string().chars().all(|sign| sign == '\n' || !sign.is_control()), "nothing that a terminal obeys");
            }
        }
    }

    #[test]
    fn random_bytes_do_not_panic(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
        prop_assert!(!error_text(&bytes).is_empty());
    }
}
