//! The head of a client's request, read before the WebSocket handshake, so that other clients receive an HTTP response that
//! names the error. Discord's responses to such requests are not documented; the statuses are those of RFC 6455 and RFC 9110.

use std::{
    io,
    pin::Pin,
    task::{Context, Poll},
    time::Duration,
};

use tokio::{
    io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _, ReadBuf},
    net::TcpStream,
    time::timeout,
};

/// Largest size of a head in bytes.
const MAX_HEAD: usize = 16 * 1_024;
/// Time that a refused client has to read the response and disconnect.
const LEAVE_WITHIN: Duration = Duration::from_secs(1);

/// A stream whose first bytes have been read and are returned again by the next reads.
#[derive(Debug)]
pub(super) struct PrefixedStream {
    head: io::Cursor<Vec<u8>>,
    stream: TcpStream,
}

/// The reason why a request is not a handshake.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum HandshakeError {
    NotHttp,
    TooLong,
    Method,
    NotAnUpgrade,
    Version,
    Key,
}

impl HandshakeError {
    /// Status line, further headers, and text of the response.
    const fn response(self) -> (&'static str, &'static str, &'static str) {
        match self {
            Self::NotHttp => ("400 Bad Request", "", "this is not an HTTP/1.1 request"),
            Self::TooLong => (
                "431 Request Header Fields Too Large",
                "",
                "the request line and headers may have 16 KiB",
            ),
            Self::Method => (
                "405 Method Not Allowed",
                "Allow: GET\r\n",
                "a WebSocket handshake is a GET",
            ),
            Self::NotAnUpgrade => (
                "426 Upgrade Required",
                "Upgrade: websocket\r\n",
                "this is the gateway: connect to it with a WebSocket client (ws://)",
            ),
            Self::Version => (
                "426 Upgrade Required",
                "Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\n",
                "the WebSocket version must be 13",
            ),
            Self::Key => (
                "400 Bad Request",
                "",
                "Sec-WebSocket-Key must be 16 bytes in base64, 24 characters",
            ),
        }
    }
}

/// Reads the head of a request. Returns `None` when it is not a handshake and the response has been sent.
///
/// # Errors
/// Those of the stream.
pub(super) async fn read(mut stream: TcpStream) -> io::Result<Option<PrefixedStream>> {
    let mut head = Vec::new();
    let checked = loop {
        if let Some(end) = find_end(&head) {
            break check(&head[..end]);
        }
        if head.len() > MAX_HEAD {
            break Err(HandshakeError::TooLong);
        }
        if !could_be_http(&head) {
            break Err(HandshakeError::NotHttp);
        }
        if stream.read_buf(&mut head).await? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
    };
    match checked {
        Ok(()) => Ok(Some(PrefixedStream {
            head: io::Cursor::new(head),
            stream,
        })),
        Err(error) => {
            tracing::debug!(?error, "not a WebSocket handshake");
            refuse(stream, error).await?;
            Ok(None)
        }
    }
}

/// Writes the response and reads remaining bytes: closing a socket with unread bytes would reset the connection and lose the
/// response.
async fn refuse(mut stream: TcpStream, error: HandshakeError) -> io::Result<()> {
    let (status, headers, what_to_do) = error.response();
    let length = what_to_do.len() + 1;
    let response = format!(
        "HTTP/1.1 {status}\r\n{headers}Connection: close\r\nContent-Type: text/plain\r\nContent-Length: {length}\r\n\r\n{what_to_do}\n"
    );
    stream.write_all(response.as_bytes()).await?;
    stream.shutdown().await?;
    let mut rest = [0; 4_096];
    let leaving = async { while stream.read(&mut rest).await.is_ok_and(|read| read > 0) {} };
    let _ = timeout(LEAVE_WITHIN, leaving).await;
    Ok(())
}

fn find_end(head: &[u8]) -> Option<usize> {
    head.windows(4).position(|four| four == b"\r\n\r\n")
}

