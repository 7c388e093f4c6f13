//! The order of waiting calls: by urgency, then fairly by tenant, then by route in turn, then first in, first out.
//!
//! A route that must wait delays no other route, not even of the same tenant. The queue is pure data: time is a parameter. Tenants
//! share by start-time fair queueing with equal weights: the tenant with the lowest count of served calls is next, and a new tenant
//! starts at the level of the others. While Redis decides, it counts over all replicas and the queue takes its counts; what is picked
//! here are candidates.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::time::Instant;

use arrakis_contracts::proxy::Urgency;
use arrakis_discord_http::Route;

/// A waiting call.
#[derive(Debug)]
pub(super) struct Item<T> {
    /// The call's route.
    pub route: Route,
    /// The tenant.
    pub tenant: Arc<str>,
    /// The urgency.
    pub urgency: Urgency,
    /// The call itself.
    pub payload: T,
}

/// Calls of a batch that each less urgent class has for itself, since Redis may grant one of them; a quarter at most.
const PER_LESS_URGENT_CLASS: usize = 2;

#[derive(Debug)]
struct Tenant<T> {
    served: u64,
    /// Number of the last pick: among tenants with equal counts, the one picked longest ago is next.
    last_pick: u64,
    routes: HashMap<Route, VecDeque<Item<T>>>,
    order: VecDeque<Route>,
}

#[derive(Debug)]
struct Class<T> {
    tenants: HashMap<Arc<str>, Tenant<T>>,
    /// The count at which a new tenant starts.
    level: u64,
}

/// A route that must wait.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Block {
    /// End of the block.
    pub until: Instant,
    /// Whether no call can be sent sooner; otherwise the completion of a call of this route ends the block.
    pub certain: bool,
}

/// All waiting calls.
#[derive(Debug)]
pub(super) struct Queue<T> {
    classes: [Class<T>; 3],
    blocks: HashMap<Route, Block>,
    picks: u64,
    waiting: usize,
}

/// Class of an urgency: 0 is the most urgent.
pub(super) fn class(urgency: Urgency) -> usize {
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
            picks: 0,
            waiting: 0,
        }
    }
}

impl<T> Tenant<T> {
    fn enqueue(&mut self, item: Item<T>, first: bool) {
        let route = item.route.clone();
        let queue = self.routes.entry(route.clone()).or_default();
        if queue.is_empty() && !self.order.contains(&route) {
            if first {
                self.order.push_front(route);
            } else {
                self.order.push_back(route);
            }
        }
        if first {
            queue.push_front(item);
        } else {
            queue.push_back(item);
        }
    }

    fn next_route(&self, blocks: &HashMap<Route, Block>) -> Option<usize> {
        self.order.iter().position(|route| {
            !blocks.contains_key(route) && self.routes.get(route).is_some_and(|queue| !queue.is_empty())
        })
    }

    fn take(&mut self, at: usize) -> Option<Item<T>> {
        let route = self.order.remove(at)?;
        let queue = self.routes.get_mut(&route)?;
        let item = queue.pop_front();
        if queue.is_empty() {
            self.routes.remove(&route);
        } else {
            self.order.push_back(route);
        }
        item
    }

    fn len(&self) -> usize {
        self.routes.values().map(VecDeque::len).sum()
    }
}

impl<T> Class<T> {
    fn tenant(&mut self, name: &Arc<str>) -> &mut Tenant<T> {
        let level = self.level;
        self.tenants.entry(Arc::clone(name)).or_insert_with(|| Tenant {
            served: level,
            last_pick: 0,
            routes: HashMap::new(),
            order: VecDeque::new(),
        })
    }

    fn pick(&mut self, blocks: &HashMap<Route, Block>, number: u64) -> Option<Item<T>> {
        let level = self.level;
        let next = self
            .tenants
            .values_mut()
            .filter_map(|tenant| tenant.next_route(blocks).map(|at| (tenant, at)))
            .min_by_key(|(tenant, _)| (tenant.served.max(level), tenant.last_pick));
        let (tenant, at) = next?;
        tenant.served = tenant.served.max(level) + 1;
        tenant.last_pick = number;
        tenant.take(at)
    }
}

