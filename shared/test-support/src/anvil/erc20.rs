//! [`Erc20`]: a fungible token of a test.

use alloy::sol_types::{SolCall as _, SolValue as _};
use arrakis_domain::{Address, U256};
use serde_json::json;

use super::contracts::{abi, address_of, compiled, wire};
use super::ledger::{Amount, Movement};
use super::node::{Anvil, hex};

/// Claims of one transaction.
const CLAIMS: usize = 250;

/// A fungible token on a chain of a test. Anyone may mint, claim and burn; each action is one transaction.
#[derive(Debug, Clone)]
pub struct Erc20 {
    anvil: Anvil,
    address: Address,
}

impl Anvil {
    /// Creates a token. Its claims come from [`Erc20::distributor`].
    pub async fn deploy_erc20(&self, name: &str, symbol: &str, decimals: u8) -> Erc20 {
        let arguments = (
            name.to_owned(),
            symbol.to_owned(),
            U256::from(decimals),
            wire(distributor()),
        );
        let mut code = alloy::hex::decode(compiled("TestToken").creation).unwrap_or_default();
        code.extend(arguments.abi_encode_params());
        Erc20 {
            anvil: self.clone(),
            address: self.deploy(&code).await,
        }
    }

    /// A token that [`Anvil::deploy_erc20`] has created earlier, at this address.
    #[must_use]
    pub fn erc20_at(&self, address: Address) -> Erc20 {
        Erc20 {
            anvil: self.clone(),
            address,
        }
    }
}

impl Erc20 {
    /// Address of the contract.
    #[must_use]
    pub const fn address(&self) -> Address {
        self.address
    }

    /// The address from which claims are transferred.
    #[must_use]
    pub fn distributor(&self) -> Address {
        distributor()
    }

    /// Mints tokens: a transfer from zero.
    pub async fn mint(&self, to: Address, amount: impl Amount) {
        let amount = amount.units();
        self.anvil
            .send(self.address, &abi::mintCall { to: wire(to), amount }.abi_encode())
            .await;
        self.record([(zero(), to, amount)]).await;
    }

    /// Claims tokens: mints them to the distributor and transfers them from there.
    pub async fn claim(&self, to: Address, amount: impl Amount) {
        let amount = amount.units();
        self.anvil
            .send(self.address, &abi::claimCall { to: wire(to), amount }.abi_encode())
            .await;
        self.record(claimed(to, amount)).await;
    }

    /// [`Erc20::claim`] for many holders in few transactions.
    pub async fn claim_many(&self, claims: &[(Address, U256)]) {
        for claims in claims.chunks(CLAIMS) {
            let call = abi::claimManyCall {
                to: claims.iter().map(|(to, _)| wire(*to)).collect(),
                amounts: claims.iter().map(|(_, amount)| *amount).collect(),
            };
            self.anvil.send(self.address, &call.abi_encode()).await;
            self.record(claims.iter().flat_map(|(to, amount)| claimed(*to, *amount)))
                .await;
        }
    }

    /// Burns tokens: a transfer to zero, and `Redeem`, the second event of the same burn.
    pub async fn burn(&self, from: Address, amount: impl Amount) {
        let amount = amount.units();
        self.anvil
            .send(
                self.address,
                &abi::burnCall {
                    from: wire(from),
                    amount,
                }
                .abi_encode(),
            )
            .await;
        self.record([(from, zero(), amount)]).await;
    }

    /// Transfers tokens from any holder.
    pub async fn transfer(&self, from: Address, to: Address, amount: impl Amount) {
        let amount = amount.units();
        let call = abi::moveCall {
            from: wire(from),
            to: wire(to),
            amount,
        };
        self.anvil.send(self.address, &call.abi_encode()).await;
        self.record([(from, to, amount)]).await;
    }

    /// The balance of a holder at the latest block, as the chain returns it.
    ///
    /// # Panics
    /// When the chain's response is not a number.
    pub async fn balance_of(&self, owner: Address) -> U256 {
        let data = hex(&abi::balanceOfCall { owner: wire(owner) }.abi_encode());
        let call = json!([{"to": self.address, "data": data}, "latest"]);
        let balance = self.anvil.rpc("eth_call", call).await;
        let parsed = balance.as_str().and_then(|digits| digits.parse().ok());
        parsed.unwrap_or_else(|| panic!("balanceOf returned {balance}"))
    }

    async fn record(&self, moves: impl IntoIterator<Item = (Address, Address, U256)>) {
        let movement = |(from, to, amount)| Movement {
            contract: self.address,
            block: None,
            from,
            to,
            id: None,
            amount,
        };
        self.anvil.record(moves.into_iter().map(movement)).await;
    }
}

fn claimed(to: Address, amount: U256) -> [(Address, Address, U256); 2] {
    [(zero(), distributor(), amount), (distributor(), to, amount)]
}

fn distributor() -> Address {
    address_of(0xd157)
}

pub(super) const fn zero() -> Address {
    Address::from_bytes([0; 20])
}
