//! The output of the demo: actions, replies and checks.

use std::fmt::{Debug, Display};
use std::io::{IsTerminal as _, Write};
use std::time::Instant;

/// A transcript that is written line by line, with the number of checks.
pub struct Transcript<W> {
    out: W,
    colour: bool,
    started: Instant,
    passed: usize,
    failures: Vec<String>,
    left_out: Vec<String>,
    scene: String,
}

impl Transcript<std::io::Stdout> {
    /// Writes to standard output, in colour where that is a terminal and `NO_COLOR` is not set.
    pub fn to_stdout() -> Self {
        let colour = std::io::stdout().is_terminal() && std::env::var_os("NO_COLOR").is_none();
        Self::new(std::io::stdout(), colour)
    }
}

impl<W: Write> Transcript<W> {
    /// Writes to `out`.
    pub fn new(out: W, colour: bool) -> Self {
        Self {
            out,
            colour,
            started: Instant::now(),
            passed: 0,
            failures: Vec::new(),
            left_out: Vec::new(),
            scene: String::new(),
        }
    }

    /// Starts a scene.
    pub fn scene(&mut self, title: &str) {
        self.scene = title.to_owned();
        let seconds = self.started.elapsed().as_secs_f32();
        self.line(&format!(
            "\n{}  {}",
            self.paint("1", title),
            self.paint("2", &format!("{seconds:.1} s"))
        ));
    }

    /// Writes an action.
    pub fn act(&mut self, text: impl Display) {
        self.line(&format!("  {} {text}", self.paint("36", "→")));
    }

    /// Writes a reply.
    pub fn see(&mut self, text: impl Display) {
        for line in text.to_string().lines() {
            self.line(&format!("      {}", self.paint("2", line)));
        }
    }

    /// Writes and counts the result of a check: `what` was checked, and `found` is written when it does not hold.
    pub fn expect(&mut self, what: impl Display, holds: bool, found: impl Display) {
        if holds {
            self.passed += 1;
            self.line(&format!("  {} {what}", self.paint("32", "✓")));
        } else {
            self.failures.push(format!("{}: {what}: found {found}", self.scene));
            self.line(&format!("  {} {what}\n      found {found}", self.paint("31", "✗")));
        }
    }

    /// As [`Transcript::expect`], for a check that `found` equals `wanted`.
    pub fn same<T: PartialEq + Debug>(&mut self, what: impl Display, found: &T, wanted: &T) {
        self.expect(what, found == wanted, format!("{found:?}, expected {wanted:?}"));
    }

    /// Writes that a part of the demo is left out, and why. It is repeated in the summary.
    pub fn leave_out(&mut self, what: &str, why: &str) {
        self.scene("Left out");
        self.line(&format!("  {} {what}: {why}", self.paint("33", "–")));
        self.left_out.push(format!("{what}: {why}"));
    }

    /// Writes the summary of all checks. Returns whether every check held.
    pub fn finish(mut self) -> bool {
        let seconds = self.started.elapsed().as_secs_f32();
        let (passed, failed) = (self.passed, self.failures.len());
        let verdict = if failed == 0 {
            self.paint("1;32", "The demo passed")
        } else {
            self.paint("1;31", "The demo failed")
        };
        let mut text = format!("\n{verdict}: {passed} checks passed, {failed} failed, in {seconds:.1} s");
        for part in &self.left_out {
            text.push_str(&format!("\n  – left out: {part}"));
        }
        for failure in &self.failures {
            text.push_str(&format!("\n  ✗ {failure}"));
        }
        self.line(&text);
        failed == 0
    }

    fn paint(&self, code: &str, text: &str) -> String {
        if self.colour {
            format!("\x1b[{code}m{text}\x1b[0m")
        } else {
            text.to_owned()
        }
    }

    fn line(&mut self, text: &str) {
        // A closed pipe must not end the demo early: its exit code still counts.
        let _ = writeln!(self.out, "{text}");
        let _ = self.out.flush();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn part_that_is_left_out_is_named_in_the_summary() {
        let mut written = Vec::new();
        let mut transcript = Transcript::new(&mut written, false);
        transcript.leave_out("the second act", "anvil is not installed");
        assert!(transcript.finish());
        let text = String::from_utf8(written).unwrap();
        assert!(
            text.ends_with("0 failed, in 0.0 s\n  – left out: the second act: anvil is not installed\n"),
            "{text}"
        );
    }

    #[test]
    fn one_failed_check_fails_the_demo() {
        let mut written = Vec::new();
        let mut transcript = Transcript::new(&mut written, false);
        transcript.scene("Arrival");
        transcript.same("her rank", &7, &7);
        transcript.same("her tier", &"Naib", &"Fedaykin");
        assert!(!transcript.finish());
        let text = String::from_utf8(written).unwrap();
        assert!(text.contains("1 checks passed, 1 failed"), "{text}");
        assert!(
            text.contains("Arrival: her tier: found \"Naib\", expected \"Fedaykin\""),
            "{text}"
        );
    }
}
