//! The badges of both themes: each rule at its boundary, and the art.

use std::collections::BTreeSet;

use arrakis_domain::{BadgeId, Balance, MemberFacts, Rank, RuleSetId, Standing, Theme, TierId};
use arrakis_themes::Registry;

/// The badges that a member of a theme with this rank, holding and facts has, by the theme's default rules.
fn badges(theme: &str, rank: u32, held: u64, facts: &MemberFacts) -> BTreeSet<String> {
    let registry = Registry::load(None).unwrap();
    let theme: &Theme = registry.theme(theme).unwrap();
    let ladder = theme.ladder(None::<&RuleSetId>).unwrap();
    let standing = Standing::new(Rank::new(rank), Balance::from_tokens(held));
    let evaluation = theme.evaluate(ladder, standing, facts);
    evaluation.badges.iter().map(ToString::to_string).collect()
}

/// The badges without a rank and a holding.
fn by_facts(theme: &str, facts: &MemberFacts) -> BTreeSet<String> {
    badges(theme, 0, 0, facts)
}

fn names(list: &[&str]) -> BTreeSet<String> {
    list.iter().map(|name| (*name).to_owned()).collect()
}

fn tenure(days: u32) -> MemberFacts {
    MemberFacts {
        tenure_days: days,
        ..MemberFacts::default()
    }
}

fn active(days: u8) -> MemberFacts {
    MemberFacts {
        active_days: days,
        ..MemberFacts::default()
    }
}

fn reached(tiers: &[&str]) -> MemberFacts {
    MemberFacts {
        reached: tiers.iter().map(|tier| TierId::new(*tier).unwrap()).collect(),
        ..MemberFacts::default()
    }
}

fn given(badge: &str) -> MemberFacts {
    MemberFacts {
        given: [BadgeId::new(badge).unwrap()].into(),
        ..MemberFacts::default()
    }
}

#[test]
fn sietch_tenure_at_30_90_and_180_days() {
    let all = ["sand-walker", "desert-kin", "elder-of-the-rock"];
    for (days, held) in [
        (0, 0),
        (29, 0),
        (30, 1),
        (89, 1),
        (90, 2),
        (179, 2),
        (180, 3),
        (u32::MAX, 3),
    ] {
        assert_eq!(by_facts("sietch", &tenure(days)), names(&all[..held]), "{days} days");
    }
}

#[test]
fn sietch_activity_on_5_12_and_20_days() {
    let all = ["thumper", "maker-caller", "sandrider"];
    for (days, held) in [(0, 0), (4, 0), (5, 1), (11, 1), (12, 2), (19, 2), (20, 3), (30, 3)] {
        assert_eq!(by_facts("sietch", &active(days)), names(&all[..held]), "{days} days");
    }
}

#[test]
fn sietch_ascent_at_the_boundaries_of_hajra_fedaykin_and_naib() {
    let none = MemberFacts::default();
    let all = ["first-crossing", "crysknife", "seat-of-the-seven"];
    // Hajra begins at 6.9 tokens.
    for (rank, held, badges_held) in [
        (0, 6, 0),
        (0, 7, 1),
        (0, 1_111, 1),
        (70, 0, 0),
        (70, 7, 1),
        (69, 0, 2),
        (8, 0, 2),
        (7, 0, 3),
        (1, 0, 3),
    ] {
        let found = badges("sietch", rank, held, &none);
        assert_eq!(found, names(&all[..badges_held]), "rank {rank}, {held} tokens");
    }
}

#[test]
fn sietch_ascent_is_kept_after_a_fall() {
    assert_eq!(by_facts("sietch", &reached(&["hajra"])), names(&["first-crossing"]));
    assert_eq!(
        by_facts("sietch", &reached(&["usul"])),
        names(&["first-crossing"]),
        "above Hajra"
    );
    assert_eq!(
        by_facts("sietch", &reached(&["fedaykin"])),
        names(&["first-crossing", "crysknife"])
    );
}

#[test]
fn sietch_former_naib_has_left_the_seat() {
    let ascent = ["first-crossing", "crysknife", "seat-of-the-seven"];
    let former = ["first-crossing", "crysknife", "seat-of-the-seven", "former-naib"];
    let once = reached(&["naib"]);
    assert_eq!(badges("sietch", 7, 0, &once), names(&ascent), "still on the seat");
    assert_eq!(badges("sietch", 8, 0, &once), names(&former), "Fedaykin now");
    assert_eq!(by_facts("sietch", &once), names(&former), "nothing now");
    assert!(
        !badges("sietch", 8, 0, &reached(&["fedaykin"])).contains("former-naib"),
        "never a Naib"
    );
}

#[test]
fn given_and_shared_badges_are_held_while_they_are_given() {
    for (theme, badge) in [
        ("sietch", "contributor"),
        ("sietch", "water-sharer"),
        ("basic", "contributor"),
    ] {
        assert_eq!(by_facts(theme, &given(badge)), names(&[badge]));
        assert_eq!(by_facts(theme, &MemberFacts::default()), names(&[]));
    }
}

/// A row of `badges` may be of an earlier theme, or of a rule that has changed since.
#[test]
fn given_badge_that_is_earned_by_another_rule_does_not_count() {
    assert_eq!(by_facts("sietch", &given("sandrider")), names(&[]));
    assert_eq!(by_facts("basic", &given("water-sharer")), names(&[]));
}

#[test]
fn basic_early_adopter_is_among_the_first_hundred() {
    let order = |join_order| MemberFacts {
        join_order,
        ..MemberFacts::default()
    };
    for (place, holds) in [(Some(1), true), (Some(100), true), (Some(101), false), (None, false)] {
        assert_eq!(
            by_facts("basic", &order(place)).contains("early-adopter"),
            holds,
            "{place:?}"
        );
    }
    let registry = Registry::load(None).unwrap();
    assert_eq!(registry.theme("basic").unwrap().early_member_limit(), 100);
    assert_eq!(registry.theme("sietch").unwrap().early_member_limit(), 0);
}

#[test]
fn basic_veteran_and_active_at_their_boundaries() {
    assert_eq!(by_facts("basic", &tenure(89)), names(&[]));
    assert_eq!(by_facts("basic", &tenure(90)), names(&["veteran"]));
    assert_eq!(by_facts("basic", &active(19)), names(&[]));
    assert_eq!(by_facts("basic", &active(20)), names(&["active"]));
}

#[test]
fn basic_top_tier_is_for_whoever_was_ever_in_gold() {
    let none = MemberFacts::default();
    assert_eq!(badges("basic", 10, 0, &none), names(&["top-tier"]));
    assert_eq!(badges("basic", 11, 0, &none), names(&[]));
    assert_eq!(badges("basic", 50, 0, &reached(&["gold"])), names(&["top-tier"]));
    assert_eq!(by_facts("basic", &reached(&["gold"])), names(&["top-tier"]));
    assert_eq!(by_facts("basic", &reached(&["silver"])), names(&[]));
}

#[test]
fn every_badge_of_the_built_in_themes_has_its_art() {
    let registry = Registry::load(None).unwrap();
    for theme in ["basic", "sietch"].map(|id| registry.theme(id).unwrap()) {
        for badge in &theme.badges {
            let art = badge.art.as_ref().unwrap_or_else(|| panic!("{} has no art", badge.id));
            assert!(art.len() < 6_000, "{}: {} bytes", badge.id, art.len());
        }
        let different: BTreeSet<_> = theme.badges.iter().map(|badge| badge.art.clone()).collect();
        assert_eq!(different.len(), theme.badges.len(), "two badges look alike");
    }
}
