//! Writes sample cards of both themes to a folder, and prints the CPU time of drawing each:
//! `cargo run --release -p arrakis-badge-card --example card -- /tmp/cards`.

#![allow(clippy::print_stdout)]

use std::collections::BTreeSet;
use std::error::Error;
use std::path::PathBuf;
use std::time::Instant;

use arrakis_badge_card::{Card, CardTemplate};
use arrakis_domain::{BadgeId, Rank, Theme, TierId};
use arrakis_themes::Registry;

/// Theme, tier, rank, days, number of badges, name.
type Sample = (
    &'static str,
    Option<&'static str>,
    Option<u32>,
    u32,
    usize,
    &'static str,
);

const SAMPLES: [Sample; 9] = [
    ("sietch", Some("naib"), Some(1), 214, 7, "Chani Kynes"),
    ("sietch", Some("fedaykin"), Some(42), 97, 5, "Stilgar"),
    (
        "sietch",
        Some("sayyadina"),
        Some(1_204),
        3,
        1,
        "𝕽𝖊𝖛𝖊𝖗𝖊𝖓𝖉 𝕸𝖔𝖙𝖍𝖊𝖗 𝕳𝖊𝖑𝖊𝖓 𝕲𝖆𝖎𝖚𝖘 𝕸𝖔𝖍𝖎𝖆𝖒",
    ),
    (
        "sietch",
        Some("hajra"),
        Some(1_234_567),
        181,
        12,
        "محمد علي 🐪 ابن الصحراء الطويل",
    ),
    ("sietch", None, None, 0, 0, "山田太郎 👑"),
    ("basic", Some("gold"), Some(3), 400, 5, "Ada Lovelace"),
    ("basic", Some("silver"), Some(48), 120, 2, "김민준 🐛"),
    ("basic", Some("bronze"), Some(99), 1, 1, "</text><script>Zalgo Z̸̧̢̛͍̼̈́̃a̴l̷g̸o"),
    ("basic", None, None, 29, 0, "W̲W̲W̲W̲WWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWW"),
];

fn main() -> Result<(), Box<dyn Error>> {
    let folder: PathBuf = std::env::args_os().nth(1).ok_or("usage: card FOLDER")?.into();
    let registry = Registry::load(None)?;
    for (index, sample) in SAMPLES.iter().enumerate() {
        let (theme, tier, rank, tenure_days, count, name) = *sample;
        let theme = registry.theme(theme)?;
        let began = Instant::now();
        let template = CardTemplate::new(theme)?;
        let prepared = began.elapsed();
        let badges = first_badges(theme, count);
        let tier = tier.map(TierId::new).transpose()?;
        let tier = tier.and_then(|tier| theme.tier(&tier));
        let card = Card {
            name,
            tier: tier.map(|tier| (tier.name.as_str(), tier.color)),
            rank: rank.and_then(Rank::new),
            tenure_days,
            badges: &badges,
            community: "Sietch Tabr",
        };
        let first = template.draw(&card)?;
        const RUNS: u32 = 20;
        let began = Instant::now();
        for _ in 0..RUNS {
            template.draw(&card)?;
        }
        let drawn = began.elapsed() / RUNS;
        let path = folder.join(format!("{}-{index}.png", theme.id));
        std::fs::write(&path, &first)?;
        println!(
            "{}: template {prepared:.1?}, card {drawn:.1?}, {} kB",
            path.display(),
            first.len() / 1_000
        );
    }
    Ok(())
}

fn first_badges(theme: &Theme, count: usize) -> BTreeSet<BadgeId> {
    theme.badges.iter().take(count).map(|badge| badge.id.clone()).collect()
}
