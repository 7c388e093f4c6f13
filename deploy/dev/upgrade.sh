# shellcheck shell=bash
# ./dev upgrade-test: a rolling upgrade under load, from the programs of an earlier commit to the present ones, without a lost event.
#
# It runs the scenario rolling-restart of ./dev chaos with a folder of programs in which each one is a script: the first start of a replica is
# the earlier program, and each later start the present one. The database has the present schema from the beginning, as a deployment migrates
# first, and loadtests and the emulator are the present ones. So it tests that earlier programs run on the present schema and topology, and that
# either program reads what the other one publishes.

upgraded_programs=(arrakis-ingestor arrakis-worker arrakis-discord-proxy arrakis-api arrakis-interactions arrakis-telegram)

command_upgrade_test() {
    local from=HEAD~1 earlier='' status=0 commit folder=$root/target/upgrade
    while (($# > 0)); do
        case $1 in
        --from | --programs)
            [[ -n ${2:-} ]] || usage_error "$1 needs a value" './dev upgrade-test [--from COMMIT|--programs FOLDER]'
            if [[ $1 == --from ]]; then from=$2; else earlier=$2; fi
            shift
            ;;
        *) usage_error "unknown option $1" './dev upgrade-test [--from COMMIT|--programs FOLDER]' ;;
        esac
        shift
    done
    if [[ -n $earlier ]]; then
        [[ -x $earlier/arrakis-worker ]] || usage_error "--programs needs a folder with built programs, not \"$earlier\"" './dev upgrade-test --programs FOLDER'
        earlier=$(realpath "$earlier")
    else
        commit=$(git -C "$root" rev-parse --verify --quiet "$from^{commit}") ||
            usage_error "--from needs a commit of this repository, not \"$from\"" './dev upgrade-test --from HEAD~1'
        earlier=$folder/earlier/$commit
    fi
    services_for_run chaos chaos
    if [[ -n ${commit:-} ]]; then build_earlier_programs "$commit" "$earlier"; fi
    build_binaries false
    make_upgrade_programs "$folder" "$earlier" "$binaries"
    services_for_run_are_up
    run_attached chaos env --chdir="$root" ARRAKIS_DEV_INSTANCE="$instance run" "$folder/programs/loadtests" chaos rolling-restart || status=$?
    ((status == 0)) || exit "$status"
    check_upgraded_replicas "$folder/started" "$earlier"
    success "a rolling upgrade from ${commit:-$earlier} loses no event"
}

# build_earlier_programs COMMIT FOLDER: builds the services of a commit, with a target folder of their own, unless the folder has them.
build_earlier_programs() {
    local source=$root/target/upgrade/source log=$instance/logs/build-earlier.log program
    if [[ -e $2/complete ]]; then return; fi
    rm -rf "$source" "$2"
    mkdir -p "$source" "$2"
    git -C "$root" archive "$1" | tar --extract --directory="$source"
    info "building commit ${1:0:12}"
    only_with SQLX_OFFLINE=true CARGO_TARGET_DIR="$root/target/upgrade/target" CARGO_TERM_COLOR=never
    # Option of the first env: after an assignment, env takes --chdir=… for another one.
    run_quietly 'the build of the earlier commit' "$log" env --chdir="$source" "${only_with[@]}" cargo build --locked --workspace --exclude loadtests --bins || {
        show_log "$log" 20
        die "the commit ${1:0:12} cannot be built" "the log is ${log#"$root/"}"
    }
    for program in "${upgraded_programs[@]}"; do
        # A program that the earlier commit does not have is new, and is not upgraded.
        if [[ -x $root/target/upgrade/target/debug/$program ]]; then cp "$root/target/upgrade/target/debug/$program" "$2/$program"; fi
    done
    touch "$2/complete"
}

# make_upgrade_programs FOLDER EARLIER PRESENT: FOLDER/programs has what loadtests starts, FOLDER/started what has been started.
make_upgrade_programs() {
    local folder=$1 program
    rm -rf "$folder/programs" "$folder/started"
    mkdir -p "$folder/programs" "$folder/started"
    for program in "$3"/*; do
        [[ -f $program && -x $program ]] || continue
        # loadtests looks for programs beside its own file, so a symbolic link would lead it away.
        ln "$(realpath "$program")" "$folder/programs/" 2>/dev/null || cp "$(realpath "$program")" "$folder/programs/"
    done
    for program in "${upgraded_programs[@]}"; do
        [[ -x $2/$program ]] || continue
        rm "$folder/programs/$program"
        # A replica keeps the address of its health endpoints. What has none is a task, such as a migration, and is the present program.
        cat >"$folder/programs/$program" <<SCRIPT
#!/bin/bash
replica=$folder/started/$program-\${HEALTH_ADDR//[^0-9]/-}
if [[ -n \${HEALTH_ADDR:-} && \$# == 0 ]]; then
    if mkdir "\$replica" 2>/dev/null; then exec "$2/$program"; fi
    mkdir "\$replica/upgraded" 2>/dev/null
fi
exec "$3/$program" "\$@"
SCRIPT
        chmod +x "$folder/programs/$program"
    done
}

# check_upgraded_replicas STARTED EARLIER: every replica was the earlier program first and the present one afterwards, of each service that the
# scenario has. A program that the earlier build does not have is new, and was the present one from the beginning.
check_upgraded_replicas() {
    local replica program wanted count
    for replica in "$1"/*/; do
        [[ -d ${replica}upgraded ]] || die "the replica $(basename "$replica") was not upgraded"
    done
    for program in arrakis-ingestor arrakis-worker arrakis-discord-proxy arrakis-interactions arrakis-api; do
        [[ -x $2/$program ]] || continue
        wanted=2
        # Links to the wallet page name its address, so there is one.
        if [[ $program == arrakis-api ]]; then wanted=1; fi
        count=$(find "$1" -mindepth 1 -maxdepth 1 -name "$program-*" | wc -l)
        ((count >= wanted)) || die "the scenario upgraded $count replicas of $program instead of $wanted"
    done
}
