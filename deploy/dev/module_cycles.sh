# shellcheck shell=bash
# The check that the imports between the modules of a crate have no cycle.
#
# A module is a file or folder directly in a crate's src/. An import is any `crate::module` or, in such a file, `super::module`,
# outside comments and outside `#[cfg(test)] mod …`. An import through a re-export in lib.rs is not detected.

# The checked crates; a crate is added once it has no cycle.
crates_without_cycles=(
    services/emulator services/worker services/ingestor services/gaib shared/iac shared/iac-apply shared/broker
    shared/db shared/cache shared/config shared/domain shared/themes shared/test-support
    shared/runtime shared/telemetry shared/contracts shared/fail-point shared/emulator-client
    services/discord-proxy shared/discord shared/discord-http shared/kill-switch shared/policy shared/security shared/vault
)

# module_imports CRATE_FOLDER: prints "from to" for each import between two modules.
module_imports() {
    local source=$1/src file
    find "$source" -name '*.rs' ! -path "$source/lib.rs" ! -path "$source/main.rs" | while IFS= read -r file; do
        awk -v path="${file#"$source"/}" '
            function import(name) { if (name != module) print module, name }
            BEGIN {
                depth = split(path, parts, "/")
                module = parts[1]
                sub(/\.rs$/, "", module)
                # `super` of a file in src/, and of the mod.rs of a folder in it, is the crate.
                top = depth == 1 || (depth == 2 && parts[2] == "mod.rs")
            }
            /^#\[cfg\(test\)\]/ { test = 1; next }
            test && /^(pub(\([a-z]+\))? )?mod [a-z_0-9]+ \{/ { exit }
            { test = 0; sub(/\/\/.*/, "") }
            {
                line = $0
                while (match(line, /crate::[a-z_0-9]+/)) {
                    import(substr(line, RSTART + 7, RLENGTH - 7))
                    line = substr(line, RSTART + RLENGTH)
                }
                line = $0
                while (top && match(line, /super::[a-z_0-9]+/)) {
                    import(substr(line, RSTART + 7, RLENGTH - 7))
                    line = substr(line, RSTART + RLENGTH)
                }
            }
            # use crate::{a::b, c};
            /use crate::\{/ { group = 1; sub(/.*use crate::\{/, "") }
            group {
                line = $0
                for (i = 1; i <= length(line); i++) {
                    letter = substr(line, i, 1)
                    if (letter == "{") nested++
                    else if (letter == "}") { if (nested == 0) { group = 0; break } nested-- }
                    if (nested == 0 && letter ~ /[a-z_0-9]/) { word = word letter; continue }
                    if (word != "") { if (!inner) import(word); word = "" }
                    inner = (letter == ":" || inner) && letter != ","
                }
                if (word != "" && !inner) import(word)
                word = ""
                if (!group) { inner = 0; nested = 0 }
            }' "$file"
    done | sort -u | while read -r from to; do
        if [[ -e $source/$to.rs || -d $source/$to ]]; then echo "$from $to"; fi
    done
}

# imports_have_no_cycle: reads "from to" lines; prints the modules of each cycle; true when there is none.
imports_have_no_cycle() {
    local found
    found=$(tsort 2>&1 >/dev/null | sed -n 's/^tsort: \(.*: \)\{0,1\}//p')
    if [[ -z $found ]]; then return; fi
    printf '    %s\n' "${found//$'\n'/$'\n'    }"
    return 1
}

# shellcheck disable=SC2154 # root is set by dev, which includes this file
check_module_cycles() {
    local crate imports seen='' status=0
    # Verifies that the check can fail: it must detect a cycle and find imports.
    if printf 'a b\nb c\nc a\n' | imports_have_no_cycle >/dev/null; then
        echo '  the check is broken: it accepted a cycle of three modules' >&2
        return 1
    fi
    for crate in "${crates_without_cycles[@]}"; do
        imports=$(module_imports "$root/$crate")
        seen+=$imports
        # A crate with few modules may have no imports between them.
        if [[ -n $imports ]] && ! imports_have_no_cycle <<<"$imports" >&2; then
            echo "  the imports of the modules above, in $crate/src, form a cycle" >&2
            status=1
        fi
    done
    if [[ -z $seen ]]; then
        echo '  no imports found in any crate: the layout has changed' >&2
        status=1
    fi
    return "$status"
}
