//! A consumer of interactions with test commands, which fail in every way.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use arrakis_broker::{ConsumeOptions, RetryPublisher, StopTokens, consume};
use arrakis_cache::{Cache, CacheOptions};
use arrakis_chain::Chains;
use arrakis_config::{ScoreApi, Secret};
use arrakis_contracts::names;
use arrakis_eligibility::{EligibilityProvider, NoObserver, ProviderSettings};
use arrakis_telemetry::Metrics;
use arrakis_test_support::eventually;
use arrakis_themes::Registry;
use arrakis_worker::commands::registration::register;
use arrakis_worker::commands::{Command, CommandContext, Commands, Definition, DynCommand, ResponseMode};
use arrakis_worker::failure::Failure;
use arrakis_worker::interaction::refusal::Refusal;
use arrakis_worker::interaction::reply::{CommandResult, Reply};
use arrakis_worker::interactions::Interactions;
use arrakis_worker::metrics::WorkerMetrics;
use arrakis_worker::services::Services;
use arrakis_worker::synthesis_client::SynthesisClient;
use twilight_model::application::command::{CommandOptionChoice, CommandOptionChoiceValue};
use twilight_model::channel::message::Component;
use twilight_model::channel::message::component::{ActionRow, TextInput, TextInputStyle};
use twilight_model::http::interaction::InteractionResponseData;
use twilight_util::builder::command::StringBuilder;

use super::Platform;

/// What a test command does.
#[derive(Clone, Copy)]
pub enum Behavior {
    Replies,
    Panics,
    FailsTemporarily,
    FailsPermanently,
    FailsOnce,
    Hangs,
    HangsOnce,
    OpensModal,
    Refuses,
    RefusesOnce,
}

/// A command with this behavior.
pub struct TestCommand {
    pub name: &'static str,
    pub behavior: Behavior,
    pub response: ResponseMode,
    pub component_response: ResponseMode,
    pub runs: Arc<AtomicU32>,
}

impl TestCommand {
    pub fn new(name: &'static str, behavior: Behavior, response: ResponseMode) -> Self {
        Self {
            name,
            behavior,
            response,
            component_response: ResponseMode::Deferred { ephemeral: true },
            runs: Arc::default(),
        }
    }

    /// Sets the first response to the command's components.
    pub fn component_response(self, component_response: ResponseMode) -> Self {
        Self {
            component_response,
            ..self
        }
    }
}

fn text(content: &str) -> InteractionResponseData {
    InteractionResponseData {
        content: Some(content.to_owned()),
        ..InteractionResponseData::default()
    }
}

impl Command for TestCommand {
    fn definition(&self) -> Definition {
        Definition {
            cooldown: Duration::ZERO,
            component_response: self.component_response,
            ..Definition::new(self.name, "A command of a test")
                .option(StringBuilder::new("word", "A word").autocomplete(true))
                .response(self.response)
        }
    }

    async fn run(&self, _context: &CommandContext<'_>) -> CommandResult {
        self.runs.fetch_add(1, Ordering::Relaxed);
        match self.behavior {
            Behavior::Replies => Ok(Reply::Message(text("answered"))),
            Behavior::Panics => panic!("a panic of the test"),
            Behavior::FailsTemporarily => Err(Failure::retry("a temporary error").into()),
            Behavior::HangsOnce if self.runs.load(Ordering::Relaxed) > 1 => Ok(Reply::Message(text("answered"))),
            Behavior::Hangs | Behavior::HangsOnce => std::future::pending().await,
            Behavior::FailsOnce if self.runs.load(Ordering::Relaxed) > 1 => Ok(Reply::Message(text("answered"))),
            Behavior::FailsPermanently | Behavior::FailsOnce => Err(Failure::permanent("a permanent error").into()),
            Behavior::OpensModal => Ok(Reply::Modal(modal(self.name))),
            Behavior::RefusesOnce if self.runs.load(Ordering::Relaxed) > 1 => Ok(Reply::Message(text("answered"))),
            Behavior::Refuses | Behavior::RefusesOnce => {
                Err(Refusal::new("It is refused.", "Do something else.").into())
            }
        }
    }

    async fn component(&self, _context: &CommandContext<'_>, _arguments: &[&str]) -> CommandResult {
        Ok(Reply::Message(text("pressed")))
    }

    async fn modal_submit(&self, context: &CommandContext<'_>, arguments: &[&str]) -> CommandResult {
        let arrakis_worker::interaction::invocation::InvocationData::ModalSubmit { fields, .. } =
            &context.invocation.data
        else {
            panic!("not a modal");
        };
        Ok(Reply::Message(text(&format!(
            "{}: {}",
            arguments.join(","),
            fields["word"]
        ))))
    }

