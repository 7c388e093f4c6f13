//! Checks REST exchanges against Discord's own OpenAPI document (feature `openapi`).
//!
//! Owns the search for the document, the match of a call and its operation, and the validation of bodies by JSON Schema
//! 2020-12. It is part of the library, so that the tests here and programs with a ledger (a demo, a bot's own tests) check in
//! the same way. The document is Discord's (MIT) and not part of this repository: where it is absent, [`Checker::find`] returns
//! `None` and callers report that.
//!
//! The checker accepts these known differences between document and practice: codes of form errors are strings, not integers
//! (as in Discord's own reference); integers may be sent as strings of digits (permissions always are) and the ids of
//! attachments as numbers; forwards exist, which the document does not have; operations that the document does not list are not
//! checked when they were refused.

use std::{
    collections::{BTreeMap, HashMap, VecDeque},
    fs,
    path::{Path, PathBuf},
    sync::Arc,
};

use jsonschema::{Draft, Validator};
use parking_lot::Mutex;
use serde_json::{Map, Value, json};

mod samples;

pub use samples::{Body, Sample};

/// Environment variable with the path of the document.
pub const VARIABLE: &str = "DISCORD_OPENAPI";
const SCHEMAS: &str = "#/components/schemas/";

/// A document that cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum OpenApiError {
    /// The file cannot be read.
    #[error("cannot read Discord's OpenAPI document {path}: {source}; set DISCORD_OPENAPI to its path")]
    Read {
        /// Path of the file.
        path: PathBuf,
        /// Reason.
        source: std::io::Error,
    },
    /// The file is not JSON, or not OpenAPI.
    #[error("{path} is not Discord's OpenAPI document: {why}")]
    Parse {
        /// Path of the file.
        path: PathBuf,
        /// Reason.
        why: String,
    },
}

/// A request and its response.
#[derive(Clone, Copy, Debug)]
pub struct Exchange<'a> {
    /// e.g. `POST`.
    pub method: &'a str,
    /// Path, with or without query, with or without `/api/v10` in front.
    pub path: &'a str,
    /// JSON body of the request (`payload_json` of a multipart one).
    pub request: Option<&'a Value>,
    /// HTTP status of the response.
    pub status: u16,
    /// JSON body of the response; `None` when it was empty.
    pub response: Option<&'a Value>,
}

/// A difference between an exchange and the document.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// Call and direction, e.g. `POST /guilds/{guild_id}/roles: response 200`.
    pub place: String,
    /// JSON pointer into the body.
    pub at: String,
    /// What is wrong.
    pub what: String,
}

impl std::fmt::Display for Finding {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "{} at {:?}: {}", self.place, self.at, self.what)
    }
}

/// Result of the check of a whole ledger.
#[derive(Clone, Debug, Default)]
pub struct LedgerReport {
    /// Number of calls that were checked.
    pub checked: usize,
    /// Number of calls that could not be checked: truncated bodies (see `--ledger-bodies`), responses of faults, files.
    pub skipped: usize,
    /// Differences.
    pub findings: Vec<Finding>,
}

/// The document, with validators that are built on demand.
pub struct Checker {
    document: Value,
    validators: Mutex<HashMap<String, Arc<Validator>>>,
}

impl std::fmt::Debug for Checker {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Checker").finish_non_exhaustive()
    }
}

impl Checker {
    /// The document named by `DISCORD_OPENAPI`, or the one in `shared/reference` beside this checkout; `None` when
    /// neither is there.
    ///
    /// # Errors
    /// A document that is named or found but cannot be used.
    pub fn find(checkout: &Path) -> Result<Option<Self>, OpenApiError> {
        if let Some(named) = std::env::var_os(VARIABLE) {
            return Self::load(Path::new(&named)).map(Some);
        }
        let beside = checkout.join("../shared/reference/discord-openapi.json");
        if beside.is_file() {
            Self::load(&beside).map(Some)
        } else {
            Ok(None)
        }
    }

