//! Distinct user names, from lists of words and a seeded random source.

use std::collections::HashSet;

use rand::RngExt as _;
use rand::rngs::ChaCha8Rng;

const FIRST: &[&str] = &[
    "amber", "ash", "basil", "birch", "brass", "cedar", "clay", "cobalt", "copper", "coral", "dawn", "delta", "dune",
    "echo", "ember", "fern", "flint", "frost", "gale", "granite", "harbor", "hazel", "indigo", "iris", "ivory", "jade",
    "juniper", "kestrel", "lark", "linen", "lunar", "maple", "mesa", "mica", "moss", "nova", "oak", "ochre", "onyx",
    "opal", "otter", "pearl", "pine", "quartz", "raven", "reed", "ridge", "sable", "sage", "salt", "sienna", "silt",
    "slate", "solar", "spruce", "storm", "sunny", "tamar", "teal", "thorn", "tidal", "umber", "velvet", "willow",
];
const SECOND: &[&str] = &[
    "anchor", "arrow", "badger", "beacon", "bell", "bridge", "canyon", "cloud", "comet", "crane", "creek", "falcon",
    "field", "finch", "forge", "fox", "garden", "glass", "grove", "hare", "hawk", "heron", "hill", "hollow", "ibex",
    "island", "jackal", "kettle", "lantern", "ledger", "lynx", "marsh", "meadow", "mill", "needle", "orchard", "owl",
    "path", "pebble", "pilot", "plover", "rider", "river", "rook", "sailor", "scout", "shade", "signal", "smith",
    "sparrow", "spring", "stone", "tinker", "tower", "trader", "vale", "walker", "water", "weaver", "wren",
];

/// A source of user names, each returned once.
#[derive(Debug, Default)]
pub(super) struct Names(HashSet<String>);

impl Names {
    /// The next name: two words, and a number where the pair is in use.
    pub(super) fn next(&mut self, random: &mut ChaCha8Rng) -> String {
        let first = FIRST[random.random_range(0..FIRST.len())];
        let second = SECOND[random.random_range(0..SECOND.len())];
        let base = format!("{first}_{second}");
        let name = if self.0.contains(&base) {
            format!("{base}{}", self.0.len())
        } else {
            base
        };
        self.0.insert(name.clone());
        name
    }
}

/// The display form of a name: `amber_fox` becomes `Amber Fox`.
pub(super) fn display(name: &str) -> String {
    let capital = |word: &str| {
        let mut letters = word.chars();
        letters
            .next()
            .map(|letter| letter.to_ascii_uppercase().to_string() + letters.as_str())
            .unwrap_or_default()
    };
    name.split('_').map(capital).collect::<Vec<_>>().join(" ")
}
