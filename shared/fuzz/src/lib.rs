//! A fuzzer for parsers of untrusted input: mutates a corpus and runs the parser on the results.
//!
//! A run tries every file of the corpus, then mutations of them. Each input must keep three properties: no panic, memory in
//! proportion to the input, no hang. An input with a new outcome is added to the inputs that are mutated, so that a run
//! gets past the first check of a parser. An input that violates a property is minimised, written into the corpus as
//! `found-…`, and is a test from then on. Why not cargo-fuzz: `docs/decisions/0016`.
//!
//! To add a target: a test in a module `fuzz` of the parser's crate, and a folder `fuzz/{target}` beside its sources with a
//! few valid inputs. `./dev fuzz` finds it by the module's name.
//!
//! | variable | means |
//! |---|---|
//! | `ARRAKIS_FUZZ_CASES` | number of mutations; default: the target's, about 1 s |
//! | `ARRAKIS_FUZZ_MINUTES` | duration in minutes, instead of a number of mutations |
//! | `ARRAKIS_FUZZ_SEED` | the same seed results in the same mutations; default: 1, or the time for a run by minutes |

mod corpus;
mod inputs;
mod mutate;

use std::collections::HashSet;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::PathBuf;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use rand::rngs::ChaCha8Rng;
use rand::{RngExt as _, SeedableRng as _};

use corpus::Corpus;
pub use inputs::{HttpInput, files, variables};
use mutate::Mutator;

/// A case that takes longer counts as a hang, also on a busy machine.
const HANG: Duration = Duration::from_secs(10);
/// Stack size of the services' threads.
const STACK_BYTES: usize = 2 << 20;
/// Maximum number of inputs that are mutated.
const MAX_POOL: usize = 4_096;
/// Maximum number of attempts to minimise an input.
const MAX_MINIMISATIONS: usize = 2_000;

/// A fuzz target: its corpus, mutations and limits.
#[derive(Debug)]
pub struct Fuzz {
    name: &'static str,
    folder: PathBuf,
    extra_corpora: Vec<PathBuf>,
    cases: u64,
    mutator: Mutator,
    bytes_per_byte: u64,
    constant_bytes: u64,
}

/// How many mutations, and from which seed.
struct Plan {
    cases: u64,
    until: Option<Instant>,
    seed: u64,
}

impl Fuzz {
    /// A target whose corpus is in `{crate_folder}/fuzz/{name}`; pass `env!("CARGO_MANIFEST_DIR")`.
    #[must_use]
    pub fn target(crate_folder: &str, name: &'static str) -> Self {
        Self {
            name,
            folder: PathBuf::from(crate_folder).join("fuzz").join(name),
            extra_corpora: Vec::new(),
            cases: 5_000,
            mutator: Mutator::default(),
            bytes_per_byte: 64,
            constant_bytes: 256 << 10,
        }
    }

    /// Adds the inputs of another test's folder to the corpus.
    #[must_use]
    pub fn extra_corpus(mut self, folder: impl Into<PathBuf>) -> Self {
        self.extra_corpora.push(folder.into());
        self
    }

    /// Number of mutations of a run without environment variables.
    #[must_use]
    pub fn cases(mut self, cases: u64) -> Self {
        self.cases = cases;
        self
    }

    /// Tokens of the parsed format (keys, names, separators), which mutations insert.
    #[must_use]
    pub fn dictionary(mut self, tokens: &[&str]) -> Self {
        self.mutator.add_tokens(tokens);
        self
    }

    /// Maximum length of an input in bytes.
    #[must_use]
    pub fn max_length(mut self, bytes: usize) -> Self {
        self.mutator.max_length = bytes;
        self
    }

    /// Limit of the memory in use at any time: this many bytes for each byte of input, plus a constant number of bytes.
    #[must_use]
    pub fn max_memory(mut self, bytes_per_byte: u64, constant: u64) -> Self {
        (self.bytes_per_byte, self.constant_bytes) = (bytes_per_byte, constant);
        self
    }

