#!/usr/bin/env bash
# Makes shared/db/.sqlx anew: what Postgres says about each query, so that a build needs no database.
#
#   deploy/dev/sqlx-prepare.sh           writes it
#   deploy/dev/sqlx-prepare.sh --check   fails when what is committed is not what Postgres says now
#
# Needs psql and DATABASE_OWNER_URL, an owner who may create databases, as `./dev test` gives; the migrations are applied to a
# database of their own, which is dropped again. Needs no sqlx-cli: the macros write the data themselves when told where.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."

if [[ -z ${DATABASE_OWNER_URL:-} ]]; then
    echo "error: DATABASE_OWNER_URL is not set" >&2
    echo "  hint: eval \"\$(./dev env)\" after ./dev services" >&2
    exit 1
fi
psql=$(command -v psql || printf '%s\n' /usr/lib/postgresql/*/bin/psql | sort -rV | head -n 1)
scratch=arrakis_prepare_$$
found=$(mktemp -d)
clean_up() {
    "$psql" --no-psqlrc --quiet "$DATABASE_OWNER_URL" --command="drop database if exists $scratch with (force)" >/dev/null 2>&1 || true
    rm -rf "$found"
}
trap clean_up EXIT

"$psql" --no-psqlrc --quiet "$DATABASE_OWNER_URL" --command="create database $scratch"
# The database's name is the path of the URL; what follows a ? stays.
scratch_url=$(sed -E "s|^([a-z]+://[^/?]+)(/[^?]*)?|\1/$scratch|" <<<"$DATABASE_OWNER_URL")
for migration in shared/db/migrations/*.sql; do
    # As sqlx does: one transaction each, but for those that cannot run in one.
    transaction=(--single-transaction)
    if [[ $(head -n 1 "$migration") == '-- no-transaction' ]]; then transaction=(); fi
    "$psql" --no-psqlrc --quiet "${transaction[@]}" --set=ON_ERROR_STOP=1 --output=/dev/null --file="$migration" "$scratch_url"
done

# Every macro has to be expanded again, whatever the last build left.
touch shared/db/src/lib.rs
SQLX_OFFLINE=false SQLX_OFFLINE_DIR=$found SQLX_PREPARE_DATABASE_URL=$scratch_url cargo clippy --quiet --package arrakis-db --lib
# The next build is to read what is committed, not what this one was told.
touch shared/db/src/lib.rs

if [[ ${1:-} == --check ]]; then
    if ! diff --recursive --brief "$found" shared/db/.sqlx; then
        echo "error: shared/db/.sqlx is not what Postgres says about the queries" >&2
        echo "  hint: run deploy/dev/sqlx-prepare.sh and commit what it writes" >&2
        exit 1
    fi
    echo "shared/db/.sqlx is up to date: $(find "$found" -name '*.json' | wc -l) queries"
else
    mkdir -p shared/db/.sqlx
    find shared/db/.sqlx -name 'query-*.json' -delete
    cp "$found"/*.json shared/db/.sqlx/
    echo "wrote $(find "$found" -name '*.json' | wc -l) queries to shared/db/.sqlx"
fi
