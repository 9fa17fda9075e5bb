# shellcheck shell=bash
# librdkafka's mock of a Kafka cluster, served by EmbeddedKafka. Sourced, never run, after common.sh and rabbitmq.sh.
#
# All of it lives in $top/kafka: pid, log, bootstrap (the addresses, once it serves), control (a Unix socket).
# shellcheck disable=SC2154  # top is the folder of this run of brokers/with

readonly KAFKA_READY_SECONDS=30

# kafka_program: prints the path of the newest build of EmbeddedKafka. Builds it if there is none.
kafka_program() {
    local repository=${BROKERS%/*} build debug release
    build=${MQLOCK_BUILD:-$repository/.build}
    debug=$build/debug/EmbeddedKafka release=$build/release/EmbeddedKafka
    if [ ! -x "$debug" ] && [ ! -x "$release" ]; then
        put_swift_on_path
        say "building EmbeddedKafka"
        (cd "$repository" && swift build --scratch-path "$build" --product EmbeddedKafka) 9>&- >&2 || return 1
    fi
    if [ -x "$release" ] && [ ! "$debug" -nt "$release" ]; then echo "$release"; else echo "$debug"; fi
}

# kafka_start PROGRAM OPTION…: status 1 when it does not serve in time.
kafka_start() {
    local program=$1 pid deadline=$((SECONDS + KAFKA_READY_SECONDS))
    shift
    mkdir "$top/kafka" || return 1
    {
        echo '#!/bin/sh'
        printf 'exec %q control %q "$@"\n' "$program" "$top/kafka"
    } >"$top/kafka/control-command"
    chmod +x "$top/kafka/control-command"
    # A session of its own and no blocked signal: see run_detached_node.
    # shellcheck disable=SC2016
    (exec perl -MPOSIX=setsid,sigprocmask,SIG_SETMASK -e '
        setsid(); sigprocmask(SIG_SETMASK, POSIX::SigSet->new); exec {$ARGV[0]} @ARGV' -- \
        "$program" serve "$top/kafka" "$@") </dev/null >"$top/kafka/log" 2>&1 9>&- &
    pid=$!
    disown "$pid"
    echo "$pid" >"$top/kafka/pid"
    until [ -s "$top/kafka/bootstrap" ]; do
        kill -0 "$pid" 2>/dev/null && [ "$SECONDS" -lt "$deadline" ] || return 1
        sleep 0.02
    done
}

# It stores nothing, so it needs no clean end.
kafka_stop() { [ ! -s "$top/kafka/pid" ] || stop_pid_in "$top/kafka/pid" "$top/kafka" 0; }

# kafka_show_log: its log, after a failed start.
kafka_show_log() { [ ! -s "$top/kafka/log" ] || tail -n 10 "$top/kafka/log" >&2; }
