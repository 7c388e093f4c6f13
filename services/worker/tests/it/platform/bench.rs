//! A consumer of interactions with commands of the test's own: ones that fail in every way.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use arrakis_broker::{ConsumeOptions, RetryPublisher, StopTokens, consume};
use arrakis_cache::{Cache, CacheOptions};
use arrakis_config::Secret;
use arrakis_contracts::names;
use arrakis_telemetry::Metrics;
use arrakis_test_support::eventually;
use arrakis_themes::Registry;
use arrakis_worker::commands::registration::register;
use arrakis_worker::commands::{Command, CommandContext, Commands, Definition, ResponseMode};
use arrakis_worker::failure::Failure;
use arrakis_worker::interaction::refusal::Refusal;
use arrakis_worker::interaction::reply::{CommandResult, Reply};
use arrakis_worker::interactions::Interactions;
use arrakis_worker::metrics::WorkerMetrics;
use arrakis_worker::services::Services;
use async_trait::async_trait;
use twilight_model::application::command::{CommandOptionChoice, CommandOptionChoiceValue};
use twilight_model::channel::message::Component;
use twilight_model::channel::message::component::{ActionRow, TextInput, TextInputStyle};
use twilight_model::http::interaction::InteractionResponseData;
use twilight_util::builder::command::StringBuilder;

use super::Platform;

/// What a command does when it is run.
#[derive(Clone, Copy)]
pub enum How {
    Answers,
    Panics,
    Retries,
    Fails,
    FailsOnce,
    Hangs,
    HangsOnce,
    OpensAForm,
    /// In private, whatever was deferred.
    Refuses,
    RefusesOnce,
}

/// A command that does it.
pub struct Broken {
    pub name: &'static str,
    pub how: How,
    pub answers: ResponseMode,
    pub presses: ResponseMode,
    pub ran: Arc<AtomicU32>,
}

impl Broken {
    pub fn new(name: &'static str, how: How, answers: ResponseMode) -> Self {
        Self {
            name,
            how,
            answers,
            presses: ResponseMode::Deferred { ephemeral: true },
            ran: Arc::default(),
        }
    }

    /// Whose buttons are answered in another way.
    pub fn pressed(self, presses: ResponseMode) -> Self {
        Self { presses, ..self }
    }
}

fn text(words: &str) -> InteractionResponseData {
    InteractionResponseData {
        content: Some(words.to_owned()),
        ..InteractionResponseData::default()
    }
}

#[async_trait]
impl Command for Broken {
    fn definition(&self) -> Definition {
        Definition {
            cooldown: Duration::ZERO,
            component_response: self.presses,
            ..Definition::new(self.name, "A command of a test")
                .option(StringBuilder::new("word", "A word").autocomplete(true))
                .response(self.answers)
        }
    }

    async fn run(&self, _context: &CommandContext<'_>) -> CommandResult {
        self.ran.fetch_add(1, Ordering::Relaxed);
        match self.how {
            How::Answers => Ok(Reply::Message(text("answered"))),
            How::Panics => panic!("as it was asked to"),
            How::Retries => Err(Failure::retry("the chain is slow").into()),
            How::HangsOnce if self.ran.load(Ordering::Relaxed) > 1 => Ok(Reply::Message(text("answered"))),
            How::Hangs | How::HangsOnce => std::future::pending().await,
            How::FailsOnce if self.ran.load(Ordering::Relaxed) > 1 => Ok(Reply::Message(text("answered"))),
            How::Fails | How::FailsOnce => Err(Failure::permanent("the moon is missing").into()),
            How::OpensAForm => Ok(Reply::Modal(form(self.name))),
            How::RefusesOnce if self.ran.load(Ordering::Relaxed) > 1 => Ok(Reply::Message(text("answered"))),
            How::Refuses | How::RefusesOnce => Err(Refusal::new("It is refused.", "Do something else.").into()),
        }
    }

    async fn component(&self, _context: &CommandContext<'_>, _arguments: &[&str]) -> CommandResult {
        Ok(Reply::Message(text("pressed")))
    }

    async fn modal_submit(&self, context: &CommandContext<'_>, arguments: &[&str]) -> CommandResult {
        let arrakis_worker::interaction::invocation::InvocationData::ModalSubmit { fields, .. } =
            &context.invocation.data
        else {
            panic!("no form");
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

fn form(name: &str) -> InteractionResponseData {
    #[expect(
        deprecated,
        reason = "the label of a text input in an action row, as older forms have it"
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
        title: Some("A form".to_owned()),
        components: Some(vec![Component::ActionRow(ActionRow {
            id: None,
            components: vec![input],
        })]),
        ..InteractionResponseData::default()
    }
}

/// The consumer. Dropping it stops it.
pub struct Bench {
    stop: StopTokens,
    metrics: Metrics,
}

impl Drop for Bench {
    fn drop(&mut self) {
        self.stop.soft.cancel();
        self.stop.hard.cancel();
    }
}

impl Bench {
    /// Waits until so many interactions with this command have ended so.
    pub async fn until_ended(&self, command: &str, outcome: &str, count: u64) {
        let labels = format!("command=\"{command}\",kind=\"command\",outcome=\"{outcome}\"");
        let line = format!("arrakis_worker_interactions_total{{{labels}}} {count}");
        let ended = async || self.metrics.render().lines().any(|found| found == line);
        eventually(ended, &line).await;
    }
}

impl Platform {
    /// Services as a worker has them.
    pub fn services(&self, metrics: &Metrics) -> Services {
        Services {
            database: self.database.clone(),
            cache: Cache::new(&Secret::new(self.redis.url()), CacheOptions::default()).unwrap(),
            discord: self.discord(self.proxy),
            publisher: self.publisher.clone(),
            themes: Registry::load(None).unwrap(),
            metrics: WorkerMetrics::new(metrics),
            command_limit: std::time::Duration::from_secs(2),
            stale_after: time::Duration::hours(7),
        }
    }

    /// Registers these commands and consumes interactions with them.
    pub async fn bench(&self, commands: Vec<Box<dyn Command>>) -> Bench {
        self.bench_of(commands, 10).await
    }

    /// The same with so many at once.
    pub async fn bench_of(&self, commands: Vec<Box<dyn Command>>, prefetch: u16) -> Bench {
        let metrics = Metrics::new();
        let services = Arc::new(self.services(&metrics));
        let commands = Arc::new(Commands::new(commands));
        register(&services.discord.bulk(None), &commands).await.unwrap();
        let options = ConsumeOptions {
            isolation: arrakis_broker::Isolation::default(),
            queue: names::INTERACTIONS.to_owned(),
            prefetch,
            limit: Some(Duration::from_secs(60)),
            retries: RetryPublisher::new(self.publisher.clone()),
            topology: None,
            observer: services.metrics.consumer_events(),
        };
        let (link, stop) = (self.link.clone(), StopTokens::default());
        let stopping = stop.clone();
        tokio::spawn(async move { consume(&link, options, Interactions::new(services, commands), &stopping).await });
        Bench { stop, metrics }
    }
}