impl<T> Queue<T> {
    /// Adds a call; `first` puts it before the other calls of its route, since it waited before.
    pub(super) fn push(&mut self, item: Item<T>, first: bool) {
        self.waiting += 1;
        self.classes[class(item.urgency)]
            .tenant(&item.tenant.clone())
            .enqueue(item, first);
    }

    /// Takes up to `most` calls whose routes are not blocked, in their order; of each class at least two.
    pub(super) fn pick(&mut self, most: usize, now: Instant) -> Vec<Item<T>> {
        self.blocks.retain(|_, block| block.until > now);
        let mut picked: [Vec<Item<T>>; 3] = Default::default();
        let mut room = most;
        for at in (1..3).rev() {
            room -= self.pick_of(at, PER_LESS_URGENT_CLASS.min(room / 4), &mut picked[at]);
        }
        for (at, picked) in picked.iter_mut().enumerate() {
            room -= self.pick_of(at, room, picked);
        }
        picked.into_iter().flatten().collect()
    }

    fn pick_of(&mut self, at: usize, most: usize, picked: &mut Vec<Item<T>>) -> usize {
        let before = picked.len();
        while picked.len() - before < most {
            self.picks += 1;
            let Some(item) = self.classes[at].pick(&self.blocks, self.picks) else {
                break;
            };
            self.waiting -= 1;
            picked.push(item);
        }
        picked.len() - before
    }

    /// Records that a picked call of a tenant was granted: new tenants start at its count. Called after [`Queue::put_back`].
    pub(super) fn granted(&mut self, at: usize, tenant: &str) {
        let class = &mut self.classes[at];
        let started = class.tenants.get(tenant).map_or(0, |tenant| tenant.served);
        class.level = class.level.max(started.saturating_sub(1));
    }

    /// Returns calls that were not granted; their order and the counts of their tenants are restored.
    pub(super) fn put_back(&mut self, items: Vec<Item<T>>) {
        for item in items.into_iter().rev() {
            self.waiting += 1;
            let tenant = self.classes[class(item.urgency)].tenant(&item.tenant.clone());
            tenant.served = tenant.served.saturating_sub(1);
            tenant.enqueue(item, true);
        }
    }

    /// Sets the level of a class to that of all replicas. A lower level than before means that Redis lost its counts: all tenants
    /// start at it.
    pub(super) fn set_level(&mut self, at: usize, level: u64) {
        let class = &mut self.classes[at];
        if level < class.level {
            for tenant in class.tenants.values_mut() {
                tenant.served = level;
            }
        }
        class.level = level;
    }

    /// Sets the count of a tenant to that of all replicas.
    pub(super) fn set_served(&mut self, at: usize, tenant: &Arc<str>, served: u64) {
        if let Some(tenant) = self.classes[at].tenants.get_mut(tenant) {
            tenant.served = served;
        }
    }

    /// Removes tenants without waiting calls whose count is not above the level. Called after the last [`Queue::put_back`] of a batch.
    pub(super) fn remove_idle(&mut self) {
        for class in &mut self.classes {
            let level = class.level;
            let idle = class.tenants.values().all(|tenant| tenant.routes.is_empty());
            class
                .tenants
                .retain(|_, tenant| !tenant.routes.is_empty() || (!idle && tenant.served > level));
        }
    }

    /// Blocks a route.
    pub(super) fn block(&mut self, route: Route, block: Block) {
        self.blocks.insert(route, block);
    }

    /// The block of a route.
    pub(super) fn blocked(&self, route: &Route) -> Option<Block> {
        self.blocks.get(route).copied()
    }

    /// Records that a call of a route was completed, which ends a block that is not certain.
    pub(super) fn completed(&mut self, route: &Route) {
        if self.blocks.get(route).is_some_and(|block| !block.certain) {
            self.blocks.remove(route);
        }
    }

    /// When the first block ends.
    pub(super) fn next_unblocked(&self) -> Option<Instant> {
        self.blocks.values().map(|block| block.until).min()
    }

    /// Removes the calls that match, and returns them.
    pub(super) fn remove_if(&mut self, matches: impl Fn(&Item<T>) -> bool) -> Vec<Item<T>> {
        let mut removed = Vec::new();
        for tenant in self.classes.iter_mut().flat_map(|class| class.tenants.values_mut()) {
            for queue in tenant.routes.values_mut() {
                let (matching, other) = std::mem::take(queue)
                    .into_iter()
                    .partition::<VecDeque<_>, _>(|item| matches(item));
                *queue = other;
                removed.extend(matching);
            }
            tenant.routes.retain(|_, queue| !queue.is_empty());
            tenant.order.retain(|route| tenant.routes.contains_key(route));
        }
        self.waiting -= removed.len();
        self.remove_idle();
        removed
    }

