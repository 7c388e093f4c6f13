//! Who goes next: urgency first, then tenants by turns, then a tenant's own lanes by turns, then first come, first served.
//!
//! A lane is a route with its major parameter. A lane that must wait holds up nobody else, not even its tenant's other lanes.
//! Pure data: time is given, nothing is awaited. Turns are counted (start-time fair queueing with equal weights): the tenant
//! served least goes next, and one that comes anew starts level with the others. While Redis decides, it counts the turns of all
//! replicas together and this queue takes its figures over; what is picked here are candidates, in the order that seems right.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::time::Instant;

use arrakis_contracts::proxy::Urgency;

/// A route with its major parameter.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct Lane {
    /// Method and template.
    pub route: Arc<str>,
    /// Major parameter.
    pub major: Arc<str>,
}

/// Something that waits.
#[derive(Debug)]
pub(crate) struct Item<T> {
    /// Where it goes.
    pub lane: Lane,
    /// For whom.
    pub tenant: Arc<str>,
    /// How urgent.
    pub urgency: Urgency,
    /// What.
    pub what: T,
}

/// Slots of a batch that each less urgent class has for itself, since its turn may have come; a quarter at most.
const OF_EACH_CLASS: usize = 2;

#[derive(Debug)]
struct Tenant<T> {
    served: u64,
    /// When it last had a turn, in turns: ties go to the one that had none for longest.
    last: u64,
    lanes: HashMap<Lane, VecDeque<Item<T>>>,
    order: VecDeque<Lane>,
}

#[derive(Debug)]
struct Class<T> {
    tenants: HashMap<Arc<str>, Tenant<T>>,
    level: u64,
}

/// Why a lane waits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Block {
    /// Until when.
    pub until: Instant,
    /// Nothing can go sooner; otherwise an answer on this lane ends it.
    pub certain: bool,
}

/// Everything that waits.
#[derive(Debug)]
pub(crate) struct Queue<T> {
    classes: [Class<T>; 3],
    blocks: HashMap<Lane, Block>,
    turns: u64,
    waiting: usize,
}

/// Index of an urgency's class: 0 goes first.
pub(crate) fn class(urgency: Urgency) -> usize {
    match urgency {
        Urgency::Interactive => 0,
        Urgency::Sync => 1,
        Urgency::Bulk => 2,
    }
}

impl<T> Default for Queue<T> {
    fn default() -> Self {
        Self {
            classes: std::array::from_fn(|_| Class {
                tenants: HashMap::new(),
                level: 0,
            }),
            blocks: HashMap::new(),
            turns: 0,
            waiting: 0,
        }
    }
}

impl<T> Tenant<T> {
    fn enqueue(&mut self, item: Item<T>, first: bool) {
        let lane = item.lane.clone();
        let queue = self.lanes.entry(lane.clone()).or_default();
        if queue.is_empty() && !self.order.contains(&lane) {
            if first {
                self.order.push_front(lane);
            } else {
                self.order.push_back(lane);
            }
        }
        if first {
            queue.push_front(item);
        } else {
            queue.push_back(item);
        }
    }

    fn next_lane(&self, blocks: &HashMap<Lane, Block>) -> Option<usize> {
        self.order
            .iter()
            .position(|lane| !blocks.contains_key(lane) && self.lanes.get(lane).is_some_and(|queue| !queue.is_empty()))
    }

    fn take(&mut self, at: usize) -> Option<Item<T>> {
        let lane = self.order.remove(at)?;
        let queue = self.lanes.get_mut(&lane)?;
        let item = queue.pop_front();
        if queue.is_empty() {
            self.lanes.remove(&lane);
        } else {
            self.order.push_back(lane);
        }
        item
    }

    fn len(&self) -> usize {
        self.lanes.values().map(VecDeque::len).sum()
    }
}

impl<T> Class<T> {
    fn tenant(&mut self, name: &Arc<str>) -> &mut Tenant<T> {
        let level = self.level;
        self.tenants.entry(Arc::clone(name)).or_insert_with(|| Tenant {
            served: level,
            last: 0,
            lanes: HashMap::new(),
            order: VecDeque::new(),
        })
    }

    fn pick(&mut self, blocks: &HashMap<Lane, Block>, turn: u64) -> Option<Item<T>> {
        let level = self.level;
        let next = self
            .tenants
            .values_mut()
            .filter_map(|tenant| tenant.next_lane(blocks).map(|lane| (tenant, lane)))
            .min_by_key(|(tenant, _)| (tenant.served.max(level), tenant.last));
        let (tenant, lane) = next?;
        tenant.served = tenant.served.max(level) + 1;
        tenant.last = turn;
        tenant.take(lane)
    }
}

