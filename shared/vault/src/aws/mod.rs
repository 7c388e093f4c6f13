//! The connection to AWS, or to a store with S3's or DynamoDB's protocol, which the store, the catalogue and gaib's locks share.
//!
//! Credentials are those of the standard variables and profiles, of the container, or of the machine. The SDK retries transient failures and
//! throttling with its own delays; the number of attempts and every time are bounded here. The SDK itself limits the time to connect only.

mod failure;

use std::time::Duration;

use arrakis_config::Secret;
use aws_config::retry::RetryConfig;
use aws_config::timeout::TimeoutConfig;
use aws_config::{BehaviorVersion, Region, SdkConfig};

pub(crate) use failure::{Failure, FailureKind, classify};

/// Options of [`AwsConnection::load`].
#[derive(Clone, Debug)]
pub struct AwsOptions {
    /// URL of another store than AWS's; `None` for AWS. Buckets are then in the path.
    pub endpoint: Option<String>,
    /// Region; `None` for the one of environment, profile or machine.
    pub region: Option<String>,
    /// Profile of the files in `~/.aws`; `None` for the default one.
    pub profile: Option<String>,
    /// Fixed credentials; `None` for those of environment, profile or machine.
    pub credentials: Option<AwsCredentials>,
    /// Attempts of one call, at least 1.
    pub attempts: u32,
    /// Time limit of one attempt.
    pub attempt_timeout: Duration,
    /// Time limit of one SDK call with all of its attempts. Reading an object repeats call and body up to 3 times, each within this limit.
    pub call_timeout: Duration,
}

impl Default for AwsOptions {
    fn default() -> Self {
        Self {
            endpoint: None,
            region: None,
            profile: None,
            credentials: None,
            attempts: 5,
            attempt_timeout: Duration::from_secs(20),
            call_timeout: Duration::from_secs(60),
        }
    }
}

/// An access key.
#[derive(Clone, Debug)]
pub struct AwsCredentials {
    /// Id of the access key.
    pub access_key_id: String,
    /// The secret access key.
    pub secret_access_key: Secret,
}

/// No region is configured.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "no AWS region is configured: set AWS_REGION, as in AWS_REGION=eu-central-1, or `region` in the profile of AWS_PROFILE"
)]
pub struct NoRegion;

/// A configured connection.
#[derive(Clone, Debug)]
pub struct AwsConnection {
    config: SdkConfig,
    limits: CallLimits,
}

/// Bounds of one call.
#[derive(Clone, Copy, Debug)]
pub(crate) struct CallLimits {
    pub(crate) attempts: u32,
    pub(crate) call_timeout: Duration,
}

impl AwsConnection {
    /// Reads the standard variables and profiles. Sends no request, except to the machine's own metadata service where neither names a
    /// region.
    ///
    /// # Errors
    /// No region is configured.
    pub async fn load(options: &AwsOptions) -> Result<Self, NoRegion> {
        let timeouts = TimeoutConfig::builder()
            .connect_timeout(Duration::from_secs(5).min(options.attempt_timeout))
            .read_timeout(options.attempt_timeout)
            .operation_attempt_timeout(options.attempt_timeout)
            .operation_timeout(options.call_timeout)
            .build();
        let retries = RetryConfig::standard()
            .with_max_attempts(options.attempts.max(1))
            .with_initial_backoff(Duration::from_millis(200))
            .with_max_backoff(Duration::from_secs(5));
        let mut loader = aws_config::defaults(BehaviorVersion::latest())
            .timeout_config(timeouts)
            .retry_config(retries);
        if let Some(endpoint) = &options.endpoint {
            loader = loader.endpoint_url(endpoint);
        }
        if let Some(region) = &options.region {
            loader = loader.region(Region::new(region.clone()));
        }
        if let Some(profile) = &options.profile {
            loader = loader.profile_name(profile);
        }
        if let Some(given) = &options.credentials {
            let secret = given.secret_access_key.expose();
            let credentials =
                aws_sdk_s3::config::Credentials::new(given.access_key_id.clone(), secret, None, None, "arrakis-vault");
            loader = loader.credentials_provider(credentials);
        }
        let config = Box::pin(loader.load()).await;
        if config.region().is_none() {
            return Err(NoRegion);
        }
        let limits = CallLimits {
            attempts: options.attempts.max(1),
            call_timeout: options.call_timeout,
        };
        Ok(Self { config, limits })
    }

    /// The configuration, for a client of another service of AWS.
    #[must_use]
    pub fn config(&self) -> &SdkConfig {
        &self.config
    }

    pub(crate) fn limits(&self) -> CallLimits {
        self.limits
    }

    /// Whether another store than AWS's is configured.
    pub(crate) fn is_custom(&self) -> bool {
        self.config.endpoint_url().is_some()
    }
}
