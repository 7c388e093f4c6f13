//! Who may use what, beyond Discord's own permissions: asked before a command runs.
//!
//! The table from tier to commands and features, which an admin edits, comes behind this trait; until a community has one,
//! everything is open.

use async_trait::async_trait;

use crate::commands::{Call, Definition};
use crate::failure::Failure;
use crate::interactions::refusal::Refusal;

/// Decides whether a member may use a command.
#[async_trait]
pub trait Gate: Send + Sync + std::fmt::Debug {
    /// Why not, in words for the member; `None` lets the command run.
    async fn refusal(&self, call: &Call<'_>, definition: &Definition) -> Result<Option<Refusal>, Failure>;
}

/// Lets everybody use everything.
#[derive(Debug, Clone, Copy)]
pub struct Open;

#[async_trait]
impl Gate for Open {
    async fn refusal(&self, _call: &Call<'_>, _definition: &Definition) -> Result<Option<Refusal>, Failure> {
        Ok(None)
    }
}
