//! Where the services are.

use std::future::Future;

use url::Url;

/// The value of a variable that `./dev test` sets.
///
/// # Panics
/// When it is not set, with what to do.
#[must_use]
pub fn required(name: &str) -> String {
    match std::env::var(name) {
        Ok(value) if !value.is_empty() => value,
        _ => panic!(
            "{name} is not set: this test needs real services. Run `./dev test`, or `./dev services` once and then \
             `eval \"$(./dev env)\"` in this shell"
        ),
    }
}

/// The URL in a variable.
pub(crate) fn required_url(name: &str) -> Url {
    let value = required(name);
    Url::parse(&value).unwrap_or_else(|why| panic!("{name} is no URL: {why}"))
}

/// The same URL with another path: another database, another vhost.
pub(crate) fn with_path(url: &Url, path: &str) -> String {
    let mut url = url.clone();
    url.set_path(path);
    url.to_string()
}

/// Runs a future to its end from a destructor, in a thread with a runtime of its own: the test's runtime may be gone.
/// Problems are printed, since a destructor may run during a panic.
pub(crate) fn run_apart<F>(what: &str, future: F)
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

/// A test's own output.
#[expect(clippy::print_stderr, reason = "what a test says, it says on stderr")]
pub(crate) fn report(text: &str) {
    eprintln!("{text}");
}
