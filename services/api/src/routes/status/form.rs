//! The fields of a submitted form, and whether a form of this page was submitted.

use axum::extract::Request;
use http::{HeaderMap, header};
use percent_encoding::percent_decode;

use super::refusal::Refusal;
use crate::body::receive;
use crate::services::Services;

/// Largest form in bytes.
const MAX_FORM: usize = 4 << 10;

/// A submitted form.
#[derive(Debug)]
pub(super) struct Form(Vec<(String, String)>);

impl Form {
    /// Reads a form that was submitted from a page of this origin. Browsers send `Origin` with every form, and other sites cannot change it.
    ///
    /// # Errors
    /// The form comes from another site, or it is too large.
    pub(super) async fn read(services: &Services, request: Request) -> Result<Self, Refusal> {
        if !is_from_here(services, request.headers()) {
            return Err(Refusal::foreign());
        }
        let body = receive(request, MAX_FORM).await.map_err(|_| Refusal::unreadable())?;
        Ok(Self::parse(&body))
    }

    fn parse(body: &[u8]) -> Self {
        let decode = |text: &[u8]| {
            // A space is a plus sign in a form.
            let text: Vec<u8> = text
                .iter()
                .map(|byte| if *byte == b'+' { b' ' } else { *byte })
                .collect();
            percent_decode(&text).decode_utf8_lossy().into_owned()
        };
        let pairs = body.split(|byte| *byte == b'&').filter(|pair| !pair.is_empty());
        let fields = pairs.map(|pair| match pair.iter().position(|byte| *byte == b'=') {
            Some(at) => (decode(&pair[..at]), decode(&pair[at + 1..])),
            None => (decode(pair), String::new()),
        });
        Self(fields.collect())
    }

    /// The value of a field; empty where the form does not have it.
    pub(super) fn field(&self, name: &str) -> &str {
        let found = self.0.iter().find(|(field, _)| field == name);
        found.map_or("", |(_, value)| value.as_str())
    }
}

fn is_from_here(services: &Services, headers: &HeaderMap) -> bool {
    let mut origins = headers.get_all(header::ORIGIN).iter();
    let (Some(origin), None) = (origins.next(), origins.next()) else {
        return false;
    };
    origin.as_bytes() == services.public_address.origin().as_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_are_decoded() {
        let form = Form::parse(b"id=reconcile%3A2026&code=12+34&empty=&flag&id=second");
        assert_eq!((form.field("id"), form.field("code")), ("reconcile:2026", "12 34"));
        assert_eq!(
            (form.field("empty"), form.field("flag"), form.field("other")),
            ("", "", "")
        );
        assert_eq!(Form::parse(b"").field(""), "");
        assert_eq!(Form::parse(b"a=%ff").field("a"), "\u{fffd}");
    }
}
