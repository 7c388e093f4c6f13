#!/usr/bin/env bash
# Tests a deployment from outside and inside: every service is ready, the schema is this version's, and the api answers at its public address.
# The chart's rollback has covered that pods start; this covers what they answer. Needs kubectl with access to the namespace, and curl.
#
#   VERIFY_BASE_URL=https://verify.example.org deploy/smoke.sh
#
# Where Discord delivers interactions by HTTP, INTERACTIONS_URL is the interactions endpoint URL. With ONLY_PUBLIC=true it tests the public address alone, for a deployment outside of Kubernetes.
set -euo pipefail
: "${VERIFY_BASE_URL:?set it to the public address of the api}"
namespace=${NAMESPACE:-arrakis}
failed=()

test_step() { # WHAT COMMAND…
    local what=$1
    shift
    local output
    if output=$("$@" 2>&1); then echo "passed  $what"; else echo "FAILED  $what: $(tail -n 3 <<<"$output" | paste -sd ' ')" && failed+=("$what"); fi
}
kube() { kubectl --namespace "$namespace" "$@"; }
expect_status() { # STATUS OPTION-OF-CURL…
    local wanted=$1 status
    shift
    status=$(curl --silent --show-error --output /dev/null --write-out '%{http_code}' --max-time 20 "$@") || true
    if [[ $status == "$wanted" ]]; then return; fi
    echo "status '$status' in place of $wanted at ${!#}"
    return 1
}
# The status of a GET at the public address.
answers() { # PATH STATUS
    expect_status "$2" --retry 3 --retry-connrefused "$VERIFY_BASE_URL$1"
}

test_workloads() {
    local workload workloads program
    workloads=$(kube get deployments,statefulsets --selector app.kubernetes.io/part-of=arrakis --output name)
    if [[ -z $workloads ]]; then
        echo "kubectl lists no workload of Arrakis in the namespace $namespace: NAMESPACE and KUBECONFIG select another one, or nothing is deployed there" >&2
        exit 1
    fi
    for workload in $workloads; do
        # The container has the name of its program: those of canary and shadow workers are workers.
        program=$(kube get "$workload" --output jsonpath='{.spec.template.spec.containers[0].name}')
        test_step "$workload is rolled out" kube rollout status "$workload" --timeout 120s
        test_step "$workload accepts work" kube exec "$workload" --container "$program" -- "/usr/bin/arrakis-$program" healthcheck
    done
    test_step 'the topology of the broker is that of this version' kube exec deployment/worker -- /usr/bin/arrakis-worker topology check
}

if [[ ${ONLY_PUBLIC:-} != true ]]; then test_workloads; fi
test_step 'the description of the api' answers /openapi.json 200
test_step 'an admin route without a key is refused' answers /admin/users 401
# 404 is the answer of the database: the proxy in front of the api, the api and PostgreSQL work.
test_step 'an unknown session of the wallet page is refused' answers "/verify/$(head -c 32 /dev/urandom | base64 | tr -d '+/=\n')/session" 404

# Each answers without a sign-in by 401 in HTML, and by its style sheet: the paths of the status page reach the api.
test_step 'the status page refuses who has not signed in' answers /status 401
test_step 'the style sheet of the status page' answers /assets/status/status.css 200
# As Discord does when the URL is entered, and from time to time after it: an invalid signature must be refused.
refuses_invalid_signature() {
    expect_status 401 --request POST \
        --header "x-signature-ed25519: $(printf '%0128d' 0)" --header "x-signature-timestamp: $(date +%s)" \
        --header 'content-type: application/json' --data '{"type":1}' "$INTERACTIONS_URL"
}
if [[ -n ${INTERACTIONS_URL:-} ]]; then test_step 'an interaction with an invalid signature is refused' refuses_invalid_signature; fi

if ((${#failed[@]} > 0)); then
    echo "${#failed[@]} of the smoke tests failed" >&2
    exit 1
fi
echo 'all smoke tests passed'
