//! The decompressed size of a message, computed before it is decompressed.
//!
//! Some hundred kilobytes can decompress to gigabytes, and twilight-gateway decompresses messages completely. Deflate expands a byte to
//! at most 1,032 bytes, so a zlib message is checked only when it could be too large. The check needs no earlier message: the length of
//! a back-reference does not depend on the bytes that it copies. A zstd message states the size of each block.

use flate2::{Decompress, FlushDecompress};

/// Largest message in bytes, compressed or not. The largest of Discord, a `GUILD_CREATE`, has some megabytes.
pub(crate) const MAX_BYTES: usize = 32 << 20;
/// Largest expansion of deflate.
const DEFLATE_RATIO: usize = 1_032;
/// The end of each message in Discord's zlib stream.
const SYNC: [u8; 4] = [0, 0, 0xff, 0xff];
/// Longest distance of a back-reference in deflate.
const DEFLATE_WINDOW: u16 = 1 << 15;
/// Largest decompressed size of a zstd block. <https://www.rfc-editor.org/rfc/rfc8878#name-blocks>
const ZSTD_BLOCK: usize = 128 << 10;
const ZSTD_MAGIC: [u8; 4] = [0x28, 0xb5, 0x2f, 0xfd];

/// Compression of a connection, by its address.
#[derive(Debug, Default)]
pub(crate) enum Inflation {
    #[default]
    None,
    Zlib(Zlib),
    Zstd(Zstd),
}

/// The decompressed message is, or may be, larger than [`MAX_BYTES`].
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct TooLarge;

impl Inflation {
    pub(crate) fn of(uri: &str) -> Self {
        if uri.contains("compress=zlib-stream") {
            Self::Zlib(Zlib::default())
        } else if uri.contains("compress=zstd-stream") {
            Self::Zstd(Zstd::default())
        } else {
            Self::None
        }
    }

    /// Checks the next binary message of the connection.
    pub(crate) fn check(&mut self, message: &[u8]) -> Result<(), TooLarge> {
        match self {
            Self::None => Ok(()),
            Self::Zlib(zlib) => zlib.check(message),
            Self::Zstd(zstd) => zstd.check(message),
        }
    }
}

#[derive(Debug, Default)]
pub(crate) struct Zlib {
    /// Whether the header of the stream was received.
    has_begun: bool,
    /// Parts of an incomplete message.
    partial: Vec<u8>,
}

impl Zlib {
    fn check(&mut self, message: &[u8]) -> Result<(), TooLarge> {
        if self.partial.len() + message.len() > MAX_BYTES {
            return Err(TooLarge);
        }
        let is_whole = self.partial.is_empty() && message.ends_with(&SYNC);
        if !is_whole {
            self.partial.extend_from_slice(message);
            if !self.partial.ends_with(&SYNC) {
                return Ok(());
            }
        }
        let partial = std::mem::take(&mut self.partial);
        let whole = if is_whole { message } else { &partial };
        let header = if std::mem::replace(&mut self.has_begun, true) {
            0
        } else {
            2
        };
        if whole.len() <= MAX_BYTES / DEFLATE_RATIO {
            return Ok(());
        }
        count_deflated(whole.get(header..).unwrap_or_default())
    }
}

/// Decompresses and discards the output. A stored block of zeros stands for the earlier output to which the message may refer.
fn count_deflated(message: &[u8]) -> Result<(), TooLarge> {
    let mut inflate = Decompress::new(false);
    let mut out = vec![0; usize::from(DEFLATE_WINDOW)];
    let mut earlier = vec![0];
    earlier.extend(DEFLATE_WINDOW.to_le_bytes());
    earlier.extend((!DEFLATE_WINDOW).to_le_bytes());
    earlier.resize(earlier.len() + usize::from(DEFLATE_WINDOW), 0);
    for input in [earlier.as_slice(), message] {
        let (read, written) = (inflate.total_in(), inflate.total_out());
        loop {
            let before = (inflate.total_in(), inflate.total_out());
            let done = usize::try_from(before.0 - read).unwrap_or(usize::MAX);
            let rest = input.get(done..).unwrap_or_default();
            // A malformed message is refused by the decompressor of twilight-gateway.
            if inflate.decompress(rest, &mut out, FlushDecompress::Sync).is_err() {
                return Ok(());
            }
            if inflate.total_out() - written > MAX_BYTES as u64 {
                return Err(TooLarge);
            }
            if before == (inflate.total_in(), inflate.total_out()) {
                break;
            }
        }
    }
    Ok(())
}

#[derive(Debug, Default)]
pub(crate) struct Zstd {
    /// Whether the header of the frame was received.
    has_begun: bool,
}

