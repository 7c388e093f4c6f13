# shellcheck shell=bash
# The local chain of ./dev up: an anvil with the token whose holders are ranked, and ./dev faucet.
#
# `chain` is where the ranking comes from: `local` (anvil), `own` (CHAIN_RPC_URLS of the environment), `none` (seeded rows).
# The state of the chain belongs to that of PostgreSQL; `loadtests seed` compares the two and begins both anew when they differ.

chain_id=80094

# Selects the chain, before anything starts.
choose_chain() {
    chain=none
    if [[ -n ${CHAIN_RPC_URLS:-} ]]; then
        chain=own
        info "CHAIN_RPC_URLS is set: no local chain is started, and nothing is seeded on yours"
    elif $discord_is_emulated; then
        chain=local
    fi
}

# Starts anvil and returns at once, as start_services does.
start_chain() {
    [[ $chain == local ]] || return 0
    ensure_anvil
    if [[ -n $anvil_is_missing ]]; then
        chain=none
        warn "no local chain: $anvil_is_missing"
        info "the ranking is seeded rows instead; ./dev faucet does not work"
        return
    fi
    port_for anvil
    chain_url=http://127.0.0.1:$port
    spawn_anvil
}

spawn_anvil() {
    mkdir -p "$instance/chain"
    only_with
    # Final blocks two behind the latest; room for a block with the whole seeded history.
    spawn anvil TERM "$instance/logs/anvil.log" "${only_with[@]}" "$(anvil_program)" --host 127.0.0.1 --port "$(remembered_port anvil)" \
        --chain-id "$chain_id" --accounts 1 --slots-in-an-epoch 1 --gas-limit 3000000000 \
        --state "$instance/chain/state.json" --state-interval 5
}

wait_for_chain() {
    [[ $chain == local ]] || return 0
    local log=$instance/logs/anvil.log state=$instance/chain/state.json
    if ! anvil_accepts && [[ -e $state ]]; then
        # A file that was being written when the machine stopped.
        warn "anvil does not start with the chain's state, which is moved to ${state#"$root/"}.damaged; the chain begins anew"
        stop_processes 5 anvil
        mv "$state" "$state.damaged"
        spawn_anvil
    fi
    anvil_accepts || {
        show_log "$log" 15
        die "anvil did not start" "its log is ${log#"$root/"}"
    }
    info "anvil is ready"
}
anvil_accepts() { wait_while_running anvil '' 'anvil to accept connections' 30 accepts 127.0.0.1 "$(remembered_port anvil)"; }

# The options of `loadtests seed` for the chain.
chain_options() {
    case $chain in
    local) printf '%s\n' --local-chain "$chain_url" ;;
    own) echo --own-chain ;;
    esac
}

# Reads the chain into the ranking, by the job of a worker that runs.
sync_chain() {
    [[ $chain == local ]] || return 0
    only_with AMQP_URL DATABASE_URL
    run_logged sync "reading the chain into the ranking" "${only_with[@]}" "$binaries/arrakis-worker" eligibility sync bgt --wait
}

command_faucet() {
    (($# == 2)) || usage_error "faucet takes an address or a member, and an amount" "./dev faucet chani 500"
    check_value 'faucet' "$2" '-?[0-9]+([.][0-9]+)?' 'an amount of tokens' './dev faucet chani 500; a negative amount is burned'
    use_instance up
    services_are_running || die "./dev up is not running" "./dev up starts it"
    is_running anvil ||
        die "./dev up runs without a local chain" "its output states the reason: npm is missing, or CHAIN_RPC_URLS names a chain of your own"
    [[ -s $instance/faucet ]] || die "./dev up is still starting" "wait until it prints its addresses"
    export_environment
    local binaries emulator status=0
    { read -r binaries && read -r emulator; } <"$instance/faucet"
    only_with AMQP_URL DATABASE_URL DATABASE_ADMIN_URL
    "${only_with[@]}" "$binaries/loadtests" faucet --local-chain "http://127.0.0.1:$(remembered_port anvil)" \
        --emulator-control "$emulator" -- "$1" "$2" || status=$?
    exit "$status"
}
