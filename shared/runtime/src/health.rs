//! State of a service for the health endpoints: components by name, a role, diagnostic details, a memory limit.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Instant;

use parking_lot::Mutex;
use serde::Serialize;
use serde_json::{Map, Value, json};

use crate::memory::resident_bytes;

/// State of a component or of the service.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum HealthStatus {
    /// It works.
    Up,
    /// It works with restrictions; the service still serves.
    Degraded,
    /// It does not work, and the service cannot serve.
    Down,
}

#[derive(Debug, Clone, Serialize)]
struct State {
    status: HealthStatus,
    #[serde(skip_serializing_if = "Option::is_none")]
    detail: Option<String>,
    #[serde(skip)]
    since: Instant,
    /// False until the state of the component is known.
    #[serde(skip)]
    is_checked: bool,
}

impl HealthStatus {
    /// All statuses.
    pub const ALL: [Self; 3] = [Self::Up, Self::Degraded, Self::Down];

    /// Value of the metrics label `status`.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Up => "up",
            Self::Degraded => "degraded",
            Self::Down => "down",
        }
    }
}

type Details = Box<dyn Fn() -> Value + Send + Sync>;

#[derive(Default)]
struct Inner {
    components: BTreeMap<&'static str, State>,
    details: BTreeMap<&'static str, Details>,
    role: Option<String>,
    memory_limit: Option<u64>,
}

/// State of the service. Clones share it.
#[derive(Clone, Default)]
pub struct Health(Arc<Mutex<Inner>>);

impl std::fmt::Debug for Health {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Health")
            .field("status", &self.status())
            .finish_non_exhaustive()
    }
}

/// Reports the state of one component. Clones share it.
#[derive(Debug, Clone)]
pub struct HealthComponent {
    health: Health,
    name: &'static str,
}

impl Health {
    /// Adds a component. It is down with the detail "starting" until its state is reported.
    pub fn component(&self, name: &'static str) -> HealthComponent {
        let state = State {
            status: HealthStatus::Down,
            detail: Some("starting".to_owned()),
            since: Instant::now(),
            is_checked: false,
        };
        self.0.lock().components.insert(name, state);
        HealthComponent {
            health: self.clone(),
            name,
        }
    }

    /// Sets the process's present role, such as `active` or `standby`.
    pub fn set_role(&self, role: impl Into<String>) {
        self.0.lock().role = Some(role.into());
    }

    /// Adds diagnostic JSON under `name` to `GET /health`, which calls `read` each time. `read` must not block.
    pub fn add_details(&self, name: &'static str, read: impl Fn() -> Value + Send + Sync + 'static) {
        self.0.lock().details.insert(name, Box::new(read));
    }

    /// Sets the resident memory in bytes above which the service is down.
    pub fn set_memory_limit(&self, bytes: u64) {
        self.0.lock().memory_limit = Some(bytes);
    }

    /// The worst state of all components; down when memory exceeds its limit.
    pub fn status(&self) -> HealthStatus {
        let inner = self.0.lock();
        let worst = inner
            .components
            .values()
            .map(|state| state.status)
            .max()
            .unwrap_or(HealthStatus::Up);
        if exceeds_memory_limit(&inner) {
            HealthStatus::Down
        } else {
            worst
        }
    }

    /// The status of each component, by name.
    pub fn component_statuses(&self) -> Vec<(&'static str, HealthStatus)> {
        let inner = self.0.lock();
        inner
            .components
            .iter()
            .map(|(name, state)| (*name, state.status))
            .collect()
    }

    /// The resident memory in bytes above which the service is down, where there is a limit.
    pub fn memory_limit(&self) -> Option<u64> {
        self.0.lock().memory_limit
    }

    /// The components that are not up, each as `name: detail`, and `memory` when it exceeds its limit.
    pub fn unhealthy_components(&self) -> Vec<String> {
        let inner = self.0.lock();
        let mut unhealthy: Vec<String> = inner
            .components
            .iter()
            .filter(|(_, state)| state.status != HealthStatus::Up)
            .map(|(name, state)| format!("{name}: {}", state.detail.as_deref().unwrap_or("no detail")))
            .collect();
        if exceeds_memory_limit(&inner) {
            unhealthy.push("memory: resident memory exceeds the limit".to_owned());
        }
        unhealthy
    }

    /// The document of `GET /health`.
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

fn exceeds_memory_limit(inner: &Inner) -> bool {
    matches!((inner.memory_limit, resident_bytes()), (Some(limit), Some(resident)) if resident > limit)
}

impl HealthComponent {
    /// Reports that it works.
    pub fn up(&self) {
        self.set(HealthStatus::Up, None);
    }

    /// Reports that it works, with a detail for operators.
    pub fn up_with(&self, detail: impl Into<String>) {
        self.set(HealthStatus::Up, Some(detail.into()));
    }

