//! The last segment of a link: the session's token, and the signature of the platform where links are signed.
//!
//! `{token}~{key}~{version}~{algorithm}~{signature}`. The signature is of the website and the token, so that a session that something else than
//! the platform has written to the database has no link, and a forged link is refused without a query.

use arrakis_security::signing::{Algorithm, SignError, Signature, Signer, SigningPurpose};
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};

use crate::{Refusal, SessionToken, VerificationError};

/// Between the parts; unreserved in URLs, and in no part.
const SEPARATOR: char = '~';
/// Longest segment in bytes. A signed one has about 180.
const MAX_SEGMENT: usize = 400;

/// The segment of a token, signed for the website at `uri`.
///
/// # Errors
/// The key cannot be used.
pub(crate) async fn signed(token: SessionToken, uri: &str, signer: &dyn Signer) -> Result<String, SignError> {
    let text = token.expose();
    let content = content(uri, &text);
    let signature = signer
        .sign_for(SigningPurpose::VerificationLink, content.as_bytes())
        .await?;
    let value = STANDARD.decode(&signature.value).map_err(|error| SignError::Failed {
        key: signature.key.clone(),
        reason: error.to_string(),
    })?;
    Ok(format!(
        "{text}{SEPARATOR}{}{SEPARATOR}{}{SEPARATOR}{}{SEPARATOR}{}",
        signature.key,
        signature.version,
        signature.algorithm.name(),
        URL_SAFE_NO_PAD.encode(value)
    ))
}

/// The token of a segment. With a signer, the segment must be signed for the website at `uri`; without one, a signature is ignored.
///
/// # Errors
/// [`Refusal::UnknownSession`] for a malformed, unsigned or forged segment; [`VerificationError::Signer`] where the signature cannot be verified
/// at present.
pub(crate) async fn token(
    segment: &str,
    uri: &str,
    signer: Option<&dyn Signer>,
) -> Result<SessionToken, VerificationError> {
    let (text, signature) = parse(segment).ok_or(Refusal::UnknownSession)?;
    let token: SessionToken = text.parse()?;
    let Some(signer) = signer else {
        return Ok(token);
    };
    let signature = signature.ok_or(Refusal::UnknownSession)?;
    let content = content(uri, text);
    let verified = signer
        .verify_for(SigningPurpose::VerificationLink, content.as_bytes(), &signature)
        .await;
    match verified {
        Ok(()) => Ok(token),
        Err(error) if error.is_about_the_signature() => Err(Refusal::UnknownSession.into()),
        Err(error) => Err(error.into()),
    }
}

fn content(uri: &str, token: &str) -> String {
    format!("{uri}\n{token}")
}

/// Token and signature of a segment; `None` for a malformed one.
fn parse(segment: &str) -> Option<(&str, Option<Signature>)> {
    if segment.len() > MAX_SEGMENT {
        return None;
    }
    let mut parts = segment.split(SEPARATOR);
    let token = parts.next()?;
    let Some(key) = parts.next() else {
        return Some((token, None));
    };
    let version = parts.next()?.parse().ok()?;
    let algorithm = Algorithm::from_name(parts.next()?)?;
    let value = URL_SAFE_NO_PAD.decode(parts.next()?).ok()?;
    if parts.next().is_some() {
        return None;
    }
    let signature = Signature {
        algorithm,
        key: key.to_owned(),
        version,
        value: STANDARD.encode(value),
    };
    Some((token, Some(signature)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn malformed_segment_has_no_token() {
        assert_eq!(parse("token"), Some(("token", None)));
        let (token, signature) = parse("token~arrakis~2~ed25519-sha256~QUJD").unwrap();
        let signature = signature.unwrap();
        assert_eq!(
            (
                token,
                signature.key.as_str(),
                signature.version,
                signature.value.as_str()
            ),
            ("token", "arrakis", 2, "QUJD")
        );
        let long = "x".repeat(MAX_SEGMENT + 1);
        for other in [
            "token~",
            "token~arrakis",
            "token~arrakis~0x2~ed25519~QUJD",
            "token~arrakis~2~none~QUJD",
            "token~arrakis~2~ed25519~Q+/=",
            "token~arrakis~2~ed25519~QUJD~x",
            &long,
        ] {
            assert_eq!(parse(other), None, "{other}");
        }
    }
}
