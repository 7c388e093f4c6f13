//! `healthcheck`: requests a health endpoint of the service on this machine, for images, which have no shell and no HTTP client.
//!
//! Uses the standard library only: the ingestor has no HTTP client, and a check runs every few seconds.

use std::fmt::Display;
use std::io::{self, Read as _, Write as _};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpStream};
use std::process::ExitCode;
use std::str::FromStr;
use std::time::{Duration, Instant};

use arrakis_config::{EXIT_CODE, Reader, Service, Source, variables};

/// Time limit of connecting, sending and receiving, together.
const TIME_LIMIT: Duration = Duration::from_secs(3);
/// Longest response that is read: a status line, headers, and the components that are not up.
const LONGEST_RESPONSE: usize = 16 * 1024;

/// A health endpoint that answers 200 or another status.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[cfg_attr(feature = "command-line", derive(clap::ValueEnum))]
pub enum HealthEndpoint {
    /// The process runs: for an orchestrator that replaces what is unhealthy.
    Livez,
    /// The service accepts work: for an order of starts, and for people.
    #[default]
    Readyz,
}

impl HealthEndpoint {
    const fn path(self) -> &'static str {
        match self {
            Self::Livez => "/livez",
            Self::Readyz => "/readyz",
        }
    }
}

impl FromStr for HealthEndpoint {
    type Err = String;

    fn from_str(name: &str) -> Result<Self, String> {
        match name {
            "livez" => Ok(Self::Livez),
            "readyz" => Ok(Self::Readyz),
            _ => Err(format!("invalid endpoint '{name}': livez or readyz")),
        }
    }
}

/// Requests a health endpoint of `service` at `HEALTH_ADDR` on this machine. Returns the exit code of the process: 0 when it answers 200, 1
/// otherwise, 78 for an invalid `HEALTH_ADDR`.
///
/// The reason of a failure is printed to standard error.
pub fn check_health(service: Service, endpoint: HealthEndpoint) -> ExitCode {
    let read = |reader: &mut Reader| reader.defaulted::<SocketAddr>(&variables::HEALTH_ADDR);
    let address = match Reader::load(service, Source::environment(), read) {
        Ok(address) => address,
        Err(errors) => {
            print_error(&errors);
            return ExitCode::from(EXIT_CODE);
        }
    };
    match request(reachable(address), endpoint.path()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            print_error(format_args!("{}: {error}", service.binary()));
            ExitCode::FAILURE
        }
    }
}

/// Prints to standard error. There is no other output when it is closed.
fn print_error(error: impl Display) {
    let _ = writeln!(io::stderr(), "{error}");
}

/// The address of a listener, as a client on the same machine reaches it: loopback in place of "every address".
fn reachable(listener: SocketAddr) -> SocketAddr {
    let ip = match listener.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => IpAddr::V4(Ipv4Addr::LOCALHOST),
        IpAddr::V6(ip) if ip.is_unspecified() => IpAddr::V6(Ipv6Addr::LOCALHOST),
        ip => ip,
    };
    SocketAddr::new(ip, listener.port())
}

/// Sends `GET path`, and fails unless the response has the status 200.
fn request(address: SocketAddr, path: &str) -> Result<(), String> {
    let response = exchange(address, path).map_err(|error| format!("GET http://{address}{path}: {error}"))?;
    let response = String::from_utf8_lossy(&response);
    let status = response.split_whitespace().nth(1).unwrap_or("no status");
    if status == "200" {
        return Ok(());
    }
    let body = response.split_once("\r\n\r\n").map_or("", |(_, body)| body.trim());
    Err(format!("GET http://{address}{path}: {status}: {body}"))
}

fn exchange(address: SocketAddr, path: &str) -> io::Result<Vec<u8>> {
    let until = Instant::now() + TIME_LIMIT;
    let mut stream = TcpStream::connect_timeout(&address, TIME_LIMIT)?;
    stream.set_write_timeout(Some(TIME_LIMIT))?;
    let head = format!("GET {path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n");
    stream.write_all(head.as_bytes())?;
    let (mut response, mut buffer) = (Vec::new(), [0; 1024]);
    while response.len() < LONGEST_RESPONSE {
        // A peer that sends byte by byte would exceed no limit of one read.
        let left = until.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Err(io::ErrorKind::TimedOut.into());
        }
        stream.set_read_timeout(Some(left))?;
        match stream.read(&mut buffer) {
            Ok(0) => break,
            Ok(read) => response.extend_from_slice(buffer.get(..read).unwrap_or_default()),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(response)
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;
    use std::thread::JoinHandle;

    use super::*;

    /// A server that sends one response; its thread returns the request's first line.
    fn respond(response: &'static str) -> (SocketAddr, JoinHandle<String>) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let thread = std::thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            let mut request = [0; 1024];
            let read = stream.read(&mut request).unwrap();
            stream.write_all(response.as_bytes()).unwrap();
            let request = String::from_utf8_lossy(&request[..read]).into_owned();
            request.lines().next().unwrap_or_default().to_owned()
        });
        (address, thread)
    }

    #[test]
    fn only_status_200_is_healthy() {
        let (address, server) = respond("HTTP/1.1 200 OK\r\ncontent-length: 6\r\n\r\nready\n");
        assert_eq!(request(address, HealthEndpoint::Readyz.path()), Ok(()));
        assert_eq!(server.join().unwrap(), "GET /readyz HTTP/1.1");

        let (address, server) = respond("HTTP/1.1 503 Service Unavailable\r\n\r\nbroker: starting\n");
        let error = request(address, HealthEndpoint::Livez.path()).unwrap_err();
        assert!(error.ends_with("/livez: 503: broker: starting"), "{error}");
        assert_eq!(server.join().unwrap(), "GET /livez HTTP/1.1");
    }

    #[test]
    fn closed_port_and_empty_response_are_errors() {
        let closed = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        assert!(request(closed, "/livez").is_err());
        let (address, _) = respond("");
        let error = request(address, "/livez").unwrap_err();
        assert!(error.contains("no status"), "{error}");
    }

    #[test]
    fn peer_that_sends_byte_by_byte_is_an_error_in_time() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        std::thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            while stream.write_all(b"x").is_ok() {
                std::thread::sleep(Duration::from_millis(100));
            }
        });
        let began = Instant::now();
        assert!(request(address, "/livez").is_err());
        assert!(began.elapsed() < 2 * TIME_LIMIT, "{:?}", began.elapsed());
    }

    #[test]
    fn unspecified_address_is_reached_by_loopback() {
        for (listener, client) in [
            ("0.0.0.0:8080", "127.0.0.1:8080"),
            ("[::]:8080", "[::1]:8080"),
            ("127.0.0.1:1", "127.0.0.1:1"),
            ("10.1.2.3:9", "10.1.2.3:9"),
        ] {
            assert_eq!(reachable(listener.parse().unwrap()), client.parse().unwrap());
        }
    }

    #[test]
    fn endpoints_have_the_names_of_their_paths() {
        assert_eq!("livez".parse(), Ok(HealthEndpoint::Livez));
        assert_eq!("readyz".parse(), Ok(HealthEndpoint::Readyz));
        assert!("health".parse::<HealthEndpoint>().is_err());
    }
}
