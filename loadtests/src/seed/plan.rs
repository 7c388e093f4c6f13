//! The whole seed as data: servers, members and wallets. The same seed gives the same plan.

use arrakis_domain::{Rank, Standing};
use rand::rngs::ChaCha8Rng;
use rand::{RngExt as _, SeedableRng as _};
use uuid::Uuid;

use super::holders::{Holder, holders};
use super::names::{Names, display};

/// Name of the token profile that both communities use.
pub const TOKEN_PROFILE: &str = "bgt";
/// Discord ids of the seed: each kind has a range of its own, so that an id in a log can be recognized.
const GUILDS: u64 = 1_200_000_000_000_000_000;
/// Distance of two servers' ids: the ids between them are for the roles and channels of the first.
const GUILD_STEP: u64 = 10_000_000;
const USERS: u64 = 1_210_000_000_000_000_000;

/// Everything that is written to Postgres and to the emulator.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Plan {
    /// Wallets, from rank 1.
    pub holders: Vec<Holder>,
    /// Onboarded servers first, then one that is not onboarded.
    pub servers: Vec<Server>,
    /// Users with a verified wallet who are in no server yet.
    pub newcomers: Vec<Newcomer>,
}

/// One Discord server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Server {
    /// Discord id.
    pub guild: u64,
    /// Name.
    pub name: &'static str,
    /// The community; `None` for a server that is not onboarded.
    pub community: Option<Community>,
    /// Members without the bot; the first owns the server.
    pub members: Vec<Member>,
}

/// A community.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Community {
    /// Tenant.
    pub id: Uuid,
    /// Theme.
    pub theme: &'static str,
    /// Rule set of the theme.
    pub rule_set: &'static str,
}

/// One member of one server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Member {
    /// Discord id of the user.
    pub user: u64,
    /// User name.
    pub name: String,
    /// Display name.
    pub display: String,
    /// Index of the verified wallet in [`Plan::holders`]; `None` without a wallet.
    pub holder: Option<usize>,
    /// Days since the member joined.
    pub joined_days_ago: u32,
    /// Days with a message or a command within the last 30.
    pub active_days: u32,
    /// Whether an admin has awarded the contributor's badge.
    pub contributor: bool,
}

/// A user who joins during the demo.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Newcomer {
    /// Discord id of the user.
    pub user: u64,
    /// User name.
    pub name: &'static str,
    /// Index of the wallet in [`Plan::holders`]; `None` without a wallet.
    pub holder: Option<usize>,
}

impl Plan {
    /// Draws a plan; equal seeds give equal plans.
    pub fn new(seed: u64) -> Self {
        let mut random = ChaCha8Rng::seed_from_u64(seed);
        let holders = holders(&mut random);
        let newcomers = newcomers(&holders);
        let taken: Vec<_> = newcomers.iter().filter_map(|newcomer| newcomer.holder).collect();
        let mut factory = MemberFactory {
            random,
            names: Names::default(),
            next_user: USERS + 1_000,
        };
        let tabr = factory.members(&mut (0..holders.len()).filter(|index| !taken.contains(index)), 3, 40);
        // A wallet is one user's on the whole platform: the registry refuses a second one.
        let free = |index: &usize| !taken.contains(index) && tabr.iter().all(|member| member.holder != Some(*index));
        let market = factory.members(&mut (0..150).filter(free), 1, 25);
        let outpost = factory.members(&mut std::iter::empty(), 1, 8);
        let community = |n: u128, theme, rule_set| {
            Some(Community {
                id: Uuid::from_u128(n),
                theme,
                rule_set,
            })
        };
        let servers = vec![
            Server {
                guild: GUILDS,
                name: "Sietch Tabr",
                community: community(0x0192_0000_0000_7000_8000_0000_0000_0001, "sietch", "balance"),
                members: tabr,
            },
            Server {
                guild: GUILDS + GUILD_STEP,
                name: "Carthag Market",
                community: community(0x0192_0000_0000_7000_8000_0000_0000_0002, "basic", "ranked"),
                members: market,
            },
            Server {
                guild: GUILDS + 2 * GUILD_STEP,
                name: "Polar Outpost",
                community: None,
                members: outpost,
            },
        ];
        Self {
            holders,
            servers,
            newcomers,
        }
    }

