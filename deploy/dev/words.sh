# shellcheck shell=bash
# The check of words in texts for operators: log messages, errors, metric help and command-line help use literal verbs and nouns.
#
# Checked are the string literals in calls of tracing's macros, of `bail!`, `ensure!`, `anyhow!`, `context` and `with_context`, of the
# functions that create metrics, in `#[error("…")]`, and the doc comments of clap's arguments. Tests are not checked.

# The words that these texts must not contain, as an extended regular expression for a lower-case text.
forbidden_words='say|says|saying|said|tell|tells|telling|told|hear|hears|heard|ask|asks|asking|asked|know|knows|speak|speaks|spoke|nobody|whoever|what passes|in between'

# operator_texts FILE…: prints "file:line: text" for each of these texts.
operator_texts() {
    awk '
        function print_text(text) { gsub(/\{[^}]*\}/, "{}", text); if (text != "") print FILENAME ":" FNR ": " text }
        # Characters of a line outside of strings: counts parentheses of the current call.
        function count(code,    letter, i) {
            for (i = 1; i <= length(code) && depth > 0; i++) {
                letter = substr(code, i, 1)
                if (letter == "(" || letter == "[") depth++
                else if (letter == ")" || letter == "]") depth--
            }
        }
        # Code outside of strings: enters a call when it ends with the beginning of one.
        function code_part(code) {
            if (depth == 0 && match(code, begins)) {
                depth = 1
                code = substr(code, RSTART + RLENGTH)
            }
            if (depth > 0) count(code)
            if (depth == 0 && match(code, begins)) code_part(code)
        }
        function scan(line,    at) {
            while (line != "") {
                if (in_string) {
                    if (match(line, /^([^"\\]|\\.)*"/)) {
                        text = text substr(line, 1, RLENGTH - 1)
                        if (depth > 0) print_text(text)
                        line = substr(line, RLENGTH + 1)
                        in_string = 0
                    } else {
                        sub(/\\$/, "", line)
                        text = text line
                        return
                    }
                } else {
                    at = index(line, "\"")
                    if (!at) { sub(/\/\/.*/, "", line); code_part(line); return }
                    if (match(line, /\/\//) && RSTART < at) { code_part(substr(line, 1, RSTART - 1)); return }
                    code_part(substr(line, 1, at - 1))
                    line = substr(line, at + 1)
                    text = ""
                    in_string = 1
                }
            }
        }
        BEGIN {
            begins = "((^|[^a-z_])(trace|debug|info|warn|error|event|bail|ensure|anyhow)!\\(|#\\[error\\(|[.:](with_)?context\\(|(^|[^a-z_])(counter|counter_vec|gauge|gauge_vec|histogram|histogram_vec)\\()"
        }
        FNR == 1 { depth = in_string = test = skip = clap = 0; docs = "" }
        skip { next }
        /^#\[cfg\(test\)\]/ { test = 1; next }
        test && /^(pub(\([a-z]+\))? )?mod [a-z_0-9]+ \{/ { skip = 1; next }
        { test = 0 }
        # Doc comments are help texts within an item that derives one of the traits of clap, and directly before it.
        /^#\[derive\(.*(Parser|Args|Subcommand|ValueEnum)/ { clap = 1; if (docs != "") printf "%s", docs }
        clap && /^}/ { clap = 0 }
        !in_string && /^ *\/\/\/ / {
            line = $0
            sub(/^ *\/\/\/ /, "", line)
            if (clap) print_text(line)
            else docs = docs FILENAME ":" FNR ": " line "\n"
            next
        }
        !/^#\[/ { docs = "" }
        { line = $0; gsub(/\047\\?"\047/, "", line); gsub(/r#"[^#]*"#/, "\"\"", line); scan(line) }' "$@"
}

# texts_with_forbidden_words: reads the output of operator_texts and prints the lines with such a word; true when there is one.
texts_with_forbidden_words() { grep -iE "^[^:]*:[0-9]+: (.*[^a-z_])?($forbidden_words)([^a-z_]|\$)"; }

# shellcheck disable=SC2154 # root is set by dev, which includes this file
check_words() {
    local example found files
    example=$(printf 'fn f() {\n    tracing::warn!(\n        id = 1,\n        "nobody \\\n         answers"\n    );\n}\n' | operator_texts -)
    # Verifies that the check can fail.
    if ! texts_with_forbidden_words <<<"$example" >/dev/null; then
        echo '  the check is broken: it accepted the word "nobody" in a log message' >&2
        return 1
    fi
    mapfile -t files < <(find "$root"/{services,shared}/*/src "$root/loadtests/src" -name '*.rs' ! -path '*/tests/*' ! -name tests.rs | sort)
    if ! found=$(operator_texts "${files[@]}" | texts_with_forbidden_words); then return; fi
    echo "  replace these words by literal ones (docs/glossary.md):" >&2
    printf '%s\n' "${found//"$root/"/}" | cut -c 1-200 | sed 's/^/    /' >&2
    return 1
}