impl<T> Queue<T> {
    /// Adds an item; `first` puts it at the head of its lane, for one that has waited before.
    pub(crate) fn push(&mut self, item: Item<T>, first: bool) {
        self.waiting += 1;
        self.classes[class(item.urgency)]
            .tenant(&item.tenant.clone())
            .enqueue(item, first);
    }

    /// Takes up to `most` items that may go now, in the order in which they should; of each class at least two.
    pub(crate) fn pick(&mut self, most: usize, now: Instant) -> Vec<Item<T>> {
        self.blocks.retain(|_, block| block.until > now);
        let mut picked: [Vec<Item<T>>; 3] = Default::default();
        let mut room = most;
        for at in (1..3).rev() {
            room -= self.pick_of(at, OF_EACH_CLASS.min(room / 4), &mut picked[at]);
        }
        for (at, picked) in picked.iter_mut().enumerate() {
            room -= self.pick_of(at, room, picked);
        }
        picked.into_iter().flatten().collect()
    }

    fn pick_of(&mut self, at: usize, most: usize, picked: &mut Vec<Item<T>>) -> usize {
        let before = picked.len();
        while picked.len() - before < most {
            self.turns += 1;
            let Some(item) = self.classes[at].pick(&self.blocks, self.turns) else {
                break;
            };
            self.waiting -= 1;
            picked.push(item);
        }
        picked.len() - before
    }

    /// A tenant's item that was picked goes: who comes anew starts level with it. Called after [`Queue::put_back`].
    pub(crate) fn goes(&mut self, at: usize, tenant: &str) {
        let class = &mut self.classes[at];
        let started = class.tenants.get(tenant).map_or(0, |tenant| tenant.served);
        class.level = class.level.max(started.saturating_sub(1));
    }

    /// Gives back items that could not go after all; they keep their places, and their tenants their turns.
    pub(crate) fn put_back(&mut self, items: Vec<Item<T>>) {
        for item in items.into_iter().rev() {
            self.waiting += 1;
            let tenant = self.classes[class(item.urgency)].tenant(&item.tenant.clone());
            tenant.served = tenant.served.saturating_sub(1);
            tenant.enqueue(item, true);
        }
    }

    /// Takes over how far all replicas together have come in a class. When that is behind what was counted here, Redis has
    /// forgotten, and everybody starts level.
    pub(crate) fn told_level(&mut self, at: usize, level: u64) {
        let class = &mut self.classes[at];
        if level < class.level {
            for tenant in class.tenants.values_mut() {
                tenant.served = level;
            }
        }
        class.level = level;
    }

    /// Takes over how many turns a tenant has had at all replicas together.
    pub(crate) fn told_turns(&mut self, at: usize, tenant: &Arc<str>, had: u64) {
        if let Some(tenant) = self.classes[at].tenants.get_mut(tenant) {
            tenant.served = had;
        }
    }

    /// Forgets tenants that wait for nothing and would start level. Called after the last [`Queue::put_back`] of a round.
    pub(crate) fn tidy(&mut self) {
        for class in &mut self.classes {
            let level = class.level;
            let idle = class.tenants.values().all(|tenant| tenant.lanes.is_empty());
            class
                .tenants
                .retain(|_, tenant| !tenant.lanes.is_empty() || (!idle && tenant.served > level));
        }
    }

    /// Makes a lane wait.
    pub(crate) fn block(&mut self, lane: Lane, block: Block) {
        self.blocks.insert(lane, block);
    }

    /// Why a lane waits, if it does.
    pub(crate) fn blocked(&self, lane: &Lane) -> Option<Block> {
        self.blocks.get(lane).copied()
    }

    /// An answer came on this lane: what waited for one may try.
    pub(crate) fn answered(&mut self, lane: &Lane) {
        if self.blocks.get(lane).is_some_and(|block| !block.certain) {
            self.blocks.remove(lane);
        }
    }

    /// When the next lane may try again.
    pub(crate) fn next_try(&self) -> Option<Instant> {
        self.blocks.values().map(|block| block.until).min()
    }

