//! Memory use of the process.

use procfs::process::Process;

/// Resident memory of the process in bytes. Returns `None` when `/proc` is not readable.
pub fn resident_bytes() -> Option<u64> {
    let statm = Process::myself().ok()?.statm().ok()?;
    Some(statm.resident * procfs::page_size())
}

#[cfg(test)]
mod tests {
    #[test]
    fn running_process_has_resident_memory() {
        assert!(super::resident_bytes().is_some_and(|bytes| bytes > 1 << 20));
    }
}
