//! One suite for every store and one for every catalogue.

mod catalogue;
mod store;

use std::sync::Arc;

use arrakis_vault::{FileCatalogue, FolderStore};

#[tokio::test]
async fn folder_store_conforms() {
    let folder = tempfile::tempdir().unwrap();
    store::run(Arc::new(FolderStore::new(folder.path()))).await;
}

#[tokio::test]
async fn file_catalogue_conforms() {
    let folder = tempfile::tempdir().unwrap();
    catalogue::run(Arc::new(FileCatalogue::new(folder.path()))).await;
}

#[cfg(feature = "aws")]
#[tokio::test]
async fn s3_store_conforms() {
    let aws = crate::support::aws::Aws::start().await;
    store::run(Arc::new(aws.store())).await;
    let headers = aws.head("kept/object").await;
    let header = |name: &str| {
        headers
            .get(name)
            .and_then(|value| value.to_str().ok())
            .unwrap_or_default()
    };
    assert_eq!(header("x-amz-server-side-encryption"), "aws:kms");
    assert_eq!(
        header("x-amz-server-side-encryption-aws-kms-key-id"),
        "alias/gaib-backups"
    );
    assert_eq!(header("content-encoding"), "");
}

#[cfg(feature = "aws")]
#[tokio::test]
async fn dynamo_catalogue_conforms() {
    let aws = crate::support::aws::Aws::start().await;
    catalogue::run(Arc::new(aws.catalogue())).await;
}
