//! Finds the message at which the broker closes the channel or the connection.
//!
//! With several under way the broker's close names none of them. So whatever was unconfirmed at such a close is sent again one
//! at a time; a message during whose turn the broker closes twice is the one, and is given up: it could never be published, and
//! everything behind it would wait for ever.

use crate::confirm::Interruption;

use super::window::Window;

/// Closes during a message's own turn after which it is given up.
const CLOSES: u32 = 2;

/// Turns of single messages.
#[derive(Debug)]
pub(super) struct OneByOne {
    /// The message whose turn it is, or the first number that it may be.
    next: u64,
    /// The last message that gets a turn.
    last: u64,
}

impl OneByOne {
    /// A turn for each unconfirmed message.
    pub(super) fn begin(window: &Window) -> Self {
        Self {
            next: 1,
            last: window.last(),
        }
    }

    /// The message whose turn it is; `None` when all had theirs.
    pub(super) fn turn(&mut self, window: &Window) -> Option<u64> {
        let number = window.next_from(self.next).filter(|number| *number <= self.last)?;
        self.next = number;
        Some(number)
    }

    /// The broker answered, whatever it said.
    pub(super) fn answered(&mut self, number: u64) {
        if number == self.next {
            self.next = number + 1;
        }
    }

    /// The channel or connection ended. Returns the number of the message that is to be given up for it, if it is clear.
    pub(super) fn interrupted(&mut self, window: &mut Window, interruption: &Interruption) -> Option<u64> {
        let entry = window.get(self.next).filter(|entry| entry.is_sent())?;
        if !interruption.concerns_a_message() {
            return None;
        }
        entry.closes += 1;
        (entry.closes >= CLOSES).then_some(entry.number)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tokio::time::Instant;

    use super::*;
    use crate::message::Message;

    fn closed(reply_code: Option<u16>) -> Interruption {
        Interruption {
            reply_code,
            why: "closed".to_owned(),
        }
    }

    #[tokio::test]
    async fn message_is_given_up_after_two_closes_in_its_own_turn() {
        let mut window = Window::new();
        for number in 0..3 {
            window.take(Message::new("e", "k", format!("{number}"), "x", vec![]), Instant::now());
        }
        window.refuse(2, Instant::now(), Duration::ZERO);
        let mut turns = OneByOne::begin(&window);
        assert_eq!(turns.turn(&window), Some(1));
        turns.answered(1);
        assert_eq!(turns.turn(&window), Some(2));
        assert_eq!(turns.interrupted(&mut window, &closed(Some(406))), None, "not sent yet");
        for (code, given_up) in [(Some(403), None), (None, None), (Some(406), None), (Some(406), Some(2))] {
            window.get(2).unwrap().round = 7;
            assert_eq!(turns.interrupted(&mut window, &closed(code)), given_up, "{code:?}");
        }
        window.settle(2);
        assert_eq!(turns.turn(&window), Some(3));
        window.take(Message::new("e", "k", "later", "x", vec![]), Instant::now());
        turns.answered(3);
        assert_eq!(turns.turn(&window), None);
    }
}
