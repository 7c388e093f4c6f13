//! Which processes a scenario starts, and their settings beyond the usual ones.

/// Number of each process, and variables in addition to the usual ones.
#[derive(Debug, Clone)]
pub struct Deployment {
    pub(super) proxies: usize,
    pub(super) workers: usize,
    pub(super) ingestors: usize,
    pub(super) interactions: usize,
    pub(super) api: bool,
    pub(super) emulator: Vec<String>,
    pub(super) proxy_env: Vec<(String, String)>,
    pub(super) worker_env: Vec<(String, String)>,
    pub(super) ingestor_env: Vec<(String, String)>,
    pub(super) api_env: Vec<(String, String)>,
}

impl Default for Deployment {
    /// One process of each service that every scenario needs: no api, no endpoint of interactions by HTTP.
    fn default() -> Self {
        Self {
            proxies: 1,
            workers: 1,
            ingestors: 1,
            interactions: 0,
            api: false,
            emulator: Vec::new(),
            proxy_env: Vec::new(),
            worker_env: Vec::new(),
            ingestor_env: Vec::new(),
            api_env: Vec::new(),
        }
    }
}

impl Deployment {
    /// Sets the number of proxies.
    #[must_use]
    pub fn proxies(mut self, count: usize) -> Self {
        self.proxies = count;
        self
    }

    /// Sets the number of workers.
    #[must_use]
    pub fn workers(mut self, count: usize) -> Self {
        self.workers = count;
        self
    }

    /// Sets the number of ingestors.
    #[must_use]
    pub fn ingestors(mut self, count: usize) -> Self {
        self.ingestors = count;
        self
    }

    /// Sets the number of endpoints of interactions by HTTP. The emulator delivers by the gateway until `Platform::deliver_by_http`.
    #[must_use]
    pub fn interactions(mut self, count: usize) -> Self {
        self.interactions = count;
        self
    }

    /// Adds the api.
    #[must_use]
    pub fn api(mut self) -> Self {
        self.api = true;
        self
    }

    /// Adds an argument of the emulator.
    #[must_use]
    pub fn emulator(mut self, argument: impl Into<String>) -> Self {
        self.emulator.push(argument.into());
        self
    }

    /// Adds a variable of every proxy.
    #[must_use]
    pub fn proxy_env(mut self, name: &str, value: impl Into<String>) -> Self {
        self.proxy_env.push((name.to_owned(), value.into()));
        self
    }

    /// Adds a variable of every worker.
    #[must_use]
    pub fn worker_env(mut self, name: &str, value: impl Into<String>) -> Self {
        self.worker_env.push((name.to_owned(), value.into()));
        self
    }

    /// Adds a variable of every ingestor.
    #[must_use]
    pub fn ingestor_env(mut self, name: &str, value: impl Into<String>) -> Self {
        self.ingestor_env.push((name.to_owned(), value.into()));
        self
    }

    /// Adds a variable of the api.
    #[must_use]
    pub fn api_env(mut self, name: &str, value: impl Into<String>) -> Self {
        self.api_env.push((name.to_owned(), value.into()));
        self
    }

    /// Adds a variable of every process that connects to the broker.
    #[must_use]
    pub fn broker_env(self, name: &str, value: &str) -> Self {
        self.worker_env(name, value).ingestor_env(name, value)
    }
}