impl Zstd {
    /// Sums the largest decompressed sizes of a message's blocks. Discord ends a block with each message; an incomplete one is refused.
    fn check(&mut self, mut message: &[u8]) -> Result<(), TooLarge> {
        let mut bytes = 0;
        while !message.is_empty() {
            if !self.has_begun {
                let length = frame_header(message).ok_or(TooLarge)?;
                message = message.get(length..).ok_or(TooLarge)?;
                self.has_begun = true;
                continue;
            }
            let Some(([a, b, c], rest)) = message.split_first_chunk::<3>() else {
                return Err(TooLarge);
            };
            let header = usize::from(*a) | usize::from(*b) << 8 | usize::from(*c) << 16;
            let size = header >> 3;
            let (length, decompressed) = match header >> 1 & 3 {
                0 => (size, size),
                1 => (1, size),
                2 => (size, ZSTD_BLOCK),
                _ => return Err(TooLarge),
            };
            bytes += decompressed;
            if bytes > MAX_BYTES {
                return Err(TooLarge);
            }
            message = rest.get(length..).ok_or(TooLarge)?;
            if header & 1 == 1 {
                // The last block of a frame. Discord's stream is one endless frame without checksum.
                self.has_begun = false;
            }
        }
        Ok(())
    }
}

/// Length of a frame's header. <https://www.rfc-editor.org/rfc/rfc8878#name-frame-header>
fn frame_header(message: &[u8]) -> Option<usize> {
    let descriptor = message.strip_prefix(&ZSTD_MAGIC)?.first()?;
    let is_single = descriptor >> 5 & 1;
    let dictionary = [0, 1, 2, 4][usize::from(descriptor & 3)];
    let content = [usize::from(is_single), 2, 4, 8][usize::from(descriptor >> 6)];
    Some(ZSTD_MAGIC.len() + 1 + usize::from(1 - is_single) + dictionary + content)
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use flate2::{Compress, Compression, FlushCompress};

    use super::*;

    const MIB: usize = 1 << 20;

    fn zlib(stream: &mut Compress, text: &[u8]) -> Vec<u8> {
        let mut out = Vec::with_capacity(text.len() + 1_024);
        stream.compress_vec(text, &mut out, FlushCompress::Sync).unwrap();
        out
    }

    /// Bytes without repetitions.
    fn noise(bytes: usize) -> Vec<u8> {
        let mut state = 7_u64;
        let mut next = || {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            (state >> 56) as u8
        };
        (0..bytes).map(|_| next()).collect()
    }

    #[test]
    fn zlib_message_is_refused_when_its_output_is_too_large() {
        let mut stream = Compress::new(Compression::new(4), true);
        let mut inflation = Inflation::of("wss://x/?v=10&encoding=json&compress=zlib-stream");
        let large = noise(MIB);
        for (text, passes) in [
            (b"{}".to_vec(), true),
            (large.clone(), true),
            // Refers to the previous message.
            (large[MIB - 20_000..].to_vec(), true),
            (vec![b' '; 31 * MIB], true),
            (large, true),
            (vec![b' '; 40 * MIB], false),
        ] {
            let message = zlib(&mut stream, &text);
            let checked = inflation.check(&message);
            assert_eq!(checked.is_ok(), passes, "{} bytes in {}", text.len(), message.len());
        }
    }

    #[test]
    fn zlib_message_in_parts_is_checked_as_one() {
        let mut stream = Compress::new(Compression::new(4), true);
        let mut inflation = Inflation::of("compress=zlib-stream");
        let message = zlib(&mut stream, &vec![b' '; 40 * MIB]);
        let parts: Vec<_> = message.chunks(5_000).collect();
        let (last, first) = parts.split_last().unwrap();
        assert!(first.iter().all(|part| inflation.check(part).is_ok()));
        assert_eq!(inflation.check(last), Err(TooLarge));
    }

    #[test]
    fn zstd_message_is_refused_when_its_output_is_too_large() {
        let mut stream = zstd::stream::write::Encoder::new(Vec::new(), 3).unwrap();
        let mut inflation = Inflation::of("compress=zstd-stream");
        for (text, passes) in [
            (b"{}".to_vec(), true),
            (noise(MIB), true),
            (vec![b' '; 20 * MIB], true),
            (b"{\"op\":11}".to_vec(), true),
            (vec![b' '; 40 * MIB], false),
        ] {
            stream.write_all(&text).unwrap();
            stream.flush().unwrap();
            let message = std::mem::take(stream.get_mut());
            let checked = inflation.check(&message);
            assert_eq!(checked.is_ok(), passes, "{} bytes in {}", text.len(), message.len());
        }
    }

    #[test]
    fn message_without_compression_is_not_checked() {
        assert_eq!(Inflation::of("wss://x/?v=10&encoding=json").check(&[1, 2, 3]), Ok(()));
    }
}
