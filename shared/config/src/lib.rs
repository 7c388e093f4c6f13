//! Configuration: declarations of all environment variables, and the reader of a service's configuration.
//!
//! Owns the list of variables ([`VARIABLES`]), from which `.env.example` is generated, the [`Reader`] with which services
//! build their own `Config` structs, and [`Secret`]. What a value is used for is the service's concern.
//!
//! To add a variable: add a constant in `variables.rs`, list it in [`VARIABLES`], run `./dev check`; the test that compares
//! `.env.example` prints the command that updates it.

mod api_base;
mod approval_people;
mod backups;
mod chain_urls;
mod error;
mod proxy_url;
mod public_address;
mod reader;
mod reference;
mod score_api;
mod secret;
mod signing;
pub mod variables;

pub use api_base::{ApiBaseError, is_loopback, parse_discord_api_base};
pub use approval_people::{ApprovalPeople, ApprovalPeopleError, ApprovalPerson};
pub use backups::{BackupEncryption, BackupLocationError, BackupSettings, CatalogueLocation, StoreLocation};
pub use chain_urls::{ChainEndpoints, ChainUrlsError, parse_chain_rpc_urls};
pub use error::{ConfigErrors, ConfigProblem, EXIT_CODE};
pub use proxy_url::{ProxyUrlError, parse_proxy_url};
pub use public_address::{PublicAddress, PublicAddressError};
pub use reader::{Reader, Source};
pub use reference::env_example;
pub use score_api::{ScoreApi, ScoreApiError, parse_score_api_url};
pub use secret::Secret;
pub use signing::{LoginMethod, SignerLocation, SigningRevocation, SigningSettings, TransitLogin, TransitSettings};
pub use variables::{Requirement, Service, VARIABLES, Variable};
