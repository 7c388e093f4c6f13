//! Input that hates us: mutates a corpus and throws the result at whatever reads bytes of strangers.
//!
//! Owns the loop: every file of the corpus first, then as many mutations of them as asked for, each held to three promises:
//! no panic, memory in proportion to the input, no hang. An input that brings out words not heard before joins the pool of
//! what is mutated, so that a run works its way past the first check of a reader. What breaks a promise is cut down, written
//! into the corpus as `found-…`, and stays there as a test. Refuses to know what a target reads. `docs/decisions/0016` says
//! why this and not cargo-fuzz.
//!
//! To add a target: a test in a module `fuzz` of the crate that owns the reader, and a folder `fuzz/{target}` beside its
//! sources with a few good inputs. `./dev fuzz` finds it by the module's name.
//!
//! | variable | means |
//! |---|---|
//! | `ARRAKIS_FUZZ_CASES` | mutations to try; default: what the target asks for, a second or so |
//! | `ARRAKIS_FUZZ_MINUTES` | minutes to go on instead |
//! | `ARRAKIS_FUZZ_SEED` | the same seed gives the same mutations; default 1, or the time in a run by minutes |

mod corpus;
mod form;
mod mutate;

use std::collections::HashSet;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::PathBuf;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use rand::rngs::ChaCha8Rng;
use rand::{RngExt as _, SeedableRng as _};

use corpus::Corpus;
pub use form::{HttpText, files, variables};
use mutate::Mutator;

/// A case that takes longer hangs, on a machine however busy.
const HANG: Duration = Duration::from_secs(10);
/// What the services' threads have.
const STACK_BYTES: usize = 2 << 20;
/// Inputs that are mutated, at most.
const POOL: usize = 4_096;
/// Tries to make a found input smaller.
const CUTS: usize = 2_000;

/// One reader and what is thrown at it.
#[derive(Debug)]
pub struct Fuzz {
    name: &'static str,
    folder: PathBuf,
    also: Vec<PathBuf>,
    cases: u64,
    mutator: Mutator,
    bytes_per_byte: u64,
    bytes_at_least: u64,
}

/// How many mutations, and from which seed.
struct Plan {
    cases: u64,
    until: Option<Instant>,
    seed: u64,
}

impl Fuzz {
    /// A target whose corpus lies in `{crate_folder}/fuzz/{name}`; give `env!("CARGO_MANIFEST_DIR")`.
    #[must_use]
    pub fn target(crate_folder: &str, name: &'static str) -> Self {
        Self {
            name,
            folder: PathBuf::from(crate_folder).join("fuzz").join(name),
            also: Vec::new(),
            cases: 5_000,
            mutator: Mutator::default(),
            bytes_per_byte: 64,
            bytes_at_least: 256 << 10,
        }
    }

    /// A folder of inputs that other tests keep: what they found is mutated too.
    #[must_use]
    pub fn also(mut self, folder: impl Into<PathBuf>) -> Self {
        self.also.push(folder.into());
        self
    }

    /// Mutations of a quick run.
    #[must_use]
    pub fn cases(mut self, cases: u64) -> Self {
        self.cases = cases;
        self
    }

    /// Pieces that mean something to this reader: keys, names, marks.
    #[must_use]
    pub fn words(mut self, words: &[&str]) -> Self {
        self.mutator.words(words);
        self
    }

    /// Longest input in bytes.
    #[must_use]
    pub fn longest(mut self, bytes: usize) -> Self {
        self.mutator.longest = bytes;
        self
    }

    /// Memory that reading may take at any moment: so much for each byte of input, and so much in any case.
    #[must_use]
    pub fn memory(mut self, bytes_per_byte: u64, at_least: u64) -> Self {
        (self.bytes_per_byte, self.bytes_at_least) = (bytes_per_byte, at_least);
        self
    }

    /// Throws. The target answers what came of an input in words; which ones does not matter, only that they differ where the
    /// input got further.
    ///
    /// # Panics
    /// When an input broke a promise, with the file it was written to; when there is no corpus.
    pub fn run(self, target: impl Fn(&[u8]) -> String + Sync) {
        // A service's thread has this much stack, and what nests too deep must be found here.
        std::thread::scope(|scope| {
            let thread = std::thread::Builder::new()
                .name(self.name.to_owned())
                .stack_size(STACK_BYTES);
            let ended = thread
                .spawn_scoped(scope, || self.throw(&target))
                .map(std::thread::ScopedJoinHandle::join);
            match ended {
                Ok(Ok(())) => {}
                Ok(Err(panic)) => std::panic::resume_unwind(panic),
                Err(why) => panic!("no thread for {}: {why}", self.name),
            }
        });
    }

