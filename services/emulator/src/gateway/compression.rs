//! Transport compression, one stream per connection flushed after each payload, and payload compression, each large payload
//! on its own. <https://discord.com/developers/docs/events/gateway#encoding-and-compression>

use std::io::{self, Write as _};

use flate2::{Compress, Compression, FlushCompress, Status, write::ZlibEncoder};
use tokio_tungstenite::tungstenite::{Bytes, Message};
use zstd::stream::raw::{Encoder as ZstdEncoder, InBuffer, Operation, OutBuffer};

/// Payloads of at least this many bytes are compressed one by one for clients that accept it. Discord does not publish its
/// limit; READY and `GUILD_CREATE` are above it.
const PACKET: usize = 1_024;

/// Encoder of a connection's payloads; created once for each connection.
pub(super) enum Encoder {
    /// Text frames.
    Plain,
    /// Text frames, and for large payloads binary frames of one zlib stream each: `compress` of IDENTIFY.
    Packets,
    /// Binary frames of one zlib stream, each ending in `00 00 FF FF`.
    Zlib(Compress),
    /// Binary frames of one zstd stream.
    Zstd(ZstdEncoder<'static>),
}

impl std::fmt::Debug for Encoder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Plain => "Plain",
            Self::Packets => "Packets",
            Self::Zlib(_) => "Zlib",
            Self::Zstd(_) => "Zstd",
        })
    }
}

impl Encoder {
    /// The encoder for the query's `compress`. `None` for an unknown value.
    pub(super) fn for_query(compress: Option<&str>) -> Option<Self> {
        match compress {
            None => Some(Self::Plain),
            Some("zlib-stream") => Some(Self::Zlib(Compress::new(Compression::fast(), true))),
            Some("zstd-stream") => ZstdEncoder::new(1).ok().map(Self::Zstd),
            Some(_) => None,
        }
    }

    /// Compresses large payloads one by one from now on. Transport compression takes precedence.
    pub(super) fn compress_packets(&mut self) {
        if matches!(self, Self::Plain) {
            *self = Self::Packets;
        }
    }

    /// The frame for one payload.
    ///
    /// # Errors
    /// When the compressor fails, which happens only without memory.
    pub(super) fn frame(&mut self, payload: &str) -> io::Result<Message> {
        match self {
            Self::Packets if payload.len() >= PACKET => packet(payload.as_bytes()).map(binary),
            Self::Plain | Self::Packets => Ok(Message::text(payload)),
            Self::Zlib(stream) => zlib(stream, payload.as_bytes()).map(binary),
            Self::Zstd(stream) => zstd(stream, payload.as_bytes()).map(binary),
        }
    }
}

fn binary(bytes: Vec<u8>) -> Message {
    Message::Binary(Bytes::from(bytes))
}

fn packet(input: &[u8]) -> io::Result<Vec<u8>> {
    let mut encoder = ZlibEncoder::new(Vec::with_capacity(input.len() / 2 + 64), Compression::fast());
    encoder.write_all(input)?;
    encoder.finish()
}

fn zlib(stream: &mut Compress, input: &[u8]) -> io::Result<Vec<u8>> {
    let mut output = Vec::with_capacity(input.len() / 2 + 64);
    let start = stream.total_in();
    loop {
        let read = usize::try_from(stream.total_in() - start)
            .unwrap_or(usize::MAX)
            .min(input.len());
        let status = stream.compress_vec(&input[read..], &mut output, FlushCompress::Sync)?;
        // A sync flush is complete when everything is read and space is left over.
        let done = stream.total_in() - start == input.len() as u64 && output.len() < output.capacity();
        if done || status == Status::StreamEnd {
            return Ok(output);
        }
        output.reserve(input.len().max(256));
    }
}

fn zstd(stream: &mut ZstdEncoder<'static>, input: &[u8]) -> io::Result<Vec<u8>> {
    let mut output = Vec::new();
    let mut chunk = vec![0_u8; (input.len() / 2).clamp(512, 128 * 1_024)];
    let mut source = InBuffer::around(input);
    while source.pos() < input.len() {
        let mut target = OutBuffer::around(chunk.as_mut_slice());
        stream.run(&mut source, &mut target)?;
        output.extend_from_slice(target.as_slice());
    }
    loop {
        let mut target = OutBuffer::around(chunk.as_mut_slice());
        let left = stream.flush(&mut target)?;
        output.extend_from_slice(target.as_slice());
        if left == 0 {
            return Ok(output);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::Read as _;

    use super::*;

    fn bytes(message: Message) -> Vec<u8> {
        assert!(message.is_binary());
        message.into_data().to_vec()
    }

    fn payloads() -> Vec<String> {
        let noise: String = (0..40_000_u32)
            .map(|n| char::from(b'a' + (n.wrapping_mul(2_654_435_761) >> 27) as u8 % 26))
            .collect();
        vec!["{}".to_owned(), "x".repeat(100_000), noise, "{\"op\":11}".to_owned()]
    }

    #[test]
    fn zlib_frames_form_one_stream_and_end_in_a_sync_flush() {
        let mut encoder = Encoder::for_query(Some("zlib-stream")).unwrap();
        let mut stream = Vec::new();
        for payload in payloads() {
            let frame = bytes(encoder.frame(&payload).unwrap());
            assert!(
                frame.ends_with(&[0, 0, 0xFF, 0xFF]),
                "the frame of {} characters",
                payload.len()
            );
            stream.extend(frame);
        }
        let mut text = String::new();
        let mut decoder = flate2::read::ZlibDecoder::new(stream.as_slice());
        // The stream is never finished, so the end of input is an error after all text was read.
        let _ = decoder.read_to_string(&mut text);
        assert_eq!(text, payloads().concat());
    }

    #[test]
    fn zstd_frames_can_each_be_read_when_they_arrive() {
        let mut encoder = Encoder::for_query(Some("zstd-stream")).unwrap();
        let mut decoder = zstd::stream::raw::Decoder::new().unwrap();
        for payload in payloads() {
            let frame = bytes(encoder.frame(&payload).unwrap());
            let mut text = vec![0; payload.len() + 1];
            let mut source = InBuffer::around(frame.as_slice());
            let mut target = OutBuffer::around(text.as_mut_slice());
            while source.pos() < frame.len() {
                decoder.run(&mut source, &mut target).unwrap();
            }
            decoder.flush(&mut target).unwrap();
            assert!(target.as_slice() == payload.as_bytes());
        }
    }

    #[test]
    fn large_payloads_are_compressed_alone_when_the_client_takes_that() {
        let mut encoder = Encoder::for_query(None).unwrap();
        encoder.compress_packets();
        for payload in payloads() {
            let frame = encoder.frame(&payload).unwrap();
            assert_eq!(frame.is_text(), payload.len() < PACKET);
            if frame.is_binary() {
                let mut text = String::new();
                let bytes = bytes(frame);
                flate2::read::ZlibDecoder::new(&*bytes)
                    .read_to_string(&mut text)
                    .unwrap();
                assert!(text == payload);
            }
        }
        let mut transport = Encoder::for_query(Some("zlib-stream")).unwrap();
        transport.compress_packets();
        assert!(bytes(transport.frame("{}").unwrap()).ends_with(&[0, 0, 0xFF, 0xFF]));
    }

    #[test]
    fn an_unknown_compression_is_refused() {
        assert!(Encoder::for_query(Some("brotli")).is_none());
    }
}
