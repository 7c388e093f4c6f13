//! Replaces values in a transcript that differ between runs.

/// Replaces ids, times, digests and UUIDs with placeholders, and removes the duration of steps.
pub(crate) fn normalize(text: &str) -> String {
    let lines: Vec<String> = text.lines().map(without_duration).collect();
    let end = if text.ends_with('\n') { "\n" } else { "" };
    with_placeholders(&format!("{}{end}", lines.join("\n")))
}

/// `[1/2] create role.naib: done (id 1), 1.2 s` and `"elapsed_ms":12`.
fn without_duration(line: &str) -> String {
    let line = match line.rsplit_once(", ") {
        Some((step, took)) if line.starts_with('[') && took.ends_with(" s") => step,
        _ => line,
    };
    match line.split_once("\"elapsed_ms\":") {
        Some((before, after)) => {
            format!(
                "{before}\"elapsed_ms\":<ms>{}",
                after.trim_start_matches(|character: char| character.is_ascii_digit())
            )
        }
        None => line.to_owned(),
    }
}

fn with_placeholders(text: &str) -> String {
    let characters: Vec<char> = text.chars().collect();
    let mut out = String::with_capacity(text.len());
    let mut at = 0;
    while at < characters.len() {
        let is_start = at == 0 || !characters[at - 1].is_alphanumeric();
        let rest = &characters[at..];
        let found = [
            (time(rest), "<time>"),
            (uuid(rest), "<uuid>"),
            (digest(rest), "<digest>"),
            (id(rest), "<id>"),
        ];
        match found.into_iter().find(|(length, _)| is_start && *length > 0) {
            Some((length, placeholder)) => {
                out.push_str(placeholder);
                at += length;
            }
            None => {
                out.push(characters[at]);
                at += 1;
            }
        }
    }
    out
}

fn prefix_length(characters: &[char], matches: impl Fn(char) -> bool) -> usize {
    characters.iter().take_while(|character| matches(**character)).count()
}

fn id(characters: &[char]) -> usize {
    let length = prefix_length(characters, |character| character.is_ascii_digit());
    if length >= 17 { length } else { 0 }
}

fn digest(characters: &[char]) -> usize {
    let length = prefix_length(characters, |character| character.is_ascii_hexdigit());
    if length == 64 { length } else { 0 }
}

fn uuid(characters: &[char]) -> usize {
    let length = prefix_length(characters, |character| {
        character.is_ascii_hexdigit() || character == '-'
    });
    let dashes = characters
        .iter()
        .take(length)
        .filter(|character| **character == '-')
        .count();
    if length == 36 && dashes == 4 { length } else { 0 }
}

/// `2026-11-21T14:32:17.989Z` and `20261121T143217Z`.
fn time(characters: &[char]) -> usize {
    let length = prefix_length(characters, |character| {
        character.is_ascii_digit() || "-T:.Z".contains(character)
    });
    let text: String = characters[..length].iter().collect();
    let text = text.trim_end_matches(['.', ':', '-']);
    let shaped = text.len() >= 16 && text.ends_with('Z') && text.contains('T');
    if shaped { text.len() } else { 0 }
}

#[test]
fn values_that_differ_between_runs_are_replaced() {
    let text =
        "role (id 1573707428673880064) since 2026-11-21T14:32:17.98Z (lock 40d14641-7bd2-4c30-8851-b66234ee4cc1).";
    assert_eq!(normalize(text), "role (id <id>) since <time> (lock <uuid>).");
    assert_eq!(
        normalize("[1/2] create role.naib: done (id 1), 1.2 s"),
        "[1/2] create role.naib: done (id 1)"
    );
    assert_eq!(
        normalize("color #FFD700, 123456, config.20261121T143217Z.yaml"),
        "color #FFD700, 123456, config.<time>.yaml"
    );
}