    fn throw(&self, target: &(impl Fn(&[u8]) -> String + Sync)) {
        let mut corpus = Corpus::read(&self.folder);
        for folder in &self.also {
            corpus.inputs.append(&mut Corpus::read(folder).inputs);
        }
        let plan = self.plan();
        let mut heard = HashSet::new();
        let mut pool = Vec::new();
        for (file, input) in corpus.inputs {
            match self.attempt(target, &input) {
                Ok(words) => drop(heard.insert(gist(&words))),
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
                Ok(words) => {
                    if heard.insert(gist(&words)) && pool.len() < POOL {
                        pool.push(input);
                    }
                }
                Err(why) => self.found(target, input, &why, plan.seed, case),
            }
        }
        say(&format!(
            "{}: {case} cases in {:.1} s from seed {}, {} outcomes told apart",
            self.name,
            began.elapsed().as_secs_f32(),
            plan.seed,
            heard.len()
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

    /// Reads one input and answers what came of it, or which promise it broke.
    fn attempt(&self, target: &(impl Fn(&[u8]) -> String + Sync), input: &[u8]) -> Result<String, String> {
        let began = Instant::now();
        let mut came = Ok(String::new());
        let memory = allocation_counter::measure(|| {
            came = catch_unwind(AssertUnwindSafe(|| target(input)));
        });
        let words = came.map_err(|panic| {
            let words = panic.downcast_ref::<String>().map(String::as_str);
            let words = words.or_else(|| panic.downcast_ref::<&str>().copied());
            format!("it panicked: {}", words.unwrap_or("no words"))
        })?;
        let allowed = self.bytes_at_least + self.bytes_per_byte * input.len() as u64;
        if memory.bytes_max > allowed {
            return Err(format!(
                "{} bytes of input took {} bytes of memory, of {allowed} allowed",
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
        Ok(words)
    }

    /// Cuts the input down, keeps it, and ends the run.
    fn found(&self, target: &(impl Fn(&[u8]) -> String + Sync), input: Vec<u8>, why: &str, seed: u64, case: u64) -> ! {
        let loud = std::panic::take_hook();
        std::panic::set_hook(Box::new(|_| {}));
        let small = cut_down(input, |shorter| self.attempt(target, shorter).is_err());
        std::panic::set_hook(loud);
        let why = self.attempt(target, &small).err().unwrap_or_else(|| why.to_owned());
        let mut hash = DefaultHasher::new();
        small.hash(&mut hash);
        let file = self.folder.join(format!("found-{:08x}", hash.finish() as u32));
        let kept = match std::fs::write(&file, &small) {
            Ok(()) => format!("kept as {}; commit it with what mends it", file.display()),
            Err(error) => format!("it could not be kept in {}: {error}", file.display()),
        };
        panic!("{}, seed {seed}, case {case}: {why}\n{kept}", self.name);
    }
}

/// Leaves out ever smaller pieces for as long as what remains still breaks the promise.
fn cut_down(mut input: Vec<u8>, breaks: impl Fn(&[u8]) -> bool) -> Vec<u8> {
    let (mut piece, mut tries) = (input.len() / 2, 0);
    while piece > 0 {
        let mut at = 0;
        while at < input.len() {
            if tries == CUTS {
                return input;
            }
            tries += 1;
            let end = (at + piece).min(input.len());
            let shorter = [&input[..at], &input[end..]].concat();
            if breaks(&shorter) {
                input = shorter;
            } else {
                at = end;
            }
        }
        piece /= 2;
    }
    input
}

/// What stays the same of words that only differ in figures and quoted input.
fn gist(words: &str) -> u64 {
    let mut hash = DefaultHasher::new();
    for byte in words
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
        Err(_) => panic!("{name}={text} is no number"),
    }
}

#[expect(
    clippy::print_stderr,
    reason = "a run by hand wants to see what was done; a test run keeps it"
)]
fn say(text: &str) {
    eprintln!("{text}");
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Finds in `folder` what `target` cannot stand; answers the words of the failure.
    fn failure(target: impl Fn(&[u8]) -> String + Sync) -> (String, Vec<u8>) {
        let folder = std::env::temp_dir().join(format!("arrakis-fuzz-{:x}", rand::random::<u64>()));
        std::fs::create_dir_all(folder.join("fuzz/toy")).unwrap();
        std::fs::write(folder.join("fuzz/toy/good"), b"{\"a\":[1,2]}").unwrap();
        let fuzz = Fuzz::target(folder.to_str().unwrap(), "toy")
            .cases(20_000)
            .memory(8, 4_096);
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
    fn a_panic_behind_two_checks_is_found_and_cut_down() {
        let (words, input) = failure(|input| {
            if input.first() != Some(&b'[') {
                return "no list".to_owned();
            }
            assert!(!input.contains(&0xff), "a byte that is no text");
            "a list".to_owned()
        });
        assert!(words.contains("a byte that is no text"), "{words}");
        assert_eq!(input, [b'[', 0xff]);
    }

    #[test]
    fn memory_out_of_proportion_is_found() {
        let (words, _) = failure(|input| {
            let brackets = input.iter().filter(|byte| **byte == b'[').count();
            "x".repeat(brackets * 4_096).len().to_string()
        });
        assert!(words.contains("bytes of memory"), "{words}");
    }
}
