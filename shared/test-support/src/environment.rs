//! Addresses of the services, from environment variables.

use std::future::Future;

use url::Url;

/// The value of an environment variable that `./dev test` sets.
///
/// # Panics
/// When it is not set; the message states what to do.
#[must_use]
pub fn required(name: &str) -> String {
    match std::env::var(name) {
        Ok(value) if !value.is_empty() => value,
        _ => panic!(
            "{name} is not set: this test needs running services. Run `./dev test`, or `./dev services` once and then \
             `eval \"$(./dev env)\"` in this shell"
        ),
    }
}

/// The URL in a variable.
pub(crate) fn required_url(name: &str) -> Url {
    let value = required(name);
    Url::parse(&value).unwrap_or_else(|why| panic!("{name} is not a URL: {why}"))
}

/// The same URL with another path: another database, another vhost.
pub(crate) fn with_path(url: &Url, path: &str) -> String {
    let mut url = url.clone();
    url.set_path(path);
    url.to_string()
}

/// Runs a future to completion from a destructor, in a thread with its own runtime: the test's runtime may have ended.
/// Errors are printed, because a destructor may run during a panic.
pub(crate) fn run_in_thread<F>(what: &str, future: F)
where
    F: Future<Output = Result<(), String>> + Send + 'static,
{
    let thread = std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .map_err(|e| e.to_string())?;
        runtime.block_on(future)
    });
    match thread.join() {
        Ok(Ok(())) => {}
        Ok(Err(why)) => report(&format!("{what}: {why}")),
        Err(_) => report(&format!("{what}: panicked")),
    }
}

/// Prints to the test's output.
#[expect(clippy::print_stderr, reason = "a test's output is stderr")]
pub(crate) fn report(text: &str) {
    eprintln!("{text}");
}