    /// Reads a document.
    ///
    /// # Errors
    /// A file that cannot be read or is not OpenAPI.
    pub fn load(path: &Path) -> Result<Self, OpenApiError> {
        let text = fs::read_to_string(path).map_err(|source| OpenApiError::Read {
            path: path.to_owned(),
            source,
        })?;
        let parse = |why: String| OpenApiError::Parse {
            path: path.to_owned(),
            why,
        };
        let mut document: Value = serde_json::from_str(&text).map_err(|error| parse(error.to_string()))?;
        if !document["paths"].is_object() || !document["components"]["schemas"].is_object() {
            return Err(parse("it has no paths or no schemas".to_owned()));
        }
        let form_error = &mut document["components"]["schemas"]["InnerErrors"]["properties"]["_errors"]["items"];
        *form_error = json!({ "type": "object", "required": ["code", "message"],
            "properties": { "code": { "type": "string" }, "message": { "type": "string" } } });
        if let Some(kinds) = document["components"]["schemas"]["MessageReferenceType"]["oneOf"].as_array_mut() {
            kinds.push(json!({ "title": "FORWARD", "const": 1 }));
        }
        Ok(Self {
            document,
            validators: Mutex::default(),
        })
    }

    /// Whether the document has this template, with the same parameter names, and this method.
    #[must_use]
    pub fn knows(&self, method: &str, template: &str) -> bool {
        self.document["paths"][template]
            .get(method.to_ascii_lowercase())
            .is_some()
    }

    /// Checks the REST calls of a ledger in the form of `GET /control/ledger`: one JSON object a line.
    #[must_use]
    pub fn check_ledger(&self, lines: &str) -> LedgerReport {
        let mut report = LedgerReport::default();
        let calls = lines
            .lines()
            .filter_map(|line| serde_json::from_str::<Value>(line).ok());
        for call in calls.filter(|call| call["kind"] == "rest") {
            match self.check_record(&call) {
                Some(findings) => {
                    report.checked += 1;
                    report.findings.extend(findings);
                }
                None => report.skipped += 1,
            }
        }
        report
    }

    /// `None` when the record is not complete enough for a check.
    fn check_record(&self, call: &Value) -> Option<Vec<Finding>> {
        let (method, path) = (call["method"].as_str()?, call["path"].as_str()?);
        let served_file = call["status"] == 200 && call["response"].is_null();
        if call["fault"] == true || served_file {
            return None;
        }
        let body = |key: &str| match call[key].as_str() {
            None => Some(None),
            Some(text) => serde_json::from_str::<Value>(text).ok().map(Some),
        };
        let mut request = body("request")?;
        // Multipart bodies are recorded with their payload and the names of their files.
        if let Some(recorded) = request.as_mut().filter(|request| request.get("payload_json").is_some()) {
            let mut payload = recorded["payload_json"].take();
            let files = recorded["files"].as_array().into_iter().flatten();
            // A sticker's file is a field of the document's schema; `files[n]` are not.
            if files.into_iter().any(|file| file["name"] == "file") {
                payload["file"] = json!("");
            }
            request = Some(payload);
        }
        let response = body("response")?;
        let status = u16::try_from(call["status"].as_u64()?).ok()?;
        let exchange = Exchange {
            method,
            path,
            request: request.as_ref(),
            status,
            response: response.as_ref(),
        };
        Some(self.check(&exchange))
    }

    /// Differences between the exchange and the document. Requests are checked only when they were accepted.
    #[must_use]
    pub fn check(&self, exchange: &Exchange<'_>) -> Vec<Finding> {
        let Some((template, operation)) = self.operation(exchange.method, exchange.path) else {
            let known = exchange.status >= 400;
            let what = "the document has no such operation".to_owned();
            let place = format!("{} {}", exchange.method, exchange.path);
            return if known {
                Vec::new()
            } else {
                vec![Finding {
                    place,
                    at: String::new(),
                    what,
                }]
            };
        };
        let mut findings = Vec::new();
        let call = format!("{} {template}", exchange.method);
        if exchange.status < 300
            && let Some(request) = exchange.request
        {
            findings.extend(self.check_request(&call, operation, request));
        }
        findings.extend(self.check_response(&call, operation, exchange));
        findings
    }

    fn check_request(&self, call: &str, operation: &Value, request: &Value) -> Vec<Finding> {
        let content = &operation["requestBody"]["content"];
        let schema = [&content["application/json"], &content["multipart/form-data"]]
            .into_iter()
            .map(|kind| &kind["schema"])
            .find(|schema| !schema.is_null());
        let place = format!("{call}: request");
        match schema {
            // Many clients send an empty object where no body is expected.
            None if request.as_object().is_some_and(Map::is_empty) => Vec::new(),
            None => vec![Finding {
                place,
                at: String::new(),
                what: "the operation takes no body".to_owned(),
            }],
            Some(schema) => {
                let validator = self.validator(&place, schema);
                validate(&validator, &place, &in_document_form(&validator, request))
            }
        }
    }

