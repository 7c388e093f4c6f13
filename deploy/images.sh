# shellcheck shell=bash
# Sourced by deploy/PLACE/deploy.sh. Ends the script where the file IMAGES does not name each image by its digest: without one the chart would deploy the
# tag of its own version.
check_images() { # FILE
    jq --slurp --exit-status '
        def is($pattern): type == "string" and test($pattern);
        length == 1 and (.[0] | type == "object" and (["api", "discord-proxy", "ingestor", "migrate", "worker"] - keys == []) and all(.[]; type == "object" and
            (.image | is("^[A-Za-z0-9][A-Za-z0-9._/:-]*$")) and (.digest | is("^sha256:[0-9a-f]{64}$")) and (.tag | is("^[A-Za-z0-9_][A-Za-z0-9._-]{0,127}$"))))' \
        "$1" >/dev/null || {
        echo "$1 is refused: it must name image, digest (sha256 and 64 digits) and tag of at least api, discord-proxy, ingestor, migrate and worker; the pipeline makes it (the artifact digests, images.json)" >&2
        exit 64
    }
}
