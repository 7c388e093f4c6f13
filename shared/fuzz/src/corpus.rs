//! The corpus: the inputs with which a run begins.

use std::path::Path;

/// Inputs with the names of their files, sorted, so that a seed has the same result everywhere.
pub(crate) struct Corpus {
    pub(crate) inputs: Vec<(String, Vec<u8>)>,
}

impl Corpus {
    pub(crate) fn read(folder: &Path) -> Self {
        let entries = std::fs::read_dir(folder);
        let entries = entries.unwrap_or_else(|why| panic!("no corpus in {}: {why}", folder.display()));
        let mut inputs = Vec::new();
        for entry in entries.flatten().filter(|entry| entry.path().is_file()) {
            let name = entry.file_name().to_string_lossy().into_owned();
            match std::fs::read(entry.path()) {
                Ok(input) => inputs.push((name, input)),
                Err(why) => panic!("{}: {why}", entry.path().display()),
            }
        }
        assert!(!inputs.is_empty(), "the corpus in {} is empty", folder.display());
        inputs.sort();
        Self { inputs }
    }
}
