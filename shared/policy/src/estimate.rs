//! Estimates from Infracost's API, with a cache.
//!
//! The API receives the plan as JSON, so it receives a copy without secrets: sensitive values are masked, and variables, outputs and
//! provisioners are left out. An estimate is kept for a day under the digest of what was sent; the same plan is estimated once.

use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use arrakis_config::Secret;
use reqwest::multipart::{Form, Part};
use serde_json::{Map, Value};
use sha2::{Digest as _, Sha256};

use crate::cost::{self, Outcome};
use crate::json::Budget;
use crate::mask::mask;

/// Time limit of a request. The API estimates while the request is open.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(30);
/// Age until which a cached estimate is used. Prices change seldom.
const MAX_AGE: Duration = Duration::from_secs(24 * 3_600);
/// Values of a plan that is sent.
const MAX_VALUES: usize = 4_000_000;

/// The API and its cache.
#[derive(Debug)]
pub struct Estimator {
    /// Base URL of the API.
    pub api: String,
    /// Key of the API.
    pub key: Secret,
    /// Folder of cached estimates; `None` for no cache.
    pub cache: Option<PathBuf>,
}

impl Estimator {
    /// The cost of a Terraform plan. A failure of the API rejects, as a report with errors does.
    pub async fn estimate(&self, plan: &[u8]) -> Outcome {
        let sent = match without_secrets(plan) {
            Ok(sent) => sent,
            Err(why) => return Outcome::failed(&why),
        };
        let name = format!("{}.json", hex::encode(Sha256::digest(&sent)));
        let cached = self.cache.as_ref().map(|folder| folder.join(name));
        // A file that cannot be read as an estimate, such as one that was cut, is requested again.
        let kept = cached.as_deref().and_then(read_cached);
        if let Some(outcome) = kept.map(|estimate| cost::evaluate(&estimate, None))
            && outcome.cost.is_some()
        {
            return outcome;
        }
        let estimate = match self.request(sent).await {
            Ok(estimate) => estimate,
            Err(error) => return Outcome::failed(&error),
        };
        let outcome = cost::evaluate(&estimate, None);
        // An estimate with errors is made again by the next check.
        if let Some(path) = cached.filter(|_| outcome.cost.is_some() && !has_errors(&outcome)) {
            // Without a cache the next check requests again.
            let _ = write_cached(&path, &estimate);
        }
        outcome
    }

    async fn request(&self, plan: Vec<u8>) -> Result<Vec<u8>, String> {
        // Errors of the client name the URL, which has no secret.
        let failed = |error: reqwest::Error| format!("the request to Infracost failed: {error}");
        let client = reqwest::Client::builder()
            .timeout(REQUEST_TIMEOUT)
            // The key and the plan are for this host alone.
            .redirect(reqwest::redirect::Policy::none())
            .build()
            .map_err(failed)?;
        let file = Part::bytes(plan)
            .file_name("plan.json")
            .mime_str("application/json")
            .map_err(failed)?;
        let form = Form::new().text("format", "json").part("path", file);
        let url = format!("{}/diff", self.api.trim_end_matches('/'));
        let request = client.post(url).header("x-api-key", self.key.expose()).multipart(form);
        let mut response = request.send().await.map_err(failed)?;
        if !response.status().is_success() {
            return Err(format!("Infracost answered with status {}", response.status()));
        }
        let mut body = Vec::new();
        while let Some(chunk) = response.chunk().await.map_err(failed)? {
            if body.len() + chunk.len() > cost::MAX_BYTES {
                return Err("the answer of Infracost is too large".to_owned());
            }
            body.extend_from_slice(&chunk);
        }
        Ok(body)
    }
}

fn has_errors(outcome: &Outcome) -> bool {
    outcome.blocks.iter().any(|block| block.rule == "cost_error")
}

fn read_cached(path: &Path) -> Option<Vec<u8>> {
    let modified = std::fs::metadata(path).ok()?.modified().ok()?;
    // A time in the future is that of another clock: not used.
    let age = SystemTime::now().duration_since(modified).ok()?;
    if age > MAX_AGE {
        return None;
    }
    crate::files::read(path, cost::MAX_BYTES).ok()
}

fn write_cached(path: &Path, estimate: &[u8]) -> std::io::Result<()> {
    let folder = path.parent().unwrap_or_else(|| Path::new("."));
    std::fs::create_dir_all(folder)?;
    let temporary = path.with_extension(format!("{}.tmp", std::process::id()));
    std::fs::write(&temporary, estimate)?;
    std::fs::rename(&temporary, path)
}

/// The copy of a plan that leaves this machine.
///
/// # Errors
/// The plan cannot be read.
pub fn without_secrets(plan: &[u8]) -> Result<Vec<u8>, String> {
    let text = std::str::from_utf8(plan).map_err(|_| "the plan is not in UTF-8".to_owned())?;
    let mut plan = Budget::new(MAX_VALUES)
        .read(text)
        .map_err(|error| format!("the plan cannot be read: {error}"))?;
    let Some(object) = plan.as_object_mut() else {
        return Err("the plan is no object".to_owned());
    };
    let kept = [
        "format_version",
        "terraform_version",
        "planned_values",
        "prior_state",
        "configuration",
        "resource_changes",
    ];
    object.retain(|key, _| kept.contains(&key.as_str()));
    for value in object.values_mut() {
        clean(value);
    }
    serde_json::to_vec(&plan).map_err(|error| error.to_string())
}

fn clean(value: &mut Value) {
    match value {
        Value::Array(items) => items.iter_mut().for_each(clean),
        Value::Object(object) => {
            mask_by(object, "values", "sensitive_values");
            mask_by(object, "before", "before_sensitive");
            mask_by(object, "after", "after_sensitive");
            for dropped in [
                "provisioners",
                "outputs",
                "variables",
                "default",
                "sensitive_values",
                "generated_config",
            ] {
                object.remove(dropped);
            }
            object.values_mut().for_each(clean);
        }
        _ => {}
    }
}

fn mask_by(object: &mut Map<String, Value>, value: &str, marks: &str) {
    let Some(marks) = object.get(marks).cloned() else {
        return;
    };
    if let Some(value) = object.get_mut(value) {
        mask(value, &marks);
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn secrets_do_not_leave_the_machine() {
        let plan = json!({
            "format_version": "1.2",
            "variables": {"password": {"value": "hunter2"}},
            "planned_values": {
                "outputs": {"o": {"value": "hunter2"}},
                "root_module": {"resources": [{"address": "a.b", "values": {"password": "hunter2", "size": "db.t3"},
                    "sensitive_values": {"password": true}}]},
            },
            "resource_changes": [{"change": {"after": {"password": "hunter2"}, "after_sensitive": {"password": true},
                "before": ["hunter2"], "before_sensitive": [true]}}],
            "configuration": {"root_module": {"variables": {"password": {"default": "hunter2"}},
                "resources": [{"provisioners": [{"expressions": {"command": {"constant_value": "echo hunter2"}}}]}]}},
        });
        let sent = String::from_utf8(without_secrets(plan.to_string().as_bytes()).unwrap()).unwrap();
        assert!(!sent.contains("hunter2"), "{sent}");
        assert!(sent.contains("db.t3"), "{sent}");
    }
}