    fn check_response(&self, call: &str, operation: &Value, exchange: &Exchange<'_>) -> Vec<Finding> {
        let status = exchange.status.to_string();
        let place = format!("{call}: response {status}");
        let finding = |what: &str| {
            vec![Finding {
                place: place.clone(),
                at: String::new(),
                what: what.to_owned(),
            }]
        };
        let responses = &operation["responses"];
        let class = format!("{}XX", exchange.status / 100);
        let Some(response) = responses.get(&status).or_else(|| responses.get(&class)) else {
            // 5xx is not in the document.
            return if exchange.status >= 500 {
                Vec::new()
            } else {
                finding("the operation has no such status")
            };
        };
        let schema = &self.resolve(response)["content"]["application/json"]["schema"];
        match (schema.is_null(), exchange.response) {
            (true, Some(_)) => finding("the response has a body where the document has none"),
            (false, None) => finding("the response has no body where the document has one"),
            (true, None) => Vec::new(),
            (false, Some(body)) => validate(&self.validator(&place, schema), &place, body),
        }
    }

    /// The matching template with the fewest parameters, and its operation.
    fn operation(&self, method: &str, path: &str) -> Option<(&str, &Value)> {
        let path = path.split('?').next().unwrap_or(path);
        let path = path.strip_prefix("/api").map_or(path, |rest| {
            let versioned = rest
                .strip_prefix("/v")
                .and_then(|numbered| numbered.find('/').map(|at| &numbered[at..]));
            versioned.unwrap_or(rest)
        });
        let method = method.to_ascii_lowercase();
        let templates = self.document["paths"].as_object()?;
        templates
            .iter()
            .filter(|(template, _)| fits(template, path))
            .filter_map(|(template, item)| Some((template.as_str(), item.get(&method)?)))
            .min_by_key(|(template, _)| template.matches('{').count())
    }

    /// Follows a reference within the document.
    fn resolve<'a>(&'a self, value: &'a Value) -> &'a Value {
        let target = value["$ref"].as_str().and_then(|reference| reference.strip_prefix('#'));
        target
            .and_then(|pointer| self.document.pointer(pointer))
            .unwrap_or(value)
    }

    fn validator(&self, place: &str, schema: &Value) -> Arc<Validator> {
        if let Some(known) = self.validators.lock().get(place) {
            return Arc::clone(known);
        }
        let bundle = self.bundle(schema);
        let built = jsonschema::options()
            .with_draft(Draft::Draft202012)
            .should_validate_formats(false)
            .build(&bundle)
            .or_else(|error| jsonschema::validator_for(&json!({ "not": {}, "$comment": error.to_string() })));
        let validator = Arc::new(built.unwrap_or_else(|error| unreachable!("a constant schema: {error}")));
        self.validators.lock().insert(place.to_owned(), Arc::clone(&validator));
        validator
    }

    /// A schema with all components that it refers to.
    fn bundle(&self, schema: &Value) -> Value {
        let mut reached: BTreeMap<String, &Value> = BTreeMap::new();
        let mut open = VecDeque::from([schema]);
        while let Some(value) = open.pop_front() {
            match value {
                Value::Object(fields) => {
                    if let Some(name) = fields
                        .get("$ref")
                        .and_then(Value::as_str)
                        .and_then(|text| text.strip_prefix(SCHEMAS))
                        && !reached.contains_key(name)
                    {
                        let component = &self.document["components"]["schemas"][name];
                        reached.insert(name.to_owned(), component);
                        open.push_back(component);
                    }
                    open.extend(fields.values());
                }
                Value::Array(entries) => open.extend(entries),
                _ => {}
            }
        }
        let schemas: Map<String, Value> = reached.into_iter().map(|(name, value)| (name, value.clone())).collect();
        json!({ "allOf": [schema], "components": { "schemas": schemas } })
    }
}

/// Whether a path matches a template, segment by segment.
fn fits(template: &str, path: &str) -> bool {
    let (mut parts, mut segments) = (template.split('/'), path.split('/'));
    loop {
        match (parts.next(), segments.next()) {
            (None, None) => return true,
            (Some(part), Some(segment)) if part == segment || (part.starts_with('{') && !segment.is_empty()) => {}
            (Some(part), Some(segment)) if part == segment.replace("%40", "@") => {}
            _ => return false,
        }
    }
}

