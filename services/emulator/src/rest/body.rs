//! Request bodies: JSON, multipart with `payload_json` and `files[n]`, and forms.
//!
//! Source: <https://discord.com/developers/docs/reference#uploading-files>.

use axum::body::{self, Body as HttpBody};
use bytes::Bytes;
use http::{HeaderMap, header};
use serde_json::{Map, Value, json};

use super::{
    call::{Body, UploadedFile},
    errors::{ApiError, ApiResult, ErrorCode},
};
use crate::http_server::BODY_WITHIN;

/// Bytes of one file of a bot: <https://discord.com/developers/docs/reference#uploading-files>.
pub const MAX_FILE_BYTES: usize = 10 * 1_024 * 1_024;
/// Bytes of one request.
const MAX_REQUEST_BYTES: usize = 25 * 1_024 * 1_024;
/// Characters of a body that the ledger keeps.
pub const LOGGED_CHARACTERS: usize = 16 * 1_024;

/// Reads the body of a request.
///
/// # Errors
/// 40005 when too large, 50109 when the JSON does not parse, 408 when it does not arrive within 30 seconds, 50035 for a content
/// type other than the three that Discord reads.
pub async fn read(headers: &HeaderMap, body: HttpBody) -> ApiResult<Body> {
    let content_type = headers
        .get(header::CONTENT_TYPE)
        .and_then(|value| value.to_str().ok())
        .unwrap_or_default();
    let bytes = tokio::time::timeout(BODY_WITHIN, body::to_bytes(body, MAX_REQUEST_BYTES))
        .await
        .map_err(|_| ErrorCode::RequestTimeout)?
        .map_err(|_| ErrorCode::RequestTooLarge)?;
    if let Ok(boundary) = multer::parse_boundary(content_type) {
        return read_multipart(bytes, boundary).await;
    }
    if bytes.is_empty() {
        return Ok(Body::default());
    }
    let essence = content_type.split(';').next().unwrap_or_default().trim();
    if essence.eq_ignore_ascii_case("application/x-www-form-urlencoded") {
        return read_form(&bytes);
    }
    if !essence.eq_ignore_ascii_case("application/json") {
        // The code is documented; the text is from memory.
        return Err(ApiError::field(
            "",
            "CONTENT_TYPE_INVALID",
            "Expected \"Content-Type\" header to be one of {'application/json'}.",
        ));
    }
    let json = serde_json::from_slice(&bytes).map_err(|_| ErrorCode::InvalidJson)?;
    Ok(Body {
        json: Some(json),
        files: Vec::new(),
    })
}

fn read_form(bytes: &Bytes) -> ApiResult<Body> {
    let mut fields = Map::new();
    for (key, value) in url::form_urlencoded::parse(bytes) {
        if key == "payload_json" {
            let json = serde_json::from_str(&value).map_err(|_| ErrorCode::InvalidJson)?;
            return Ok(Body {
                json: Some(json),
                files: Vec::new(),
            });
        }
        fields.insert(key.into_owned(), json!(value));
    }
    Ok(Body {
        json: Some(Value::Object(fields)),
        files: Vec::new(),
    })
}

async fn read_multipart(bytes: Bytes, boundary: String) -> ApiResult<Body> {
    let stream = futures_util::stream::iter([Ok::<_, std::io::Error>(bytes)]);
    let mut parts = multer::Multipart::new(stream, boundary);
    let (mut json, mut fields, mut files) = (None, Map::new(), Vec::new());
    while let Some(part) = parts.next_field().await.map_err(|_| ErrorCode::InvalidJson)? {
        let name = part.name().unwrap_or_default().to_owned();
        let filename = part.file_name().map(str::to_owned);
        let content_type = part.content_type().map(ToString::to_string);
        let bytes = part.bytes().await.map_err(|_| ErrorCode::InvalidJson)?;
        if name == "payload_json" {
            json = Some(serde_json::from_slice(&bytes).map_err(|_| ErrorCode::InvalidJson)?);
        } else if let Some(filename) = filename {
            if bytes.len() > MAX_FILE_BYTES {
                return Err(ErrorCode::RequestTooLarge.into());
            }
            let index = file_index(&name).unwrap_or(files.len() as u64);
            files.push(UploadedFile {
                field: name,
                index,
                filename,
                content_type,
                bytes,
            });
        } else {
            fields.insert(name, json!(String::from_utf8_lossy(&bytes)));
        }
    }
    let json = json.or_else(|| (!fields.is_empty()).then_some(Value::Object(fields)));
    Ok(Body { json, files })
}

