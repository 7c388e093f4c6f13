# shellcheck shell=bash
# Sourced by the scripts of this folder. In a workflow of GitHub it assumes the role AWS_ROLE_ARN for an hour. GitHub's token is valid for some minutes,
# so each script requests one of its own. Elsewhere the credentials are those of the environment. Tokens are passed by standard input and a file, not
# as arguments, which every process of the machine can read.
if [[ -n ${AWS_ROLE_ARN:-} && -n ${ACTIONS_ID_TOKEN_REQUEST_TOKEN:-} ]]; then
    identity=$(mktemp)
    if ! printf 'header = "Authorization: bearer %s"\n' "$ACTIONS_ID_TOKEN_REQUEST_TOKEN" |
        curl --silent --show-error --fail --max-time 30 --retry 3 --config - "$ACTIONS_ID_TOKEN_REQUEST_URL&audience=sts.amazonaws.com" |
        jq --exit-status --raw-output --join-output .value >"$identity" ||
        ! credentials=$(aws sts assume-role-with-web-identity --role-arn "$AWS_ROLE_ARN" --role-session-name "arrakis-${GITHUB_RUN_ID:-deploy}" \
            --web-identity-token "file://$identity" --duration-seconds 3600 --query Credentials --output json); then
        rm -f "$identity"
        echo "the role $AWS_ROLE_ARN cannot be assumed with the token of GitHub: the workflow needs the permission id-token: write, and the role must trust this repository and environment (terraform/README.md)" >&2
        exit 1
    fi
    rm -f "$identity"
    AWS_ACCESS_KEY_ID=$(jq --exit-status --raw-output .AccessKeyId <<<"$credentials")
    AWS_SECRET_ACCESS_KEY=$(jq --exit-status --raw-output .SecretAccessKey <<<"$credentials")
    AWS_SESSION_TOKEN=$(jq --exit-status --raw-output .SessionToken <<<"$credentials")
    export AWS_ACCESS_KEY_ID AWS_SECRET_ACCESS_KEY AWS_SESSION_TOKEN
    unset identity credentials
fi
