//! Finds the message that makes the broker close the channel or the connection.
//!
//! The close does not name a message when several are in flight. After such a close all unconfirmed messages are sent again one
//! at a time. A message during which the broker closes twice is given up: it can never be published, and all later messages
//! would wait for it.

use crate::confirm::ChannelError;

use super::window::Window;

/// Number of closes, with only this message in flight, after which a message is given up.
const MAX_CLOSES: u32 = 2;

/// Sends unconfirmed messages one at a time.
#[derive(Debug)]
pub(super) struct UnpublishableSearch {
    /// Lowest number that the next message may have.
    next: u64,
    /// Number of the last message that is sent alone.
    last: u64,
}

impl UnpublishableSearch {
    /// A search among all messages that are unconfirmed now.
    pub(super) fn begin(window: &Window) -> Self {
        Self {
            next: 1,
            last: window.last(),
        }
    }

    /// Number of the message to send alone; `None` when the search is complete.
    pub(super) fn next_message(&mut self, window: &Window) -> Option<u64> {
        let number = window.next_from(self.next).filter(|number| *number <= self.last)?;
        self.next = number;
        Some(number)
    }

    /// Continues with the next message: the broker confirmed, returned or refused this one.
    pub(super) fn resolved(&mut self, number: u64) {
        if number == self.next {
            self.next = number + 1;
        }
    }

    /// Counts a close of the channel or connection. Returns the number of the message to give up, if it is found.
    pub(super) fn channel_failed(&mut self, window: &mut Window, error: &ChannelError) -> Option<u64> {
        let entry = window.get(self.next).filter(|entry| entry.is_in_flight())?;
        if !error.concerns_a_message() {
            return None;
        }
        entry.closes += 1;
        (entry.closes >= MAX_CLOSES).then_some(entry.number)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tokio::time::Instant;

    use super::*;
    use crate::message::Message;

    fn closed(reply_code: Option<u16>) -> ChannelError {
        ChannelError {
            reply_code,
            reason: "closed".to_owned(),
        }
    }

    #[tokio::test]
    async fn message_is_given_up_after_two_closes_while_it_is_sent_alone() {
        let mut window = Window::new();
        for number in 0..3 {
            window.push(Message::new("e", "k", format!("{number}"), "x", vec![]), Instant::now());
        }
        window.refuse(2, Instant::now(), Duration::ZERO);
        let mut search = UnpublishableSearch::begin(&window);
        assert_eq!(search.next_message(&window), Some(1));
        search.resolved(1);
        assert_eq!(search.next_message(&window), Some(2));
        assert_eq!(
            search.channel_failed(&mut window, &closed(Some(406))),
            None,
            "not sent yet"
        );
        for (code, given_up) in [(Some(403), None), (None, None), (Some(406), None), (Some(406), Some(2))] {
            window.get(2).unwrap().send_id = 7;
            assert_eq!(search.channel_failed(&mut window, &closed(code)), given_up, "{code:?}");
        }
        window.settle(2);
        assert_eq!(search.next_message(&window), Some(3));
        window.push(Message::new("e", "k", "later", "x", vec![]), Instant::now());
        search.resolved(3);
        assert_eq!(search.next_message(&window), None);
    }
}
