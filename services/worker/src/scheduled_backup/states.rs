//! The states of a server that gaib keeps in an object store.
//!
//! The marker of a server names its workspace, and the workspace has the state. A state in a folder of its owner is not there, and its
//! owner's to keep.

use std::path::PathBuf;
use std::sync::Arc;

use arrakis_iac::state::State;
use arrakis_iac_apply::store::{Backend as _, RemoteStore, StoreError, WorkspaceName};
use arrakis_vault::{ObjectStore, ServerId, StateVersion};

use crate::failure::Failure;

/// The store in which gaib keeps states.
#[derive(Debug)]
pub(crate) struct RemoteStates {
    store: RemoteStore,
    /// Host and port of Discord's API, by which markers of servers are kept apart.
    discord: String,
}

/// The state of a server.
#[derive(Debug)]
pub(crate) struct RemoteState {
    /// Its workspace.
    pub(crate) workspace: WorkspaceName,
    /// The state, as gaib wrote it.
    pub(crate) bytes: Vec<u8>,
}

impl RemoteStates {
    /// States in this store. Nothing is written to it.
    pub(crate) fn new(objects: Arc<dyn ObjectStore>, discord: String) -> Self {
        Self {
            store: RemoteStore::new(objects, PathBuf::new(), ""),
            discord,
        }
    }

    /// The state of a server; `None` where none is in the store.
    ///
    /// # Errors
    /// If the store cannot be read, or the marker of the server is invalid.
    pub(crate) async fn of(&self, server: ServerId) -> Result<Option<RemoteState>, Failure> {
        let marker = self.store.servers(&self.discord).marker(server.get()).await;
        let Some(marker) = marker.map_err(|error| failure(&error))? else {
            return Ok(None);
        };
        let workspace: WorkspaceName = marker.workspace.parse().map_err(Failure::permanent)?;
        let bytes = self.store.read(&workspace).await.map_err(|error| failure(&error))?;
        Ok(bytes.map(|bytes| RemoteState { workspace, bytes }))
    }
}

impl RemoteState {
    /// The state; `None` where this build cannot read it, as one of a later gaib. It is backed up all the same.
    pub(crate) fn parse(&self) -> Option<State> {
        match State::from_bytes(&self.bytes) {
            Ok(state) => Some(state),
            Err(error) => {
                tracing::warn!(workspace = %self.workspace, %error, "a state cannot be read; the export names resources by their own names");
                None
            }
        }
    }

    /// Its lineage and serial.
    pub(crate) fn version(&self) -> Option<StateVersion> {
        serde_json::from_slice(&self.bytes).ok()
    }
}

fn failure(error: &StoreError) -> Failure {
    match error {
        StoreError::Object(error) if error.is_transient() => Failure::retry(error),
        error => Failure::permanent(error),
    }
}
