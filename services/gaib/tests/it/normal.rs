//! Takes out of a transcript what differs from run to run.

/// Ids, times, digests and UUIDs become their names; how long a step took is left out.
pub(crate) fn normal(text: &str) -> String {
    let lines: Vec<String> = text.lines().map(untimed).collect();
    let end = if text.ends_with('\n') { "\n" } else { "" };
    named(&format!("{}{end}", lines.join("\n")))
}

/// `[1/2] create role.naib: done (id 1), 1.2 s` and `"elapsed_ms":12`.
fn untimed(line: &str) -> String {
    let line = match line.rsplit_once(", ") {
        Some((step, took)) if line.starts_with('[') && took.ends_with(" s") => step,
        _ => line,
    };
    match line.split_once("\"elapsed_ms\":") {
        Some((before, after)) => {
            format!(
                "{before}\"elapsed_ms\":<ms>{}",
                after.trim_start_matches(|sign: char| sign.is_ascii_digit())
            )
        }
        None => line.to_owned(),
    }
}

fn named(text: &str) -> String {
    let signs: Vec<char> = text.chars().collect();
    let mut out = String::with_capacity(text.len());
    let mut at = 0;
    while at < signs.len() {
        let starts = at == 0 || !signs[at - 1].is_alphanumeric();
        let rest = &signs[at..];
        let found = [
            (time(rest), "<time>"),
            (uuid(rest), "<uuid>"),
            (digest(rest), "<digest>"),
            (id(rest), "<id>"),
        ];
        match found.into_iter().find(|(length, _)| starts && *length > 0) {
            Some((length, name)) => {
                out.push_str(name);
                at += length;
            }
            None => {
                out.push(signs[at]);
                at += 1;
            }
        }
    }
    out
}

fn run(signs: &[char], belongs: impl Fn(char) -> bool) -> usize {
    signs.iter().take_while(|sign| belongs(**sign)).count()
}

fn id(signs: &[char]) -> usize {
    let length = run(signs, |sign| sign.is_ascii_digit());
    if length >= 17 { length } else { 0 }
}

fn digest(signs: &[char]) -> usize {
    let length = run(signs, |sign| sign.is_ascii_hexdigit());
    if length == 64 { length } else { 0 }
}

fn uuid(signs: &[char]) -> usize {
    let length = run(signs, |sign| sign.is_ascii_hexdigit() || sign == '-');
    let dashes = signs.iter().take(length).filter(|sign| **sign == '-').count();
    if length == 36 && dashes == 4 { length } else { 0 }
}

/// `2026-11-21T14:32:17.989Z` and `20261121T143217Z`.
fn time(signs: &[char]) -> usize {
    let length = run(signs, |sign| sign.is_ascii_digit() || "-T:.Z".contains(sign));
    let text: String = signs[..length].iter().collect();
    let text = text.trim_end_matches(['.', ':', '-']);
    let shaped = text.len() >= 16 && text.ends_with('Z') && text.contains('T');
    if shaped { text.len() } else { 0 }
}

#[test]
fn what_differs_is_named_and_the_rest_stays() {
    let text =
        "role (id 1573707428673880064) since 2026-11-21T14:32:17.98Z (lock 40d14641-7bd2-4c30-8851-b66234ee4cc1).";
    assert_eq!(normal(text), "role (id <id>) since <time> (lock <uuid>).");
    assert_eq!(
        normal("[1/2] create role.naib: done (id 1), 1.2 s"),
        "[1/2] create role.naib: done (id 1)"
    );
    assert_eq!(
        normal("color #FFD700, 123456, config.20261121T143217Z.yaml"),
        "color #FFD700, 123456, config.<time>.yaml"
    );
}
