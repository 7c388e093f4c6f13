//! The unconfirmed messages of a pipeline: those in order, and separately those that the broker refused.
//!
//! A refused message leaves the order and waits separately, so that later messages do not wait for it. Both parts are bounded:
//! the order by the window's size, the refused messages by limits of their own. When either is full, the sender has no room, and
//! the ingestor stops reading the gateway.

use std::collections::VecDeque;
use std::time::Duration;

use tokio::time::Instant;

use crate::message::Message;

/// Largest number of refused messages.
pub(super) const MAX_REFUSED: usize = 1_024;
/// Largest sum of their bodies in bytes. As with the window, a single larger body is accepted.
pub(super) const MAX_REFUSED_BYTES: usize = 2 << 20;
/// Largest distance of the newest message from the oldest unconfirmed one. The sender keeps a few bytes for each message of
/// this distance, and a crash replays them.
const MAX_DISTANCE: u64 = 100_000;

/// An unconfirmed message.
#[derive(Debug)]
pub(super) struct Entry {
    pub(super) number: u64,
    pub(super) message: Message,
    /// Number of the send whose confirmation is awaited; 0 while the message is not in flight.
    pub(super) send_id: u64,
    /// When it was last sent or refused.
    pub(super) at: Instant,
    /// When to send it again, while it is not in flight.
    pub(super) due: Instant,
    /// How often the broker refused it.
    pub(super) refusals: u32,
    /// How often the broker closed the channel or the connection while only this message was in flight.
    pub(super) closes: u32,
    /// When it was first refused.
    pub(super) refused_since: Option<Instant>,
}

impl Entry {
    pub(super) fn is_in_flight(&self) -> bool {
        self.send_id != 0
    }
}

/// The unconfirmed messages. Numbers count from 1 in the order of sending.
#[derive(Debug)]
pub(super) struct Window {
    /// By number, without gaps. `None` stands for a message that is settled, or is in `refused`.
    order: VecDeque<Option<Entry>>,
    /// Number of the front of `order`.
    first: u64,
    bytes: usize,
    /// Sorted by number.
    refused: VecDeque<Entry>,
    refused_bytes: usize,
    /// Neither confirmed nor given up.
    unconfirmed: usize,
}

impl Window {
    pub(super) fn new() -> Self {
        Self {
            order: VecDeque::new(),
            first: 1,
            bytes: 0,
            refused: VecDeque::new(),
            refused_bytes: 0,
            unconfirmed: 0,
        }
    }

    /// Adds a message, and returns its number.
    pub(super) fn push(&mut self, message: Message, now: Instant) -> u64 {
        let number = self.first + self.order.len() as u64;
        self.bytes += message.body.len();
        self.unconfirmed += 1;
        self.order.push_back(Some(Entry {
            number,
            message,
            send_id: 0,
            at: now,
            due: now,
            refusals: 0,
            closes: 0,
            refused_since: None,
        }));
        number
    }

    /// Whether one more message may be added, for a window of this many messages and bytes.
    pub(super) fn has_room(&self, messages: usize, bytes: usize) -> bool {
        self.order.len() < messages
            && self.bytes < bytes
            && self.refused.len() < MAX_REFUSED
            && self.refused_bytes < MAX_REFUSED_BYTES
            && self.last() - self.confirmed() < MAX_DISTANCE
    }

    /// Number of the last message added.
    pub(super) fn last(&self) -> u64 {
        self.first + self.order.len() as u64 - 1
    }

    /// The highest number such that it and all lower ones are settled.
    pub(super) fn confirmed(&self) -> u64 {
        match self.refused.front() {
            Some(entry) => entry.number.min(self.first) - 1,
            None => self.first - 1,
        }
    }

    pub(super) fn unconfirmed(&self) -> usize {
        self.unconfirmed
    }

    pub(super) fn refused(&self) -> &VecDeque<Entry> {
        &self.refused
    }

    pub(super) fn get(&mut self, number: u64) -> Option<&mut Entry> {
        if let Some(index) = self.index(number)
            && self.order[index].is_some()
        {
            return self.order[index].as_mut();
        }
        let at = self.refused.binary_search_by_key(&number, |entry| entry.number).ok()?;
        self.refused.get_mut(at)
    }

    /// The message with this number, if this send of it is the one in flight.
    pub(super) fn in_flight(&mut self, number: u64, send_id: u64) -> Option<&mut Entry> {
        self.get(number).filter(|entry| entry.send_id == send_id)
    }

    /// Removes a message that is confirmed or given up.
    pub(super) fn settle(&mut self, number: u64) -> Option<Entry> {
        let entry = self.remove(number)?;
        self.unconfirmed -= 1;
        Some(entry)
    }

    /// Moves a message to the refused ones, to be sent again after `wait`.
    pub(super) fn refuse(&mut self, number: u64, now: Instant, wait: Duration) {
        let Some(mut entry) = self.remove(number) else {
            return;
        };
        entry.send_id = 0;
        entry.at = now;
        entry.due = now + wait;
        entry.refused_since.get_or_insert(now);
        self.refused_bytes += entry.message.body.len();
        let at = self.refused.partition_point(|other| other.number < number);
        self.refused.insert(at, entry);
    }

