# shellcheck shell=bash
# ./dev images: makes the file tree of each image (deploy/images/tree.sh), and runs every service from its tree as a container engine would
# (deploy/images/run.sh). ./dev demo --from-images plays the demo on these trees.
#
# target/images/PROFILE/trees has the trees, target/images/PROFILE/start a command of the program's name for each of them, so that what starts
# programs by their folder, such as the demo, starts images.

# Targets of the Dockerfile that `start_platform` runs as services.
image_services=(discord-proxy worker api ingestor)

command_images() {
    local release=false built='' check=true oci=false demo=false
    while (($# > 0)); do
        case $1 in
        --release) release=true ;;
        --programs)
            built=${2:-}
            [[ -x $built/arrakis-worker ]] || usage_error "--programs needs a folder with built programs${built:+, not \"$built\"}" './dev images --programs target/debug'
            shift
            ;;
        --no-test) check=false ;;
        --oci) oci=true ;;
        --demo) demo=true ;;
        *) usage_error "unknown option $1" "./dev images [--release] [--programs FOLDER] [--no-test|--demo] [--oci]" ;;
        esac
        shift
    done
    if $demo && ! $check; then usage_error "--demo and --no-test exclude each other" './dev images --demo'; fi
    use_instance images
    take_lock images
    clear_leftovers
    at_exit stop_everything
    rm -f "$instance"/logs/*.log
    if [[ -z $built ]]; then
        ensure_cargo
        build_binaries "$release"
        built=$binaries
    fi
    make_images "$(if $release; then echo release; else echo debug; fi)" "$built"
    if $check; then
        ensure_tools
        start_services
        wait_for_services
        check_images
        success "every image runs from its file tree"
        if $demo; then
            [[ -x $binaries/loadtests ]] || die "loadtests is not built in $built" "cargo build --package loadtests"
            run_attached demo env --chdir="$root" ARRAKIS_DEV_INSTANCE="$instance run" "$binaries/loadtests" demo || die "the demo failed on the images"
        fi
    fi
    if $oci; then make_oci_images "$(dirname "$image_trees")/oci"; fi
    printf '%s\n' "$image_sizes"
}

# make_images PROFILE PROGRAMS: makes the trees and the commands that start them; sets `binaries` to the folder of the commands.
make_images() {
    local folder=$root/target/images/$1 log=$instance/logs/trees.log image program option
    ensure_image_tools
    mkdir -p "$folder/start"
    rm -f "$log"
    info "making the file trees of the images"
    run_quietly 'the file trees' "$log" "$root/deploy/images/tree.sh" "$2" "$folder/trees" || {
        show_log "$log" 10
        die "the file trees cannot be made" "the log is ${log#"$root/"}"
    }
    image_sizes=$(cat "$log")
    for image in "$folder"/trees/*/; do
        image=$(basename "$image")
        option=''
        # A command of a user, whose files are outside of the image.
        if [[ $image == gaib ]]; then option=--here; fi
        for program in "$folder/trees/$image"/usr/bin/*; do
            program=$(basename "$program")
            printf '#!/bin/bash\nexec %q %s %q %q "$@"\n' "$root/deploy/images/run.sh" "$option" "$folder/trees" "$image" \
                >"$folder/start/$program"
            chmod +x "$folder/start/$program"
        done
    done
    # Not an image. It starts the programs of its own folder.
    rm -f "$folder/start/loadtests"
    if [[ -e $2/loadtests ]]; then
        ln "$(realpath "$2/loadtests")" "$folder/start/loadtests" 2>/dev/null || cp "$2/loadtests" "$folder/start/loadtests"
    fi
    binaries=$folder/start
    image_trees=$folder/trees
}

# make_oci_images FOLDER: makes the images themselves from the Dockerfile and the trees, by buildah, which needs no daemon; each as an archive
# that docker load and skopeo read. The files and the settings of each are compared with its tree and its target.
make_oci_images() {
    local folder=$1 target tree container mounted log=$instance/logs/buildah.log difference
    ((EUID == 0)) || die "--oci needs root: buildah mounts the images to compare their files" "sudo ./dev images --oci" 69
    if ! command -v buildah >/dev/null; then ensure_packages buildah; fi
    buildah_store=$instance/buildah
    rm -rf "$folder" "$buildah_store"
    mkdir -p "$folder"
    for target in ingestor worker migrate discord-proxy api telegram interactions emulator gaib; do
        tree=$target
        if [[ $target == migrate ]]; then tree=worker; fi
        run_quietly "buildah to make the image $target" "$log" in_store build --isolation chroot --format docker --target "$target" \
            --build-context "trees=$image_trees" --file "$root/deploy/images/Dockerfile" --tag "arrakis-$target" "$root" || {
            show_log "$log" 10
            die "the image $target cannot be made" "the log is ${log#"$root/"}"
        }
        container=$(in_store from "arrakis-$target")
        mounted=$(in_store mount "$container")
        difference=$(diff <(list_of_files "$mounted") <(list_of_files "$image_trees/$tree")) ||
            die "the files of the image $target differ from its tree: $(head -n 5 <<<"$difference")"
        diff --recursive --brief --no-dereference "$mounted" "$image_trees/$tree" || die "the content of the image $target differs from its tree"
        [[ $(in_store inspect --type image --format '{{.Docker.Config.User}}' "arrakis-$target") == 65532:65532 ]] ||
            die "the image $target has another user"
        in_store rm "$container" >>"$log"
        run_quietly "buildah to write the image $target" "$log" in_store push "arrakis-$target" "docker-archive:$folder/$target.tar:arrakis-$target:local"
        info "image $target: $(($(stat --format=%s "$folder/$target.tar") / 1000000)) MB"
    done
    rm -rf "$buildah_store"
    success "the images are in ${folder#"$root/"}"
}
in_store() { buildah --root "$buildah_store/store" --runroot "$buildah_store/run" --storage-driver vfs "$@"; }
# Path, mode, owner and link of each file, without the mode of the root folder itself, which is the engine's.
list_of_files() { (cd "$1" && find . -mindepth 1 -printf '%p %m %U:%G %l\n' | sort); }

ensure_image_tools() {
    local missing=() namespace
    command -v strip >/dev/null || missing+=(binutils)
    [[ -e /etc/ssl/certs/ca-certificates.crt ]] || missing+=(ca-certificates)
    command -v setpriv >/dev/null && command -v unshare >/dev/null || missing+=(util-linux)
    ensure_packages "${missing[@]}"
    if ((EUID == 0)); then namespace=--mount; else namespace=--map-root-user; fi
    unshare "$namespace" true 2>/dev/null ||
        die "this machine permits no namespaces to $(id -un)" "run as root, or set the sysctl kernel.unprivileged_userns_clone to 1" 69
}

# Starts the platform from the trees, and compares each process with what its image promises.
check_images() {
    local service name
    api_base='' application_id='' discord_is_emulated=true chain=none
    unset DISCORD_TOKEN DISCORD_BOT_TOKEN TELEGRAM_BOT_TOKEN
    choose_discord
    start_discord
    only_with DATABASE_OWNER_URL
    run_logged migrate "applying migrations with the image migrate" "${only_with[@]}" \
        "$root/deploy/images/run.sh" "$image_trees" migrate
    start_platform 1
    start_telegram_alone
    start_interactions_alone
    for service in "${image_services[@]}" telegram interactions emulator; do
        name=$(name_of_process "$service")
        check_confinement "$name" "$service"
        if [[ $service != emulator ]]; then check_healthcheck "$name" "$service"; fi
    done
    check_refused_start
    check_certificates
    # In the order in which ./dev up stops them.
    for service in ingestor interactions telegram api worker discord-proxy emulator; do check_stop "$(name_of_process "$service")"; done
}
name_of_process() { # IMAGE
    if [[ $1 == worker ]]; then echo worker-1; else echo "$1"; fi
}

# Telegram's service, whose Bot API does not respond: it runs and is not ready.
start_telegram_alone() {
    start_service telegram arrakis-telegram REDIS_URL API_URL="$api_url" TELEGRAM_API_BASE=http://127.0.0.1:9 \
        TELEGRAM_BOT_TOKEN=123456789:AAExample-Example_Example-Example_Ex API_CREDENTIAL=arrakis_aBcDeFgH_a-long-random-string
    wait_while_running telegram "$instance/logs/telegram.log" 'telegram to run' 30 is_alive telegram ||
        die "telegram does not run from its image" "its log is ${instance#"$root/"}/logs/telegram.log"
}

# The service to which Discord delivers interactions by HTTP, with an example of a public key: no request of this test is signed.
start_interactions_alone() {
    local address
    port_for interactions
    address=127.0.0.1:$port
    start_service interactions arrakis-interactions AMQP_URL INTERACTIONS_ADDR="$address" \
        DISCORD_PUBLIC_KEY=d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a
    wait_ready interactions
}
is_alive() { [[ $(http_status 127.0.0.1 "$(remembered_port "health_$1")" /livez) == 200 ]]; }

# check_confinement NAME IMAGE: user, capabilities, and the root folder of the running process.
check_confinement() {
    local pid status problems=()
    read -r pid _ <"$(record_of "$1")"
    status=$(</proc/"$pid"/status)
    # In a user namespace, the machine shows the caller's ids.
    if ((EUID == 0)) && [[ $(awk '$1 == "Uid:" || $1 == "Gid:" { print $2, $3, $4, $5 }' <<<"$status" | sort -u) != '65532 65532 65532 65532' ]]; then
        problems+=('its user or group is not 65532')
    fi
    if [[ $(awk '$1 == "CapEff:" || $1 == "CapPrm:" || $1 == "CapAmb:" { print $2 }' <<<"$status" | sort -u) != 0000000000000000 ]]; then
        problems+=('it has capabilities')
    fi
    grep -q $'^NoNewPrivs:\t1$' <<<"$status" || problems+=('it can gain privileges')
    if ((EUID == 0)) && [[ -n $(awk '$1 == "Groups:" { $1 = ""; gsub(/ /, ""); print }' <<<"$status") ]]; then
        problems+=('it has supplementary groups')
    fi
    # The root folder as the process sees it: the tree itself, mounted read-only, with no writable file system of the machine below it.
    if [[ $(stat --dereference --format=%i "/proc/$pid/root/.") != "$(stat --format=%i "$image_trees/$2")" ]]; then
        problems+=('its root folder is not the tree')
    fi
    if [[ $(awk '$5 == "/" { print $6 }' "/proc/$pid/mountinfo" | tail -n 1) != ro,* ]]; then problems+=('its root folder is writable'); fi
    if ((${#problems[@]} > 0)); then die "the image $2: $(printf '%s; ' "${problems[@]}" | sed 's/; $//')"; fi
    info "$2: user, capabilities and read-only root are as in the image"
}

# check_healthcheck NAME IMAGE: the HEALTHCHECK of the Dockerfile agrees with the service, which runs.
check_healthcheck() {
    local status=0 expected=0 address
    address=127.0.0.1:$(remembered_port "health_$1")
    # The Bot API does not respond, so this one is alive, but not ready.
    if [[ $2 == telegram ]]; then expected=1; fi
    HEALTH_ADDR=$address health_of_image "$2" || status=$?
    ((status == expected)) || die "the health check of the image $2 exits with $status instead of $expected" "its output is in ${instance#"$root/"}/logs/healthcheck.log"
    status=0
    HEALTH_ADDR=$address health_of_image "$2" livez || status=$?
    ((status == 0)) || die "the health check livez of the image $2 exits with $status"
    info "$2: the health check of the image agrees"
}
health_of_image() { # IMAGE [ENDPOINT]
    "$root/deploy/images/run.sh" --healthcheck "$image_trees" "$@" >>"$instance/logs/healthcheck.log" 2>&1
}

# An image without configuration names what is missing, with exit code 78; a health check without a service fails.
check_refused_start() {
    local image status
    for image in "${image_services[@]}" telegram interactions migrate; do
        status=0
        env --ignore-environment "$root/deploy/images/run.sh" "$image_trees" "$image" >>"$instance/logs/refused.log" 2>&1 || status=$?
        ((status == 78)) || die "the image $image without configuration exits with $status instead of 78"
    done
    status=0
    HEALTH_ADDR=127.0.0.1:9 health_of_image worker || status=$?
    ((status == 1)) || die "the health check of an image without a running service exits with $status instead of 1"
    info 'images without configuration exit with 78'
}

# The authorities for TLS are in every tree that is not the emulator's.
check_certificates() {
    local image count
    for image in "$image_trees"/*/; do
        count=$(grep -c 'BEGIN CERTIFICATE' "$image/etc/ssl/certs/ca-certificates.crt") || true
        ((count > 50)) || die "the image $(basename "$image") has $count certificate authorities"
    done
    info 'certificate authorities are in every image'
}

# check_stop NAME: SIGTERM reaches the service and ends it cleanly.
check_stop() {
    local pid how
    read -r pid _ <"$(record_of "$1")"
    kill -TERM "$pid"
    wait_until "$1 to end" 30 is_not_running "$1" || die "$1 does not end on SIGTERM when it runs from its image"
    how=$(end_of "$1")
    [[ $how == 'exit status 0' ]] || die "$1 ends on SIGTERM with $how when it runs from its image"
    info "$1: SIGTERM ends it"
}
is_not_running() { ! is_running "$1"; }
