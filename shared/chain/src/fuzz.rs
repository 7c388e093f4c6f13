//! Mutated responses of RPC endpoints: see `arrakis-fuzz`.

use alloy::primitives::{Bytes, U64};
use arrakis_fuzz::Fuzz;
use http::{HeaderMap, StatusCode};
use serde::de::DeserializeOwned;

use crate::logs::{WireLog, read_logs};
use crate::rpc::{Failure, ResponseHead, Secrets, read_result};

fn read<T: DeserializeOwned>(method: &str, body: &[u8]) -> Result<T, Failure> {
    let url = url::Url::parse("https://rpc.example/v2/SEKRET42").unwrap();
    let head = ResponseHead {
        method,
        id: 1,
        status: StatusCode::OK,
        headers: &HeaderMap::new(),
    };
    let result = read_result(&head, body, &Secrets::of(&url));
    if let Err(failure) = &result {
        assert!(!failure.detail.contains("SEKRET42") && failure.detail.len() <= 1_000);
    }
    result
}

/// Logs, numbers, bytes and errors.
#[test]
fn rpc_responses() {
    let words = [
        "\"error\":",
        "\"result\":",
        "null",
        "\"code\":",
        "\"data\":\"0x",
        "\"topics\":[",
        "SEKRET42",
        "\"removed\":true",
    ];
    Fuzz::target(env!("CARGO_MANIFEST_DIR"), "rpc_responses")
        .dictionary(&words)
        // One ERC-2309 log of 700 bytes stands for 10,000 transfers.
        .max_memory(4_000, 16 << 20)
        .cases(4_000)
        .run(|input| {
            let logs = read::<Vec<WireLog>>("eth_getLogs", input).map(|logs| read_logs(&logs));
            let number = read::<U64>("eth_blockNumber", input).is_ok();
            let bytes = read::<Bytes>("eth_call", input);
            let revert = bytes.as_ref().err().and_then(|failure| failure.rpc.as_ref());
            let revert = revert.map(|error| (error.is_evm_failure(), error.revert_data().len().min(4)));
            format!(
                "{:?} {number} {:?} {revert:?}",
                logs.map_err(|failure| failure.kind),
                bytes.map_err(|failure| failure.kind).is_ok()
            )
        });
}
