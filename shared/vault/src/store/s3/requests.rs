//! The requests of an [`S3Store`], each as one call of the SDK. Keys are without the prefix.

use std::collections::{BTreeMap, HashMap};

use aws_sdk_s3::primitives::{ByteStream, DateTime};
use aws_sdk_s3::types::{ServerSideEncryption, Tag, Tagging};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use percent_encoding::{NON_ALPHANUMERIC, PercentEncode, utf8_percent_encode};
use sha2::{Digest as _, Sha256};
use time::OffsetDateTime;

use super::{
    Condition, ListedObject, MAX_OBJECT_BYTES, NewObject, Object, ObjectHead, S3Store, StoreError, Tags, Version,
    WRITE_ID, metadata,
};
use crate::aws::{Failure, FailureKind, classify};
use crate::key::ObjectKey;
use crate::store::ObjectStore as _;

/// Attempts of a read whose content ends early. The SDK repeats a request only until the content begins.
const READ_ATTEMPTS: u32 = 3;

impl S3Store {
    pub(super) async fn put_once(
        &self,
        key: &str,
        object: &NewObject,
        condition: &Condition,
        write_id: &str,
    ) -> Result<Version, Failure> {
        let mut request = self
            .client
            .put_object()
            .bucket(&self.options.bucket)
            .key(self.full(key))
            .body(ByteStream::from(object.bytes.clone()))
            .checksum_sha256(STANDARD.encode(Sha256::digest(&object.bytes)))
            .set_metadata(Some(metadata(object, write_id)));
        if !object.tags.is_empty() {
            request = request.tagging(query(&object.tags));
        }
        if let Some(kms_key) = &self.options.kms_key {
            request = request
                .server_side_encryption(ServerSideEncryption::AwsKms)
                .ssekms_key_id(kms_key);
        }
        request = match condition {
            Condition::Any => request,
            Condition::Absent => request.if_none_match("*"),
            Condition::Version(version) => request.if_match(version.as_str()),
        };
        let written = Box::pin(request.send()).await.map_err(|error| classify(&error))?;
        version(written.e_tag())
    }

    pub(super) async fn head_once(&self, key: &str) -> Result<ObjectHead, Failure> {
        let request = self
            .client
            .head_object()
            .bucket(&self.options.bucket)
            .key(self.full(key));
        let head = Box::pin(request.send()).await.map_err(|error| classify(&error))?;
        Ok(ObjectHead {
            version: version(head.e_tag())?,
            size: size(head.content_length()),
            modified: time(head.last_modified()),
            metadata: sorted(head.metadata()),
        })
    }

    /// Reads an object whole; again where the content ends early.
    pub(super) async fn read(&self, key: &str) -> Result<Object, StoreError> {
        let mut attempt = 1;
        loop {
            match self.read_once(key).await? {
                Ok(object) => return Ok(object),
                Err(failure) if attempt >= READ_ATTEMPTS => return Err(self.error("read", key, failure)),
                Err(_) => attempt += 1,
            }
        }
    }

    /// The inner error is one of the content, after a response that was good.
    async fn read_once(&self, key: &str) -> Result<Result<Object, Failure>, StoreError> {
        let request = self
            .client
            .get_object()
            .bucket(&self.options.bucket)
            .key(self.full(key));
        let sent = Box::pin(request.send()).await;
        let read = sent.map_err(|error| self.error("read", key, classify(&error)))?;
        let size = size(read.content_length());
        if size > MAX_OBJECT_BYTES {
            let object = self.describe(key);
            return Err(StoreError::TooLarge { object, size });
        }
        let mut metadata = sorted(read.metadata());
        metadata.remove(WRITE_ID);
        let version = version(read.e_tag()).map_err(|failure| self.error("read", key, failure))?;
        let modified = time(read.last_modified());
        let content = tokio::time::timeout(self.limits.call_timeout, read.body.collect()).await;
        let failed = |kind, reason: String| Ok(Err(Failure { kind, reason }));
        let bytes = match content {
            Ok(Ok(bytes)) => bytes.to_vec(),
            Ok(Err(error)) => return failed(FailureKind::NoResponse, arrakis_causes::causes(&error)),
            Err(_) => return failed(FailureKind::TimedOut, "the content did not end".to_owned()),
        };
        if bytes.len() as u64 != size {
            return failed(
                FailureKind::NoResponse,
                format!("{} of {size} bytes were received", bytes.len()),
            );
        }
        let head = ObjectHead {
            version,
            size,
            modified,
            metadata,
        };
        Ok(Ok(Object { bytes, head }))
    }

