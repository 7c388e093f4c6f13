#!/usr/bin/env bash
# Makes the file tree of each image from built programs: the program, the libraries that it loads, certificate authorities, and a list of
# what is inside. The Dockerfile copies these trees unchanged.
#
#   deploy/images/tree.sh PROGRAMS OUTPUT [IMAGE…]
#
# PROGRAMS is a folder with built programs, such as target/release; OUTPUT/IMAGE becomes the tree. Needs Debian 12, since the libraries of
# this machine are copied, and cargo, which lists the crates of a program.
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd -P)
root=$(cd "$here/../.." && pwd -P)

# The images, each with its program and the package that the program is built from. To add an image: a line here, a target in the Dockerfile.
program_of() { # IMAGE
    case $1 in
    ingestor) echo arrakis-ingestor ;;
    worker) echo arrakis-worker ;;
    discord-proxy) echo arrakis-discord-proxy ;;
    api) echo arrakis-api ;;
    telegram) echo arrakis-telegram ;;
    interactions) echo arrakis-interactions ;;
    emulator) echo discord-emulator ;;
    gaib) echo gaib ;;
    *) return 1 ;;
    esac
}
all_images=(ingestor worker discord-proxy api telegram interactions emulator gaib)

fail() {
    echo "tree.sh: $*" >&2
    exit 1
}

# Libraries that the dynamic linker loads for a program, one path a line, its own path included.
libraries_of() { # PROGRAM
    ldd "$1" | awk '$2 == "=>" && $3 ~ /^\// { print $3 } $1 ~ /^\// { print $1 }'
}

# The Debian package of a file; nothing where there is none. Packages list the path before the merge of /lib into /usr/lib.
package_of() { # FILE
    { dpkg-query --search "$1" "${1#/usr}" 2>/dev/null || true; } | sed -n '1s/:.*//p'
}

copy_library() { # FILE TREE
    local folder
    folder=$(realpath "$(dirname "$1")")
    install -D --mode=755 "$(realpath "$1")" "$2$folder/$(basename "$1")"
}

# What scanners and licences need: the package's entry in the form of distroless images, and its copyright file.
describe_package() { # PACKAGE TREE
    mkdir -p "$2/var/lib/dpkg/status.d"
    dpkg-query --status "$1" >"$2/var/lib/dpkg/status.d/$1"
    if [[ -e /usr/share/doc/$1/copyright ]]; then
        install -D --mode=644 "$(realpath "/usr/share/doc/$1/copyright")" "$2/usr/share/doc/$1/copyright"
    fi
}

make_tree() { # IMAGE PROGRAMS TREE
    local image=$1 program tree=$3 library package packages=(ca-certificates)
    program=$(program_of "$image") || fail "there is no image $image; images: ${all_images[*]}"
    [[ -x $2/$program ]] || fail "$2/$program is not built"
    rm -rf "$tree"
    # The merged folders of Debian 12; /proc, /sys, /dev and the files in /etc are mount points of container engines.
    mkdir -p "$tree"/{usr/bin,usr/lib,usr/lib64,etc/ssl/certs,etc/arrakis,proc,sys,dev,tmp,work}
    chmod 1777 "$tree/tmp"
    ln -s usr/lib "$tree/lib"
    ln -s usr/lib64 "$tree/lib64"
    touch "$tree"/etc/{hosts,hostname,resolv.conf}

    install --mode=755 "$2/$program" "$tree/usr/bin/$program"
    # Functions in backtraces keep their names. Line tables would double the size; they stay with the build.
    strip --strip-debug "$tree/usr/bin/$program"
    while IFS= read -r library; do
        copy_library "$library" "$tree"
        package=$(package_of "$(realpath "$(dirname "$library")")/$(basename "$library")")
        [[ -n $package ]] || fail "no Debian package has $library"
        packages+=("$package")
    done < <(libraries_of "$2/$program")
    mapfile -t packages < <(printf '%s\n' "${packages[@]}" | sort -u)

    install --mode=644 /etc/ssl/certs/ca-certificates.crt "$tree/etc/ssl/certs/ca-certificates.crt"
    install --mode=644 /usr/lib/os-release "$tree/usr/lib/os-release"
    ln -s ../usr/lib/os-release "$tree/etc/os-release"
    printf 'root:x:0:0:root:/:/sbin/nologin\nnonroot:x:65532:65532:nonroot:/:/sbin/nologin\n' >"$tree/etc/passwd"
    printf 'root:x:0:\nnonroot:x:65532:\n' >"$tree/etc/group"
    printf 'passwd: files\ngroup: files\nhosts: files dns\n' >"$tree/etc/nsswitch.conf"
    install -D --mode=644 -t "$tree/usr/share/doc/arrakis" "$root"/LICENSE-APACHE "$root"/LICENSE-MIT
    for package in "${packages[@]}"; do describe_package "$package" "$tree"; done
    mkdir -p "$tree/usr/share/sbom"
    "$here/sbom.sh" "$program" "${packages[@]}" >"$tree/usr/share/sbom/$image.cdx.json"

    chmod -R u+rwX,go+rX,go-w "$tree"
    chmod 1777 "$tree/tmp"
    # The same sources give the same tree.
    find "$tree" -exec touch --no-dereference --date="@${SOURCE_DATE_EPOCH:-0}" {} +
}

(($# >= 2)) || fail "usage: tree.sh PROGRAMS OUTPUT [IMAGE…]"
programs=$(realpath "$1") output=$2
shift 2
[[ -e /etc/ssl/certs/ca-certificates.crt ]] || fail "the package ca-certificates is not installed"
command -v strip >/dev/null || fail "the package binutils is not installed"
mkdir -p "$output"
for image in "${@:-${all_images[@]}}"; do
    make_tree "$image" "$programs" "$output/$image"
    printf '%-14s %s\n' "$image" "$(du --summarize --human-readable --apparent-size "$output/$image" | cut -f 1)"
done
