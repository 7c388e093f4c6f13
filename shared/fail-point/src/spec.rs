//! The grammar: `name[what]=action(argument)@N%P;…`.

use std::str::FromStr;
use std::time::Duration;

use crate::points::POINTS;

/// What happens at a point.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Action {
    /// SIGKILL to the own process: nothing is flushed, nothing is closed.
    Kill,
    /// `abort()`.
    Abort,
    /// A panic.
    Panic,
    /// A guard is passed over.
    Skip,
    /// Goes on later.
    Sleep(Duration),
    /// Never goes on.
    Hang,
}

/// At which hits.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum When {
    /// Each.
    Always,
    /// The Nth, counted from 1.
    Nth(u64),
    /// The Nth and all later ones.
    From(u64),
    /// Each with this probability, 0 to 1.
    Chance(f64),
}

/// One armed point.
#[derive(Debug, Clone, PartialEq)]
pub struct Armed {
    /// Name of the point.
    pub name: &'static str,
    /// Only where this is in hand.
    pub what: Option<String>,
    /// What happens.
    pub action: Action,
    /// When.
    pub when: When,
}

/// What `ARRAKIS_FAIL_POINTS` says.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Spec {
    /// Seed of the probabilities.
    pub seed: u64,
    /// Armed points.
    pub points: Vec<Armed>,
}

/// Why a specification cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SpecError {
    /// Not of the form `name=action`.
    #[error("\"{0}\" is no fail point; example: broker.consumed=kill@3")]
    Form(String),
    /// No such point.
    #[error("there is no fail point \"{0}\"; the list is in docs/faults.md")]
    Unknown(String),
    /// No such action, or a bad argument.
    #[error(
        "\"{0}\" is no action; there are kill, abort, panic, skip, sleep(milliseconds), hang, each with @N, @N+ or %percent"
    )]
    Action(String),
    /// Armed in a build without fail points.
    #[error("this build has no fail points; they are in debug builds only")]
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

fn armed(name: &str, action: &str) -> Result<Armed, SpecError> {
    let (name, what) = match name.split_once('[') {
        Some((name, what)) => {
            let what = what.strip_suffix(']').ok_or_else(|| SpecError::Form(String::new()))?;
            (name, Some(what.to_owned()))
        }
        None => (name, None),
    };
    let known = POINTS.iter().find(|point| point.name == name);
    let name = known.ok_or_else(|| SpecError::Unknown(name.to_owned()))?.name;
    let bad = || SpecError::Action(action.to_owned());
    let (words, when) = if let Some((words, at)) = action.split_once('@') {
        let number = |text: &str| text.parse().ok().filter(|n| *n > 0).ok_or_else(bad);
        let when = match at.strip_suffix('+') {
            Some(from) => When::From(number(from)?),
            None => When::Nth(number(at)?),
        };
        (words, when)
    } else if let Some((words, percent)) = action.split_once('%') {
        let percent: f64 = percent.parse().map_err(|_| bad())?;
        if !(0.0..=100.0).contains(&percent) {
            return Err(bad());
        }
        (words, When::Chance(percent / 100.0))
    } else {
        (action, When::Always)
    };
    let action = match words {
        "kill" => Action::Kill,
        "abort" => Action::Abort,
        "panic" => Action::Panic,
        "skip" => Action::Skip,
        "hang" => Action::Hang,
        _ => {
            let argument = words.strip_prefix("sleep(").and_then(|rest| rest.strip_suffix(')'));
            let millis = argument.and_then(|text| text.parse().ok()).ok_or_else(bad)?;
            Action::Sleep(Duration::from_millis(millis))
        }
    };
    Ok(Armed {
        name,
        what,
        action,
        when,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_specification_reads_as_written() {
        let spec: Spec = "seed=7; discord.called[defer]=kill@3;db.committed=sleep(500)%10;db.guard.inbox=skip;broker.consumed=hang@2+"
            .parse()
            .unwrap();
        assert_eq!(spec.seed, 7);
        assert_eq!(
            spec.points[0],
            Armed {
                name: "discord.called",
                what: Some("defer".to_owned()),
                action: Action::Kill,
                when: When::Nth(3),
            }
        );
        assert_eq!(spec.points[1].action, Action::Sleep(Duration::from_millis(500)));
        assert_eq!(spec.points[1].when, When::Chance(0.1));
        assert_eq!(spec.points[2].when, When::Always);
        assert_eq!(spec.points[3].when, When::From(2));
        assert!("".parse::<Spec>().unwrap().is_empty());
    }

    #[test]
    fn what_cannot_be_meant_is_refused_by_name() {
        let error = |text: &str| text.parse::<Spec>().unwrap_err().to_string();
        assert!(error("broker.consumed").contains("broker.consumed"));
        assert!(error("discord.called[defer=kill").contains("discord.called[defer=kill"));
        assert!(error("worker.cosumed=kill").contains("\"worker.cosumed\""));
        for action in ["explode", "kill@0", "kill@x", "kill%101", "sleep", "sleep(x)"] {
            assert!(error(&format!("broker.consumed={action}")).contains(action), "{action}");
        }
    }
}
