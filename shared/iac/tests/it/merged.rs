//! Files that are written from a theme: they have its resources, plan as a file that refers to it, and record where they come from.

use std::collections::BTreeMap;

use arrakis_domain::{Theme, VariableType};
use arrakis_iac::config::{VariableInputs, changed_theme, load};
use arrakis_iac::export::{merged, to_yaml};
use arrakis_iac::model::{Address, Attributes, Configuration, ThemeUse};
use arrakis_iac::plan::{Options, plan};
use arrakis_iac::state::State;
use arrakis_themes::{Registry, ThemeFolder};
use proptest::prelude::*;
use proptest::sample::select;

use crate::config::rules;
use crate::export::{cases, check_by_schema, read_back};
use crate::plan::world::empty_server;
use crate::themes;

/// The configuration of a file that refers to a theme, with these values.
fn linked(theme: &str, values: &[(String, String)]) -> Configuration {
    let inputs = VariableInputs {
        arguments: values.to_vec(),
        ..VariableInputs::default()
    };
    let text = format!("theme: {theme}\n");
    match load("linked.yaml", text.as_bytes(), themes(), &inputs) {
        Ok(loaded) => loaded.configuration,
        Err(problems) => panic!("{problems}"),
    }
}

/// The file with the resources of that configuration.
fn written(linked: &Configuration) -> String {
    let used = linked.theme.as_ref().unwrap();
    let theme = themes().with_settings(&used.id, &used.settings()).unwrap();
    merged(linked, &theme)
}

fn resources(configuration: &Configuration) -> Vec<(&Address, &Attributes)> {
    let resources = configuration.resources.iter();
    resources
        .map(|(address, resource)| (address, &resource.attributes))
        .collect()
}

/// Values of some variables and flags of a theme.
fn values(theme: &Theme) -> BoxedStrategy<Vec<(String, String)>> {
    let variables = theme.variables.iter().map(|(name, variable)| {
        let name = name.clone();
        let value = match variable.default.kind() {
            VariableType::Text => prop_oneof!["[a-zA-Z][a-zA-Z0-9 _.-]{1,39}", "[a-z]{2}[#:'\"${}éß🏜️]{1,10}"].boxed(),
            VariableType::Color => "#[0-9A-F]{6}".boxed(),
            VariableType::Boolean => select(vec!["true".to_owned(), "false".to_owned()]).boxed(),
            VariableType::Number => "[1-9][0-9]{0,2}".boxed(),
            VariableType::List => "[a-z]{1,8}(,[a-z]{1,8}){0,2}".boxed(),
        };
        value.prop_map(move |value| (name.clone(), value)).boxed()
    });
    let flags = theme.flags.keys().map(|name| {
        let name = name.clone();
        any::<bool>()
            .prop_map(move |is_on| (name.clone(), is_on.to_string()))
            .boxed()
    });
    let each: Vec<BoxedStrategy<(String, String)>> = variables.chain(flags).collect();
    let count = each.len();
    (each, proptest::collection::vec(any::<bool>(), count))
        .prop_map(|(values, is_given)| {
            let values = values.into_iter().zip(is_given);
            values
                .filter(|(_, is_given)| *is_given)
                .map(|(value, _)| value)
                .collect()
        })
        .boxed()
}

/// A bundled theme, with values.
fn uses() -> impl Strategy<Value = (String, Vec<(String, String)>)> {
    let themes: Vec<(String, Theme)> = themes()
        .all()
        .map(|theme| (theme.id.to_string(), Theme::clone(theme)))
        .collect();
    select(themes).prop_flat_map(|(id, theme)| (Just(id), values(&theme)))
}

proptest! {
    #![proptest_config(ProptestConfig { max_shrink_iters: 500, ..ProptestConfig::with_cases(cases(48)) })]

    #[test]
    fn merged_file_plans_as_the_file_that_refers_to_the_theme((theme, values) in uses()) {
        let linked = linked(&theme, &values);
        let text = written(&linked);
        let read = read_back(&text);
        prop_assert_eq!(resources(&read), resources(&linked), "{}", text);
        prop_assert_eq!(&read.theme, &linked.theme);
        prop_assert_eq!(read.digest(), linked.digest());
        prop_assert_eq!(rules(&read), "");
        // Positions in the file are the only difference: only the merged file contains the resources.
        let of = |configuration: &Configuration| {
            let mut plan = plan(configuration, &State::new("lineage"), &empty_server(), &Options::default()).unwrap();
            for change in &mut plan.changes {
                change.origin = None;
            }
            plan
        };
        prop_assert_eq!(of(&read), of(&linked));
        // `gaib server config show` writes the same of both.
        prop_assert_eq!(to_yaml(&read, ""), to_yaml(&linked, ""));
        prop_assert_eq!(changed_theme(&read, themes()), None);
    }
}

#[test]
fn merged_files_of_the_bundled_themes_satisfy_the_schema() {
    for theme in themes().all() {
        let id = theme.id.as_str();
        check_by_schema(id, &written(&linked(id, &[])));
    }
}

