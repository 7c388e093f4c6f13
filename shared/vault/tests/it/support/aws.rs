//! S3 and DynamoDB of a test: moto, reached through a [`Middleman`], with a bucket and two tables.

use std::sync::Arc;
use std::time::Duration;

use arrakis_config::Secret;
use arrakis_test_support::Moto;
use arrakis_vault::aws::{AwsConnection, AwsCredentials, AwsOptions};
use arrakis_vault::catalogue::DynamoCatalogue;
use arrakis_vault::store::{S3Options, S3Store};
use arrakis_vault::{LimitPolicy, Vault};

use super::middleman::Middleman;

const BUCKET: &str = "gaib-backups-123456789012";
const RECORDS: &str = "gaib-backup-metadata";
const TIERS: &str = "gaib-server-tiers";
/// Small, so that lists have several pages.
const PAGE: u32 = 3;

pub(crate) struct Aws {
    pub(crate) middleman: Middleman,
    pub(crate) connection: AwsConnection,
    moto: Moto,
}

impl Aws {
    pub(crate) async fn start() -> Self {
        let moto = Moto::start(PAGE).await;
        let middleman = Middleman::start(moto.url()).await;
        let options = AwsOptions {
            endpoint: Some(middleman.url()),
            region: Some("us-east-1".to_owned()),
            profile: None,
            credentials: Some(AwsCredentials {
                access_key_id: "AKIAIOSFODNN7EXAMPLE".to_owned(),
                secret_access_key: Secret::new("secret"),
            }),
            attempts: 3,
            attempt_timeout: Duration::from_secs(3),
            call_timeout: Duration::from_secs(8),
        };
        let aws = Self {
            connection: AwsConnection::load(&options).await.unwrap(),
            middleman,
            moto,
        };
        aws.moto.create_bucket(BUCKET).await;
        aws.moto.create_backup_tables(RECORDS, TIERS).await;
        aws
    }

    pub(crate) fn store(&self) -> S3Store {
        self.store_in(BUCKET)
    }

    pub(crate) fn store_in(&self, bucket: &str) -> S3Store {
        let options = S3Options {
            bucket: bucket.to_owned(),
            prefix: "production/one".to_owned(),
            kms_key: Some("alias/gaib-backups".to_owned()),
        };
        S3Store::new(&self.connection, options)
    }

    pub(crate) fn catalogue(&self) -> DynamoCatalogue {
        DynamoCatalogue::new(&self.connection, RECORDS, TIERS)
    }

    pub(crate) fn vault(&self, limits: LimitPolicy) -> Vault {
        super::vault(Arc::new(self.store()), Arc::new(self.catalogue()), limits)
    }

    /// The headers of an object as moto has them.
    pub(crate) async fn head(&self, key: &str) -> reqwest::header::HeaderMap {
        self.moto.object_headers(BUCKET, &format!("production/one/{key}")).await
    }
}
