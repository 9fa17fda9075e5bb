# shellcheck shell=bash
# The build and its tests as on another Debian release. Sourced, never run, after versions.sh.
#
# As with another RabbitMQ, its packages are unpacked in a folder and not installed. Programs that run there see that
# folder's usr/ instead of ours: compiler headers, C library, librabbitmq, librdkafka, RabbitMQ. Swift is this
# machine's.

debian_folder() { echo "${MQLOCK_CACHE:-${XDG_CACHE_HOME:-${HOME:-/var/tmp}/.cache}/mqlock}/debian-$1"; }

# in_debian SUITE: are we in it already?
in_debian() { [ "${MQLOCK_DEBIAN:-}" = "$1" ]; }

# install_debian SUITE: downloads and unpacks it; no root needed. Status 1 when it is not available, after printing why.
install_debian() {
    local suite=$1 folder work
    folder=$(debian_folder "$suite")
    [ ! -d "$folder/usr" ] || return 0
    if ! command -v apt-get >/dev/null || ! command -v dpkg-deb >/dev/null; then
        say "Debian $suite comes as packages, and this machine has no apt-get"
        return 1
    fi
    say "downloading Debian $suite to $folder"
    mkdir -p "${folder%/*}" && work=$(mktemp -d "$folder.XXXXXX") || return 1
    # What Swift links with, the build needs, and the tests call. The package names are those of trixie and later.
    if ! download_suite "$suite" "$work" rabbitmq-server librabbitmq-dev librdkafka-dev libc6-dev libstdc++-14-dev gcc \
        binutils pkgconf git libcurl4t64 libsqlite3-0 libxml2 libncurses6 libstdc++6 zlib1g tzdata openssl libfaketime findutils \
        diffutils debianutils tar gzip mount ca-certificates >"$work/log" 2>&1; then
        say "Debian $suite cannot be had on this machine:"
        tail -n 5 "$work/log" >&2
        rm -rf "$work"
        return 1
    fi
    # What the packages' own scripts would have created.
    ln -sf gcc "$work/root/usr/bin/cc" && ln -sf mawk "$work/root/usr/bin/awk" || return 1
    rm -rf "$folder"
    mv "$work/root" "$folder" && rm -rf "$work"
}

# enter_debian SUITE COMMAND…: becomes COMMAND in it.
enter_debian() {
    local suite=$1 usr
    shift
    usr=$(debian_folder "$suite")/usr
    version_can_run || die "$EX_UNAVAILABLE" "Debian $suite runs in a mount namespace, which root may make, and this user may not"
    say "as on Debian $suite: librabbitmq $(library_version "$usr" librabbitmq), librdkafka $(library_version "$usr" rdkafka)"
    # shellcheck disable=SC2154  # of versions.sh
    MQLOCK_DEBIAN=$suite exec "${with_usr[@]}" "$usr" "$@"
}

# library_version USR LIBRARY
library_version() { sed -n 's/^Version: *//p' "$1"/lib/*/pkgconfig/"$2".pc | head -n 1; }
