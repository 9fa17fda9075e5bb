# shellcheck shell=bash
# Small helpers of the scripts in brokers/. Sourced, never run. Works with bash 3.2 (macOS).

# Exit statuses, as in sysexits(3).
# shellcheck disable=SC2034  # used by the scripts that source this file
readonly EX_USAGE=64 EX_UNAVAILABLE=69 EX_CANTCREAT=73 EX_NOPERM=77

say() { printf '%s: %s\n' "${0##*/}" "$*" >&2; }

# die STATUS MESSAGE…
die() {
    local status=$1
    shift
    say "$@"
    exit "$status"
}

# own_process PID WORD: is PID alive (not a zombie), and does its command line contain WORD? Check before any kill: a
# recorded pid may meanwhile belong to another process.
own_process() {
    local pid=$1 word=$2 command
    case $pid in '' | *[!0-9]*) return 1 ;; esac
    if [ -r "/proc/$pid/cmdline" ]; then
        command=$(tr '\0' ' ' 2>/dev/null <"/proc/$pid/cmdline") || return 1
    else
        command=$(ps -o command= -p "$pid" 2>/dev/null) || return 1
    fi
    case $command in *"$word"*) return 0 ;; *) return 1 ;; esac
}

# run_undisturbed COMMAND…: becomes COMMAND. A shell script's background command ignores INT and QUIT; this restores the
# dispositions with which the script itself was started ($ignored_signals).
run_undisturbed() {
    exec perl -e '
        my %ignored = map { $_ => 1 } split " ", shift;
        $SIG{$_} = $ignored{$_} ? "IGNORE" : "DEFAULT" for qw(INT QUIT);
        exec {$ARGV[0]} @ARGV;
        my $status = $!{ENOENT} ? 127 : 126;
        print STDERR "with: $ARGV[0]: $!\n";
        exit $status' -- "${ignored_signals:-}" "$@"
}

# port_is_free PORT: nobody listens there on the loopback interface.
port_is_free() { ! (exec 3<>"/dev/tcp/127.0.0.1/$1") 2>/dev/null; }

# free_port: a port that nobody listens on. Below the range for outgoing connections, so that a killed broker finds its
# port free when it is started again.
free_port() {
    local port attempt
    for attempt in 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20; do
        port=$((20000 + (RANDOM * 32768 + RANDOM + attempt) % 12000))
        if port_is_free "$port"; then
            echo "$port"
            return 0
        fi
    done
    return 1
}

# find_swift: prints the path of the swift command, from PATH or one of the usual places.
find_swift() {
    local candidate
    if command -v swift; then return 0; fi
    for candidate in "${SWIFTLY_BIN_DIR:-${HOME:-}/.local/share/swiftly/bin}"/swift "${HOME:-}/.swiftly/bin/swift" \
        /usr/local/swift/usr/bin/swift /usr/share/swift/usr/bin/swift /usr/libexec/swift/bin/swift \
        /opt/*/usr/bin/swift; do
        if [ -x "$candidate" ]; then
            echo "$candidate"
            return 0
        fi
    done
    return 1
}

# put_swift_on_path: makes `swift` available below, or ends with a clear message.
put_swift_on_path() {
    local swift
    swift=$(find_swift) || die "$EX_UNAVAILABLE" "swift is not on PATH. Install Swift 6.2 or later:" \
        "https://www.swift.org/install, then run this again"
    command -v swift >/dev/null || PATH=${swift%/*}:$PATH
    export PATH
}
