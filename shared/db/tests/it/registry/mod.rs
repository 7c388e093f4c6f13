//! The identity registry: operations, laws, rights, verification, and the migration of old verifications.

mod chain;
mod joining;
mod laws;
mod migration;
mod operations;
mod profiles;
mod rights;

use arrakis_db::registry::{
    Account, Cause, EventSource, Identity, IdentityEvent, IdentityId, IdentityRecord, Refusal, RegistryError,
    TelegramUserId, VerifiedWallet,
};
use arrakis_db::{Database, GlobalTx};
use arrakis_domain::Address;
use time::macros::datetime;
use time::{Duration, OffsetDateTime};

use crate::fixtures::user;

/// Time 0 of these tests.
const START: OffsetDateTime = datetime!(2026-01-01 00:00 UTC);

fn minute(minute: i64) -> OffsetDateTime {
    START + Duration::minutes(minute)
}

/// By a member, at this minute.
fn member(at: i64) -> Cause {
    Cause {
        source: EventSource::DiscordVerification,
        at: minute(at),
    }
}

/// By an operator, at this minute.
fn admin(at: i64) -> Cause {
    Cause {
        source: EventSource::Admin,
        at: minute(at),
    }
}

fn discord(id: u64) -> Account {
    Account::Discord(user(id))
}

fn telegram(id: i64) -> Account {
    Account::Telegram(TelegramUserId::new(id).unwrap())
}

fn address(number: u8) -> Address {
    let mut bytes = [0; 20];
    bytes[19] = number;
    Address::from_bytes(bytes)
}

fn wallet(number: u8, at: i64) -> VerifiedWallet {
    VerifiedWallet {
        address: address(number),
        chain_id: 80094,
        signature: None,
        verified_at: minute(at),
    }
}

/// An identity with this Discord account and these wallets, at minute 0.
async fn identity(tx: &mut GlobalTx, id: u64, wallets: &[u8]) -> Identity {
    let mut registry = tx.registry();
    let name = format!("Member {id}");
    let identity = registry.create(discord(id), &name, member(0)).await.unwrap();
    for number in wallets {
        registry
            .verify_wallet(identity.id, &wallet(*number, 0), member(0))
            .await
            .unwrap();
    }
    identity
}

async fn record(tx: &mut GlobalTx, id: IdentityId) -> IdentityRecord {
    tx.registry().by_id(id).await.unwrap().unwrap()
}

/// Addresses that an identity holds, primary first.
fn held(record: &IdentityRecord) -> Vec<Address> {
    let mut held: Vec<_> = record.held().collect();
    held.sort_by_key(|wallet| !wallet.is_primary);
    held.iter().map(|wallet| wallet.address).collect()
}

#[track_caller]
fn assert_refused<T: std::fmt::Debug>(result: Result<T, RegistryError>, refusal: Refusal) {
    let error = result.unwrap_err();
    assert_eq!(error.refusal(), Some(refusal), "{error}");
}

/// Every event of the chain.
async fn all_events(database: &Database) -> Vec<IdentityEvent> {
    let mut tx = database.global().await.unwrap();
    let mut all: Vec<IdentityEvent> = Vec::new();
    loop {
        let after = all.last().map_or(0, |event| event.sequence);
        let page = tx.registry().events(after).await.unwrap();
        if page.is_empty() {
            tx.commit().await.unwrap();
            return all;
        }
        all.extend(page);
    }
}

/// Every identity of the tables, in the order of their ids.
async fn all_identities(database: &Database) -> Vec<IdentityRecord> {
    let mut tx = database.global().await.unwrap();
    let mut all: Vec<IdentityRecord> = Vec::new();
    loop {
        let after = all.last().map(|record| record.identity.id);
        let page = tx.registry().export(after, 3).await.unwrap();
        if page.is_empty() {
            tx.commit().await.unwrap();
            return all;
        }
        // An export has not every removed wallet.
        for exported in page {
            all.push(record(&mut tx, exported.identity.id).await);
        }
    }
}