    pub(super) async fn list_all(&self, prefix: &str) -> Result<Vec<ListedObject>, Failure> {
        let begin = self.full("");
        let mut pages = self
            .client
            .list_objects_v2()
            .bucket(&self.options.bucket)
            .prefix(self.full(prefix))
            .into_paginator()
            .send();
        let mut listed = Vec::new();
        while let Some(page) = pages.next().await {
            let page = page.map_err(|error| classify(&error))?;
            for object in page.contents() {
                let key = object.key().and_then(|key| key.strip_prefix(&begin));
                if let Some(key) = key.and_then(|key| ObjectKey::new(key).ok()) {
                    listed.push(ListedObject {
                        key,
                        size: size(object.size()),
                        modified: time(object.last_modified()),
                    });
                }
            }
        }
        Ok(listed)
    }

    /// Deletes an object. One that does not exist is no failure: a repeated request may have deleted it.
    pub(super) async fn delete_once(&self, key: &str, only: Option<&Version>) -> Result<(), Failure> {
        let request = self
            .client
            .delete_object()
            .bucket(&self.options.bucket)
            .key(self.full(key))
            .set_if_match(only.map(|version| version.as_str().to_owned()));
        match Box::pin(request.send()).await {
            Ok(_) => Ok(()),
            Err(error) => match classify(&error) {
                failure if failure.kind == FailureKind::NotFound => Ok(()),
                failure => Err(failure),
            },
        }
    }

    pub(super) async fn tags_once(&self, key: &str) -> Result<Tags, Failure> {
        let request = self
            .client
            .get_object_tagging()
            .bucket(&self.options.bucket)
            .key(self.full(key));
        let read = Box::pin(request.send()).await.map_err(|error| classify(&error))?;
        let pairs = read
            .tag_set()
            .iter()
            .map(|tag| (tag.key().to_owned(), tag.value().to_owned()));
        Ok(pairs.collect())
    }

    pub(super) async fn set_tags_once(&self, key: &str, tags: &Tags) -> Result<(), Failure> {
        if tags.is_empty() {
            let request = self
                .client
                .delete_object_tagging()
                .bucket(&self.options.bucket)
                .key(self.full(key));
            Box::pin(request.send()).await.map_err(|error| classify(&error))?;
            return Ok(());
        }
        let invalid = |error: aws_sdk_s3::error::BuildError| Failure {
            kind: FailureKind::Refused,
            reason: error.to_string(),
        };
        let set: Result<Vec<Tag>, _> = tags
            .iter()
            .map(|(key, value)| Tag::builder().key(key).value(value).build())
            .collect();
        let set = Tagging::builder().set_tag_set(Some(set.map_err(invalid)?)).build();
        let request = self
            .client
            .put_object_tagging()
            .bucket(&self.options.bucket)
            .key(self.full(key))
            .tagging(set.map_err(invalid)?);
        Box::pin(request.send()).await.map_err(|error| classify(&error))?;
        Ok(())
    }
}

fn version(e_tag: Option<&str>) -> Result<Version, Failure> {
    e_tag.map(Version::new).ok_or_else(|| Failure {
        kind: FailureKind::Refused,
        reason: "the store returned no ETag; it is not compatible with S3".to_owned(),
    })
}

fn size(size: Option<i64>) -> u64 {
    size.and_then(|size| u64::try_from(size).ok()).unwrap_or_default()
}

fn time(time: Option<&DateTime>) -> OffsetDateTime {
    let time = time.and_then(|time| OffsetDateTime::from_unix_timestamp_nanos(time.as_nanos()).ok());
    time.unwrap_or(OffsetDateTime::UNIX_EPOCH)
}

fn sorted(metadata: Option<&HashMap<String, String>>) -> BTreeMap<String, String> {
    let pairs = metadata.into_iter().flatten();
    pairs.map(|(name, value)| (name.clone(), value.clone())).collect()
}

fn encode(text: &str) -> PercentEncode<'_> {
    utf8_percent_encode(text, NON_ALPHANUMERIC)
}

/// Tags as the header of a write has them.
fn query(tags: &Tags) -> String {
    let pairs = tags
        .iter()
        .map(|(key, value)| format!("{}={}", encode(key), encode(value)));
    pairs.collect::<Vec<_>>().join("&")
}