    /// Waiting calls by class.
    pub(super) fn waiting_by_class(&self) -> [usize; 3] {
        self.classes
            .each_ref()
            .map(|class| class.tenants.values().map(Tenant::len).sum())
    }

    /// Waiting calls.
    pub(super) fn waiting(&self) -> usize {
        self.waiting
    }

    /// Waiting calls of one tenant.
    pub(super) fn waiting_of(&self, tenant: &str) -> usize {
        let of = |class: &Class<T>| class.tenants.get(tenant).map_or(0, Tenant::len);
        self.classes.iter().map(of).sum()
    }

    /// Tenants with waiting calls.
    pub(super) fn tenants(&self) -> usize {
        let of = |class: &Class<T>| {
            class
                .tenants
                .values()
                .filter(|tenant| !tenant.routes.is_empty())
                .count()
        };
        self.classes.iter().map(of).max().unwrap_or(0)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn item(tenant: &str, template: &str, urgency: Urgency, payload: u32) -> Item<u32> {
        Item {
            route: Route {
                template: template.into(),
                major: "-".into(),
            },
            tenant: tenant.into(),
            urgency,
            payload,
        }
    }

    fn picked(queue: &mut Queue<u32>, most: usize) -> Vec<(String, u32)> {
        let items = queue.pick(most, Instant::now());
        for item in &items {
            queue.granted(class(item.urgency), &item.tenant);
        }
        items
            .into_iter()
            .map(|item| (item.tenant.to_string(), item.payload))
            .collect()
    }

    #[test]
    fn tenants_share_equally_whatever_their_demand() {
        let mut queue = Queue::default();
        for payload in 0..100 {
            queue.push(item("loud", "r", Urgency::Sync, payload), false);
        }
        for payload in 0..3 {
            queue.push(item("quiet", "r", Urgency::Sync, payload), false);
        }
        let first: Vec<_> = picked(&mut queue, 6).into_iter().map(|(tenant, _)| tenant).collect();
        assert_eq!(first.iter().filter(|tenant| *tenant == "quiet").count(), 3);
    }

    #[test]
    fn new_tenant_starts_at_the_level_of_the_others() {
        let mut queue = Queue::default();
        for payload in 0..50 {
            queue.push(item("old", "r", Urgency::Sync, payload), false);
        }
        picked(&mut queue, 20);
        for payload in 0..50 {
            queue.push(item("new", "r", Urgency::Sync, payload), false);
        }
        let next = picked(&mut queue, 10);
        let new = next.iter().filter(|(tenant, _)| tenant == "new").count();
        assert!((5..=6).contains(&new), "{next:?}");
    }

    #[test]
    fn urgency_precedes_fairness() {
        let mut queue = Queue::default();
        queue.push(item("a", "r", Urgency::Bulk, 1), false);
        queue.push(item("a", "r", Urgency::Sync, 2), false);
        queue.push(item("b", "r", Urgency::Interactive, 3), false);
        let order: Vec<_> = picked(&mut queue, 3).into_iter().map(|(_, payload)| payload).collect();
        assert_eq!(order, [3, 2, 1]);
    }

    #[test]
    fn blocked_route_delays_no_other_route() {
        let mut queue = Queue::default();
        for payload in 0..3 {
            queue.push(item("a", "slow", Urgency::Interactive, payload), false);
        }
        queue.push(item("a", "fast", Urgency::Interactive, 10), false);
        queue.push(item("b", "fast", Urgency::Bulk, 20), false);
        let slow = item("a", "slow", Urgency::Interactive, 0).route;
        let until = Instant::now() + Duration::from_secs(60);
        queue.block(slow.clone(), Block { until, certain: true });
        let order: Vec<_> = picked(&mut queue, 9).into_iter().map(|(_, payload)| payload).collect();
        assert_eq!(order, [10, 20]);
        queue.completed(&slow);
        assert!(
            picked(&mut queue, 9).is_empty(),
            "a completed call does not end a certain block"
        );
        queue.block(slow.clone(), Block { until, certain: false });
        queue.completed(&slow);
        assert_eq!(picked(&mut queue, 9).len(), 3);
    }

    #[test]
    fn returned_calls_keep_their_order_and_their_tenants_counts() {
        let mut queue = Queue::default();
        for payload in 0..4 {
            queue.push(item("a", "r", Urgency::Sync, payload), false);
            queue.push(item("b", "r", Urgency::Sync, payload), false);
        }
        let before = queue.waiting();
        let items = queue.pick(5, Instant::now());
        let order: Vec<_> = items
            .iter()
            .map(|item| (item.tenant.to_string(), item.payload))
            .collect();
        queue.put_back(items);
        queue.remove_idle();
        assert_eq!(queue.waiting(), before);
        let again = picked(&mut queue, 5);
        let of = |list: &[(String, u32)], name: &str| -> Vec<u32> {
            list.iter()
                .filter(|(tenant, _)| tenant == name)
                .map(|(_, payload)| *payload)
                .collect()
        };
        assert_eq!(of(&order, "a").len() + of(&order, "b").len(), 5);
        assert!(of(&again, "a").is_sorted() && of(&again, "b").is_sorted());
        assert!(of(&again, "a").len().abs_diff(of(&again, "b").len()) <= 1, "{again:?}");
    }

    #[test]
    fn tenant_that_sends_one_call_at_a_time_has_no_advantage() {
        let mut queue = Queue::default();
        for payload in 0..40 {
            queue.push(item("patient", "r", Urgency::Sync, payload), false);
        }
        let mut served = HashMap::<String, u32>::new();
        queue.push(item("hasty", "r", Urgency::Sync, 0), false);
        for _ in 0..20 {
            let (tenant, _) = picked(&mut queue, 1).remove(0);
            if tenant == "hasty" {
                queue.remove_idle();
                queue.push(item("hasty", "r", Urgency::Sync, 0), false);
            }
            *served.entry(tenant).or_default() += 1;
        }
        assert!((9..=11).contains(&served["hasty"]), "{served:?}");
    }

    #[test]
    fn batch_has_candidates_of_every_class() {
        let mut queue = Queue::default();
        for payload in 0..50 {
            queue.push(item("a", "r", Urgency::Interactive, payload), false);
            queue.push(item("b", "r", Urgency::Bulk, 100 + payload), false);
        }
        let order: Vec<_> = picked(&mut queue, 8).into_iter().map(|(_, payload)| payload).collect();
        assert_eq!(order, [0, 1, 2, 3, 4, 5, 100, 101]);
    }

    #[test]
    fn counts_of_all_replicas_replace_local_ones_and_lost_counts_reset_all_tenants() {
        let mut queue = Queue::default();
        for payload in 0..9 {
            queue.push(item("here", "r", Urgency::Sync, payload), false);
            queue.push(item("everywhere", "r", Urgency::Sync, payload), false);
        }
        queue.set_level(1, 100);
        queue.set_served(1, &"everywhere".into(), 103);
        let first: Vec<_> = picked(&mut queue, 3).into_iter().map(|(tenant, _)| tenant).collect();
        assert_eq!(first, ["here", "here", "here"]);
        queue.set_level(1, 2);
        let next: Vec<_> = picked(&mut queue, 4).into_iter().map(|(tenant, _)| tenant).collect();
        assert_eq!(next.iter().filter(|tenant| *tenant == "here").count(), 2, "{next:?}");
    }

    #[test]
    fn counts_follow_added_and_removed_calls() {
        let mut queue = Queue::default();
        queue.push(item("a", "r", Urgency::Sync, 1), false);
        queue.push(item("a", "s", Urgency::Bulk, 2), false);
        queue.push(item("b", "r", Urgency::Sync, 3), false);
        assert_eq!(
            (queue.waiting(), queue.waiting_of("a"), queue.waiting_by_class()),
            (3, 2, [0, 2, 1])
        );
        let removed = queue.remove_if(|item| item.payload == 3);
        assert_eq!((removed.len(), queue.waiting(), queue.waiting_of("b")), (1, 2, 0));
        assert_eq!(picked(&mut queue, 9).len(), 2);
        queue.remove_idle();
        assert_eq!((queue.waiting(), queue.tenants()), (0, 0));
    }
}
