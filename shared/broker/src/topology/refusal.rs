//! What the broker says when an object differs, taken apart so that an operator reads object, argument, ours and theirs.

/// Why the topology is not as the code wants it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TopologyError {
    /// An object exists and differs.
    #[error(
        "{object} \"{name}\" exists and differs: {argument} is {theirs} there and {ours} here. RabbitMQ cannot change it in place: \
         drain and delete it, or deploy the version that made it"
    )]
    Differs {
        /// `exchange` or `queue`.
        object: String,
        /// Its name.
        name: String,
        /// Which argument or property differs.
        argument: String,
        /// What the code wants.
        ours: String,
        /// What the broker has.
        theirs: String,
    },
    /// The broker refused an object for another reason, such as an argument that its version does not know.
    #[error("the broker refuses {object} \"{name}\": {why}")]
    Refused {
        /// `exchange`, `queue` or `binding`.
        object: &'static str,
        /// Its name.
        name: String,
        /// The broker's words.
        why: String,
    },
    /// The connection or channel went away.
    #[error("the broker went away while the topology was declared: {0}")]
    Unreachable(String),
}

impl TopologyError {
    /// Whether trying again on a new connection can help.
    pub fn is_transient(&self) -> bool {
        matches!(self, Self::Unreachable(_))
    }

    /// Reads what lapin answered to a declaration of `object` `name`.
    pub(super) fn read(object: &'static str, name: &str, error: &lapin::Error) -> Self {
        let lapin::ErrorKind::ProtocolError(refusal) = error.kind() else {
            return Self::Unreachable(error.to_string());
        };
        // Hard errors close the connection (broker going down, forced close): not about this object.
        if error.is_amqp_hard_error() {
            return Self::Unreachable(error.to_string());
        }
        let why = refusal.get_message().as_str();
        inequivalent(why).unwrap_or_else(|| Self::Refused {
            object,
            name: name.to_owned(),
            why: why.to_owned(),
        })
    }
}

/// `PRECONDITION_FAILED - inequivalent arg 'x' for queue 'q' in vhost '/': received 'a' but current is 'b'`.
fn inequivalent(text: &str) -> Option<TopologyError> {
    let (_, rest) = text.split_once("inequivalent arg '")?;
    let (argument, rest) = rest.split_once("' for ")?;
    let (object, rest) = rest.split_once(" '")?;
    let (name, rest) = rest.split_once('\'')?;
    let (_, rest) = rest.split_once(": received ")?;
    let (ours, theirs) = rest.split_once(" but current is ")?;
    Some(TopologyError::Differs {
        object: object.to_owned(),
        name: name.to_owned(),
        argument: argument.to_owned(),
        ours: plain(ours),
        theirs: plain(theirs),
    })
}

/// `the value '10' of type 'signedint'` → `10`, `none` → `not set`.
fn plain(text: &str) -> String {
    if text.trim() == "none" {
        return "not set".to_owned();
    }
    text.split('\'').nth(1).unwrap_or(text).to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn differs(object: &str, name: &str, argument: &str, ours: &str, theirs: &str) -> TopologyError {
        let [object, name, argument, ours, theirs] = [object, name, argument, ours, theirs].map(str::to_owned);
        TopologyError::Differs {
            object,
            name,
            argument,
            ours,
            theirs,
        }
    }

    #[test]
    fn the_brokers_words_are_taken_apart() {
        let text = "PRECONDITION_FAILED - inequivalent arg 'x-max-priority' for queue 'arrakis.interactions' in vhost '/': \
                    received the value '10' of type 'signedint' but current is none";
        assert_eq!(
            inequivalent(text),
            Some(differs(
                "queue",
                "arrakis.interactions",
                "x-max-priority",
                "10",
                "not set"
            ))
        );
        let text = "PRECONDITION_FAILED - inequivalent arg 'type' for exchange 'arrakis.events' in vhost '/': received 'topic' but current is 'fanout'";
        assert_eq!(
            inequivalent(text),
            Some(differs("exchange", "arrakis.events", "type", "topic", "fanout"))
        );
        assert_eq!(inequivalent("NOT_FOUND - no queue 'x' in vhost '/'"), None);
    }

    #[test]
    fn the_error_names_everything_and_says_what_to_do() {
        let text = differs("queue", "q", "durable", "true", "false").to_string();
        assert!(
            text.starts_with("queue \"q\" exists and differs: durable is false there and true here."),
            "{text}"
        );
        assert!(text.contains("delete it"), "{text}");
    }
}
