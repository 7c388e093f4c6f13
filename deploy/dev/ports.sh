# shellcheck shell=bash
# Ports on loopback: free when first taken, then remembered, so that a bookmark or an open psql survives a restart.

# Whether any socket of this machine uses the port, in any state. Read from /proc: needs neither ss nor a connection.
port_is_taken() { # PORT
    local hex
    printf -v hex '%04X' "$1"
    grep -qsE "^ *[0-9]+: [0-9A-F]+:$hex " /proc/net/tcp /proc/net/tcp6
}

# port_for NAME: sets `port`. Each checkout searches from a start of its own, below the kernel's range for outgoing connections, so
# that two checkouts that start at the same time do not collide.
port_for() {
    local file=$instance/ports name=$1 sum
    port=$(sed -n "s/^$name=//p" "$file" 2>/dev/null | tail -n 1)
    if [[ -n $port ]] && ! port_is_taken "$port"; then return; fi
    sum=$(cksum <<<"$instance")
    port=$((20000 + ${sum%% *} % 600 * 20))
    while port_is_taken "$port" || grep -qs "=$port\$" "$file"; do port=$((port + 1)); done
    if [[ -e $file ]]; then sed -i "/^$name=/d" "$file"; fi
    echo "$name=$port" >>"$file"
}

remembered_port() { sed -n "s/^$1=//p" "$instance/ports" 2>/dev/null | tail -n 1; }

# True when the address accepts a connection.
accepts() { # HOST PORT
    (exec {probe}<>"/dev/tcp/$1/$2") 2>/dev/null
}

# The status of a GET, such as 200; empty without a response. Uses bash's sockets, since a new machine has no curl.
http_status() { # HOST PORT PATH [HEADER]
    (
        exec {probe}<>"/dev/tcp/$1/$2" || exit 0
        printf 'GET %s HTTP/1.0\r\nHost: %s\r\n%s\r\n' "$3" "$1" "${4:+$4$'\r\n'}" >&"$probe"
        IFS=' ' read -r -t 3 -u "$probe" _ status _ && echo "$status"
    ) 2>/dev/null || true
}

# The body of a GET, without its headers.
http_body() { # HOST PORT PATH
    (
        exec {probe}<>"/dev/tcp/$1/$2" || exit 0
        printf 'GET %s HTTP/1.0\r\nHost: %s\r\n\r\n' "$3" "$1" >&"$probe"
        timeout 10 sed '1,/^\r$/d' <&"$probe"
    ) 2>/dev/null || true
}

# The body of the response to a POST of JSON.
http_post() { # HOST PORT PATH BODY
    (
        exec {probe}<>"/dev/tcp/$1/$2" || exit 0
        printf 'POST %s HTTP/1.0\r\nHost: %s\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s' "$3" "$1" "${#4}" "$4" >&"$probe"
        timeout 10 sed '1,/^\r$/d' <&"$probe"
    ) 2>/dev/null || true
}

# host and port of a URL, into `url_host` and `url_port`.
split_url() { # URL DEFAULT_PORT
    local rest=${1#*://}
    rest=${rest%%[/?]*}
    rest=${rest##*@}
    url_host=${rest%%:*}
    url_port=${rest##*:}
    if [[ $url_port == "$rest" ]]; then url_port=$2; fi
}
