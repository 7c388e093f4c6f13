#!/usr/bin/env bash
# Prints the bill of materials of an image as CycloneDX 1.6: the crates that are compiled into its program, and the Debian packages of its
# files.
#
#   deploy/images/sbom.sh PACKAGE DEBIAN_PACKAGE…
#
# PACKAGE is the package of the workspace from which the program is built; both have one name.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."

program=$1
shift

# "name|version|licence|is of the workspace" for each crate, without those that only run during the build.
crates() {
    cargo tree --locked --offline --package "$program" --edges normal,no-proc-macro --target "$(rustc --print host-tuple)" \
        --prefix none --no-dedupe --format '{p}|{l}' | awk -F '|' '{
        split($1, package, " ")
        version = substr(package[2], 2)
        print package[1] "|" version "|" $2 "|" ($1 ~ /\(\//)
    }' | sort --unique
}

debian_packages() {
    dpkg-query --show --showformat '${Package}|${Version}|${Architecture}\n' "$@" | sort --unique
}

{
    crates | sed 's/^/crate|/'
    debian_packages "$@" | sed 's/^/deb|/'
} | awk -F '|' -v program="$program" -v time="$(date --utc --date="@${SOURCE_DATE_EPOCH:-0}" +%FT%TZ)" -v release="$(sed -nE 's/^(ID|VERSION_ID)="?([^"]*)"?$/\2/p' /etc/os-release | sort --reverse | paste --serial --delimiters=-)" '
    function quoted(text) { gsub(/\\/, "\\\\", text); gsub(/"/, "\\\"", text); return "\"" text "\"" }
    function pair(name, text) { return quoted(name) ": " quoted(text) }
    # In the query of a package URL, these characters of a Debian version are encoded.
    function encoded(text) { gsub(/\+/, "%2B", text); gsub(/~/, "~", text); gsub(/:/, "%3A", text); return text }
    function component(type, name, version, url, licence) {
        if (components != "") components = components ",\n"
        components = components "    {" pair("type", type) ", " pair("bom-ref", url) ", " pair("name", name) ", " pair("version", version) ", " pair("purl", url)
        # An expression of SPDX; older crates separate the choices by a slash.
        gsub(/ *\/ */, " OR ", licence)
        if (licence != "") components = components ", \"licenses\": [{" pair("expression", licence) "}]"
        components = components "}"
    }
    $1 == "crate" && $2 == program { version = $3; next }
    $1 == "crate" { component("library", $2, $3, "pkg:cargo/" $2 "@" $3, $4) }
    $1 == "deb" { component("library", $2, $3, "pkg:deb/debian/" $2 "@" encoded($3) "?arch=" $4 "&distro=" release, "") }
    END {
        print "{"
        print "  " pair("bomFormat", "CycloneDX") ","
        print "  " pair("specVersion", "1.6") ","
        print "  \"version\": 1,"
        print "  \"metadata\": {"
        print "    " pair("timestamp", time) ","
        print "    \"component\": {" pair("type", "application") ", " pair("bom-ref", "pkg:cargo/" program "@" version) ", " pair("name", program) ", " pair("version", version) "}"
        print "  },"
        print "  \"components\": ["
        print components
        print "  ]"
        print "}"
    }'