/// `n` of `files[n]`, and of the older `file` and `file<n>`.
fn file_index(name: &str) -> Option<u64> {
    let inner = name.strip_prefix("files[").and_then(|rest| rest.strip_suffix(']'));
    inner.or_else(|| name.strip_prefix("file"))?.parse().ok()
}

impl Body {
    /// The body in the form of the ledger: files are listed by name and size.
    #[must_use]
    pub fn logged(&self) -> Option<String> {
        let text = if self.files.is_empty() {
            self.json.as_ref()?.to_string()
        } else {
            let files: Vec<Value> = self
                .files
                .iter()
                .map(|file| json!({ "name": file.field, "filename": file.filename, "size": file.bytes.len() }))
                .collect();
            json!({ "payload_json": self.json, "files": files }).to_string()
        };
        Some(shorten(text))
    }
}

/// The start of a string, truncated between characters.
#[must_use]
pub fn shorten(mut text: String) -> String {
    if text.len() > LOGGED_CHARACTERS {
        let mut end = LOGGED_CHARACTERS;
        while !text.is_char_boundary(end) {
            end -= 1;
        }
        text.truncate(end);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(content_type: &str) -> HeaderMap {
        let mut headers = HeaderMap::new();
        headers.insert(header::CONTENT_TYPE, content_type.parse().unwrap());
        headers
    }

    #[tokio::test]
    async fn multipart_gives_the_payload_and_numbered_files() {
        let body = "--b\r\nContent-Disposition: form-data; name=\"files[3]\"; filename=\"a.txt\"\r\n\
            Content-Type: text/plain\r\n\r\nhello\r\n--b\r\nContent-Disposition: form-data; name=\"payload_json\"\r\n\r\n\
            {\"content\":\"x\"}\r\n--b--\r\n";
        let read = read(&headers("multipart/form-data; boundary=b"), HttpBody::from(body))
            .await
            .unwrap();
        assert_eq!(read.json.unwrap()["content"], "x");
        assert_eq!((read.files[0].index, read.files[0].bytes.as_ref()), (3, &b"hello"[..]));
    }

    #[tokio::test]
    async fn broken_bodies_are_refused() {
        let json = headers("application/json");
        assert_eq!(read(&json, HttpBody::from("{\"a\":")).await.unwrap_err().code, 50109);
        let cut = read(
            &headers("multipart/form-data; boundary=b"),
            HttpBody::from("--b\r\nContent-Dispo"),
        )
        .await;
        assert_eq!(cut.unwrap_err().code, 50109);
        let large = vec![b' '; MAX_REQUEST_BYTES + 1];
        assert_eq!(read(&json, HttpBody::from(large)).await.unwrap_err().code, 40005);
    }

    #[tokio::test]
    async fn json_under_another_content_type_is_refused_and_an_empty_body_passes() {
        for accepted in [
            "application/json",
            "application/json; charset=utf-8",
            "Application/JSON",
        ] {
            assert!(
                read(&headers(accepted), HttpBody::from("{}")).await.is_ok(),
                "{accepted}"
            );
        }
        for refused in ["text/plain", "application/jsonp", "text/plain; charset=utf-8"] {
            let error = read(&headers(refused), HttpBody::from("{}")).await.unwrap_err();
            let code = &error.errors.unwrap()["_errors"][0]["code"];
            assert_eq!(
                (error.code, code.as_str()),
                (50035, Some("CONTENT_TYPE_INVALID")),
                "{refused}"
            );
            assert!(read(&headers(refused), HttpBody::empty()).await.is_ok());
        }
        let none = HeaderMap::new();
        assert_eq!(read(&none, HttpBody::from("{}")).await.unwrap_err().code, 50035);
        assert!(read(&none, HttpBody::empty()).await.is_ok());
    }

    #[test]
    fn logged_bodies_are_cut_between_characters() {
        assert!(shorten("ä".repeat(LOGGED_CHARACTERS)).len() <= LOGGED_CHARACTERS);
    }
}
