//! Themes of operators: no art, more badges than cells, and art that the theme loader accepts.

use std::collections::BTreeSet;
use std::sync::Arc;

use arrakis_badge_card::{Card, CardTemplate};
use arrakis_domain::{Badge, BadgeId, BadgeRule, Theme};

use crate::image::{Image, theme};

fn drawn(theme: &Theme, held: &[usize]) -> Image {
    let badges: BTreeSet<BadgeId> = held.iter().map(|index| theme.badges[*index].id.clone()).collect();
    let card = Card {
        name: "Chani",
        tier: None,
        rank: None,
        tenure_days: 2,
        badges: &badges,
        community: "Market",
    };
    Image::decode(&CardTemplate::new(theme).unwrap().draw(&card).unwrap())
}

fn with_badges(number: usize, art: Option<&str>) -> Theme {
    let badge = |index| Badge {
        id: BadgeId::new(format!("badge-{index}")).unwrap(),
        name: format!("Badge {index}"),
        emoji: "🐛".to_owned(),
        description: "For a test.".to_owned(),
        earned_by: BadgeRule::Given,
        art: art.map(Arc::from),
    };
    Theme {
        badges: (0..number).map(badge).collect(),
        ..Theme::clone(&theme("basic"))
    }
}

#[test]
fn badge_without_art_is_a_medal_with_its_emoji() {
    let theme = with_badges(3, None);
    let earned = drawn(&theme, &[0]).colourfulness((150, 300, 120, 120));
    let dimmed = drawn(&theme, &[]).colourfulness((150, 300, 120, 120));
    assert!(earned > 2 * dimmed, "{earned} and {dimmed}");
}

#[test]
fn any_number_of_badges_has_a_card() {
    assert_eq!(drawn(&with_badges(0, None), &[]).height, 366);
    let heights = [1, 6, 7, 24, 25, 200].map(|number| drawn(&with_badges(number, None), &[]).height);
    assert!(heights.iter().all(|height| *height <= 1_262), "{heights:?}");
    assert_eq!(heights[3], heights[5], "the last cell stands for those that have none");
}

#[test]
fn earned_badges_come_first_where_cells_are_missing() {
    let theme = with_badges(60, None);
    let first = (60, 300, 120, 120);
    assert!(drawn(&theme, &[59]).colourfulness(first) > drawn(&theme, &[]).colourfulness(first) + 20);
}

/// Checked art that is as costly as the limits of the theme loader allow.
#[test]
fn costly_art_is_drawn_within_bounds() {
    let circle = "<circle cx='48' cy='48' r='48' fill='url(#a)' clip-path='url(#c)' opacity='.1'/>";
    let art = format!(
        "<svg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 96 96'><linearGradient id='a'><stop offset='0' \
         stop-color='red'/></linearGradient><clipPath id='c'><path d='M-99999-99999H99999V99999H-99999Z'/></clipPath>{}</svg>",
        circle.repeat(380)
    );
    let began = std::time::Instant::now();
    let image = drawn(&with_badges(1, Some(&art)), &[0]);
    assert!(image.colourfulness((480, 320, 120, 120)) > 30);
    assert!(began.elapsed().as_secs() < 20, "{:?}", began.elapsed());
}

#[test]
fn art_refers_to_nothing_outside_even_without_the_loader() {
    let art = "<svg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 96 96'><image href='/etc/passwd' width='96' height='96'/></svg>";
    let with_image = drawn(&with_badges(1, Some(art)), &[0]);
    let empty = drawn(
        &with_badges(1, Some("<svg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 96 96'/>")),
        &[0],
    );
    assert_eq!(with_image, empty);
}

#[test]
fn art_that_is_no_svg_is_an_error_with_the_badge() {
    let theme = with_badges(1, Some("<html/>"));
    let error = CardTemplate::new(&theme).unwrap_err().to_string();
    assert!(
        error.starts_with("the art of the badge `badge-0` cannot be drawn: "),
        "{error}"
    );
}
