//! An emulator with one server, and transports that count, cut and lose.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};

use arrakis_iac_apply::http::{Discord, Https, Pace, Request, Response, RetryPolicy, SendError, Token, Transport};
use arrakis_iac_apply::{Event, Progress};
use async_trait::async_trait;
use discord_emulator::seed::{self, CreatedGuild, spec::GuildSpec};
use discord_emulator::{Emulator, Options};
use parking_lot::Mutex;
use serde_json::{Value, json};
use std::time::Duration;
use tokio_util::sync::CancellationToken;

/// A server in an emulator of its own.
#[derive(Debug)]
pub(crate) struct Server {
    pub(crate) emulator: Emulator,
    pub(crate) made: CreatedGuild,
}

/// A community server in which the bot's role is the highest, with nothing else in it.
pub(crate) fn empty() -> Value {
    json!({ "name": "Sietch Tabr", "community": true })
}

impl Server {
    pub(crate) async fn start(spec: Value) -> Self {
        let options = Options {
            rate_limits: false,
            ledger_bodies: 16_384,
            ..Options::default()
        };
        Self::with(options, spec).await
    }

    pub(crate) async fn with(options: Options, spec: Value) -> Self {
        let emulator = Emulator::start(options).await.unwrap();
        let spec: GuildSpec = serde_json::from_value(spec).unwrap();
        let made = emulator.app().world.write(|state| seed::build(state, &spec)).unwrap();
        Self { emulator, made }
    }

    /// The transport that `gaib` uses.
    pub(crate) fn https(&self) -> Https {
        // One client for a whole run: setting one up reads every certificate of the machine.
        let base = self.emulator.addresses().rest.parse().unwrap();
        static CLIENT: OnceLock<reqwest::Client> = OnceLock::new();
        let client = CLIENT.get_or_init(|| Https::client(&base).unwrap()).clone();
        Https::over(client, &base, Token::new(&self.emulator.token()).unwrap()).response_timeout(Duration::from_secs(1))
    }

    /// A client that counts its requests and records the events that it reports.
    pub(crate) fn client(&self) -> (Discord, Arc<Watched>) {
        self.client_over(Arc::new(self.https()), CancellationToken::new())
    }

    pub(crate) fn client_over(
        &self,
        transport: Arc<dyn Transport>,
        stop: CancellationToken,
    ) -> (Discord, Arc<Watched>) {
        let watched = Arc::new(Watched::new(transport));
        let discord = Discord::new(watched.clone(), watched.clone(), stop)
            .with_retry_policy(quick())
            .with_pace(Pace::unlimited());
        (discord, watched)
    }
}

/// Failures are met at once.
pub(crate) fn quick() -> RetryPolicy {
    RetryPolicy {
        attempts: 3,
        pause: Duration::from_millis(1),
        searches: vec![Duration::ZERO, Duration::from_millis(1)],
    }
}

/// Passes requests on and remembers them, and every event.
#[derive(Debug)]
pub(crate) struct Watched {
    inner: Arc<dyn Transport>,
    sent: Mutex<Vec<String>>,
    events: Mutex<Vec<Event>>,
}

impl Watched {
    fn new(inner: Arc<dyn Transport>) -> Self {
        Self {
            inner,
            sent: Mutex::default(),
            events: Mutex::default(),
        }
    }

    /// `METHOD /path` of every request, in order.
    pub(crate) fn sent(&self) -> Vec<String> {
        self.sent.lock().clone()
    }

    /// How many requests begin like this.
    pub(crate) fn count(&self, start: &str) -> usize {
        self.sent.lock().iter().filter(|call| call.starts_with(start)).count()
    }

    pub(crate) fn events(&self) -> Vec<Event> {
        self.events.lock().clone()
    }
}

#[async_trait]
impl Transport for Watched {
    async fn send(&self, request: &Request) -> Result<Response, SendError> {
        self.sent.lock().push(format!("{} {}", request.method, request.path));
        self.inner.send(request).await
    }
}

impl Progress for Watched {
    fn event(&self, event: Event) {
        self.events.lock().push(event);
    }
}

/// What becomes of the request at which a [`Cut`] strikes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Strike {
    /// The process ends before it is sent.
    Before,
    /// It takes effect; the process ends before it receives the response.
    After,
    /// It takes effect, and its response never arrives; the process continues.
    Lose,
}

/// Ends at the n-th request, as a process does that is killed: nothing is sent from then on.
#[derive(Debug)]
pub(crate) struct Cut {
    inner: Arc<dyn Transport>,
    at: usize,
    strike: Strike,
    seen: AtomicUsize,
    stop: CancellationToken,
}

impl Cut {
    pub(crate) fn new(inner: Arc<dyn Transport>, at: usize, strike: Strike, stop: CancellationToken) -> Self {
        Self {
            inner,
            at,
            strike,
            seen: AtomicUsize::new(0),
            stop,
        }
    }
}

#[async_trait]
impl Transport for Cut {
    async fn send(&self, request: &Request) -> Result<Response, SendError> {
        let number = self.seen.fetch_add(1, Ordering::SeqCst);
        if number < self.at {
            return self.inner.send(request).await;
        }
        if self.strike == Strike::Lose {
            let answer = self.inner.send(request).await;
            return match number == self.at {
                true => Err(SendError::Lost("the connection broke".to_owned())),
                false => answer,
            };
        }
        if number == self.at && self.strike == Strike::After {
            let _ = self.inner.send(request).await;
        }
        // The task that waits here is dropped: nothing that follows this request ever runs.
        self.stop.cancel();
        std::future::pending().await
    }
}
