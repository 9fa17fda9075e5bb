# shellcheck shell=bash
# Versions of RabbitMQ other than the system's. Sourced, never run, after common.sh.
#
# A version is a folder with a usr/: Debian's packages of that version with all their dependencies, down to the C
# library, unpacked and not installed. Its node runs in a mount namespace in which that usr/ replaces ours; every other
# path is the same as outside. This needs root, or a system that lets users create namespaces.

# rabbitmq_suite VERSION: prints Debian's suite that has this version of RabbitMQ.
rabbitmq_suite() {
    case $1 in
        3.10) echo bookworm ;;
        4.0) echo trixie ;;
        4.3) echo sid ;;
        *) return 1 ;;
    esac
}

# version_folder VERSION: prints where brokers/install puts this version.
version_folder() { echo "${MQLOCK_CACHE:-${XDG_CACHE_HOME:-${HOME:-/var/tmp}/.cache}/mqlock}/rabbitmq-$1"; }

# version_in FOLDER: prints the version of the RabbitMQ whose packages are unpacked there, such as 4.0.5.
version_in() {
    local found
    for found in "$1"/usr/lib/rabbitmq/lib/rabbitmq_server-*/; do
        [ -d "$found" ] || continue
        found=${found%/}
        echo "${found##*/rabbitmq_server-}"
        return 0
    done
    return 1
}

# has_version FOLDER VERSION: does the RabbitMQ whose packages are unpacked there have this version?
has_version() {
    local found
    found=$(version_in "$1") && [[ $found == "$2".* ]]
}

# version_is_there VERSION
version_is_there() { has_version "$(version_folder "$1")" "$1"; }

# Users other than root create a user namespace around it.
namespace=(unshare --mount)
[ "$(id -u)" = 0 ] || namespace=(unshare --map-root-user --mount)

version_can_run() { "${namespace[@]}" mount --bind /usr /usr 2>/dev/null; }

# The words that run a command with another usr/, which comes first. The cache of the dynamic linker names our
# libraries.
# shellcheck disable=SC2016
with_usr=("${namespace[@]}" sh -c 'mount --bind /dev/null /etc/ld.so.cache && mount --bind "$0" /usr && exec "$@"')

# version_command: sets `within` to the words that run a command with $usr as its usr/.
# shellcheck disable=SC2034,SC2154  # of rabbitmq.sh
version_command() {
    # Debian's wrappers set this, and we do not call them.
    within=(
        "RABBITMQ_PLUGINS_DIR=/usr/lib/rabbitmq/lib/rabbitmq_server-$(version_in "${usr%/usr}")/plugins" "${with_usr[@]}" "$usr"
    )
}

# install_version VERSION: downloads and unpacks it; no root needed. Status 1 when it is not available, after printing
# why.
install_version() {
    local version=$1 suite folder work found
    suite=$(rabbitmq_suite "$version") || return 1
    version_is_there "$version" && return 0
    if ! command -v apt-get >/dev/null || ! command -v dpkg-deb >/dev/null; then
        say "RabbitMQ $version comes from Debian's packages, and this machine has no apt-get"
        return 1
    fi
    folder=$(version_folder "$version")
    say "downloading RabbitMQ $version (Debian $suite) to $folder"
    mkdir -p "${folder%/*}" && work=$(mktemp -d "$folder.XXXXXX") || return 1
    if ! download_suite "$suite" "$work" rabbitmq-server >"$work/log" 2>&1; then
        say "RabbitMQ $version cannot be had from Debian $suite on this machine:"
        tail -n 5 "$work/log" >&2
        rm -rf "$work"
        return 1
    fi
    if ! has_version "$work/root" "$version"; then
        found=$(version_in "$work/root") || found=none
        say "Debian $suite has RabbitMQ $found by now, not $version"
        rm -rf "$work"
        return 1
    fi
    rm -rf "$folder"
    mv "$work/root" "$folder" && rm -rf "$work"
}

# download_suite SUITE WORK PACKAGE…: unpacks packages of SUITE, and their dependencies, into WORK/root. It uses package
# lists of its own, the mirror of this machine and the keys that it trusts; nothing of the system changes.
download_suite() {
    local suite=$1 work=$2 mirror keys=/usr/share/keyrings/debian-archive-keyring.gpg package
    shift 2
    # shellcheck disable=SC2016  # apt-get expands them
    mirror=$(apt-get indextargets --format '$(REPO_URI) $(RELEASE)' 'Created-By: Packages' \
        | awk '$2 !~ /-(security|updates|backports)/ { print $1; exit }')
    [ -n "$mirror" ] || {
        echo "no mirror of Debian in apt's sources"
        return 1
    }
    mkdir -p "$work"/{lists/partial,cache/archives/partial,root} || return 1
    echo "deb [signed-by=$keys] $mirror $suite main" >"$work/sources.list"
    : >"$work/status"
    local options=(
        -o Dir::State="$work" -o Dir::State::Lists="$work/lists" -o Dir::State::status="$work/status"
        -o Dir::Cache="$work/cache" -o Dir::Etc::SourceList="$work/sources.list" -o Dir::Etc::SourceParts=/dev/null
        # sid signs its lists for a week, and a mirror may be behind.
        -o Acquire::Check-Valid-Until=false -o APT::Sandbox::User=
        -o APT::Install-Recommends=false -o Debug::NoLocking=true -o APT::Keep-Downloaded-Packages=true
        -o DPkg::Post-Invoke= -o APT::Update::Post-Invoke=
    )
    apt-get "${options[@]}" -qq update </dev/null || return 1
    # Of the packages that every Debian has, only those that a node and its scripts call.
    apt-get "${options[@]}" -qq -y --download-only install "$@" \
        base-files libc6 libc-bin bash dash coreutils sed grep gawk mawk perl-base util-linux hostname procps </dev/null || return 1
    for package in "$work"/cache/archives/*.deb; do
        dpkg-deb --fsys-tarfile "$package" | tar -x -C "$work/root" --no-same-owner || return 1
    done
}
