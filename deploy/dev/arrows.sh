# shellcheck shell=bash
# The check of dependencies between crates. Its rules are the table under "Crates" in docs/architecture.md, so page and check
# cannot differ; the rules for sqlx and lapin are in this file.
#
# Dependencies must be in the table; a crate whose row is "anything" has no limits. Dev-dependencies may be any crate of shared/ and
# the emulator, other services only for loadtests and shared/test-support.

# "crate dependency kind" for every direct dependency in the workspace: workspace crates by folder, others by name.
workspace_dependencies() {
    local kind
    for kind in normal build dev; do
        cargo tree --quiet --offline --manifest-path "$root/Cargo.toml" --workspace --all-features --depth 1 \
            --edges "$kind" --prefix depth --format '{p}' | awk -v kind="$kind" -v root="$root/" '
            /^$/ { next }
            {
                name = $1
                sub(/^[0-9]+/, "", name)
                # A crate of the workspace has its folder in parentheses.
                at = index($0, "(" root)
                if (at) { name = substr($0, at + length(root) + 1); sub(/\).*/, "", name) }
                if ($0 ~ /^0/) { crate = name } else { print crate, name, kind }
            }' || return
    done
}

# "crate may dependency" for each row of the table: `all`, `shared` or a folder.
rules_from_architecture() {
    awk -F ' *[|] *' '
        /^## / { inside = ($0 == "## Crates") }
        inside && $2 ~ /^`/ {
            crate = $2
            gsub(/`/, "", crate)
            cell = $4
            gsub(/\([^)]*\)/, "", cell)
            print crate, "row"
            if (cell ~ /^(–|nothing)/) { next }
            if (cell ~ /^anything/) { print crate, "may", "all"; next }
            if (cell ~ /^all of shared but /) {
                sub(/^all of shared but /, "", cell)
                print crate, "may", "shared"
                print crate, "not", "shared/" cell
                next
            }
            count = split(cell, names, / *, */)
            for (i = 1; i <= count; i++) { gsub(/ /, "", names[i]); print crate, "may", "shared/" names[i] }
        }' "$root/docs/architecture.md"
}

# check_rules RULES DEPENDENCIES: prints each dependency that the rules forbid; true when there is none.
check_rules() {
    awk '
        FNR == NR { if ($2 == "row") row[$1] = 1; else rule[$1, $2, $3] = 1; next }
        function refuse(why) { print "  " $1 " -> " $2 " (" $3 "): " why; refused = 1 }
        function ours(name) { return name ~ /^(services|shared)\// || name == "loadtests" }
        function free(crate) { return rule[crate, "may", "all"] }
        { crate = $1; used = $2; kind = $3; seen[crate] = 1 }
        !(crate in row) { refuse("the crate has no row in the table of docs/architecture.md"); next }
        crate == used { next }
        # Calls of a worker go through the proxy, and those of gaib may: their tests run the real proxy.
        (crate == "services/worker" || crate == "services/gaib") && used == "services/discord-proxy" && kind == "dev" { next }
        # Discord delivers interactions by the gateway or by HTTP: tests of commands run both ways.
        crate == "services/worker" && used == "services/interactions" && kind == "dev" { next }
        # Tests of the Telegram service run the real api: what a member does passes both.
        crate == "services/telegram" && used == "services/api" && kind == "dev" { next }
        # Tests of gaib run the real api: restores and plans pass both.
        crate == "services/gaib" && used == "services/api" && kind == "dev" { next }
        kind == "dev" && ours(used) {
            if (!free(crate) && used !~ /^shared\// && used != "services/emulator") refuse("tests may use shared/ and the emulator, no other service")
            if (crate == "services/emulator") refuse("the emulator uses no other crate of the workspace, not even in tests")
            next
        }
        ours(used) {
            if (rule[crate, "not", used]) refuse("excepted in the table")
            else if (!free(crate) && !rule[crate, "may", used] && !(used ~ /^shared\// && rule[crate, "may", "shared"]))
                refuse("not in its row of the table")
            next
        }
        kind == "dev" || free(crate) { next }
        used ~ /^sqlx/ && crate != "shared/db" { refuse("only shared/db may use sqlx") }
        used == "lapin" && crate != "shared/broker" && crate != "services/ingestor" {
            refuse("only shared/broker and services/ingestor may use lapin")
        }
        END { exit refused }' "$1" "$2"
}

check_dependencies() {
    local rules=$instance/rules arrows=$instance/arrows
    rules_from_architecture >"$rules"
    workspace_dependencies >"$arrows" || return
    if [[ ! -s $rules || ! -s $arrows ]]; then
        echo '  no rules or no dependencies found: the table in docs/architecture.md or the output of cargo tree has changed' >&2
        return 1
    fi
    forbidden_dependencies_are_refused "$rules" || return
    check_rules "$rules" "$arrows" >&2
}

# Verifies that the check can fail: each of these dependencies must be refused.
forbidden_dependencies_are_refused() { # RULES
    local arrow
    for arrow in 'services/worker services/ingestor normal' 'shared/domain shared/db normal' 'services/ingestor shared/db normal' \
        'services/emulator shared/config dev' 'services/worker sqlx normal' 'services/worker lapin normal' \
        'services/worker services/discord-proxy normal' 'services/worker services/ingestor dev' 'services/worker shared/test-support normal' 'shared/unheard-of serde normal'; do
        if check_rules "$1" <(echo "$arrow") >/dev/null; then
            echo "  the check is broken: it accepted \"$arrow\"" >&2
            return 1
        fi
    done
}
