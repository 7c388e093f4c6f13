//! Ids of the lively servers, the same in every run, so that other data (a database, a test) can refer to them.

use crate::model::Id;

/// The server "Sietch Tabr", token-gated and onboarded.
pub const SIETCH_TABR: Id = Id(1_200_000_000_000_000_000);
/// The server "Arrakeen Market", small and not onboarded.
pub const ARRAKEEN_MARKET: Id = Id(1_200_000_000_500_000_000);

/// Role number `n` of Sietch Tabr, counted from 1 at the top: the nine tiers from Naib to Hajra are 1–9, then Former Naib,
/// Taqwa, Water Sharer, Engaged and Veteran (10–14).
#[must_use]
pub const fn tabr_role(n: u64) -> Id {
    Id(SIETCH_TABR.0 + 100 + n)
}

/// The bot's own role in a server.
#[must_use]
pub const fn bot_role(guild: Id) -> Id {
    Id(guild.0 + 99)
}

/// Channel number `n` of a server, categories included, in the order of the list, from 1.
#[must_use]
pub const fn channel(guild: Id, n: u64) -> Id {
    Id(guild.0 + 1_000 + n)
}

/// User number `n`, counted from 1, in the order of the list of names.
#[must_use]
pub const fn person(n: u64) -> Id {
    Id(1_000_000_000_000_000_000 + n)
}

/// The owner of both servers, who does not act in them.
pub const OWNER: Id = person(0);
