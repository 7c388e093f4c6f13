//! Estimates by Infracost's API, with a server that answers as the API does.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpListener;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use arrakis_config::Secret;
use arrakis_policy::cost::Outcome;
use arrakis_policy::estimate::Estimator;

use crate::support::{folder, plan_file};

/// An API on this machine that answers every request with a status and an estimate.
struct Api {
    url: String,
    requests: Arc<AtomicUsize>,
    bodies: std::sync::mpsc::Receiver<String>,
}

impl Api {
    fn start(status: &'static str, estimate: &str) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let answer = std::fs::read_to_string(folder("estimates").join(format!("{estimate}.json"))).unwrap();
        let requests = Arc::new(AtomicUsize::new(0));
        let counter = Arc::clone(&requests);
        let (sender, bodies) = std::sync::mpsc::channel();
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let mut stream = stream.unwrap();
                counter.fetch_add(1, Ordering::SeqCst);
                let _ = sender.send(read_request(&mut stream));
                let head = format!(
                    "HTTP/1.1 {status}\r\ncontent-length: {}\r\nconnection: close\r\n\r\n",
                    answer.len()
                );
                stream.write_all(head.as_bytes()).unwrap();
                stream.write_all(answer.as_bytes()).unwrap();
            }
        });
        Self { url, requests, bodies }
    }

    fn estimator(&self, cache: Option<&std::path::Path>) -> Estimator {
        Estimator {
            api: self.url.clone(),
            key: Secret::new("ico-test"),
            cache: cache.map(std::path::Path::to_owned),
        }
    }
}

fn read_request(stream: &mut std::net::TcpStream) -> String {
    let mut reader = BufReader::new(stream);
    let mut head = String::new();
    while !head.ends_with("\r\n\r\n") {
        reader.read_line(&mut head).unwrap();
    }
    let length = head.to_lowercase().lines().find_map(|line| {
        line.strip_prefix("content-length:")
            .map(|it| it.trim().parse().unwrap())
    });
    let mut body = vec![0; length.unwrap()];
    reader.read_exact(&mut body).unwrap();
    head + &String::from_utf8(body).unwrap()
}

fn estimate(estimator: &Estimator, plan: &str) -> Outcome {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    runtime.block_on(estimator.estimate(&plan_file(plan)))
}

#[test]
fn plan_is_sent_without_secrets_and_the_estimate_is_kept() {
    let api = Api::start("200 OK", "v010_small");
    let cache = tempfile::tempdir().unwrap();
    let estimator = api.estimator(Some(cache.path()));
    let first = estimate(&estimator, "real_create");
    assert_eq!(first.cost.as_ref().unwrap().increase, "120.45");
    let request = api.bodies.recv().unwrap();
    assert!(request.starts_with("POST /diff HTTP/1.1"), "{request}");
    assert!(
        request.contains("x-api-key: ico-test") && request.contains("name=\"path\""),
        "{request}"
    );
    assert!(request.contains("stilgar") && !request.contains("hunter2"), "{request}");
    assert_eq!(estimate(&estimator, "real_create"), first);
    assert_eq!(api.requests.load(Ordering::SeqCst), 1);
    estimate(&estimator, "real_replace");
    assert_eq!(api.requests.load(Ordering::SeqCst), 2);
}

#[test]
fn estimate_with_errors_is_not_kept() {
    let api = Api::start("200 OK", "v010_error");
    let cache = tempfile::tempdir().unwrap();
    let estimator = api.estimator(Some(cache.path()));
    for requests in 1..3 {
        assert_eq!(estimate(&estimator, "real_create").blocks[0].rule, "cost_error");
        assert_eq!(api.requests.load(Ordering::SeqCst), requests);
    }
}

#[test]
fn damaged_cache_is_replaced_and_never_passes() {
    let api = Api::start("200 OK", "v010_large");
    let cache = tempfile::tempdir().unwrap();
    let estimator = api.estimator(Some(cache.path()));
    assert_eq!(estimate(&estimator, "real_create").blocks[0].rule, "cost_limit");
    let kept = std::fs::read_dir(cache.path()).unwrap().next().unwrap().unwrap().path();
    let whole = std::fs::read(&kept).unwrap();
    for (requests, damaged) in (2..).zip([&b"{}"[..], b"", &whole[..whole.len() / 2]]) {
        std::fs::write(&kept, damaged).unwrap();
        assert_eq!(estimate(&estimator, "real_create").blocks[0].rule, "cost_limit");
        assert_eq!(api.requests.load(Ordering::SeqCst), requests);
        assert_eq!(std::fs::read(&kept).unwrap(), whole);
    }
}

#[test]
fn redirect_is_not_followed() {
    let other = Api::start("200 OK", "v010_small");
    for status in ["302 Found", "303 See Other", "307 Temporary Redirect"] {
        let status: &'static str = Box::leak(format!("{status}\r\nlocation: {}/diff", other.url).into_boxed_str());
        let api = Api::start(status, "v010_small");
        let outcome = estimate(&api.estimator(None), "real_create");
        assert_eq!(outcome.blocks[0].rule, "cost_unknown", "{status}");
    }
    assert_eq!(
        other.requests.load(Ordering::SeqCst),
        0,
        "no key was sent to the other host"
    );
}

#[test]
fn api_that_fails_rejects() {
    let refused = Api::start("401 Unauthorized", "v010_small");
    assert_eq!(
        estimate(&refused.estimator(None), "real_create").blocks[0].rule,
        "cost_unknown"
    );
    // A port without a listener.
    let closed = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let estimator = Estimator {
        api: format!("http://{closed}"),
        key: Secret::new("ico-test"),
        cache: None,
    };
    let outcome = estimate(&estimator, "real_create");
    assert_eq!(outcome.blocks[0].rule, "cost_unknown");
    assert!(!format!("{outcome:?}").contains("ico-test"));
}
