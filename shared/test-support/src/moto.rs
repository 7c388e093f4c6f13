//! [`Moto`]: a local S3 and DynamoDB.

use std::path::Path;

use crate::process::Process;

/// An empty S3 and DynamoDB of its own: a moto process, killed when dropped. It accepts any credentials.
///
/// Its conditional writes are not atomic between concurrent requests, which those of AWS are: a test of concurrent writers sends one
/// request at a time.
#[derive(Debug)]
pub struct Moto {
    process: Process,
    url: String,
}

impl Moto {
    /// Starts moto. A list of objects has at most `page` keys; DynamoDB's pages are not limited by it.
    ///
    /// # Panics
    /// When the variable `MOTO` is not set or moto cannot be started.
    pub async fn start(page: u32) -> Self {
        let arguments = ["--host", "127.0.0.1", "--port", "0"];
        let page = page.to_string();
        let process = Process::start_at(Path::new(&program()), &arguments, [("MOTO_S3_DEFAULT_MAX_KEYS", &page)]);
        let line = process.line("Running on http://").await;
        let url = line.split("Running on ").nth(1).unwrap_or_default().trim().to_owned();
        Self { process, url }
    }

    /// The base URL.
    #[must_use]
    pub fn url(&self) -> &str {
        &self.url
    }

    /// The process, to suspend or kill it.
    #[must_use]
    pub fn process(&self) -> &Process {
        &self.process
    }
}

/// Path of moto.
fn program() -> String {
    match std::env::var("MOTO") {
        Ok(path) if !path.is_empty() => path,
        _ => panic!(
            "MOTO is not set: this test needs moto, a local S3 and DynamoDB. Run `./dev test`, which installs it by pip, or `./dev services` \
             once and then `eval \"$(./dev env)\"` in this shell"
        ),
    }
}
