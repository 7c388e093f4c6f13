//! CPU time of drawing a badge card. The worker draws it beside its async threads; here it is drawn alone, without Discord or a
//! database.

use std::collections::BTreeSet;

use anyhow::Context as _;
use arrakis_badge_card::{Card, CardTemplate};
use arrakis_domain::{BadgeId, Rank, Theme};
use arrakis_themes::Registry;

use crate::bench::processes::own_cpu_s;
use crate::bench::{Bench, Bound};

/// Cards of each theme: the CPU time of a process is counted in hundredths of a second.
const CARDS: u32 = 100;
/// The threshold, in milliseconds.
const CPU_MS: f64 = 50.0;
/// Names in different scripts and lengths.
const NAMES: [&str; 4] = [
    "Chani",
    "Reverend Mother Gaius Helen Mohiam",
    "محمد علي 🐪",
    "山田太郎 👑",
];

/// Draws cards of both themes, in which a member holds half of the badges.
pub(super) async fn measure(bench: &mut Bench) -> anyhow::Result<()> {
    bench.progress("badge cards: CPU of drawing");
    let themes = Registry::load(None)?;
    for id in ["basic", "sietch"] {
        let theme = themes.theme(id)?.clone();
        let (ms, bytes) = tokio::task::spawn_blocking(move || draw(&theme)).await??;
        let name = format!("badge card of {id}: CPU");
        bench.figure(&name, ms, "ms", Bound::Below(CPU_MS));
        bench
            .notes
            .push(format!("badge card of {id}: {} kB on average", bytes / 1_000));
    }
    Ok(())
}

/// Average CPU time of a card in milliseconds, and its size in bytes. The badges of the theme are drawn before.
fn draw(theme: &Theme) -> anyhow::Result<(f64, usize)> {
    let template = CardTemplate::new(theme)?;
    let badges: BTreeSet<BadgeId> = theme.badges.iter().step_by(2).map(|badge| badge.id.clone()).collect();
    // The fonts are opened by the first card.
    one(&template, theme, &badges, 0)?;
    let (mut bytes, before) = (0, own_cpu_s()?);
    for n in 0..CARDS {
        bytes += one(&template, theme, &badges, n)?;
    }
    let ms = (own_cpu_s()? - before) * 1_000.0 / f64::from(CARDS);
    Ok((ms, bytes / CARDS as usize))
}

/// Draws the nth card; returns its size.
fn one(template: &CardTemplate, theme: &Theme, badges: &BTreeSet<BadgeId>, n: u32) -> anyhow::Result<usize> {
    let tier = theme.tiers.get(n as usize % theme.tiers.len());
    let card = Card {
        name: NAMES.get(n as usize % NAMES.len()).context("there are names")?,
        tier: tier.map(|tier| (tier.name.as_str(), tier.color)),
        rank: Rank::new(n + 1),
        tenure_days: n,
        badges,
        community: "Sietch Tabr",
    };
    Ok(template.draw(&card)?.len())
}
