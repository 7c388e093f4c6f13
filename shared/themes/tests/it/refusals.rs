//! Invalid themes: each kind of problem with the message that the theme's author reads.

use arrakis_themes::{Registry, Settings, ThemeFolder, ThemeTemplate};

fn sietch() -> ThemeFolder {
    ThemeFolder::embedded()
        .into_iter()
        .find(|folder| folder.id == "sietch")
        .unwrap()
}

/// The problems after replacing `from` by `to` in a file of `sietch`.
fn refusal(file: &str, from: &str, to: &str) -> String {
    let mut folder = sietch();
    let text = folder.files.get_mut(file).unwrap();
    assert!(text.contains(from), "{file} has no {from:?} to change");
    *text = text.replacen(from, to, 1);
    problems_of(folder)
}

fn problems_of(folder: ThemeFolder) -> String {
    match ThemeTemplate::parse(folder).and_then(|template| template.resolve(&Settings::default())) {
        Ok(_) => panic!("the theme was accepted"),
        Err(problems) => problems.to_string(),
    }
}

macro_rules! refused {
    ($($name:ident: $file:literal, $from:literal => $to:literal;)+) => {
        $(#[test]
        fn $name() {
            insta::assert_snapshot!(stringify!($name), refusal($file, $from, $to));
        })+
    };
}