    /// Runs the target. The target returns a description of the outcome, which should differ between the branches of the
    /// parser.
    ///
    /// # Panics
    /// When an input violates a property, with the file to which it was written; when there is no corpus.
    pub fn run(self, target: impl Fn(&[u8]) -> String + Sync) {
        // With the stack size of a service's thread, so that nesting which is too deep for it is found.
        std::thread::scope(|scope| {
            let thread = std::thread::Builder::new()
                .name(self.name.to_owned())
                .stack_size(STACK_BYTES);
            let ended = thread
                .spawn_scoped(scope, || self.fuzz(&target))
                .map(std::thread::ScopedJoinHandle::join);
            match ended {
                Ok(Ok(())) => {}
                Ok(Err(panic)) => std::panic::resume_unwind(panic),
                Err(why) => panic!("no thread for the target {}: {why}", self.name),
            }
        });
    }

    fn fuzz(&self, target: &(impl Fn(&[u8]) -> String + Sync)) {
        let mut corpus = Corpus::read(&self.folder);
        for folder in &self.extra_corpora {
            corpus.inputs.append(&mut Corpus::read(folder).inputs);
        }
        let plan = self.plan();
        let mut outcomes = HashSet::new();
        let mut pool = Vec::new();
        for (file, input) in corpus.inputs {
            match self.attempt(target, &input) {
                Ok(outcome) => drop(outcomes.insert(outcome_hash(&outcome))),
                Err(why) => panic!("{}: {file} of the corpus: {why}", self.name),
            }
            pool.push(input);
        }
        let began = Instant::now();
        let mut random = ChaCha8Rng::seed_from_u64(plan.seed);
        let mut case = 0;
        while case < plan.cases && plan.until.is_none_or(|until| Instant::now() < until) {
            case += 1;
            let one = &pool[random.random_range(0..pool.len())];
            let other = &pool[random.random_range(0..pool.len())];
            let input = self.mutator.mutate(one, other, &mut random);
            match self.attempt(target, &input) {
                Ok(outcome) => {
                    if outcomes.insert(outcome_hash(&outcome)) && pool.len() < MAX_POOL {
                        pool.push(input);
                    }
                }
                Err(why) => self.report(target, input, &why, plan.seed, case),
            }
        }
        print(&format!(
            "{}: {case} cases in {:.1} s with seed {}, {} distinct outcomes",
            self.name,
            began.elapsed().as_secs_f32(),
            plan.seed,
            outcomes.len()
        ));
    }

    fn plan(&self) -> Plan {
        let minutes: Option<f64> = variable("ARRAKIS_FUZZ_MINUTES");
        let seed = variable("ARRAKIS_FUZZ_SEED").unwrap_or_else(|| match minutes {
            Some(_) => SystemTime::now()
                .duration_since(UNIX_EPOCH)
                .map_or(1, |now| now.as_secs()),
            None => 1,
        });
        Plan {
            cases: match minutes {
                Some(_) => u64::MAX,
                None => variable("ARRAKIS_FUZZ_CASES").unwrap_or(self.cases),
            },
            until: minutes.map(|minutes| Instant::now() + Duration::from_secs_f64(minutes * 60.0)),
            seed,
        }
    }

    /// Runs the target on one input; returns the outcome, or the property that was violated.
    fn attempt(&self, target: &(impl Fn(&[u8]) -> String + Sync), input: &[u8]) -> Result<String, String> {
        let began = Instant::now();
        let mut result = Ok(String::new());
        let memory = allocation_counter::measure(|| {
            result = catch_unwind(AssertUnwindSafe(|| target(input)));
        });
        let outcome = result.map_err(|panic| {
            let message = panic.downcast_ref::<String>().map(String::as_str);
            let message = message.or_else(|| panic.downcast_ref::<&str>().copied());
            format!("panic: {}", message.unwrap_or("without a message"))
        })?;
        let allowed = self.constant_bytes + self.bytes_per_byte * input.len() as u64;
        if memory.bytes_max > allowed {
            return Err(format!(
                "{} bytes of input used {} bytes of memory; the limit is {allowed}",
                input.len(),
                memory.bytes_max
            ));
        }
        if began.elapsed() > HANG {
            return Err(format!(
                "{} bytes of input took {} s",
                input.len(),
                began.elapsed().as_secs()
            ));
        }
        Ok(outcome)
    }

