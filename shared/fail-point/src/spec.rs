//! The grammar: `name[what]=action(argument)@N%P;…`.

use std::str::FromStr;
use std::time::Duration;

use crate::points::POINTS;

/// What a fail point does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Action {
    /// Sends SIGKILL to its own process: nothing is flushed or closed.
    Kill,
    /// Calls `abort()`.
    Abort,
    /// Panics.
    Panic,
    /// Skips a guard.
    Skip,
    /// Continues after this time.
    Sleep(Duration),
    /// Never continues.
    Hang,
}

/// At which hits of a point its action is performed.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Trigger {
    /// At each hit.
    Always,
    /// At the Nth hit, counted from 1.
    Nth(u64),
    /// At the Nth hit and all later ones.
    From(u64),
    /// At each hit with this probability, 0 to 1.
    Probability(f64),
}

/// An armed fail point.
#[derive(Debug, Clone, PartialEq)]
pub struct ArmedPoint {
    /// Name of the point.
    pub name: &'static str,
    /// Restricts the point to hits with this name, from `name[what]`.
    pub what: Option<String>,
    /// What it does.
    pub action: Action,
    /// At which hits.
    pub trigger: Trigger,
}

/// A parsed `ARRAKIS_FAIL_POINTS`.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Spec {
    /// Seed of [`Trigger::Probability`].
    pub seed: u64,
    /// The armed points.
    pub points: Vec<ArmedPoint>,
}

/// Why a specification is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SpecError {
    /// Not of the form `name=action`.
    #[error("\"{0}\" is not of the form name=action; example: broker.consumed=kill@3")]
    Form(String),
    /// No such point.
    #[error("there is no fail point \"{0}\"; the list is in docs/faults.md")]
    Unknown(String),
    /// No such action, or an invalid argument.
    #[error(
        "\"{0}\" is not an action; actions are kill, abort, panic, skip, sleep(milliseconds), hang, each with @N, @N+ or %percent"
    )]
    Action(String),
    /// This is a release build.
    #[error("this build has no fail points; only debug builds have them")]
    ReleaseBuild,
}

impl Spec {
    /// Whether nothing is armed.
    pub fn is_empty(&self) -> bool {
        self.points.is_empty()
    }
}

impl FromStr for Spec {
    type Err = SpecError;

    fn from_str(text: &str) -> Result<Self, SpecError> {
        let mut spec = Self::default();
        for part in text.split(';').map(str::trim).filter(|part| !part.is_empty()) {
            let form = || SpecError::Form(part.to_owned());
            let (name, action) = part.split_once('=').ok_or_else(form)?;
            if name == "seed" {
                spec.seed = action.parse().map_err(|_| form())?;
                continue;
            }
            spec.points.push(armed(name, action).map_err(|error| match error {
                SpecError::Form(_) => form(),
                other => other,
            })?);
        }
        Ok(spec)
    }
}

fn armed(name: &str, action: &str) -> Result<ArmedPoint, SpecError> {
    let (name, what) = match name.split_once('[') {
        Some((name, what)) => {
            let what = what.strip_suffix(']').ok_or_else(|| SpecError::Form(String::new()))?;
            (name, Some(what.to_owned()))
        }
        None => (name, None),
    };
    let point = POINTS.iter().find(|point| point.name == name);
    let name = point.ok_or_else(|| SpecError::Unknown(name.to_owned()))?.name;
    let invalid = || SpecError::Action(action.to_owned());
    let (text, trigger) = if let Some((text, at)) = action.split_once('@') {
        let number = |text: &str| text.parse().ok().filter(|n| *n > 0).ok_or_else(invalid);
        let trigger = match at.strip_suffix('+') {
            Some(from) => Trigger::From(number(from)?),
            None => Trigger::Nth(number(at)?),
        };
        (text, trigger)
    } else if let Some((text, percent)) = action.split_once('%') {
        let percent: f64 = percent.parse().map_err(|_| invalid())?;
        if !(0.0..=100.0).contains(&percent) {
            return Err(invalid());
        }
        (text, Trigger::Probability(percent / 100.0))
    } else {
        (action, Trigger::Always)
    };
    let action = match text {
        "kill" => Action::Kill,
        "abort" => Action::Abort,
        "panic" => Action::Panic,
        "skip" => Action::Skip,
        "hang" => Action::Hang,
        _ => {
            let argument = text.strip_prefix("sleep(").and_then(|rest| rest.strip_suffix(')'));
            let millis = argument.and_then(|text| text.parse().ok()).ok_or_else(invalid)?;
            Action::Sleep(Duration::from_millis(millis))
        }
    };
    Ok(ArmedPoint {
        name,
        what,
        action,
        trigger,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn specification_is_parsed() {
        let spec: Spec = "seed=7; discord.called[defer]=kill@3;db.committed=sleep(500)%10;db.guard.inbox=skip;broker.consumed=hang@2+"
            .parse()
            .unwrap();
        assert_eq!(spec.seed, 7);
        assert_eq!(
            spec.points[0],
            ArmedPoint {
                name: "discord.called",
                what: Some("defer".to_owned()),
                action: Action::Kill,
                trigger: Trigger::Nth(3),
            }
        );
        assert_eq!(spec.points[1].action, Action::Sleep(Duration::from_millis(500)));
        assert_eq!(spec.points[1].trigger, Trigger::Probability(0.1));
        assert_eq!(spec.points[2].trigger, Trigger::Always);
        assert_eq!(spec.points[3].trigger, Trigger::From(2));
        assert!("".parse::<Spec>().unwrap().is_empty());
    }

    #[test]
    fn invalid_specification_is_named() {
        let error = |text: &str| text.parse::<Spec>().unwrap_err().to_string();
        assert!(error("broker.consumed").contains("broker.consumed"));
        assert!(error("discord.called[defer=kill").contains("discord.called[defer=kill"));
        assert!(error("worker.cosumed=kill").contains("\"worker.cosumed\""));
        for action in ["explode", "kill@0", "kill@x", "kill%101", "sleep", "sleep(x)"] {
            assert!(error(&format!("broker.consumed={action}")).contains(action), "{action}");
        }
    }
}
