//! [`Ledger`]: what a test did with its tokens, recorded without the chain. Tests compare what they read from the chain with it.

use std::collections::BTreeMap;

use arrakis_domain::{Address, U256};

/// Tokens that a test moved.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Movement {
    /// Contract.
    pub contract: Address,
    /// Number of the block; `None` while the action waits for a block.
    pub block: Option<u64>,
    /// Former holder; zero for a mint.
    pub from: Address,
    /// New holder; zero for a burn.
    pub to: Address,
    /// Token id; `None` for ERC-20.
    pub id: Option<U256>,
    /// Amount; 1 for ERC-721.
    pub amount: U256,
}

/// All movements, in their order on the chain.
#[derive(Debug, Clone, Default)]
pub struct Ledger(pub(super) Vec<Movement>);

impl Ledger {
    /// Movements of a contract.
    pub fn of(&self, contract: Address) -> impl Iterator<Item = &Movement> {
        self.0.iter().filter(move |movement| movement.contract == contract)
    }

    /// Balance of a holder: received minus sent, over all ids.
    #[must_use]
    pub fn balance(&self, contract: Address, holder: Address) -> U256 {
        self.balance_of_ids(contract, holder, |_| true)
    }

    /// Balance of a holder over the ids that `counts` selects.
    pub fn balance_of_ids(&self, contract: Address, holder: Address, counts: impl Fn(U256) -> bool) -> U256 {
        let counted = self.of(contract).filter(|movement| movement.id.is_none_or(&counts));
        counted.fold(U256::ZERO, |mut balance, movement| {
            if movement.to == holder {
                balance += movement.amount;
            }
            if movement.from == holder {
                balance -= movement.amount;
            }
            balance
        })
    }

    /// Balances of every address that ever held the token, without the zero address.
    #[must_use]
    pub fn balances(&self, contract: Address) -> BTreeMap<Address, U256> {
        let zero = Address::from_bytes([0; 20]);
        let mut balances = BTreeMap::<Address, U256>::new();
        for movement in self.of(contract) {
            if movement.to != zero {
                *balances.entry(movement.to).or_default() += movement.amount;
            }
            if movement.from != zero {
                *balances.entry(movement.from).or_default() -= movement.amount;
            }
        }
        balances
    }
}

/// An amount or id: a [`U256`] or an integer.
pub trait Amount {
    /// The amount in the smallest unit.
    fn units(self) -> U256;
}

macro_rules! amounts {
    ($($integer:ty),*) => {
        $(impl Amount for $integer {
            fn units(self) -> U256 {
                U256::from(self)
            }
        })*
    };
}

amounts!(u8, u32, i32, u64, usize, u128, U256);
