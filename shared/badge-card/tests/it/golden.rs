//! Cards compared with their kept pictures, reduced to one pixel for each square of 12: rounding that differs between platforms does not
//! matter, a part that is missing or elsewhere does. `UPDATE_GOLDEN=1` keeps the present pictures.

use std::path::PathBuf;

use crate::image::{CHANI, Image, Sample};

const SIDE: usize = 12;
/// Largest difference of a channel of one square.
const MAX_DIFFERENCE: u8 = 20;
/// Largest average difference.
const MAX_AVERAGE: f64 = 1.0;

fn assert_golden(name: &str, sample: Sample<'_>) -> Image {
    let image = sample.draw();
    let reduced = image.reduced(SIDE);
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join(format!("tests/golden/{name}.png"));
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        std::fs::write(&path, reduced.encode()).unwrap();
    }
    let kept = Image::decode(&std::fs::read(&path).unwrap());
    assert_eq!((reduced.width, reduced.height), (kept.width, kept.height), "{name}");
    let differences: Vec<u8> = reduced.rgb.iter().zip(&kept.rgb).map(|(a, b)| a.abs_diff(*b)).collect();
    let largest = differences.iter().max().copied().unwrap();
    let sum: f64 = differences.iter().map(|difference| f64::from(*difference)).sum();
    let average = sum / differences.len() as f64;
    assert!(
        largest <= MAX_DIFFERENCE && average <= MAX_AVERAGE,
        "{name} differs by up to {largest}, {average:.2} on average; look at it with the example `card`"
    );
    image
}

#[test]
fn card_of_a_naib() {
    let image = assert_golden("naib", CHANI);
    assert_eq!((image.width, image.height), (1_080, 814));
    let (first, eighth) = ((50, 300, 140, 120), (218, 520, 140, 120));
    let (earned, open) = (image.colourfulness(first), image.colourfulness(eighth));
    assert!(
        earned > 2 * open,
        "the first badge is earned and the eighth is not: {earned} and {open}"
    );
}

#[test]
fn card_of_a_member_without_anything() {
    let sample = Sample {
        name: "Duncan",
        tier: None,
        rank: None,
        days: 0,
        badges: 0,
        ..CHANI
    };
    assert_golden("newcomer", sample);
}

#[test]
fn card_of_basic_in_gold() {
    let sample = Sample {
        theme: "basic",
        name: "Ada Lovelace",
        tier: Some("gold"),
        rank: Some(3),
        days: 1_400,
        badges: 5,
    };
    assert_golden("gold", sample);
}

#[test]
fn colour_is_that_of_the_tier() {
    let emblem = (60, 60, 30, 170);
    let tiers = ["naib", "fedaykin", "sayyadina", "sihaya"];
    let colours = tiers.map(|tier| {
        let sample = Sample {
            tier: Some(tier),
            ..CHANI
        };
        sample.draw().average(emblem)
    });
    let [naib, fedaykin, sayyadina, sihaya] = colours;
    assert!(naib[0] > naib[2] + 40, "gold: {naib:?}");
    assert!(fedaykin[2] > fedaykin[0] + 40, "blue: {fedaykin:?}");
    assert!(sayyadina[2] > sayyadina[1] + 40, "violet: {sayyadina:?}");
    assert!(sihaya[1] > sihaya[0] + 20, "green: {sihaya:?}");
}

#[test]
fn two_drawings_of_a_card_are_equal() {
    assert_eq!(CHANI.draw(), CHANI.draw());
}