fn validate(validator: &Validator, place: &str, body: &Value) -> Vec<Finding> {
    validator
        .iter_errors(body)
        .map(|error| Finding {
            place: place.to_owned(),
            at: error.instance_path().to_string(),
            what: error.to_string().chars().take(600).collect(),
        })
        .collect()
}

/// The body in the document's form: ids of attachments as strings, and numbers in place of strings of digits where the schema
/// requires numbers.
fn in_document_form(validator: &Validator, body: &Value) -> Value {
    let mut body = body.clone();
    attachment_ids_to_texts(&mut body);
    let places: Vec<String> = validator
        .iter_errors(&body)
        .map(|error| error.instance_path().to_string())
        .collect();
    for place in places {
        if let Some(value) = body.pointer_mut(&place)
            && let Some(number) = value.as_str().and_then(|text| text.parse::<u64>().ok())
        {
            *value = json!(number);
        }
    }
    body
}

fn attachment_ids_to_texts(value: &mut Value) {
    let Value::Object(fields) = value else { return };
    if let Some(data) = fields.get_mut("data") {
        attachment_ids_to_texts(data);
    }
    for attachment in fields
        .get_mut("attachments")
        .and_then(Value::as_array_mut)
        .into_iter()
        .flatten()
    {
        if let Some(id) = attachment["id"].as_u64() {
            attachment["id"] = json!(id.to_string());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn checker() -> Checker {
        let document = json!({
            "paths": {
                "/users/@me": {"get": {"responses": {"200": {"content": {"application/json": {"schema": {"$ref": "#/components/schemas/User"}}}},
                    "4XX": {"$ref": "#/components/responses/Refused"}}}},
                "/users/{user_id}": {"patch": {
                    "requestBody": {"content": {"application/json": {"schema": {"type": "object", "properties": {"bits": {"type": ["integer", "null"]}}}}}},
                    "responses": {"204": {}}}},
            },
            "components": {
                "schemas": {
                    "User": {"type": "object", "required": ["id"], "properties": {"id": {"$ref": "#/components/schemas/Id"}}},
                    "Id": {"type": "string"}, "Error": {"type": "object", "required": ["code"]},
                },
                "responses": {"Refused": {"content": {"application/json": {"schema": {"$ref": "#/components/schemas/Error"}}}}},
            },
        });
        Checker {
            document,
            validators: Mutex::default(),
        }
    }

    fn check(method: &str, path: &str, request: Option<&Value>, status: u16, response: Option<&Value>) -> Vec<Finding> {
        checker().check(&Exchange {
            method,
            path,
            request,
            status,
            response,
        })
    }

    #[test]
    fn response_must_match_its_schema() {
        assert_eq!(
            check("GET", "/api/v10/users/@me?x=1", None, 200, Some(&json!({"id": "1"}))),
            []
        );
        let wrong = check("GET", "/users/@me", None, 200, Some(&json!({"id": 1})));
        assert_eq!((wrong.len(), wrong[0].at.as_str()), (1, "/id"));
        assert_eq!(check("GET", "/users/@me", None, 200, None).len(), 1);
        assert_eq!(
            check("GET", "/users/@me", None, 404, Some(&json!({"message": "x"}))).len(),
            1
        );
        assert_eq!(check("GET", "/users/@me", None, 202, Some(&json!({}))).len(), 1);
    }

    #[test]
    fn accepted_request_must_match_its_schema() {
        assert_eq!(check("PATCH", "/users/5", Some(&json!({"bits": 3})), 204, None), []);
        // A string of digits is accepted for a number.
        assert_eq!(check("PATCH", "/users/5", Some(&json!({"bits": "3"})), 204, None), []);
        assert_eq!(
            check("PATCH", "/users/5", Some(&json!({"bits": "x"})), 204, None).len(),
            1
        );
        assert_eq!(
            check("PATCH", "/users/5", Some(&json!({"bits": 3})), 204, Some(&json!({}))).len(),
            1
        );
    }

    #[test]
    fn unknown_operation_is_a_finding_unless_refused() {
        assert_eq!(check("GET", "/nowhere", None, 404, Some(&json!({}))), []);
        assert_eq!(check("GET", "/nowhere", None, 200, Some(&json!({}))).len(), 1);
    }
}