    /// Takes out what `gone` says so.
    pub(crate) fn take_if(&mut self, gone: impl Fn(&Item<T>) -> bool) -> Vec<Item<T>> {
        let mut taken = Vec::new();
        for tenant in self.classes.iter_mut().flat_map(|class| class.tenants.values_mut()) {
            for queue in tenant.lanes.values_mut() {
                let (going, staying) = std::mem::take(queue)
                    .into_iter()
                    .partition::<VecDeque<_>, _>(|item| gone(item));
                *queue = staying;
                taken.extend(going);
            }
            tenant.lanes.retain(|_, queue| !queue.is_empty());
            tenant.order.retain(|lane| tenant.lanes.contains_key(lane));
        }
        self.waiting -= taken.len();
        self.tidy();
        taken
    }

    /// How many wait, of each class.
    pub(crate) fn waiting_by_class(&self) -> [usize; 3] {
        self.classes
            .each_ref()
            .map(|class| class.tenants.values().map(Tenant::len).sum())
    }

    /// How many wait.
    pub(crate) fn waiting(&self) -> usize {
        self.waiting
    }

    /// How many wait for one tenant.
    pub(crate) fn waiting_of(&self, tenant: &str) -> usize {
        let of = |class: &Class<T>| class.tenants.get(tenant).map_or(0, Tenant::len);
        self.classes.iter().map(of).sum()
    }

