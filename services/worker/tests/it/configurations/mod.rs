//! Versions of configurations and their shadows in an object store: recorded, written, compared, listed, and a lost database rebuilt.

mod comparison;
mod drift;
mod failures;
mod rebuild;
mod setup;
mod versions;
