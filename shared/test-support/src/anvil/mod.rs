//! [`Anvil`]: a chain of its own for a test, with token contracts whose holdings the test decides.
//!
//! ```no_run
//! # use arrakis_test_support::{Anvil, tokens};
//! # async fn example(chani: arrakis_domain::Address, stilgar: arrakis_domain::Address) {
//! let anvil = Anvil::start().await;
//! let token = anvil.deploy_erc20("Bera Governance Token", "BGT", 18).await;
//! token.claim(chani, tokens(70)).await;             // a block of its own
//! token.burn(chani, tokens(1)).await;
//! anvil.in_one_block(async {                        // several actions in one block
//!     token.claim(stilgar, tokens(500)).await;
//!     token.transfer(stilgar, chani, tokens(5)).await;
//! }).await;
//! anvil.finalize().await;                           // everything so far is final
//! assert_eq!(anvil.ledger().balance(token.address(), chani), tokens(74));
//! anvil.reorg(1).await;                             // replaces the latest block by an empty one
//! # }
//! ```

mod contracts;
mod erc1155;
mod erc20;
mod erc721;
mod ledger;
mod node;

pub use contracts::{MULTICALL3, address_of, tokens};
pub use erc20::Erc20;
pub use erc721::Erc721;
pub use erc1155::Erc1155;
pub use ledger::{Amount, Ledger, Movement};
pub use node::{Anvil, AnvilOptions};