    /// How many tenants wait.
    pub(crate) fn tenants(&self) -> usize {
        let of = |class: &Class<T>| class.tenants.values().filter(|tenant| !tenant.lanes.is_empty()).count();
        self.classes.iter().map(of).max().unwrap_or(0)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn item(tenant: &str, lane: &str, urgency: Urgency, what: u32) -> Item<u32> {
        Item {
            lane: Lane {
                route: lane.into(),
                major: "-".into(),
            },
            tenant: tenant.into(),
            urgency,
            what,
        }
    }

    fn picked(queue: &mut Queue<u32>, most: usize) -> Vec<(String, u32)> {
        let items = queue.pick(most, Instant::now());
        for item in &items {
            queue.goes(class(item.urgency), &item.tenant);
        }
        items
            .into_iter()
            .map(|item| (item.tenant.to_string(), item.what))
            .collect()
    }

    #[test]
    fn tenants_take_turns_however_much_one_asks() {
        let mut queue = Queue::default();
        for what in 0..100 {
            queue.push(item("loud", "r", Urgency::Sync, what), false);
        }
        for what in 0..3 {
            queue.push(item("quiet", "r", Urgency::Sync, what), false);
        }
        let first: Vec<_> = picked(&mut queue, 6).into_iter().map(|(tenant, _)| tenant).collect();
        assert_eq!(first.iter().filter(|tenant| *tenant == "quiet").count(), 3);
    }

    #[test]
    fn one_that_comes_anew_starts_level() {
        let mut queue = Queue::default();
        for what in 0..50 {
            queue.push(item("old", "r", Urgency::Sync, what), false);
        }
        picked(&mut queue, 20);
        for what in 0..50 {
            queue.push(item("new", "r", Urgency::Sync, what), false);
        }
        let next = picked(&mut queue, 10);
        let new = next.iter().filter(|(tenant, _)| tenant == "new").count();
        assert!((5..=6).contains(&new), "{next:?}");
    }

    #[test]
    fn urgency_goes_before_turns() {
        let mut queue = Queue::default();
        queue.push(item("a", "r", Urgency::Bulk, 1), false);
        queue.push(item("a", "r", Urgency::Sync, 2), false);
        queue.push(item("b", "r", Urgency::Interactive, 3), false);
        let order: Vec<_> = picked(&mut queue, 3).into_iter().map(|(_, what)| what).collect();
        assert_eq!(order, [3, 2, 1]);
    }

    #[test]
    fn a_blocked_lane_holds_up_nobody_else() {
        let mut queue = Queue::default();
        for what in 0..3 {
            queue.push(item("a", "slow", Urgency::Interactive, what), false);
        }
        queue.push(item("a", "fast", Urgency::Interactive, 10), false);
        queue.push(item("b", "fast", Urgency::Bulk, 20), false);
        let slow = item("a", "slow", Urgency::Interactive, 0).lane;
        let until = Instant::now() + Duration::from_secs(60);
        queue.block(slow.clone(), Block { until, certain: true });
        let order: Vec<_> = picked(&mut queue, 9).into_iter().map(|(_, what)| what).collect();
        assert_eq!(order, [10, 20]);
        queue.answered(&slow);
        assert!(
            picked(&mut queue, 9).is_empty(),
            "a certain block is not ended by an answer"
        );
        queue.block(slow.clone(), Block { until, certain: false });
        queue.answered(&slow);
        assert_eq!(picked(&mut queue, 9).len(), 3);
    }

    #[test]
    fn what_is_put_back_keeps_its_place_and_its_tenant_the_turn() {
        let mut queue = Queue::default();
        for what in 0..4 {
            queue.push(item("a", "r", Urgency::Sync, what), false);
            queue.push(item("b", "r", Urgency::Sync, what), false);
        }
        let before = queue.waiting();
        let items = queue.pick(5, Instant::now());
        let order: Vec<_> = items.iter().map(|item| (item.tenant.to_string(), item.what)).collect();
        queue.put_back(items);
        queue.tidy();
        assert_eq!(queue.waiting(), before);
        let again = picked(&mut queue, 5);
        let of = |list: &[(String, u32)], name: &str| -> Vec<u32> {
            list.iter()
                .filter(|(tenant, _)| tenant == name)
                .map(|(_, what)| *what)
                .collect()
        };
        assert_eq!(of(&order, "a").len() + of(&order, "b").len(), 5);
        assert!(of(&again, "a").is_sorted() && of(&again, "b").is_sorted());
        assert!(of(&again, "a").len().abs_diff(of(&again, "b").len()) <= 1, "{again:?}");
    }

    #[test]
    fn a_tenant_that_asks_for_one_at_a_time_has_no_more_turns_than_others() {
        let mut queue = Queue::default();
        for what in 0..40 {
            queue.push(item("patient", "r", Urgency::Sync, what), false);
        }
        let mut turns = HashMap::<String, u32>::new();
        queue.push(item("hasty", "r", Urgency::Sync, 0), false);
        for _ in 0..20 {
            let (tenant, _) = picked(&mut queue, 1).remove(0);
            if tenant == "hasty" {
                queue.tidy();
                queue.push(item("hasty", "r", Urgency::Sync, 0), false);
            }
            *turns.entry(tenant).or_default() += 1;
        }
        assert!((9..=11).contains(&turns["hasty"]), "{turns:?}");
    }

    #[test]
    fn the_urgent_leave_room_for_candidates_of_the_others() {
        let mut queue = Queue::default();
        for what in 0..50 {
            queue.push(item("a", "r", Urgency::Interactive, what), false);
            queue.push(item("b", "r", Urgency::Bulk, 100 + what), false);
        }
        let order: Vec<_> = picked(&mut queue, 8).into_iter().map(|(_, what)| what).collect();
        assert_eq!(order, [0, 1, 2, 3, 4, 5, 100, 101]);
    }

    #[test]
    fn what_all_replicas_count_is_taken_over_and_a_forgotten_count_starts_all_level() {
        let mut queue = Queue::default();
        for what in 0..9 {
            queue.push(item("here", "r", Urgency::Sync, what), false);
            queue.push(item("everywhere", "r", Urgency::Sync, what), false);
        }
        queue.told_level(1, 100);
        queue.told_turns(1, &"everywhere".into(), 103);
        let first: Vec<_> = picked(&mut queue, 3).into_iter().map(|(tenant, _)| tenant).collect();
        assert_eq!(first, ["here", "here", "here"]);
        queue.told_level(1, 2);
        let next: Vec<_> = picked(&mut queue, 4).into_iter().map(|(tenant, _)| tenant).collect();
        assert_eq!(next.iter().filter(|tenant| *tenant == "here").count(), 2, "{next:?}");
    }

    #[test]
    fn counts_follow_what_comes_and_goes() {
        let mut queue = Queue::default();
        queue.push(item("a", "r", Urgency::Sync, 1), false);
        queue.push(item("a", "s", Urgency::Bulk, 2), false);
        queue.push(item("b", "r", Urgency::Sync, 3), false);
        assert_eq!(
            (queue.waiting(), queue.waiting_of("a"), queue.waiting_by_class()),
            (3, 2, [0, 2, 1])
        );
        let gone = queue.take_if(|item| item.what == 3);
        assert_eq!((gone.len(), queue.waiting(), queue.waiting_of("b")), (1, 2, 0));
        assert_eq!(picked(&mut queue, 9).len(), 2);
        queue.tidy();
        assert_eq!((queue.waiting(), queue.tenants()), (0, 0));
    }
}