    /// Reports that it works with restrictions.
    pub fn degraded(&self, reason: impl Into<String>) {
        self.set(HealthStatus::Degraded, Some(reason.into()));
    }

    /// Reports that it was not checked yet, of a component without which the service starts: degraded until the first check. It is
    /// no fault, and is not logged as one.
    pub fn not_checked(&self) {
        let mut inner = self.health.0.lock();
        let Some(state) = inner.components.get_mut(self.name) else {
            return;
        };
        if state.status != HealthStatus::Degraded || state.is_checked {
            state.since = Instant::now();
            tracing::info!(component = self.name, "component is not checked yet");
        }
        state.status = HealthStatus::Degraded;
        state.detail = Some("not checked yet".to_owned());
        state.is_checked = false;
    }

    /// Reports that the service cannot serve.
    pub fn down(&self, reason: impl Into<String>) {
        self.set(HealthStatus::Down, Some(reason.into()));
    }

    fn set(&self, status: HealthStatus, detail: Option<String>) {
        let mut inner = self.health.0.lock();
        let Some(state) = inner.components.get_mut(self.name) else {
            return;
        };
        let is_first_fault = !state.is_checked && status == HealthStatus::Degraded;
        if state.status != status || is_first_fault {
            state.since = Instant::now();
            let detail = detail.as_deref().unwrap_or_default();
            match status {
                HealthStatus::Up => tracing::info!(component = self.name, detail, "component is up"),
                HealthStatus::Degraded => tracing::warn!(component = self.name, detail, "component is degraded"),
                HealthStatus::Down => tracing::warn!(component = self.name, detail, "component is down"),
            }
        }
        state.status = status;
        state.detail = detail;
        state.is_checked = true;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn status_is_that_of_the_worst_component() {
        let health = Health::default();
        assert_eq!(health.status(), HealthStatus::Up);
        let broker = health.component("broker");
        let redis = health.component("redis");
        assert_eq!(health.status(), HealthStatus::Down);
        broker.up();
        redis.degraded("connection refused");
        assert_eq!(health.status(), HealthStatus::Degraded);
        assert_eq!(health.unhealthy_components(), ["redis: connection refused"]);
    }

    /// The levels of the logged messages while `run` runs.
    fn levels_of(run: impl FnOnce()) -> Vec<tracing::Level> {
        #[derive(Default)]
        struct Levels(Mutex<Vec<tracing::Level>>);
        impl tracing::Subscriber for Levels {
            fn enabled(&self, metadata: &tracing::Metadata<'_>) -> bool {
                *metadata.level() <= tracing::Level::INFO
            }
            fn new_span(&self, _: &tracing::span::Attributes<'_>) -> tracing::span::Id {
                tracing::span::Id::from_u64(1)
            }
            fn record(&self, _: &tracing::span::Id, _: &tracing::span::Record<'_>) {}
            fn record_follows_from(&self, _: &tracing::span::Id, _: &tracing::span::Id) {}
            fn event(&self, event: &tracing::Event<'_>) {
                self.0.lock().push(*event.metadata().level());
            }
            fn enter(&self, _: &tracing::span::Id) {}
            fn exit(&self, _: &tracing::span::Id) {}
        }
        let levels = Arc::new(Levels::default());
        tracing::subscriber::with_default(Arc::clone(&levels), run);
        levels.0.lock().clone()
    }

    #[test]
    fn component_that_is_not_checked_yet_is_degraded_without_a_warning() {
        use tracing::Level;
        let health = Health::default();
        let redis = health.component("redis");
        assert_eq!(levels_of(|| redis.not_checked()), [Level::INFO]);
        assert!(levels_of(|| redis.not_checked()).is_empty());
        assert_eq!(health.unhealthy_components(), ["redis: not checked yet"]);
        assert_eq!(levels_of(|| redis.degraded("connection refused")), [Level::WARN]);
        assert!(levels_of(|| redis.degraded("connection refused")).is_empty());
        assert_eq!(levels_of(|| redis.up()), [Level::INFO]);
    }

    #[test]
    fn memory_above_the_limit_is_down() {
        let health = Health::default();
        health.set_memory_limit(1);
        assert_eq!(health.status(), HealthStatus::Down);
        assert_eq!(
            health.unhealthy_components(),
            ["memory: resident memory exceeds the limit"]
        );
    }

    #[test]
    fn document_has_components_role_and_details() {
        let health = Health::default();
        health.component("broker").up_with("3 ms");
        health.set_role("standby");
        health.add_details("shards", || json!([1, 2]));
        let document = health.document("arrakis-ingestor", "0.1.0");
        assert_eq!(document["components"]["broker"]["detail"], "3 ms");
        assert_eq!(document["role"], "standby");
        assert_eq!(document["shards"], json!([1, 2]));
        assert_eq!(document["status"], "up");
    }
}
