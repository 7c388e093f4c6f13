//! How large a compressed message becomes, before anything decompresses it.
//!
//! A few hundred kilobytes can decompress to gigabytes, and twilight-gateway decompresses whole messages. Deflate makes at most
//! 1,032 bytes of one, so a zlib message is looked at only where it could be too large: counting needs no earlier message, since
//! what a reference into the past copies does not matter for how long it is. A zstd message states the size of each block.

use flate2::{Decompress, FlushDecompress};

/// Most bytes of one message, compressed or not. The largest of Discord's, a `GUILD_CREATE`, has some megabytes.
pub(crate) const MOST_BYTES: usize = 32 << 20;
/// Most bytes that deflate makes of one.
const DEFLATE_RATIO: usize = 1_032;
/// Ends each message of Discord's zlib stream.
const SYNC: [u8; 4] = [0, 0, 0xff, 0xff];
/// How far back deflate may refer.
const DEFLATE_WINDOW: u16 = 1 << 15;
/// Most bytes that a block of zstd makes. <https://www.rfc-editor.org/rfc/rfc8878#name-blocks>
const ZSTD_BLOCK: usize = 128 << 10;
const ZSTD_MAGIC: [u8; 4] = [0x28, 0xb5, 0x2f, 0xfd];

/// Compression of a connection, as its address asks for it.
#[derive(Debug, Default)]
pub(crate) enum Inflation {
    #[default]
    None,
    Zlib(Zlib),
    Zstd(Zstd),
}

/// A message is, or could be, larger than [`MOST_BYTES`].
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

    /// Looks at the next binary message of the connection.
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
    /// Whether the header of the stream has passed.
    has_begun: bool,
    /// Pieces of a message that is not complete.
    partial: Vec<u8>,
}

impl Zlib {
    fn check(&mut self, message: &[u8]) -> Result<(), TooLarge> {
        if self.partial.len() + message.len() > MOST_BYTES {
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
        if whole.len() <= MOST_BYTES / DEFLATE_RATIO {
            return Ok(());
        }
        count_deflated(whole.get(header..).unwrap_or_default())
    }
}

/// Decompresses into nothing. The past that the message may refer to is replaced by as many zeros, in a stored block.
fn count_deflated(message: &[u8]) -> Result<(), TooLarge> {
    let mut inflate = Decompress::new(false);
    let mut out = vec![0; usize::from(DEFLATE_WINDOW)];
    let mut past = vec![0];
    past.extend(DEFLATE_WINDOW.to_le_bytes());
    past.extend((!DEFLATE_WINDOW).to_le_bytes());
    past.resize(past.len() + usize::from(DEFLATE_WINDOW), 0);
    for input in [past.as_slice(), message] {
        let (read, written) = (inflate.total_in(), inflate.total_out());
        loop {
            let before = (inflate.total_in(), inflate.total_out());
            let done = usize::try_from(before.0 - read).unwrap_or(usize::MAX);
            let rest = input.get(done..).unwrap_or_default();
            // What cannot be decompressed is refused by whoever decompresses it.
            if inflate.decompress(rest, &mut out, FlushDecompress::Sync).is_err() {
                return Ok(());
            }
            if inflate.total_out() - written > MOST_BYTES as u64 {
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
    /// Whether the header of the frame has passed.
    has_begun: bool,
}

impl Zstd {
    /// Sums what the blocks of a message can become. Discord ends a block with each message; one that is cut is refused.
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
            let (length, becomes) = match header >> 1 & 3 {
                0 => (size, size),
                1 => (1, size),
                2 => (size, ZSTD_BLOCK),
                _ => return Err(TooLarge),
            };
            bytes += becomes;
            if bytes > MOST_BYTES {
                return Err(TooLarge);
            }
            message = rest.get(length..).ok_or(TooLarge)?;
            if header & 1 == 1 {
                // The last block of a frame; Discord's stream is one frame without end, and needs no checksum.
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

    /// Text of which nothing but itself is a copy.
    fn noise(bytes: usize) -> Vec<u8> {
        let mut state = 7_u64;
        let mut next = || {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            (state >> 56) as u8
        };
        (0..bytes).map(|_| next()).collect()
    }

    #[test]
    fn zlib_message_that_becomes_too_large_is_refused_and_others_pass() {
        let mut stream = Compress::new(Compression::new(4), true);
        let mut inflation = Inflation::of("wss://x/?v=10&encoding=json&compress=zlib-stream");
        let large = noise(MIB);
        for (text, passes) in [
            (b"{}".to_vec(), true),
            (large.clone(), true),
            // Refers to the message before.
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
    fn zlib_message_in_pieces_is_one() {
        let mut stream = Compress::new(Compression::new(4), true);
        let mut inflation = Inflation::of("compress=zlib-stream");
        let message = zlib(&mut stream, &vec![b' '; 40 * MIB]);
        let pieces: Vec<_> = message.chunks(5_000).collect();
        let (last, first) = pieces.split_last().unwrap();
        assert!(first.iter().all(|piece| inflation.check(piece).is_ok()));
        assert_eq!(inflation.check(last), Err(TooLarge));
    }

    #[test]
    fn zstd_message_that_becomes_too_large_is_refused_and_others_pass() {
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
    fn message_without_compression_is_not_looked_at() {
        assert_eq!(Inflation::of("wss://x/?v=10&encoding=json").check(&[1, 2, 3]), Ok(()));
    }
}