    /// Minimises the input, writes it into the corpus, and fails the test.
    fn report(&self, target: &(impl Fn(&[u8]) -> String + Sync), input: Vec<u8>, why: &str, seed: u64, case: u64) -> ! {
        let hook = std::panic::take_hook();
        std::panic::set_hook(Box::new(|_| {}));
        let minimal = minimise(input, |shorter| self.attempt(target, shorter).is_err());
        std::panic::set_hook(hook);
        let why = self.attempt(target, &minimal).err().unwrap_or_else(|| why.to_owned());
        let mut hash = DefaultHasher::new();
        minimal.hash(&mut hash);
        let file = self.folder.join(format!("found-{:08x}", hash.finish() as u32));
        let written = match std::fs::write(&file, &minimal) {
            Ok(()) => format!("written to {}; commit it with the fix", file.display()),
            Err(error) => format!("cannot write {}: {error}", file.display()),
        };
        panic!("{}, seed {seed}, case {case}: {why}\n{written}", self.name);
    }
}

/// Removes ever smaller pieces as long as the rest still violates a property.
fn minimise(mut input: Vec<u8>, violates: impl Fn(&[u8]) -> bool) -> Vec<u8> {
    let (mut piece, mut tries) = (input.len() / 2, 0);
    while piece > 0 {
        let mut at = 0;
        while at < input.len() {
            if tries == MAX_MINIMISATIONS {
                return input;
            }
            tries += 1;
            let end = (at + piece).min(input.len());
            let shorter = [&input[..at], &input[end..]].concat();
            if violates(&shorter) {
                input = shorter;
            } else {
                at = end;
            }
        }
        piece /= 2;
    }
    input
}

/// A hash of an outcome without its digits and its text after the first quote, so that outcomes which quote the input are
/// equal.
fn outcome_hash(outcome: &str) -> u64 {
    let mut hash = DefaultHasher::new();
    for byte in outcome
        .bytes()
        .take_while(|byte| !b"\"`'".contains(byte))
        .filter(|byte| !byte.is_ascii_digit())
        .take(200)
    {
        hash.write_u8(byte);
    }
    hash.finish()
}

fn variable<T: std::str::FromStr>(name: &str) -> Option<T> {
    let text = std::env::var(name).ok()?;
    match text.parse() {
        Ok(value) => Some(value),
        Err(_) => panic!("{name}={text} is not a number"),
    }
}

#[expect(
    clippy::print_stderr,
    reason = "the result of a run by hand; the test runner captures it"
)]
fn print(text: &str) {
    eprintln!("{text}");
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Runs `target` until it fails; returns the message and the input that was written.
    fn failure(target: impl Fn(&[u8]) -> String + Sync) -> (String, Vec<u8>) {
        let folder = std::env::temp_dir().join(format!("arrakis-fuzz-{:x}", rand::random::<u64>()));
        std::fs::create_dir_all(folder.join("fuzz/toy")).unwrap();
        std::fs::write(folder.join("fuzz/toy/good"), b"{\"a\":[1,2]}").unwrap();
        let fuzz = Fuzz::target(folder.to_str().unwrap(), "toy")
            .cases(20_000)
            .max_memory(8, 4_096);
        let panic = catch_unwind(AssertUnwindSafe(|| fuzz.run(target))).unwrap_err();
        let mut found = std::fs::read_dir(folder.join("fuzz/toy"))
            .unwrap()
            .map(|entry| entry.unwrap().path());
        let found = found.find(|path| path.file_name().unwrap() != "good").unwrap();
        let input = std::fs::read(found).unwrap();
        std::fs::remove_dir_all(folder).unwrap();
        (panic.downcast_ref::<String>().unwrap().clone(), input)
    }

    #[test]
    fn panic_behind_two_checks_is_found_and_minimised() {
        let (message, input) = failure(|input| {
            if input.first() != Some(&b'[') {
                return "no list".to_owned();
            }
            assert!(!input.contains(&0xff), "a byte that is no text");
            "a list".to_owned()
        });
        assert!(message.contains("a byte that is no text"), "{message}");
        assert_eq!(input, [b'[', 0xff]);
    }

    #[test]
    fn excessive_memory_is_found() {
        let (message, _) = failure(|input| {
            let brackets = input.iter().filter(|byte| **byte == b'[').count();
            "x".repeat(brackets * 4_096).len().to_string()
        });
        assert!(message.contains("bytes of memory"), "{message}");
    }
}
