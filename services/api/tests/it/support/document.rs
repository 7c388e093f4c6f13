//! The OpenAPI document of a running api, and the comparison of answers with it.

use std::collections::{BTreeSet, HashMap};
use std::sync::{Arc, Mutex};

use jsonschema::Validator;
use reqwest::Method;
use serde_json::{Value, json};

use super::Answer;

/// The document, and which of its answers were seen.
pub(crate) struct Document {
    value: Value,
    seen: Mutex<BTreeSet<String>>,
    /// The validators that were built, by the text of their schemas: building one takes longer than a request.
    validators: Mutex<HashMap<String, Arc<Validator>>>,
}

impl Document {
    pub(crate) fn new(value: Value) -> Self {
        Self {
            value,
            seen: Mutex::default(),
            validators: Mutex::default(),
        }
    }

    /// The document as JSON.
    pub(crate) fn value(&self) -> &Value {
        &self.value
    }

    /// Each documented answer, as `GET /eligibility 200`.
    pub(crate) fn answers(&self) -> BTreeSet<String> {
        let mut answers = BTreeSet::new();
        for (path, operations) in self.value["paths"].as_object().unwrap() {
            for (method, operation) in operations.as_object().unwrap() {
                for status in operation["responses"].as_object().unwrap().keys() {
                    answers.insert(format!("{} {path} {status}", method.to_uppercase()));
                }
            }
        }
        answers
    }

    /// The documented answers that were seen.
    pub(crate) fn seen(&self) -> BTreeSet<String> {
        self.seen.lock().unwrap().clone()
    }

    /// The template of the document that a path matches.
    fn template(&self, path: &str) -> Option<String> {
        let paths = self.value["paths"].as_object().unwrap();
        if paths.contains_key(path) {
            return Some(path.to_owned());
        }
        let matches = |template: &&String| {
            let (ours, theirs) = (path.split('/'), template.split('/'));
            ours.clone().count() == theirs.clone().count()
                && ours
                    .zip(theirs)
                    .all(|(ours, theirs)| theirs.starts_with('{') || ours == theirs)
        };
        paths.keys().find(matches).cloned()
    }

    /// Asserts that the document has this answer, with its media type and the schema of its body.
    #[track_caller]
    pub(crate) fn check(&self, method: &Method, path: &str, answer: &Answer) {
        let kind = answer.header("content-type").unwrap_or_default();
        let kind = kind.split(';').next().unwrap_or_default().to_owned();
        if kind == "application/problem+json" {
            self.check_body(&json!({"$ref": "#/components/schemas/Problem"}), answer);
        }
        let Some(template) = self.template(path) else {
            assert!(matches!(answer.status, 404 | 429), "{path} is not in the document");
            return;
        };
        let operation = &self.value["paths"][&template][method.as_str().to_lowercase()];
        if operation.is_null() {
            assert!(
                answer.status == 405 || *method == Method::HEAD,
                "{method} {template} is not in the document"
            );
            return;
        }
        let status = answer.status.to_string();
        let response = &operation["responses"][&status];
        assert!(
            response.is_object(),
            "{method} {template} {status} is not in the document: {}",
            answer.text
        );
        self.seen
            .lock()
            .unwrap()
            .insert(format!("{method} {template} {status}"));
        let content = &response["content"];
        if content.is_null() {
            assert_eq!(answer.text, "", "{method} {template} {status} has a body");
            return;
        }
        let schema = &content[&kind]["schema"];
        assert!(
            !schema.is_null(),
            "{method} {template} {status}: {kind} is not in the document: {content}"
        );
        if kind.ends_with("json") {
            self.check_body(schema, answer);
        }
    }

    /// The validator of a schema of the document.
    fn validator(&self, schema: &Value) -> Arc<Validator> {
        let build = || {
            let schema = json!({"allOf": [schema], "components": self.value["components"]});
            let validator = jsonschema::draft202012::options()
                .should_validate_formats(true)
                .build(&schema)
                .unwrap();
            Arc::new(validator)
        };
        let mut validators = self.validators.lock().unwrap();
        Arc::clone(validators.entry(schema.to_string()).or_insert_with(build))
    }

    #[track_caller]
    fn check_body(&self, schema: &Value, answer: &Answer) {
        let body = answer.json();
        let errors: Vec<_> = self
            .validator(schema)
            .iter_errors(&body)
            .map(|error| format!("{}: {error}", error.instance_path()))
            .collect();
        assert!(errors.is_empty(), "{errors:#?}\n{body:#}");
    }
}