    async fn autocomplete(
        &self,
        _: &CommandContext<'_>,
        option: &str,
        typed: &str,
    ) -> Result<Vec<CommandOptionChoice>, Failure> {
        Ok(vec![CommandOptionChoice {
            name: format!("{option} {typed}!"),
            name_localizations: None,
            value: CommandOptionChoiceValue::String(format!("{typed}!")),
        }])
    }
}

fn modal(name: &str) -> InteractionResponseData {
    #[expect(
        deprecated,
        reason = "the label of a text input in an action row, the older format of modals"
    )]
    let input = Component::TextInput(TextInput {
        id: None,
        custom_id: "word".to_owned(),
        label: Some("A word".to_owned()),
        max_length: None,
        min_length: None,
        placeholder: None,
        required: Some(true),
        style: TextInputStyle::Short,
        value: None,
    });
    InteractionResponseData {
        custom_id: Some(format!("{name}:a:b")),
        title: Some("A modal".to_owned()),
        components: Some(vec![Component::ActionRow(ActionRow {
            id: None,
            components: vec![input],
        })]),
        ..InteractionResponseData::default()
    }
}

/// A running consumer. Dropping it stops it.
pub struct TestConsumer {
    stop: StopTokens,
    metrics: Metrics,
}

impl Drop for TestConsumer {
    fn drop(&mut self) {
        self.stop.soft.cancel();
        self.stop.hard.cancel();
    }
}

impl TestConsumer {
    /// Waits until this number of interactions with this command have this outcome.
    pub async fn until_outcome(&self, command: &str, outcome: &str, count: u64) {
        let labels = format!("command=\"{command}\",kind=\"command\",outcome=\"{outcome}\"");
        let line = format!("arrakis_worker_interactions_total{{{labels}}} {count}");
        let ended = async || self.metrics.render().lines().any(|found| found == line);
        eventually(ended, &line).await;
    }
}

/// An eligibility provider that reports nothing.
pub fn eligibility_provider(chains: Chains, score: Option<&ScoreApi>, cache: Cache) -> EligibilityProvider {
    let settings = ProviderSettings::default();
    EligibilityProvider::new(chains, score, cache, settings, Arc::new(NoObserver)).unwrap()
}

impl Platform {
    /// The services of a worker.
    pub fn services(&self, metrics: &Metrics) -> Services {
        let cache = Cache::new(&Secret::new(self.redis.url()), CacheOptions::default()).unwrap();
        let chains = Chains::default();
        Services {
            database: self.database.clone(),
            eligibility: eligibility_provider(chains.clone(), None, cache.clone()),
            cache,
            discord: self.discord(self.proxy),
            shadows: None,
            synthesis: SynthesisClient::new(&self.discord_config(self.proxy)),
            chains,
            publisher: self.publisher.clone(),
            themes: Registry::load(None).unwrap(),
            verification: None,
            metrics: WorkerMetrics::new(metrics),
            command_limit: std::time::Duration::from_secs(2),
            stale_after: time::Duration::hours(7),
            admin_commands_without_mfa: false,
            mfa: None,
            kill_switch: arrakis_kill_switch::PlatformSwitch::default(),
            backups: None,
            approvals: arrakis_worker::approvals::Approvals::default(),
            status_page: None,
        }
    }

    /// Registers these commands and consumes interactions with them.
    pub async fn consume(&self, commands: Vec<Box<dyn DynCommand>>) -> TestConsumer {
        self.consume_with_prefetch(commands, 10).await
    }

    /// The same with this prefetch.
    pub async fn consume_with_prefetch(&self, commands: Vec<Box<dyn DynCommand>>, prefetch: u16) -> TestConsumer {
        let metrics = Metrics::new();
        let services = Arc::new(self.services(&metrics));
        let commands = Arc::new(Commands::new(commands));
        register(&services.discord.bulk(None), &commands).await.unwrap();
        let options = ConsumeOptions {
            isolation: arrakis_broker::Isolation::default(),
            queue: names::INTERACTIONS.to_owned(),
            prefetch,
            priority: 0,
            limit: Some(Duration::from_secs(60)),
            retries: RetryPublisher::new(self.publisher.clone()),
            topology: None,
            observer: services.metrics.consumer_events(),
        };
        let (connection, stop) = (self.connection.clone(), StopTokens::default());
        let stopping = stop.clone();
        tokio::spawn(
            async move { consume(&connection, options, Interactions::new(services, commands), &stopping).await },
        );
        TestConsumer { stop, metrics }
    }
}
