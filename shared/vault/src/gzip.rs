//! Compression. The same content gives the same bytes: the header has neither a time nor a name.

use std::io::{self, Read as _};

use flate2::Compression;
use flate2::read::{GzDecoder, GzEncoder};

use crate::damage::Damage;

/// Largest content that is decompressed, in bytes: a small damaged or foreign object could expand to gigabytes.
const MAX_CONTENT_BYTES: u64 = 256 << 20;

/// The content as gzip.
pub(crate) fn compress(content: &[u8]) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    GzEncoder::new(content, Compression::default()).read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// The content of gzip bytes.
pub(crate) fn decompress(bytes: &[u8]) -> Result<Vec<u8>, Damage> {
    let mut content = Vec::new();
    let mut limited = GzDecoder::new(bytes).take(MAX_CONTENT_BYTES + 1);
    limited
        .read_to_end(&mut content)
        .map_err(|error| Damage::Gzip(error.to_string()))?;
    if content.len() as u64 > MAX_CONTENT_BYTES {
        return Err(Damage::TooLarge(MAX_CONTENT_BYTES));
    }
    Ok(content)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn content_is_the_same_after_compression_and_bytes_are_deterministic(content: Vec<u8>) {
            let bytes = compress(&content).unwrap();
            prop_assert_eq!(&bytes, &compress(&content).unwrap());
            // Time of the header: RFC 1952, bytes 4 to 7.
            prop_assert_eq!(&bytes[4..8], &[0; 4]);
            prop_assert_eq!(decompress(&bytes).unwrap(), content);
        }
    }

    #[test]
    fn content_that_expands_too_far_is_refused() {
        let bytes = compress(&vec![0; usize::try_from(MAX_CONTENT_BYTES).unwrap() + 1]).unwrap();
        assert!(matches!(decompress(&bytes), Err(Damage::TooLarge(_))));
    }

    #[test]
    fn truncated_bytes_are_refused() {
        let bytes = compress(b"the spice must flow").unwrap();
        for length in 0..bytes.len() {
            assert!(matches!(decompress(&bytes[..length]), Err(Damage::Gzip(_))), "{length}");
        }
    }
}