/// Whether the bytes can be the beginning of a request: letters of a method, then a space.
fn could_be_http(head: &[u8]) -> bool {
    let method = head.iter().position(|byte| *byte == b' ').unwrap_or(head.len());
    method <= 16 && head[..method].iter().all(u8::is_ascii_uppercase)
}

fn check(head: &[u8]) -> Result<(), HandshakeError> {
    let text = std::str::from_utf8(head).map_err(|_| HandshakeError::NotHttp)?;
    let mut lines = text.split("\r\n");
    let mut request = lines.next().unwrap_or_default().split(' ');
    let (method, version) = (request.next(), request.nth(1));
    if version != Some("HTTP/1.1") || request.next().is_some() {
        return Err(HandshakeError::NotHttp);
    }
    if method != Some("GET") {
        return Err(HandshakeError::Method);
    }
    let headers: Vec<(&str, &str)> = lines.filter_map(|line| line.split_once(':')).collect();
    let value = |name: &str| {
        let found = headers.iter().find(|(key, _)| key.eq_ignore_ascii_case(name));
        found.map_or("", |(_, value)| value.trim())
    };
    let lists = |name: &str, word: &str| {
        value(name)
            .split(',')
            .any(|part| part.trim().eq_ignore_ascii_case(word))
    };
    if !lists("upgrade", "websocket") || !lists("connection", "upgrade") {
        return Err(HandshakeError::NotAnUpgrade);
    }
    if value("sec-websocket-version") != "13" {
        return Err(HandshakeError::Version);
    }
    if value("sec-websocket-key").len() != 24 {
        return Err(HandshakeError::Key);
    }
    Ok(())
}

impl AsyncRead for PrefixedStream {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        let head = Pin::new(&mut self.head).poll_read(cx, buffer);
        if buffer.filled().len() > before || buffer.remaining() == 0 {
            return head;
        }
        Pin::new(&mut self.stream).poll_read(cx, buffer)
    }
}

impl AsyncWrite for PrefixedStream {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEY: &str = "sec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==";

    fn checked(lines: &[&str]) -> Result<(), HandshakeError> {
        check(lines.join("\r\n").as_bytes())
    }

    #[test]
    fn handshake_is_accepted_and_each_error_has_its_response() {
        let get = "GET /?v=10 HTTP/1.1";
        let (upgrade, connection) = ("Upgrade: WebSocket", "Connection: keep-alive, Upgrade");
        assert_eq!(
            checked(&[get, upgrade, connection, "Sec-WebSocket-Version: 13", KEY]),
            Ok(())
        );
        let cases: [(&[&str], HandshakeError); 7] = [
            (&[get, "host: x"], HandshakeError::NotAnUpgrade),
            (&[get, upgrade], HandshakeError::NotAnUpgrade),
            (
                &[get, upgrade, connection, "sec-websocket-version: 12", KEY],
                HandshakeError::Version,
            ),
            (
                &[get, upgrade, connection, "sec-websocket-version: 13"],
                HandshakeError::Key,
            ),
            (&["POST / HTTP/1.1"], HandshakeError::Method),
            (&["PRI * HTTP/2.0"], HandshakeError::NotHttp),
            (&["GET / and more HTTP/1.1"], HandshakeError::NotHttp),
        ];
        for (lines, error) in cases {
            assert_eq!(checked(lines), Err(error), "{lines:?}");
        }
    }

    #[test]
    fn bytes_that_begin_no_request_are_refused_at_once() {
        assert!(could_be_http(b"") && could_be_http(b"GE") && could_be_http(b"GET / "));
        for bytes in [&b"\x16\x03\x01"[..], b"hello there", b"ABCDEFGHIJKLMNOPQRSTUVWXYZ"] {
            assert!(!could_be_http(bytes), "{bytes:?}");
        }
    }
}