#[test]
fn merged_file_names_the_theme_and_explains_access_in_its_tiers() {
    let values = [("community_name", "Sietch Tabr"), ("enable_voice", "true")];
    let values = values.map(|(name, value)| (name.to_owned(), value.to_owned()));
    let text = written(&linked("sietch", &values));
    let digest = linked("sietch", &values).theme.unwrap().digest;
    assert!(
        text.starts_with("# Sietch 3.0.0: A Fremen sietch in nine tiers,"),
        "{text}"
    );
    for part in [
        "\nfrom_theme:\n  name: sietch\n  version: \"3.0.0\"\n  digest: ",
        digest.as_str(),
        "\n  variables: { community_name: Sietch Tabr }\n",
        "\nserver:\n  name: Sietch Tabr\n  verification_level: medium\n",
        "\n# From the highest to the lowest.\nroles:\n  naib: { name: Naib, color: \"#FFD700\", hoist: true, mentionable: false, permissions: [ADMINISTRATOR] }\n",
        "\n# From the top.\ncategories:\n  # Seen by everyone.\n  stillsuit:\n    name: 📜 STILLSUIT\n    overwrites: {}\n    channels:\n      # Read: everyone. Write: Naib.\n      water-discipline:\n        name: water-discipline\n",
        "      # Read: everyone. Write: Naib, Shai-Hulud.\n      announcements:\n        kind: announcement\n",
        "  # Seen by Hajra and above.\n  cave-entrance:\n    name: 🚪 CAVE ENTRANCE\n",
        "      # Voices at the entrance.\n      # See: Hajra and above. Join, speak: Ichwan and above.\n      cave-voices:\n        kind: voice\n",
        "      # Read, write: Naib, Former Naib.\n      naib-archives:\n",
        "      everyone: { deny: [VIEW_CHANNEL] }\n      fedaykin: { allow: [VIEW_CHANNEL] }\n",
        "        slow_mode: 300\n",
    ] {
        assert!(text.contains(part), "no {part} in\n{text}");
    }
    assert!(!text.contains("${") && !text.contains("flags:"), "{text}");
    let order = [
        "  naib:",
        "  shai-hulud:",
        "  fedaykin:",
        "  veteran:",
        "\ncategories:",
        "  stillsuit:",
        "  support:",
    ];
    let places: Vec<usize> = order.iter().map(|key| text.find(key).unwrap()).collect();
    assert!(places.is_sorted(), "{places:?}");
}

#[test]
fn role_with_the_name_of_the_bot_is_referred_to_by_its_address() {
    let text = written(&linked("basic", &[]));
    assert!(text.contains("\n  bot:\n") || text.contains("\n  bot: {"), "{text}");
    assert!(text.contains("role.bot: {") || text.contains("role.bot:\n"), "{text}");
}

#[test]
fn value_of_a_variable_of_the_theme_is_refused_for_a_merged_file() {
    let text = written(&linked("basic", &[]));
    let given = |name: &str| VariableInputs {
        arguments: vec![(name.to_owned(), "true".to_owned())],
        ..VariableInputs::default()
    };
    let refusal = |name: &str| {
        load("f.yaml", text.as_bytes(), themes(), &given(name))
            .unwrap_err()
            .to_string()
    };
    for name in ["community_name", "enable_voice"] {
        let refused = refusal(name);
        assert!(
            refused.contains("the file contains the values of the theme"),
            "{refused}"
        );
    }
    assert!(refusal("community_nam").contains("there is no variable or flag `community_nam`"));
    let unnamed = load(
        "f.yaml",
        b"from_theme: { name: basic }",
        themes(),
        &VariableInputs::default(),
    );
    let refused = unnamed.unwrap_err().to_string();
    assert!(refused.contains("the `version` of the theme is missing"), "{refused}");
    // An environment may serve several files.
    let environment = VariableInputs {
        environment: BTreeMap::from([("community_name".to_owned(), "Carthag".to_owned())]),
        ..VariableInputs::default()
    };
    assert!(load("f.yaml", text.as_bytes(), themes(), &environment).is_ok());
}

#[test]
fn changed_theme_is_found_by_its_version_and_by_its_resources() {
    let folder_of_basic = || {
        let mut folders = ThemeFolder::embedded().into_iter();
        folders.find(|folder| folder.id == "basic").unwrap()
    };
    let edited = |file: &str, from: &str, to: &str| {
        let mut folder = folder_of_basic();
        let text = folder.files.get(file).unwrap().clone();
        assert!(text.contains(from), "{file}: {text}");
        folder.files.insert(file.to_owned(), text.replace(from, to));
        Registry::from_folders(vec![folder]).unwrap()
    };
    let values = [("color_gold".to_owned(), "#112233".to_owned())];
    let written = read_back(&written(&linked("basic", &values)));
    let recorded = written.theme.clone().unwrap();
    let unchanged = Registry::from_folders(vec![folder_of_basic()]).unwrap();
    assert_eq!(changed_theme(&written, &unchanged), None);

    let newer = edited("theme.yaml", "version: 1.0.0", "version: 1.1.0");
    let found = changed_theme(&written, &newer).unwrap();
    assert_eq!((found.version.as_str(), &found.digest), ("1.1.0", &recorded.digest));

    let other = edited("channels.yaml", "How we treat each other here.", "Be kind.");
    let found = changed_theme(&written, &other).unwrap();
    assert_eq!(
        (&found.version, &found.variables),
        (&recorded.version, &recorded.variables)
    );
    assert_ne!(found.digest, recorded.digest);

    let recording = |theme: ThemeUse| Configuration {
        theme: Some(theme),
        ..written.clone()
    };
    // A variable that the theme no longer has.
    let gone = ThemeUse {
        variables: BTreeMap::from([("color_of_gold".to_owned(), "#112233".to_owned())]),
        ..recorded.clone()
    };
    assert!(changed_theme(&recording(gone), &unchanged).is_some());
    let absent = ThemeUse {
        id: "nowhere".to_owned(),
        ..recorded
    };
    assert_eq!(changed_theme(&recording(absent), &unchanged), None);
}
