//! Starts the service: its clients, the receipt of updates and of notices; and its drain.

use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use arrakis_cache::{Cache, CacheOptions};
use arrakis_runtime::{Fatal, HttpLimits, Runtime};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use crate::api::Api;
use crate::bot_api::{BotApi, CallError, User};
use crate::config::{Config, Delivery};
use crate::health::Components;
use crate::message_claims::MessageClaims;
use crate::metrics::Metrics;
use crate::notices::pause;
use crate::rate_limits::RateLimits;
use crate::services::{Services, Shared};
use crate::{notices, polling, render, webhook};

/// Time in which updates and notices in progress are completed at shutdown.
const GRACE: Duration = Duration::from_secs(20);

/// Listens for the webhook, if there is one, and serves until shutdown.
///
/// # Errors
/// The service cannot listen on `TELEGRAM_WEBHOOK_ADDR`, or as [`serve_on`].
pub async fn serve(config: Config, runtime: Runtime) -> anyhow::Result<()> {
    let listener = match &config.delivery {
        Delivery::Polling => None,
        Delivery::Webhook { listen, .. } => Some(TcpListener::bind(listen).await.map_err(|error| {
            let example = "TELEGRAM_WEBHOOK_ADDR=127.0.0.1:8060";
            Fatal::configuration(format!(
                "TELEGRAM_WEBHOOK_ADDR={listen} cannot be used: {error}; example: {example}"
            ))
        })?),
    };
    serve_on(listener, config, runtime).await
}

/// Serves until shutdown, with this listener for the webhook.
///
/// # Errors
/// A setting cannot be used, or Telegram does not accept the token.
pub async fn serve_on(listener: Option<TcpListener>, config: Config, runtime: Runtime) -> anyhow::Result<()> {
    runtime.shutdown.set_grace(GRACE);
    let (soft, hard) = (runtime.shutdown.soft.clone(), runtime.shutdown.hard.clone());
    let components = Components::new(&runtime.health);
    let Some(services) = connect(&config, &runtime, &components).await? else {
        return Ok(());
    };
    let serving = async {
        tokio::join!(
            receive(&services, listener, &config, &runtime, &components),
            notices::run(&services, soft.clone()),
            components.watch(&services, soft.clone()),
            set_commands(&services),
        );
    };
    tokio::select! {
        () = serving => {}
        () = hard.cancelled() => {}
    }
    Ok(())
}

/// Receives updates until the soft shutdown.
async fn receive(
    services: &Shared,
    listener: Option<TcpListener>,
    config: &Config,
    runtime: &Runtime,
    components: &Components,
) {
    let soft = runtime.shutdown.soft.clone();
    let (Delivery::Webhook { url, .. }, Some(listener)) = (&config.delivery, listener) else {
        return polling::run(services, &components.telegram, soft).await;
    };
    let limits = HttpLimits::for_callers();
    let server = runtime.http_server("webhook", limits);
    let router = webhook::router(services.clone(), url);
    tokio::join!(
        server.serve(listener, router, soft.clone()),
        webhook::register(services, url, &components.telegram, soft.clone()),
    );
}

async fn connect(config: &Config, runtime: &Runtime, components: &Components) -> anyhow::Result<Option<Shared>> {
    let metrics = Metrics::new(&runtime.metrics);
    let bot = BotApi::new(
        &config.telegram_base,
        &config.bot_token,
        config.tuning,
        metrics.clone(),
        runtime.shutdown.soft.clone(),
    )
    .context("the client of Telegram cannot be created")?;
    let cache = Cache::new(&config.redis_url, CacheOptions::default())
        .map_err(|error| Fatal::configuration(error.to_string()))?;
    let Some(me) = introduce(&bot, config, components, &runtime.shutdown.soft).await? else {
        return Ok(None);
    };
    let username = me.username.unwrap_or_default();
    tracing::info!(bot = username, delivery = ?config.delivery, "connected to Telegram");
    Ok(Some(Arc::new(Services {
        bot,
        api: Api::new(config.api_url.clone(), config.api_credential.clone())?,
        message_claims: MessageClaims::new(cache.clone(), config.bot_id()),
        rate_limits: RateLimits::new(cache.clone(), config.bot_id()),
        cache,
        username,
        wallet_page: config.wallet_page.clone(),
        bot_token: config.bot_token.clone(),
        metrics,
        tuning: config.tuning,
    })))
}

/// The bot's user. Temporary errors are retried; `None` when the service stops meanwhile.
async fn introduce(
    bot: &BotApi,
    config: &Config,
    components: &Components,
    soft: &CancellationToken,
) -> anyhow::Result<Option<User>> {
    loop {
        let me = tokio::select! {
            me = bot.me() => me,
            () = soft.cancelled() => return Ok(None),
        };
        let error = match me {
            Ok(me) => return Ok(Some(me)),
            Err(error) => error,
        };
        if matches!(error, CallError::Token(_)) {
            let base = &config.telegram_base;
            return Err(Fatal::configuration(format!(
                "TELEGRAM_BOT_TOKEN is not accepted at TELEGRAM_API_BASE={base}: {error}; copy it from @BotFather"
            ))
            .into());
        }
        tracing::warn!(%error, "Telegram is unavailable; retrying");
        components.telegram.down(error.to_string());
        pause(error.pause(&config.tuning), soft).await;
    }
}

async fn set_commands(services: &Services) {
    if let Err(error) = services.bot.set_commands(&render::COMMANDS).await {
        tracing::info!(%error, "the menu of commands was not set");
    }
}
