//! Errors of a declaration. The broker's reply text for an object that differs is parsed into object, argument and both values.

/// Why the topology cannot be declared.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TopologyError {
    /// An object exists with another value of an argument or property.
    #[error(
        "{object} \"{name}\" exists and differs: {argument} is {theirs} in the broker and {ours} in this build. RabbitMQ cannot change \
         it: drain and delete it, or deploy the version that declared it"
    )]
    Differs {
        /// `exchange` or `queue`.
        object: String,
        /// Its name.
        name: String,
        /// The argument or property that differs.
        argument: String,
        /// Value in this build.
        ours: String,
        /// Value in the broker.
        theirs: String,
    },
    /// The broker refused an object for another reason, such as an argument that its version does not know.
    #[error("the broker refuses {object} \"{name}\": {reason}")]
    Refused {
        /// `exchange`, `queue` or `binding`.
        object: &'static str,
        /// Its name.
        name: String,
        /// The broker's reply text.
        reason: String,
    },
    /// The connection or the channel was lost.
    #[error("connection lost while the topology was declared: {0}")]
    Unreachable(String),
}

impl TopologyError {
    /// Whether another attempt on a new connection can succeed.
    pub fn is_transient(&self) -> bool {
        matches!(self, Self::Unreachable(_))
    }

    /// Whether this user of the broker may not declare the object.
    pub fn is_access_refused(&self) -> bool {
        matches!(self, Self::Refused { reason, .. } if reason.starts_with("ACCESS_REFUSED"))
    }

    /// The error of a declaration of `object` `name`.
    pub(super) fn from_lapin(object: &'static str, name: &str, error: &lapin::Error) -> Self {
        let lapin::ErrorKind::ProtocolError(refusal) = error.kind() else {
            return Self::Unreachable(error.to_string());
        };
        // A hard error closes the connection (shutdown of the broker, forced close) and does not concern this object.
        if error.is_amqp_hard_error() {
            return Self::Unreachable(error.to_string());
        }
        let reason = refusal.get_message().as_str();
        inequivalent(reason).unwrap_or_else(|| Self::Refused {
            object,
            name: name.to_owned(),
            reason: reason.to_owned(),
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
    fn reply_text_is_parsed() {
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
    fn error_names_object_argument_values_and_remedy() {
        let text = differs("queue", "q", "durable", "true", "false").to_string();
        assert!(
            text.starts_with("queue \"q\" exists and differs: durable is false in the broker and true in this build."),
            "{text}"
        );
        assert!(text.contains("delete it"), "{text}");
    }
}
