//! How much memory the process holds.

/// Resident set in bytes, from `/proc/self/statm`; `None` where there is no such file.
pub fn resident_bytes() -> Option<u64> {
    // The kernel counts in pages; 4 KiB is the page size of every machine that we deploy to (x86-64, and arm64 on AWS).
    const PAGE: u64 = 4096;
    let statm = std::fs::read_to_string("/proc/self/statm").ok()?;
    statm
        .split_whitespace()
        .nth(1)?
        .parse::<u64>()
        .ok()
        .map(|pages| pages * PAGE)
}

#[cfg(test)]
mod tests {
    #[test]
    fn a_running_process_holds_some_memory() {
        assert!(super::resident_bytes().is_some_and(|bytes| bytes > 1 << 20));
    }
}
