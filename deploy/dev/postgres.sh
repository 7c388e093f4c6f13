# shellcheck shell=bash
# A private PostgreSQL: its own data folder, loopback only, no socket file (the path could be too long). It has the three logins of
# production; migrations grant rights and never create logins.

postgres_bin() { # folder of initdb and postgres, the newest version; empty when it is not installed
    local folder
    for folder in $(printf '%s\n' /usr/lib/postgresql/*/bin | sort -rV); do
        if [[ -x $folder/initdb ]]; then
            echo "$folder"
            return
        fi
    done
    if command -v initdb >/dev/null && command -v postgres >/dev/null; then dirname "$(command -v initdb)"; fi
}

# Tests create and drop thousands of databases with a thousand files each. A file system may search long for an unused inode among
# those that were just deleted: ext4 without a journal did so for half of the CPU time of a run.
postgres_fits_into_memory() {
    local free available
    [[ -w /dev/shm && $(stat --file-system --format=%T /dev/shm 2>/dev/null) == tmpfs ]] || return
    free=$(df --output=avail --block-size=1M /dev/shm | tail -n 1)
    available=$(awk '/^MemAvailable:/ { print int($2 / 1024) }' /proc/meminfo)
    ((free >= 8000 && available >= 12000))
}

# PostgreSQL refuses to run as root. Sets `as_postgres` (command prefix) and `postgres_data` (data folder): an ordinary user runs it
# as itself; root runs it as the user postgres where that user can read the checkout, else as an unprivileged user of a user
# namespace that maps to root, else with the data below /var/tmp. Data of tests are in memory where it suffices.
choose_postgres_identity() {
    local elsewhere=$instance/postgres-elsewhere
    postgres_data=$instance/postgres as_postgres=()
    # The data stay there until they are removed.
    if [[ -s $elsewhere && ! -d $(<"$elsewhere") ]]; then rm "$elsewhere"; fi
    local as_user=(setpriv --reuid=postgres --regid=postgres --init-groups --)
    if [[ $instance_name == test && ! -e $elsewhere ]] && { ((EUID != 0)) || "${as_user[@]}" true 2>/dev/null; } && postgres_fits_into_memory; then
        mktemp -d /dev/shm/arrakis-dev.XXXXXXXX >"$elsewhere"
    fi
    if [[ -s $elsewhere ]]; then postgres_data=$(<"$elsewhere")/postgres; fi
    ((EUID == 0)) || return 0
    # initdb needs an existing user, so the namespace uses the ids of one.
    local in_namespace=(unshare --user "--map-user=$(id -u postgres 2>/dev/null || id -u nobody)"
        "--map-group=$(id -g postgres 2>/dev/null || id -g nobody)" --)
    local owner=root:root
    if [[ ! -s $elsewhere ]] && "${as_user[@]}" test -x "$instance" 2>/dev/null; then
        as_postgres=("${as_user[@]}") owner=postgres:postgres
    elif [[ ! -s $elsewhere ]] && "${in_namespace[@]}" test -x "$instance" 2>/dev/null; then
        as_postgres=("${in_namespace[@]}")
    elif "${as_user[@]}" true 2>/dev/null; then
        as_postgres=("${as_user[@]}") owner=postgres:postgres
        if [[ ! -s $elsewhere ]]; then mktemp -d /var/tmp/arrakis-dev.XXXXXXXX >"$elsewhere"; fi
        postgres_data=$(<"$elsewhere")/postgres
        chown "$owner" "${postgres_data%/*}"
    else
        die "PostgreSQL refuses to run as root, there is no user postgres here, and user namespaces are switched off" \
            "run ./dev as an ordinary user"
    fi
    mkdir -p "$postgres_data"
    # The user may have changed since the last run (a moved checkout); then the data change their owner.
    if [[ $(stat -c %U:%G "$postgres_data") != "$owner" ]]; then chown -R "$owner" "$postgres_data"; fi
}

start_postgres() {
    local bin log=$instance/logs/postgres.log settings
    bin=$(postgres_bin)
    choose_postgres_identity
    mkdir -p "$postgres_data"
    chmod 700 "$postgres_data"
    port_for postgres
    secret_for postgres_superuser postgres_owner postgres_app postgres_admin
    if [[ ! -e $postgres_data/PG_VERSION ]]; then
        (umask 077 && secret postgres_superuser >"$postgres_data.password")
        chown "$(stat -c %u:%g "$postgres_data")" "$postgres_data.password"
        (cd / && "${as_postgres[@]}" "$bin/initdb" --pgdata="$postgres_data" --username=superuser --auth=scram-sha-256 \
            --pwfile="$postgres_data.password" --encoding=UTF8 --locale=C.UTF-8 --no-sync --no-instructions) \
            >>"$log" 2>&1 || {
            show_log "$log" 15
            die "initdb failed for the data folder $postgres_data"
        }
        rm -f "$postgres_data.password"
    fi
    settings=(listen_addresses=127.0.0.1 port="$port" unix_socket_directories= max_connections=300 log_min_messages=warning
        log_line_prefix='%m [%p] %u@%d ' log_timezone=UTC timezone=UTC shared_preload_libraries=)
    if $throwaway && [[ $instance_name != bench ]]; then
        # Test data need not survive a crash of the machine. A SIGKILL of a process, as in tests, loses no data by this.
        settings+=(fsync=off synchronous_commit=off full_page_writes=off wal_level=minimal max_wal_senders=0
            max_wal_size=1GB checkpoint_timeout=1h)
    fi
    # INT is a fast shutdown, QUIT an immediate one.
    spawn PostgreSQL "$($throwaway && echo QUIT || echo INT)" "$log" \
        env --chdir=/ "${as_postgres[@]}" "$bin/postgres" -D "$postgres_data" "${settings[@]/#/--}"
}

postgres_responds() { superuser_psql -c 'select' >/dev/null 2>&1; }

superuser_psql() {
    PGPASSWORD=$(secret postgres_superuser) PGCONNECT_TIMEOUT=3 "$(postgres_bin)/psql" --no-psqlrc --quiet \
        --set=ON_ERROR_STOP=1 --host=127.0.0.1 --port="$(remembered_port postgres)" --username=superuser --dbname=postgres "$@"
}

# Creates or updates the logins and the database. The owner may create databases and roles only where tests need it.
prepare_postgres() {
    local owner_rights=NOCREATEDB
    if $throwaway; then owner_rights='CREATEDB CREATEROLE'; fi
    superuser_psql --set=owner_password="$(secret postgres_owner)" --set=app_password="$(secret postgres_app)" \
        --set=admin_password="$(secret postgres_admin)" >>"$instance/logs/postgres.log" 2>&1 <<SQL || {
select format('create role %I login', login) from unnest(array['arrakis_owner', 'arrakis_app', 'arrakis_admin']) as login
 where not exists (select from pg_roles where rolname = login) \gexec
alter role arrakis_owner $owner_rights password :'owner_password';
alter role arrakis_app nobypassrls password :'app_password';
alter role arrakis_admin bypassrls password :'admin_password';
select 'create database arrakis owner arrakis_owner' where not exists (select from pg_database where datname = 'arrakis') \gexec
SQL
        show_log "$instance/logs/postgres.log" 10
        die "creating the logins and the database failed"
    }
}

postgres_urls() {
    local at
    at=127.0.0.1:$(remembered_port postgres)/arrakis
    echo "DATABASE_OWNER_URL=postgres://arrakis_owner:$(secret postgres_owner)@$at"
    echo "DATABASE_URL=postgres://arrakis_app:$(secret postgres_app)@$at"
    echo "DATABASE_ADMIN_URL=postgres://arrakis_admin:$(secret postgres_admin)@$at"
}
