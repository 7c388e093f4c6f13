//! The store: no partial writes, one writer, and no lock that remains without a holder.

mod common;
mod faulty;
mod local;
mod remote;
#[cfg(feature = "aws")]
mod s3;
mod servers;

use arrakis_iac_apply::store::{LockHolder, WorkspaceName};

fn holder(who: &str) -> LockHolder {
    LockHolder {
        who: who.to_owned(),
        host: "arrakeen".to_owned(),
        operation: "apply".to_owned(),
    }
}

fn default() -> WorkspaceName {
    WorkspaceName::default()
}