    /// Marks all messages as due now: nothing is in flight on a new channel.
    pub(super) fn reset_sends(&mut self, now: Instant) {
        for entry in self.order.iter_mut().flatten().chain(&mut self.refused) {
            entry.send_id = 0;
            entry.due = now;
        }
    }

    /// The lowest unsettled number that is not below `number`.
    pub(super) fn next_from(&self, number: u64) -> Option<u64> {
        let skip = usize::try_from(number.saturating_sub(self.first)).unwrap_or(usize::MAX);
        let in_order = self.order.iter().skip(skip).flatten().map(|entry| entry.number).next();
        let at = self.refused.partition_point(|entry| entry.number < number);
        let refused = self.refused.get(at).map(|entry| entry.number);
        in_order.into_iter().chain(refused).min()
    }

    /// Numbers of the messages to send now, in order; refused messages come last.
    pub(super) fn due(&self, now: Instant) -> Vec<u64> {
        let waits = |entry: &&Entry| !entry.is_in_flight() && entry.due <= now;
        let in_order = self.order.iter().flatten().filter(waits);
        in_order
            .chain(self.refused.iter().filter(waits))
            .map(|entry| entry.number)
            .collect()
    }

    /// The first number of a message with this id.
    pub(super) fn find(&self, id: &str) -> Option<u64> {
        let mut all = self.order.iter().flatten().chain(&self.refused);
        all.find(|entry| entry.message.id == id).map(|entry| entry.number)
    }

    /// Whether a confirmation has taken longer than `within`. `since` returns the time that counts for a message sent at an instant.
    pub(super) fn is_overdue(&self, since: impl Fn(Instant) -> Duration, within: Duration) -> bool {
        let mut all = self.order.iter().flatten().chain(&self.refused);
        all.any(|entry| entry.is_in_flight() && since(entry.at) > within)
    }

    fn remove(&mut self, number: u64) -> Option<Entry> {
        if let Some(index) = self.index(number)
            && let Some(entry) = self.order[index].take()
        {
            self.bytes -= entry.message.body.len();
            while let Some(None) = self.order.front() {
                self.order.pop_front();
                self.first += 1;
            }
            return Some(entry);
        }
        let at = self.refused.binary_search_by_key(&number, |entry| entry.number).ok()?;
        let entry = self.refused.remove(at)?;
        self.refused_bytes -= entry.message.body.len();
        Some(entry)
    }

    fn index(&self, number: u64) -> Option<usize> {
        let index = usize::try_from(number.checked_sub(self.first)?).ok()?;
        (index < self.order.len()).then_some(index)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn window(count: u64) -> Window {
        let mut window = Window::new();
        for number in 1..=count {
            let message = Message::new("e", "k", number.to_string(), "x", vec![0; 10]);
            assert_eq!(window.push(message, Instant::now()), number);
        }
        window
    }

    #[tokio::test]
    async fn refused_message_leaves_the_order_and_limits_the_confirmed_number() {
        let mut window = window(4);
        window.refuse(1, Instant::now(), Duration::ZERO);
        window.settle(3);
        window.settle(2);
        assert_eq!(
            (window.confirmed(), window.order.len(), window.unconfirmed()),
            (0, 1, 2)
        );
        assert_eq!((window.bytes, window.refused_bytes), (10, 10));
        window.settle(1);
        assert_eq!((window.confirmed(), window.unconfirmed()), (3, 1));
        window.settle(4);
        assert_eq!((window.confirmed(), window.last(), window.unconfirmed()), (4, 4, 0));
        assert_eq!((window.bytes, window.refused_bytes), (0, 0));
    }

    #[tokio::test]
    async fn refused_messages_are_sorted_by_number() {
        let mut window = window(5);
        for number in [4, 2, 5] {
            window.refuse(number, Instant::now(), Duration::ZERO);
        }
        let numbers: Vec<_> = window.refused.iter().map(|entry| entry.number).collect();
        assert_eq!(numbers, [2, 4, 5]);
        assert_eq!((window.find("4"), window.find("9")), (Some(4), None));
        assert_eq!(
            (window.next_from(0), window.next_from(2), window.next_from(6)),
            (Some(1), Some(2), None)
        );
        assert_eq!(window.due(Instant::now()), [1, 3, 2, 4, 5]);
        window.settle(1);
        assert_eq!(window.confirmed(), 1);
    }

    #[tokio::test]
    async fn too_many_refused_messages_leave_no_room() {
        let mut window = Window::new();
        let now = Instant::now();
        for _ in 0..MAX_REFUSED {
            assert!(window.has_room(8, 1_000));
            let number = window.push(Message::new("e", "k", "i", "x", vec![0; 10]), now);
            window.refuse(number, now, Duration::ZERO);
        }
        assert!(!window.has_room(8, 1_000));
        window.settle(7);
        assert!(window.has_room(8, 1_000));
    }
}
