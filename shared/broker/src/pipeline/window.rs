//! What a pipeline has taken and the broker has not confirmed: in order, and apart from it what the broker refused.
//!
//! A message that is refused leaves the order and waits by itself, so that nothing behind it waits for it. Both parts are
//! bounded: the order by the window, what was refused by its own limits. Beyond either the sender has no room, and the socket
//! that events come from is read no further.

use std::collections::VecDeque;
use std::time::Duration;

use tokio::time::Instant;

use crate::message::Message;

/// Refused messages that may wait at once.
pub(super) const MOST_REFUSED: usize = 1_024;
/// Bytes of their bodies. As with the window, a single larger body still waits.
pub(super) const MOST_REFUSED_BYTES: usize = 2 << 20;
/// How far the newest message may be ahead of the oldest one that is not confirmed: what follows progress keeps a few bytes
/// for each in between, and a crash replays them.
const MOST_AHEAD: u64 = 100_000;

/// A message that is not confirmed.
#[derive(Debug)]
pub(super) struct Entry {
    pub(super) number: u64,
    pub(super) message: Message,
    /// Which send its answer is awaited of; 0 while it is not on its way.
    pub(super) round: u64,
    /// When it was sent last, or refused last.
    pub(super) at: Instant,
    /// When it is sent again, if it is not on its way.
    pub(super) due: Instant,
    pub(super) refusals: u32,
    /// How often the broker closed the channel or the connection while only this message was on its way.
    pub(super) closes: u32,
    /// When it was refused first.
    pub(super) refused_since: Option<Instant>,
}

impl Entry {
    pub(super) fn is_sent(&self) -> bool {
        self.round != 0
    }
}

#[derive(Debug)]
pub(super) struct Window {
    /// By number, without a gap; `None` is settled, or refused and waits apart.
    order: VecDeque<Option<Entry>>,
    /// Number of the front of `order`.
    first: u64,
    bytes: usize,
    /// By number.
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

    /// Takes the next message, and returns its number.
    pub(super) fn take(&mut self, message: Message, now: Instant) -> u64 {
        let number = self.first + self.order.len() as u64;
        self.bytes += message.body.len();
        self.unconfirmed += 1;
        self.order.push_back(Some(Entry {
            number,
            message,
            round: 0,
            at: now,
            due: now,
            refusals: 0,
            closes: 0,
            refused_since: None,
        }));
        number
    }

    /// Whether one more may be taken.
    pub(super) fn has_room(&self, messages: usize, bytes: usize) -> bool {
        self.order.len() < messages
            && self.bytes < bytes
            && self.refused.len() < MOST_REFUSED
            && self.refused_bytes < MOST_REFUSED_BYTES
            && self.last() - self.confirmed() < MOST_AHEAD
    }

    /// Number of the last message taken.
    pub(super) fn last(&self) -> u64 {
        self.first + self.order.len() as u64 - 1
    }

    /// The last number such that it and all before it are settled.
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

    /// The entry whose send of this round awaits its answer.
    pub(super) fn sent(&mut self, number: u64, round: u64) -> Option<&mut Entry> {
        self.get(number).filter(|entry| entry.round == round)
    }

    /// Takes a message out that is confirmed or given up.
    pub(super) fn settle(&mut self, number: u64) -> Option<Entry> {
        let entry = self.take_out(number)?;
        self.unconfirmed -= 1;
        Some(entry)
    }

    /// Puts a message apart until `due`: the broker refused it.
    pub(super) fn refuse(&mut self, number: u64, now: Instant, wait: Duration) {
        let Some(mut entry) = self.take_out(number) else {
            return;
        };
        entry.round = 0;
        entry.at = now;
        entry.due = now + wait;
        entry.refused_since.get_or_insert(now);
        self.refused_bytes += entry.message.body.len();
        let at = self.refused.partition_point(|other| other.number < number);
        self.refused.insert(at, entry);
    }

    /// On a new channel nothing is on its way.
    pub(super) fn restart(&mut self, now: Instant) {
        for entry in self.order.iter_mut().flatten().chain(&mut self.refused) {
            entry.round = 0;
            entry.due = now;
        }
    }

    /// The first unsettled number from `number` on.
    pub(super) fn next_from(&self, number: u64) -> Option<u64> {
        let skip = usize::try_from(number.saturating_sub(self.first)).unwrap_or(usize::MAX);
        let in_order = self.order.iter().skip(skip).flatten().map(|entry| entry.number).next();
        let at = self.refused.partition_point(|entry| entry.number < number);
        let refused = self.refused.get(at).map(|entry| entry.number);
        in_order.into_iter().chain(refused).min()
    }

    /// Numbers in order that are to be sent now. Those of refused messages come last.
    pub(super) fn due(&self, now: Instant) -> Vec<u64> {
        let waits = |entry: &&Entry| !entry.is_sent() && entry.due <= now;
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

    /// Whether the answer to a send is overdue; `since` turns the moment of sending into the one that counts.
    pub(super) fn is_overdue(&self, since: impl Fn(Instant) -> Duration, within: Duration) -> bool {
        let mut all = self.order.iter().flatten().chain(&self.refused);
        all.any(|entry| entry.is_sent() && since(entry.at) > within)
    }

    fn take_out(&mut self, number: u64) -> Option<Entry> {
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
            assert_eq!(window.take(message, Instant::now()), number);
        }
        window
    }

    #[tokio::test]
    async fn refused_message_leaves_the_order_and_holds_what_is_confirmed_back() {
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
    async fn refused_messages_are_kept_by_number_and_found() {
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
        for _ in 0..MOST_REFUSED {
            assert!(window.has_room(8, 1_000));
            let number = window.take(Message::new("e", "k", "i", "x", vec![0; 10]), now);
            window.refuse(number, now, Duration::ZERO);
        }
        assert!(!window.has_room(8, 1_000));
        window.settle(7);
        assert!(window.has_room(8, 1_000));
    }
}