    /// Standing of a wallet by its index in the list of holders; the default without one.
    pub fn standing(&self, holder: Option<usize>) -> Standing {
        let found = holder.and_then(|index| Some((index, self.holders.get(index)?)));
        found.map_or_else(Standing::default, |(index, holder)| {
            Standing::new(Self::rank(index), holder.held)
        })
    }

    /// Rank of an index in the list of holders.
    pub fn rank(index: usize) -> Option<Rank> {
        u32::try_from(index + 1).ok().and_then(Rank::new)
    }
}

/// Each newcomer is at a tier boundary.
fn newcomers(holders: &[Holder]) -> Vec<Newcomer> {
    let holding = |text: &str| holders.iter().position(|holder| holder.held.to_string() == text);
    let people: [(&'static str, Option<usize>); 8] = [
        ("stilgar", Some(2)),
        ("chani", Some(7)),
        ("liet", Some(68)),
        ("harah", Some(69)),
        ("otheym", holding("69")),
        ("jamis", holding("68.999999999999999999")),
        ("shishakli", holding("6.899999999999999999")),
        ("ramallo", None),
    ];
    people
        .into_iter()
        .zip(USERS + 1..)
        .map(|((name, holder), user)| Newcomer { user, name, holder })
        .collect()
}

/// Creates members one after the other.
struct MemberFactory {
    random: ChaCha8Rng,
    names: Names,
    next_user: u64,
}

impl MemberFactory {
    /// Members of one server: all but one of every `one_in_of` holders, and `without` members without a wallet.
    fn members(&mut self, indexes: &mut dyn Iterator<Item = usize>, one_in_of: u32, without: usize) -> Vec<Member> {
        let mut members = vec![self.member(None)];
        for index in indexes {
            if one_in_of == 1 || self.random.random_range(0..one_in_of) > 0 {
                members.push(self.member(Some(index)));
            }
        }
        members.extend((1..without).map(|_| self.member(None)));
        members
    }

    fn member(&mut self, holder: Option<usize>) -> Member {
        self.next_user += 1;
        let name = self.names.next(&mut self.random);
        Member {
            user: self.next_user,
            display: display(&name),
            name,
            holder,
            joined_days_ago: self.random.random_range(1..400),
            // Most members are rarely active; one in sixteen is active every day.
            active_days: if self.random.random_range(0..16) == 0 {
                self.random.random_range(18..=30)
            } else {
                self.random.random_range(0..2)
            },
            contributor: self.random.random_range(0..40) == 0,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_seed_gives_the_same_plan() {
        assert_eq!(Plan::new(1), Plan::new(1));
        assert_ne!(Plan::new(1), Plan::new(2));
    }

    #[test]
    fn newcomers_are_at_their_boundaries() {
        let plan = Plan::new(7);
        let held = |name: &str| {
            let newcomer = plan.newcomers.iter().find(|newcomer| newcomer.name == name).unwrap();
            newcomer.holder.map(|index| plan.holders[index].held.to_string())
        };
        assert_eq!(held("otheym").as_deref(), Some("69"));
        assert_eq!(held("jamis").as_deref(), Some("68.999999999999999999"));
        assert_eq!(held("harah"), held("liet"));
        assert_eq!(held("ramallo"), None);
    }

    #[test]
    fn each_wallet_has_one_user_on_the_platform() {
        let plan = Plan::new(1);
        let members = plan.servers.iter().flat_map(|server| &server.members);
        let mut indexes: Vec<_> = members
            .filter_map(|member| member.holder)
            .chain(plan.newcomers.iter().filter_map(|newcomer| newcomer.holder))
            .collect();
        let count = indexes.len();
        indexes.sort_unstable();
        indexes.dedup();
        assert_eq!(indexes.len(), count);
        assert!(plan.servers.iter().all(|server| server.members.len() >= 8));
    }

    #[test]
    fn each_community_has_members_with_wallets() {
        let plan = Plan::new(1);
        for server in plan.servers.iter().filter(|server| server.community.is_some()) {
            let holders = server.members.iter().filter(|member| member.holder.is_some()).count();
            assert!(holders >= 20, "{}: {holders}", server.name);
        }
    }
}
