# shellcheck shell=bash
# Shared by the `run` scripts: builds, and starts the script again beside a private broker.
# Sourced with the names of the programs as arguments; sets $bin and $work, a folder that is removed at the end.
# The array example_brokers, if set, contains the options of brokers/with that choose the broker.
set -eu

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
# shellcheck source-path=SCRIPTDIR source=../../brokers/lib/common.sh
. "$root/brokers/lib/common.sh"

if [ -z "${MQLOCK_EXAMPLE:-}" ]; then
    export MQLOCK_EXAMPLE=1
    "$root/brokers/install"
    put_swift_on_path
    for program in "$@"; do
        say "building $program (the first time takes a minute)"
        (cd "$root" && swift build --scratch-path "${MQLOCK_BUILD:-$root/.build}" --product "$program") >&2 </dev/null
    done
    exec "$root/brokers/with" "${example_brokers[@]---rabbitmq}" -- "$0"
fi

# shellcheck disable=SC2034  # used by the scripts that source this file
bin=${MQLOCK_BUILD:-$root/.build}/debug
work=$(mktemp -d "${TMPDIR:-/tmp}/mqlock-example.XXXXXX")
trap 'kill -KILL $(jobs -p) 2>/dev/null || true; rm -rf "$work"' EXIT

# follow FILE PATTERN: waits until a line of FILE matches, at most a minute.
follow() {
    local tries=600
    while [ "$tries" -gt 0 ]; do
        if grep -q -- "$2" "$1" 2>/dev/null; then return 0; fi
        sleep 0.1
        tries=$((tries - 1))
    done
    die 1 "no line with '$2' in $1"
}

# kill_quietly PID: without the shell's own message.
kill_quietly() {
    kill -KILL "$1"
    { wait "$1" || true; } 2>/dev/null
}
