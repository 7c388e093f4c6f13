#!/usr/bin/env bash
# Writes shared/db/.sqlx, the description of each query by Postgres, so that a build needs no database.
#
#   deploy/dev/sqlx-prepare.sh           writes it
#   deploy/dev/sqlx-prepare.sh --check   fails when the committed data differ from what Postgres returns
#
# Needs psql and DATABASE_OWNER_URL with a login that may create databases, as in `./dev test`. The migrations are applied to a new
# database, which is dropped again. Needs no sqlx-cli: the macros write the data to SQLX_OFFLINE_DIR.
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
# The database's name is the path of the URL; the query part stays.
scratch_url=$(sed -E "s|^([a-z]+://[^/?]+)(/[^?]*)?|\1/$scratch|" <<<"$DATABASE_OWNER_URL")
for migration in shared/db/migrations/*.sql; do
    # As sqlx does: one transaction each, except for migrations that cannot run in one.
    transaction=(--single-transaction)
    if [[ $(head -n 1 "$migration") == '-- no-transaction' ]]; then transaction=(); fi
    "$psql" --no-psqlrc --quiet "${transaction[@]}" --set=ON_ERROR_STOP=1 --output=/dev/null --file="$migration" "$scratch_url"
done

# Makes cargo expand every macro again.
touch shared/db/src/lib.rs
SQLX_OFFLINE=false SQLX_OFFLINE_DIR=$found SQLX_PREPARE_DATABASE_URL=$scratch_url cargo clippy --quiet --package arrakis-db --lib
# The next build must read the committed data.
touch shared/db/src/lib.rs

if [[ ${1:-} == --check ]]; then
    if ! diff --recursive --brief "$found" shared/db/.sqlx; then
        echo "error: shared/db/.sqlx differs from what Postgres returns for the queries" >&2
        echo "  hint: run deploy/dev/sqlx-prepare.sh and commit the result" >&2
        exit 1
    fi
    echo "shared/db/.sqlx is up to date: $(find "$found" -name '*.json' | wc -l) queries"
else
    mkdir -p shared/db/.sqlx
    find shared/db/.sqlx -name 'query-*.json' -delete
    cp "$found"/*.json shared/db/.sqlx/
    echo "wrote $(find "$found" -name '*.json' | wc -l) queries to shared/db/.sqlx"
fi
