//! The vault on a folder, and on moto's S3 and DynamoDB through a proxy that fails.

#![expect(clippy::unwrap_used, reason = "a test that cannot have what it needs has failed")]

mod conformance;
mod damage;
#[cfg(feature = "encryption")]
mod encryption;
mod flows;
mod interruptions;
mod recovery;
mod registry;
mod retention;
mod signatures;
mod support;

#[cfg(feature = "aws")]
mod aws_faults;
