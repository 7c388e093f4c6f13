//! Contract wallets on a real EVM: deployed, not deployed, and hostile ones.

#![expect(clippy::unwrap_used, reason = "a test that cannot have what it needs has failed")]

mod contract_wallets;
