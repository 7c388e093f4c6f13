//! What a service knows of its own health: components by name, a role, diagnostic details, a memory limit.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Instant;

use parking_lot::Mutex;
use serde::Serialize;
use serde_json::{Map, Value, json};

use crate::memory::resident_bytes;

/// State of a component or of the whole service.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Status {
    /// Works.
    Up,
    /// Works with less than it should have; the service still serves.
    Degraded,
    /// Does not work, and the service cannot serve without it.
    Down,
}

#[derive(Debug, Clone, Serialize)]
struct State {
    status: Status,
    #[serde(skip_serializing_if = "Option::is_none")]
    detail: Option<String>,
    #[serde(skip)]
    since: Instant,
}

type Details = Box<dyn Fn() -> Value + Send + Sync>;

#[derive(Default)]
struct Inner {
    components: BTreeMap<&'static str, State>,
    details: BTreeMap<&'static str, Details>,
    role: Option<String>,
    memory_limit: Option<u64>,
}

/// Health of the service. Cloning shares it.
#[derive(Clone, Default)]
pub struct Health(Arc<Mutex<Inner>>);

impl std::fmt::Debug for Health {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Health")
            .field("status", &self.status())
            .finish_non_exhaustive()
    }
}

/// A handle by which the owner of a component reports its state.
#[derive(Debug, Clone)]
pub struct Component {
    health: Health,
    name: &'static str,
}

impl Health {
    /// Names a component. It is down ("starting") until it reports otherwise.
    pub fn component(&self, name: &'static str) -> Component {
        let state = State {
            status: Status::Down,
            detail: Some("starting".to_owned()),
            since: Instant::now(),
        };
        self.0.lock().components.insert(name, state);
        Component {
            health: self.clone(),
            name,
        }
    }

    /// What this process is at the moment, such as `active` or `standby`.
    pub fn role(&self, role: impl Into<String>) {
        self.0.lock().role = Some(role.into());
    }

    /// Adds diagnostic JSON under `name`; `read` is called at each `GET /health` and must not wait for anything.
    pub fn details(&self, name: &'static str, read: impl Fn() -> Value + Send + Sync + 'static) {
        self.0.lock().details.insert(name, Box::new(read));
    }

    /// Resident memory above which the service is not healthy.
    pub fn memory_limit(&self, bytes: u64) {
        self.0.lock().memory_limit = Some(bytes);
    }

    /// The worst of all components and of memory.
    pub fn status(&self) -> Status {
        let inner = self.0.lock();
        let worst = inner
            .components
            .values()
            .map(|state| state.status)
            .max()
            .unwrap_or(Status::Up);
        if over_limit(&inner) { Status::Down } else { worst }
    }

    /// Names of components that are not up, with what they said.
    pub fn troubles(&self) -> Vec<String> {
        let inner = self.0.lock();
        let mut troubles: Vec<String> = inner
            .components
            .iter()
            .filter(|(_, state)| state.status != Status::Up)
            .map(|(name, state)| format!("{name}: {}", state.detail.as_deref().unwrap_or("no detail")))
            .collect();
        if over_limit(&inner) {
            troubles.push("memory: over the limit".to_owned());
        }
        troubles
    }

    /// The diagnostic document of `GET /health`.
    pub fn document(&self, service: &str, version: &str) -> Value {
        let status = self.status();
        let inner = self.0.lock();
        let mut components = Map::new();
        for (name, state) in &inner.components {
            let mut value = json!({ "status": state.status, "for_seconds": state.since.elapsed().as_secs() });
            if let Some(detail) = &state.detail {
                value["detail"] = json!(detail);
            }
            components.insert((*name).to_owned(), value);
        }
        let mut document = json!({
            "service": service,
            "version": version,
            "status": status,
            "role": inner.role,
            "components": components,
            "memory": { "resident_bytes": resident_bytes(), "limit_bytes": inner.memory_limit },
        });
        for (name, read) in &inner.details {
            document[*name] = read();
        }
        document
    }
}

fn over_limit(inner: &Inner) -> bool {
    matches!((inner.memory_limit, resident_bytes()), (Some(limit), Some(resident)) if resident > limit)
}

impl Component {
    /// It works.
    pub fn up(&self) {
        self.set(Status::Up, None);
    }

    /// It works; `detail` says something worth reading at night.
    pub fn up_with(&self, detail: impl Into<String>) {
        self.set(Status::Up, Some(detail.into()));
    }

    /// The service serves, but with less.
    pub fn degraded(&self, why: impl Into<String>) {
        self.set(Status::Degraded, Some(why.into()));
    }

    /// The service cannot serve.
    pub fn down(&self, why: impl Into<String>) {
        self.set(Status::Down, Some(why.into()));
    }

    fn set(&self, status: Status, detail: Option<String>) {
        let mut inner = self.health.0.lock();
        let Some(state) = inner.components.get_mut(self.name) else {
            return;
        };
        if state.status != status {
            state.since = Instant::now();
            let detail = detail.as_deref().unwrap_or_default();
            match status {
                Status::Up => tracing::info!(component = self.name, detail, "up"),
                Status::Degraded => tracing::warn!(component = self.name, detail, "degraded"),
                Status::Down => tracing::warn!(component = self.name, detail, "down"),
            }
        }
        state.status = status;
        state.detail = detail;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_worst_component_decides() {
        let health = Health::default();
        assert_eq!(health.status(), Status::Up);
        let broker = health.component("broker");
        let redis = health.component("redis");
        assert_eq!(health.status(), Status::Down);
        broker.up();
        redis.degraded("connection refused");
        assert_eq!(health.status(), Status::Degraded);
        assert_eq!(health.troubles(), ["redis: connection refused"]);
    }

    #[test]
    fn memory_over_the_limit_counts_as_down() {
        let health = Health::default();
        health.memory_limit(1);
        assert_eq!(health.status(), Status::Down);
        assert_eq!(health.troubles(), ["memory: over the limit"]);
    }

    #[test]
    fn the_document_names_components_role_and_details() {
        let health = Health::default();
        health.component("broker").up_with("3 ms");
        health.role("standby");
        health.details("shards", || json!([1, 2]));
        let document = health.document("arrakis-ingestor", "0.1.0");
        assert_eq!(document["components"]["broker"]["detail"], "3 ms");
        assert_eq!(document["role"], "standby");
        assert_eq!(document["shards"], json!([1, 2]));
        assert_eq!(document["status"], "up");
    }
}
