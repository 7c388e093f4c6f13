//! JSON-RPC 2.0: the body of a request, and the parts of a response. Lenient where providers deviate from the specification.

use serde::{Deserialize, Serialize};
use serde_json::Value;
use serde_json::value::RawValue;

/// The body of a request.
#[derive(Debug, Serialize)]
pub(super) struct RpcRequest<'a, P> {
    jsonrpc: &'static str,
    id: u64,
    method: &'a str,
    params: &'a P,
}

impl<'a, P> RpcRequest<'a, P> {
    /// A request of this id and method, in version 2.0 of JSON-RPC.
    pub(super) const fn new(id: u64, method: &'a str, params: &'a P) -> Self {
        Self {
            jsonrpc: "2.0",
            id,
            method,
            params,
        }
    }
}

/// The body of a response. `result` is absent for an error, and also for the result `null`.
#[derive(Debug, Deserialize)]
pub(super) struct RpcResponse<'a> {
    #[serde(default)]
    id: Option<Value>,
    /// The result as JSON; see [`RpcResponse`] for `None`.
    #[serde(borrow, default)]
    pub(super) result: Option<&'a RawValue>,
    #[serde(default)]
    error: Option<WireError>,
}

/// Some providers return an error as text only.
#[derive(Debug, Deserialize)]
#[serde(untagged)]
enum WireError {
    Object(RpcError),
    Text(String),
    Other(Value),
}

/// The error object of a JSON-RPC response (<https://www.jsonrpc.org/specification#error_object>).
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub(crate) struct RpcError {
    /// Code; 0 where the provider sends none.
    #[serde(default)]
    pub(crate) code: i64,
    /// Message as sent: it may contain an API key.
    #[serde(default)]
    pub(crate) message: String,
    /// Further data: of a reverted `eth_call`, the revert data at a place that differs by provider.
    #[serde(default)]
    pub(crate) data: Option<Value>,
}

impl RpcResponse<'_> {
    /// Whether it is the response to the request with this id. Some providers return the id as text.
    pub(super) fn has_id(&self, id: u64) -> bool {
        match &self.id {
            Some(Value::Number(number)) => number.as_u64() == Some(id),
            Some(Value::String(text)) => text.parse() == Ok(id),
            _ => false,
        }
    }

    /// Takes the error out of the response; `None` when there is none. An error that is no object becomes one with code 0.
    pub(super) fn take_error(&mut self) -> Option<RpcError> {
        let text = |message| RpcError {
            code: 0,
            message,
            data: None,
        };
        Some(match self.error.take()? {
            WireError::Object(error) => error,
            WireError::Text(message) => text(message),
            WireError::Other(value) => text(value.to_string()),
        })
    }
}

/// Deepest nesting of an error's data in which revert data are searched.
const MAX_DEPTH: usize = 4;

impl RpcError {
    /// Whether the error is the result of an `eth_call`: the EVM stopped with a revert or an exception, as at every other endpoint.
    pub(crate) fn is_evm_failure(&self) -> bool {
        // Code 3 is geth's for reverts with data; -32015 is the one of OpenEthereum, Nethermind and Gnosis.
        if matches!(self.code, 3 | -32015) {
            return true;
        }
        let message = self.message.to_ascii_lowercase();
        EVM_FAILURES.iter().any(|text| message.contains(text))
    }

    /// Revert data; empty where the endpoint returns none.
    pub(crate) fn revert_data(&self) -> Vec<u8> {
        self.data
            .as_ref()
            .and_then(|data| find_hex(data, MAX_DEPTH))
            .unwrap_or_default()
    }
}

/// Parts of messages, in lower case, with which clients report that the EVM stopped.
const EVM_FAILURES: [&str; 9] = [
    "execution reverted",
    "vm execution error",
    "vm exception",
    "evm error",
    "invalid opcode",
    "invalid jump destination",
    "stack underflow",
    "out of gas",
    "transaction reverted",
];

/// The first hexadecimal text; Nethermind writes "Reverted 0x…".
fn find_hex(value: &Value, depth: usize) -> Option<Vec<u8>> {
    match value {
        Value::String(text) => {
            let digits = text.trim().rsplit(' ').next()?.strip_prefix("0x")?;
            alloy::hex::decode(digits).ok()
        }
        Value::Object(fields) if depth > 0 => fields.values().find_map(|field| find_hex(field, depth - 1)),
        Value::Array(items) if depth > 0 => items.iter().find_map(|item| find_hex(item, depth - 1)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn error(body: &str) -> Option<RpcError> {
        serde_json::from_str::<RpcResponse<'_>>(body).unwrap().take_error()
    }

    #[test]
    fn errors_of_every_form_are_read() {
        let sent = r#"{"jsonrpc":"2.0","id":1,"error":{"code":-32005,"message":"no","data":{"from":"0x1"}}}"#;
        assert_eq!(error(sent).unwrap().code, -32005);
        assert_eq!(
            error(r#"{"error":"Too many requests"}"#).unwrap().message,
            "Too many requests"
        );
        assert_eq!(error(r#"{"error":{"message":"no"}}"#).unwrap().message, "no");
        assert_eq!(error(r#"{"error":17}"#).unwrap().message, "17");
        assert_eq!(error(r#"{"id":1,"error":null,"result":"0x1"}"#), None);
    }

    #[test]
    fn result_null_is_absent() {
        let response: RpcResponse<'_> = serde_json::from_str(r#"{"jsonrpc":"2.0","id":1,"result":null}"#).unwrap();
        assert!(response.result.is_none());
    }

    #[test]
    fn evm_failures_of_clients_are_recognised_with_their_data() {
        for (code, message, data, revert) in [
            (
                3,
                "execution reverted: no",
                json!("0x08c379a0"),
                vec![8, 0xc3, 0x79, 0xa0],
            ),
            (-32000, "execution reverted", json!(null), vec![]),
            (
                -32015,
                "VM execution error.",
                json!("Reverted 0x1234"),
                vec![0x12, 0x34],
            ),
            (
                -32603,
                "Error: VM Exception while processing transaction: revert",
                json!({"a": {"data": "0x12"}}),
                vec![0x12],
            ),
            (-32000, "invalid opcode: INVALID", json!(null), vec![]),
        ] {
            let error = RpcError {
                code,
                message: message.to_owned(),
                data: Some(data),
            };
            assert!(error.is_evm_failure(), "{message}");
            assert_eq!(error.revert_data(), revert, "{message}");
        }
        for message in [
            "header not found",
            "missing trie node",
            "execution aborted (timeout = 5s)",
            "rate limit",
        ] {
            let error = RpcError {
                code: -32000,
                message: message.to_owned(),
                data: None,
            };
            assert!(!error.is_evm_failure(), "{message}");
        }
    }
}
