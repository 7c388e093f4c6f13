//! Transcript of a library's input and output that is the same in every run: without ids, times, tokens and heartbeats.

use std::fmt::Write as _;

use serde_json::Value;

/// The transcript.
pub(super) fn of(lines: &[String], ledger: &[Value]) -> String {
    let mut text = String::from("saw\n");
    // Libraries dispatch the events of a RESUME concurrently: their order varies.
    let (scene, resumed) = lines.split_at(lines.len().saturating_sub(2));
    let mut resumed = resumed.to_vec();
    resumed.sort();
    for line in scene.iter().chain(&resumed) {
        let _ = writeln!(text, "  {line}");
    }
    text.push_str("gateway\n");
    for frame in ledger
        .iter()
        .filter(|entry| entry["kind"] == "gateway" && entry["direction"] == "in")
    {
        if frame["op"] != 1 {
            let payload: Value = serde_json::from_str(frame["detail"].as_str().unwrap()).unwrap();
            let _ = writeln!(text, "  op {} {}", frame["op"], masked(&payload["d"]));
        }
    }
    text.push_str("REST\n");
    let mut before = String::new();
    for call in ledger
        .iter()
        .filter(|entry| entry["kind"] == "rest" && entry["status"] != 429)
    {
        let route = call["route"].as_str().unwrap();
        let body: Option<Value> = call["request"]
            .as_str()
            .and_then(|body| serde_json::from_str(body).ok());
        let body = body.map(|body| format!(" {}", masked(&body))).unwrap_or_default();
        let reason = call["reason"]
            .as_str()
            .map(|reason| format!(" because {reason:?}"))
            .unwrap_or_default();
        let line = format!(
            "  {} {route} → {}{reason}{body}\n",
            call["method"].as_str().unwrap(),
            call["status"]
        );
        // The number of repeated requests depends on timing.
        if line != before {
            text.push_str(&line);
        }
        before = line;
    }
    text
}

/// A body without the values that differ between runs.
fn masked(value: &Value) -> Value {
    match value {
        Value::Object(fields) => fields
            .iter()
            .map(|(key, value)| {
                let value = match (key.as_str(), value) {
                    (_, Value::Null) => Value::Null,
                    ("nonce" | "session_id" | "seq" | "since", value) if value != 0 => format!("[{key}]").into(),
                    ("os", _) => "[os]".into(),
                    // A set in py-cord, whose order varies.
                    ("contexts", Value::Array(entries)) => sorted(entries),
                    (_, value) => masked(value),
                };
                (key.clone(), value)
            })
            .collect(),
        Value::Array(entries) => entries.iter().map(masked).collect(),
        Value::String(text) if is_id(text) => "[id]".into(),
        Value::String(text) => without_versions(text).into(),
        Value::Number(number) if is_id(&number.to_string()) => "[id, a number]".into(),
        other => other.clone(),
    }
}

fn sorted(entries: &[Value]) -> Value {
    let mut entries = entries.to_vec();
    entries.sort_by_key(ToString::to_string);
    entries.into()
}

/// A string without version numbers like `1.2.3`, which libraries send.
fn without_versions(text: &str) -> String {
    let is_version = |word: &str| word.contains('.') && word.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.');
    let cut = |c: char| !(c.is_ascii_digit() || c == '.');
    let mut out = String::new();
    let mut rest = text;
    while let Some(start) = rest.find(|c: char| c.is_ascii_digit()) {
        let end = rest[start..].find(cut).map_or(rest.len(), |length| start + length);
        let word = &rest[start..end];
        out.push_str(&rest[..start]);
        out.push_str(if is_version(word) { "[version]" } else { word });
        rest = &rest[end..];
    }
    out + rest
}

fn is_id(text: &str) -> bool {
    text.len() >= 17 && text.bytes().all(|byte| byte.is_ascii_digit())
}