refused! {
    // The YAML itself.
    yaml_is_broken: "tiers.yaml", "tiers:\n" => "tiers: [\n";
    a_key_is_misspelt: "tiers.yaml", "    emoji: 👑" => "    emojy: 👑";
    a_key_is_nothing_like_any: "tiers.yaml", "    emoji: 👑" => "    sandworm: 👑";
    a_key_is_missing: "badges.yaml", "    emoji: 👣\n" => "";
    a_key_is_there_twice: "badges.yaml", "    emoji: 👣\n" => "    emoji: 👣\n    emoji: 👣\n";
    a_kind_is_misspelt: "channels.yaml", "kind: announcement" => "kind: anouncement";
    a_list_where_a_text_belongs: "badges.yaml", "name: Sand Walker" => "name: [Sand, Walker]";
    a_colour_without_quotes: "theme.yaml", "accent: ${color_hajra}" => "accent: #C2B280";

    // Values.
    a_bad_colour: "theme.yaml", "\"#FFD700\", description: Colour of the council" => "\"#FFD70\", description: Colour of the council";
    a_variable_is_misspelt: "tiers.yaml", "${color_fedaykin}" => "${color_fedaikin}";
    a_reference_is_not_closed: "tiers.yaml", "${color_fedaykin}" => "${color_fedaykin";
    a_variable_refers_to_itself: "theme.yaml", "default: Sietch," => "default: \"${community_name}\",";
    a_default_of_another_type: "theme.yaml", "{ type: string, default: Sietch," => "{ type: number, default: Sietch,";
    a_version_of_two_numbers: "theme.yaml", "version: 3.0.0" => "version: 3.0";
    an_unknown_plan: "theme.yaml", "plan: premium" => "plan: premum";
    a_text_is_empty: "theme.yaml", "footer: Water is life" => "footer: \"\"";
    a_balance_is_no_number: "tiers.yaml", "minimum: 6.9" => "minimum: \"6,9\"";
    a_range_is_malformed: "tiers.yaml", "{ balance: { ranks: 1-7 }" => "{ balance: { ranks: 1 to 7 }";
    a_range_runs_backwards: "tiers.yaml", "{ balance: { ranks: 8-69 }" => "{ balance: { ranks: 69-8 }";
    a_permission_is_misspelt: "roles.yaml", "[ADMINISTRATOR]" => "[ADMINSTRATOR]";
    a_slow_mode_is_too_slow: "channels.yaml", "slow_mode: 300" => "slow_mode: 86400";
    a_channel_name_is_not_as_discord_writes_it: "channels.yaml", "      - id: spice\n" => "      - id: spice\n        name: The Spice  Market\n";
    a_setting_of_another_kind: "channels.yaml", "slow_mode: 300" => "bitrate: 64000";

    // Inconsistencies.
    a_tier_is_there_twice: "tiers.yaml", "id: usul" => "id: fedaykin";
    a_rule_asks_for_nothing: "tiers.yaml", "{ balance: { ranks: 1-7 }" => "{ balance: { }";
    ranks_overlap: "tiers.yaml", "{ balance: { ranks: 8-69 }" => "{ balance: { ranks: 7-69 }";
    ranks_leave_a_gap: "tiers.yaml", "ranked: { ranks: 101-150 }" => "ranked: { ranks: 102-150 }";
    thresholds_do_not_fall: "tiers.yaml", "minimum: 888" => "minimum: 1111";
    a_minimum_of_nothing: "tiers.yaml", "minimum: 6.9" => "minimum: 0";
    ranks_stand_below_a_balance: "tiers.yaml", "{ balance: { minimum: 888 }" => "{ balance: { ranks: 70-80 }";
    a_rule_set_is_misspelt: "tiers.yaml", "default_rules: balance" => "default_rules: balence";
    a_tier_lacks_a_rule: "tiers.yaml", ", ranked: { ranks: 1001+ }" => "";
    a_badge_names_no_tier: "badges.yaml", "reached: fedaykin" => "reached: fedaikin";
    a_role_names_no_tier: "roles.yaml", "given_to: { tier: usul }" => "given_to: { tier: usull }";
    a_tier_has_no_role: "roles.yaml", "given_to: { tier: usul }" => "given_to: by_hand";
    a_tier_has_two_roles: "roles.yaml", "given_to: { tier: usul }" => "given_to: { tier: fedaykin }";
    roles_are_out_of_order: "roles.yaml", "position: 95" => "position: 85";
    more_badges_than_there_are: "roles.yaml", "{ badges: 5 }" => "{ badges: 13 }";
    an_audience_is_misspelt: "channels.yaml", "read: hajra+" => "read: hajar+";
    an_audience_names_no_role: "channels.yaml", "write: naib }" => "write: nabi }";
    a_voice_channel_that_is_read: "channels.yaml", "access: { see: hajra+, join: ichwan+ }" => "access: { read: hajra+ }";
    a_flag_is_misspelt: "channels.yaml", "flag: enable_voice" => "flag: enabel_voice";
    a_post_goes_nowhere: "channels.yaml", "arrivals: the-door" => "arrivals: the-doors";
    a_channel_is_there_twice: "channels.yaml", "id: spice" => "id: general";
}

#[test]
fn files_that_are_missing_or_misnamed() {
    let mut folder = sietch();
    let text = folder.files.remove("badges.yaml").unwrap();
    folder.files.insert("badge.yaml".into(), text);
    insta::assert_snapshot!(problems_of(folder));
}

#[test]
fn all_problems_are_reported_together() {
    let mut folder = sietch();
    for (file, from, to) in [
        ("tiers.yaml", "minimum: 6.9", "minimum: \"6,9\""),
        ("badges.yaml", "tenure_days: 30", "tenure_days: soon"),
        ("roles.yaml", "[ADMINISTRATOR]", "[ADMIN]"),
        ("channels.yaml", "write: naib }", "write: nabi }"),
    ] {
        let text = folder.files.get_mut(file).unwrap();
        *text = text.replacen(from, to, 1);
    }
    insta::assert_snapshot!(problems_of(folder));
}

#[test]
fn settings_that_do_not_fit() {
    let registry = Registry::load(None).unwrap();
    let settings = Settings::default()
        .with_variable("color_niab", "#000000")
        .with_variable("color_usul", "purple")
        .with_flag("enable_voise", true);
    insta::assert_snapshot!(registry.with_settings("sietch", &settings).unwrap_err().to_string());
}
