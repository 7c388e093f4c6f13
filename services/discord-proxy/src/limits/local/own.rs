//! Places that a replica takes without asking, while Redis decides: one of each window of a webhook token's bucket
//! (docs/decisions/0027).

use std::sync::Arc;
use std::time::Instant;

use super::{GUESS, Known, LEASE, Local, left};

impl Local {
    /// A place in a webhook token's bucket in which this replica counts nothing: one in each window is its own, since
    /// `acquire.lua` leaves one free for every replica with a seat. Answers the bucket.
    pub(in crate::limits) fn own_place(
        &mut self,
        now: Instant,
        id: &str,
        route: &Arc<str>,
        major: &Arc<str>,
    ) -> Option<String> {
        let Some(Known::Hash {
            hash,
            limit,
            long: false,
        }) = self.routes.get(route)
        else {
            return None;
        };
        let pause = self.pauses.get(&(Arc::clone(route), Arc::clone(major))).copied();
        if *limit <= self.replicas || left(pause.max(self.edge), now).is_some() {
            return None;
        }
        let name = format!("{hash}:{major}");
        let window = self.buckets.entry(name.clone()).or_default();
        window.flying.retain(|_, until| *until > now);
        if !window.flying.is_empty() || left(window.reset, now).is_some() {
            return None;
        }
        window.flying.insert(id.to_owned(), now + LEASE);
        window.remaining = 0;
        window.reset = Some(now + GUESS);
        window.guess = true;
        Some(name)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::limits::{Bucket, Fate, Learned, Pause, Slot};

    const WINDOW: Duration = Duration::from_secs(2);

    fn slot(major: &str, bucket: &str) -> Slot {
        Slot {
            id: "1".to_owned(),
            route: "edit".into(),
            major: major.into(),
            bucket: bucket.to_owned(),
            bot: false,
            own: true,
        }
    }

    fn answered(limit: u32, reset_after: Duration) -> Learned {
        let bucket = Bucket {
            hash: "h".to_owned(),
            limit,
            remaining: limit - 1,
            reset_after,
        };
        Learned {
            bucket: Some(bucket),
            ..Learned::default()
        }
    }

    /// A replica of at most four, to which an answer told the bucket of edits.
    fn taught(now: Instant, learned: Learned) -> Local {
        let mut local = Local::new(50, 4);
        assert!(
            local.complete(now, &slot("first", ""), &Fate::Answered(learned)),
            "news"
        );
        local.close(now);
        local
    }

    fn take(local: &mut Local, now: Instant, major: &str) -> Option<String> {
        local.own_place(now, "1", &"edit".into(), &major.into())
    }

    #[test]
    fn one_place_in_each_window_is_its_own() {
        let now = Instant::now();
        let mut local = taught(now, answered(5, WINDOW));
        assert_eq!(take(&mut local, now, "a").as_deref(), Some("h:a"));
        assert_eq!(take(&mut local, now, "a"), None, "on its way");
        let known = local.complete(now, &slot("a", "h:a"), &Fate::Answered(answered(5, WINDOW)));
        assert!(!known, "it told nothing new");
        assert_eq!(take(&mut local, now + WINDOW / 2, "a"), None, "in the same window");
        assert!(take(&mut local, now + WINDOW, "a").is_some());
        assert!(take(&mut local, now, "b").is_some(), "another token");
    }

    #[test]
    fn a_lost_answer_ends_no_window() {
        let now = Instant::now();
        let mut local = taught(now, answered(5, WINDOW));
        assert!(take(&mut local, now, "a").is_some());
        local.complete(now, &slot("a", "h:a"), &Fate::Lost);
        assert_eq!(take(&mut local, now + WINDOW, "a"), None);
        assert!(take(&mut local, now + GUESS, "a").is_some());
    }

    #[test]
    fn none_is_taken_where_redis_leaves_none_free() {
        let now = Instant::now();
        assert_eq!(take(&mut Local::new(50, 4), now, "a"), None, "an unknown bucket");
        assert_eq!(
            take(&mut taught(now, answered(4, WINDOW)), now, "a"),
            None,
            "a place each"
        );
        assert_eq!(
            take(&mut taught(now, answered(5, GUESS * 2)), now, "a"),
            None,
            "a long window"
        );
    }

    #[test]
    fn a_pause_is_kept_and_told() {
        let now = Instant::now();
        let mut local = taught(now, answered(5, WINDOW));
        let bucket = take(&mut local, now, "a").unwrap();
        let pause = Learned {
            pause: Some(Pause::Route(GUESS * 3)),
            ..answered(5, WINDOW)
        };
        assert!(local.complete(now, &slot("a", &bucket), &Fate::Answered(pause)));
        assert_eq!(take(&mut local, now + GUESS, "a"), None);
        assert!(take(&mut local, now + GUESS * 4, "a").is_some());
    }
}
