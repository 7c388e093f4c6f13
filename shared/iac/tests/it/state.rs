//! The state document.

use arrakis_iac::model::{Address, Attributes, Channel, Clearable, Reference, Role, Snowflake};
use arrakis_iac::state::{State, StateEntry, StateError};

fn address(text: &str) -> Address {
    text.parse().unwrap()
}

fn id(number: u64) -> Snowflake {
    Snowflake::new(number).unwrap()
}

fn state() -> State {
    let mut state = State::new("lineage");
    let role = Role {
        name: Some("Guard".to_owned()),
        ..Role::default()
    };
    state.record(
        address("role.guard"),
        StateEntry {
            id: id(5),
            attributes: Attributes::Role(role),
        },
    );
    let category = Some(Clearable::Set(address("category.keep").into()));
    let channel = Channel {
        name: Some("gate".to_owned()),
        category,
        ..Channel::default()
    };
    state.record(
        address("channel.gate"),
        StateEntry {
            id: id(6),
            attributes: Attributes::Channel(channel),
        },
    );
    let keep = Channel {
        kind: arrakis_iac::model::ChannelKind::Category,
        ..Channel::default()
    };
    state.record(
        address("category.keep"),
        StateEntry {
            id: id(7),
            attributes: Attributes::Category(keep),
        },
    );
    state
}

fn category_of_gate(state: &State) -> Reference {
    let Attributes::Channel(channel) = &state.resources[&address("channel.gate")].attributes else {
        panic!()
    };
    channel.category.as_ref().unwrap().value().unwrap().clone()
}

#[test]
fn written_state_is_read_back_and_serial_increases() {
    let mut state = state();
    let bytes = state.advance();
    assert_eq!(state.serial, 1);
    assert_eq!(State::from_bytes(&bytes).unwrap(), state);
}

#[test]
fn invalid_states_are_refused_with_position() {
    let error = State::from_bytes(b"{\n  \"version\": 1,\n  \"serial\": -1\n}").unwrap_err();
    assert!(matches!(error, StateError::Malformed { line: 3, .. }), "{error}");
    let error = State::from_bytes(b"{\"version\": 7}").unwrap_err();
    assert!(error.to_string().contains("use a newer gaib"), "{error}");
    assert!(State::from_bytes(b"").is_err() && State::from_bytes(b"[1]").is_err());
    let unknown = String::from_utf8(state().to_bytes())
        .unwrap()
        .replace("\"lineage\"", "\"linage\"");
    assert!(State::from_bytes(unknown.as_bytes()).is_err());
}

#[test]
fn rename_changes_references_and_removal_replaces_them_by_ids() {
    let mut state = state();
    state
        .rename(&address("category.keep"), &address("category.castle"))
        .unwrap();
    assert_eq!(category_of_gate(&state), address("category.castle").into());
    state.forget(&address("category.castle"));
    assert_eq!(category_of_gate(&state), id(7).into());
    let error = state
        .rename(&address("role.guard"), &address("channel.guard"))
        .unwrap_err();
    assert!(error.to_string().contains("different kinds"), "{error}");
    let error = state.entry(&address("role.gaurd")).unwrap_err();
    assert!(error.to_string().contains("did you mean `role.guard`"), "{error}");
}

#[test]
fn resource_has_one_address() {
    let mut state = state();
    let entry = state.resources[&address("role.guard")].clone();
    let twice = state.import(address("role.watch"), entry.clone()).unwrap_err();
    assert!(matches!(twice, StateError::IdTaken { .. }), "{twice}");
    let taken = state
        .import(address("role.guard"), StateEntry { id: id(9), ..entry })
        .unwrap_err();
    assert!(matches!(taken, StateError::Taken(_)), "{taken}");
}
