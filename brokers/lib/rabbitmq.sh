# shellcheck shell=bash
# One private RabbitMQ node. Sourced, never run, after common.sh, tls.sh and versions.sh.
#
# A node has two folders:
#   home  what survives: node name, Erlang cookie, data, log (--data, or in the run folder)
#   run   what one start of brokers/with needs: ports, configuration, certificates, pids, the two scripts for tests
# `$run/settings` holds the shell variables that describe the node,
# these, all set by rabbitmq_prepare:
home='' run='' node='' amqp_port='' tls_port='' dist_port='' epmd_port='' epmd_run='' server_path='' usr=''

readonly RABBITMQ_READY_SECONDS=60 RABBITMQ_STOP_SECONDS=20

# rabbitmq_find_server: prints the path of the system's server script that runs as any user: the one on PATH, unless it
# is Debian's, which requires the user rabbitmq or root.
rabbitmq_find_server() {
    local candidate debian=/usr/lib/rabbitmq/bin/rabbitmq-server
    candidate=$(command -v rabbitmq-server) || candidate=
    case $candidate in '' | /usr/sbin/* | /usr/bin/* | /sbin/* | /bin/*) ;; *)
        echo "$candidate"
        return 0
        ;;
    esac
    for candidate in "$debian" /opt/homebrew/sbin/rabbitmq-server /usr/local/sbin/rabbitmq-server "$candidate"; do
        if [ -n "$candidate" ] && [ -x "$candidate" ]; then
            echo "$candidate"
            return 0
        fi
    done
    return 1
}

# rabbitmq_choose WANTED: sets server_path, and usr if the node runs with another usr/. WANTED is empty for the system's
# RabbitMQ, or a version such as 4.0, or the folder of an installation.
rabbitmq_choose() {
    local wanted=$1 server
    usr=
    case $wanted in
        '') ;;
        */*)
            wanted=$(cd "$wanted" 2>/dev/null && pwd) || die "$EX_UNAVAILABLE" "there is no folder $1"
            if [ -x "$wanted/usr/lib/rabbitmq/bin/rabbitmq-server" ]; then
                usr=$wanted/usr server_path=/usr/lib/rabbitmq/bin
                return
            fi
            for server_path in "$wanted/sbin" "$wanted"; do [ ! -x "$server_path/rabbitmq-server" ] || return 0; done
            die "$EX_UNAVAILABLE" "there is no RabbitMQ in $wanted: neither usr/lib/rabbitmq/bin/rabbitmq-server nor" \
                "sbin/rabbitmq-server"
            ;;
        *)
            if ! has_version / "$wanted"; then
                rabbitmq_suite "$wanted" >/dev/null ||
                    die "$EX_UNAVAILABLE" "RabbitMQ $wanted is none of 3.10, 4.0, 4.3; give the folder of an installation"
                version_is_there "$wanted" ||
                    die "$EX_UNAVAILABLE" "RabbitMQ $wanted is not here: run brokers/install --rabbitmq $wanted"
                version_can_run || die "$EX_UNAVAILABLE" \
                    "RabbitMQ $wanted runs in a mount namespace, which root may make, and this user may not"
                usr=$(version_folder "$wanted")/usr server_path=/usr/lib/rabbitmq/bin
                return
            fi
            ;;
    esac
    server=$(rabbitmq_find_server) || die "$EX_UNAVAILABLE" "RabbitMQ is not installed: run brokers/install"
    server_path=${server%/*}
}

# rabbitmq_prepare HOME RUN CONFIG [FIRST-HOME FIRST-RUN]: creates both folders and writes $run/settings. CONFIG may be
# empty. rabbitmq_choose has chosen what runs. FIRST-HOME and FIRST-RUN are the folders of the first node of the cluster
# that this one joins: it shares that node's cookie and epmd.
rabbitmq_prepare() {
    home=$1 run=$2 epmd_run=${5:-$2}
    local config=$3 first_home=${4:-}

    mkdir -p "$home" 2>/dev/null || die "$EX_CANTCREAT" "cannot make the data folder $home"
    home=$(cd "$home" && pwd) || die "$EX_CANTCREAT" "cannot enter the data folder $1"
    (mkdir -p "$home/erlang" "$home/data" "$home/log" && : >"$home/.writable" && rm "$home/.writable") 2>/dev/null ||
        die "$EX_CANTCREAT" "cannot write to the data folder $home"
    rabbitmq_take_home || die "$EX_UNAVAILABLE" "the data folder $home is in use by another run"
    # The data is bound to the name of the node that wrote it, so the name is stored with the data.
    [ -s "$home/node" ] || echo "mqlock-$(random_word)@localhost" >"$home/node"
    read -r node <"$home/node"
    if [ ! -s "$home/erlang/.erlang.cookie" ]; then
        if [ -n "$first_home" ]; then cat "$first_home/erlang/.erlang.cookie"; else random_word; fi >"$home/erlang/.erlang.cookie"
        chmod 400 "$home/erlang/.erlang.cookie"
    fi
    if [ -n "$first_home" ]; then
        rabbitmq_join_settings "$first_home" "$config" >"$run/join.conf"
        config=$run/join.conf
    fi

    mkdir -p "$run/conf/conf.d" "$run/conf/schema" "$run/conf/generated"
    : >"$run/conf/env"
    echo '[].' >"$run/conf/advanced.config"
    echo '[].' >"$run/conf/enabled_plugins"
    # Without certificates there is no TLS listener, but all else works.
    if tls_make_certificates "$run/tls"; then
        echo '[rabbitmq_auth_mechanism_ssl].' >"$run/conf/enabled_plugins"
    else
        rm -rf "$run/tls"
    fi
    rabbitmq_choose_ports "$config"
    rabbitmq_write_ctl
    rabbitmq_write_restart
}

# rabbitmq_join_settings FIRST-HOME CONFIG: prints CONFIG, and the settings with which a new node joins the one of
# FIRST-HOME.
rabbitmq_join_settings() {
    local first
    read -r first <"$1/node"
    [ -z "$2" ] || cat "$2"
    cat <<END
cluster_formation.peer_discovery_backend = classic_config
cluster_formation.classic_config.nodes.1 = $first
cluster_formation.classic_config.nodes.2 = $node
END
}

# rabbitmq_take_home: a link in the home folder to the run folder that uses it. A link without a living keeper is from a
# crash.
rabbitmq_take_home() {
    local owner keeper=''
    ln -sn "$run" "$home/in-use" 2>/dev/null && return 0
    owner=$(readlink "$home/in-use") || return 1
    [ ! -s "$owner/keeper.pid" ] || read -r keeper <"$owner/keeper.pid"
    ! own_process "$keeper" with || return 1
    rm -f "$home/in-use"
    ln -sn "$run" "$home/in-use" 2>/dev/null
}

rabbitmq_leave_home() { rm -f "$home/in-use"; }

random_word() { od -An -N8 -tx1 /dev/urandom | tr -d ' \n'; }

# rabbitmq_choose_ports CONFIG: picks free ports, possibly again, and writes the files that depend on them. The nodes of
# a cluster share the epmd of the first, in whose run folder $epmd_run is.
rabbitmq_choose_ports() {
    local name names=(amqp_port tls_port dist_port epmd_port)
    [ "$epmd_run" = "$run" ] || names=(amqp_port tls_port dist_port)
    for name in "${names[@]}"; do
        printf -v "$name" '%s' "$(free_port)"
        [ -n "${!name}" ] || die "$EX_UNAVAILABLE" "found no free port between 20000 and 32000"
    done
    [ -d "$run/tls" ] || tls_port=
    for name in home run node amqp_port tls_port dist_port epmd_port epmd_run server_path usr; do
        printf '%s=%q\n' "$name" "${!name}"
    done >"$run/settings"
    rabbitmq_configuration "$1" >"$run/conf/rabbitmq.conf"
}

# rabbitmq_configuration CONFIG: prints rabbitmq.conf. A line of CONFIG replaces ours with the same key.
rabbitmq_configuration() {
    echo "listeners.tcp.1 = 127.0.0.1:$amqp_port"
    local line
    while IFS= read -r line; do
        [ -n "$1" ] && grep -q "^[[:space:]]*${line%% *}[[:space:]]*=" "$1" && continue
        echo "$line"
    done < <(rabbitmq_our_settings)
    # Connections and channels: refused declares and killed clients are normal here, and each writes an error.
    [ -z "$1" ] || cat "$1"
}

rabbitmq_our_settings() {
    cat <<END
vm_memory_high_watermark.relative = 0.6
disk_free_limit.absolute = 50MB
raft.wal_max_size_bytes = 33554432
log.default.level = warning
log.connection.level = critical
log.channel.level = critical
END
    # A client's certificate, if there is one, is verified; its common name is the user of SASL EXTERNAL.
    [ -z "$tls_port" ] || cat <<END
listeners.ssl.1 = 127.0.0.1:$tls_port
ssl_options.cacertfile = $run/tls/ca.pem
ssl_options.certfile = $run/tls/server.pem
ssl_options.keyfile = $run/tls/server.key
ssl_options.verify = verify_peer
ssl_options.fail_if_no_peer_cert = false
ssl_options.versions.1 = tlsv1.3
ssl_options.versions.2 = tlsv1.2
ssl_cert_login_from = common_name
auth_mechanisms.1 = PLAIN
auth_mechanisms.2 = AMQPLAIN
auth_mechanisms.3 = EXTERNAL
END
}

# rabbitmq_environment COMMAND…: becomes COMMAND in the node's environment, without any variable of the caller's.
rabbitmq_environment() {
    local within=()
    [ -z "$usr" ] || version_command
    exec env -i \
        PATH="$server_path:$PATH" HOME="$home/erlang" LANG=C.UTF-8 TMPDIR="$run" \
        ERL_EPMD_PORT="$epmd_port" ERL_EPMD_ADDRESS=127.0.0.1 ERL_CRASH_DUMP_SECONDS=0 \
        RABBITMQ_NODENAME="$node" \
        RABBITMQ_DIST_PORT="$dist_port" \
        RABBITMQ_CONF_ENV_FILE="$run/conf/env" \
        RABBITMQ_CONFIG_FILE="$run/conf/rabbitmq.conf" \
        RABBITMQ_CONFIG_FILES="$run/conf/conf.d" \
        RABBITMQ_ADVANCED_CONFIG_FILE="$run/conf/advanced.config" \
        RABBITMQ_GENERATED_CONFIG_DIR="$run/conf/generated" \
        RABBITMQ_SCHEMA_DIR="$run/conf/schema" \
        RABBITMQ_ENABLED_PLUGINS_FILE="$run/conf/enabled_plugins" \
        RABBITMQ_MNESIA_BASE="$home/data" \
        RABBITMQ_LOG_BASE="$home/log" \
        RABBITMQ_PID_FILE="$run/beam.pid" \
        RABBITMQ_SERVER_ERL_ARGS="+P 262144 +t 1048576 +S 2:2 +A 16 +stbt u +sbwt none +sbwtdcpu none +sbwtdio none" \
        RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS="+B i -kernel inet_dist_use_interface {127,0,0,1}" \
        RABBITMQ_CTL_ERL_ARGS="+S 1:1 -kernel inet_dist_use_interface {127,0,0,1}" \
        RUNNING_UNDER_SYSTEMD=true \
        ${within[@]+"${within[@]}"} "$@"
    # RUNNING_UNDER_SYSTEMD lets the server script become the Erlang machine instead of staying its parent, so the pid
    # that we start is the pid to kill.
}

# rabbitmq_start: starts epmd (if it does not run) and the node, and waits until a client can log in. Status 1 when the
# node did not come up in time.
rabbitmq_start() {
    local epmd_pid='' pid
    [ ! -s "$epmd_run/epmd.pid" ] || read -r epmd_pid <"$epmd_run/epmd.pid"
    if ! own_process "$epmd_pid" epmd; then
        (rabbitmq_environment epmd -port "$epmd_port" -address 127.0.0.1) </dev/null >/dev/null 2>&1 9>&- &
        echo "$!" >"$epmd_run/epmd.pid"
        disown "$!"
    fi
    (run_detached_node) </dev/null >"$home/log/startup" 2>&1 9>&- &
    pid=$!
    disown "$pid"
    echo "$pid" >"$run/beam.pid"
    rabbitmq_wait_until_ready "$pid"
}

# In a session of its own, so that Ctrl-C and a hang-up do not reach it, and with no signal blocked. A caller that runs
# us from a Swift task blocks TERM; children inherit that, and could then not be stopped cleanly. The flag -mqlock means
# nothing to Erlang; it identifies the process by its command line.
run_detached_node() {
    # shellcheck disable=SC2016
    rabbitmq_environment perl -MPOSIX=setsid,sigprocmask,SIG_SETMASK -e '
        setsid(); sigprocmask(SIG_SETMASK, POSIX::SigSet->new); exec {$ARGV[0]} @ARGV' -- \
        "$server_path/rabbitmq-server" -mqlock "$node"
}

# rabbitmq_try_to_start CONFIG: starts the prepared node. If a port was taken between our choice and the start, it tries
# other ports. If the node does not start, it ends and shows the log.
rabbitmq_try_to_start() {
    local attempt
    for attempt in 1 2 3; do
        rabbitmq_start && return
        if [ "$attempt" -lt 3 ] && grep -qs eaddrinuse "$home/log/startup" "$home/log/$node.log"; then
            if [ "$epmd_run" = "$run" ]; then rabbitmq_stop fast; else rabbitmq_stop_node fast; fi
            rabbitmq_choose_ports "$1"
            continue
        fi
        rabbitmq_show_log
        die "$EX_UNAVAILABLE" "RabbitMQ did not come up"
    done
}

# rabbitmq_wait_until_ready PID: waits until the node answers the AMQP greeting; status 1 when PID ends first or time is
# over.
rabbitmq_wait_until_ready() {
    local deadline=$((SECONDS + RABBITMQ_READY_SECONDS))
    until rabbitmq_greets; do
        kill -0 "$1" 2>/dev/null && [ "$SECONDS" -lt "$deadline" ] || return 1
        sleep 0.05
    done
}

# The listeners open last in the node's start, the one for TLS after the other. A broker that serves answers the
# greeting with connection.start, whose frame begins with the byte 1.
rabbitmq_greets() {
    (
        exec 3<>"/dev/tcp/127.0.0.1/$amqp_port" || exit 1
        printf 'AMQP\0\0\11\1' >&3
        IFS= read -r -n 1 -t 2 byte <&3 && [ "$byte" = $'\1' ] || exit 1
        [ -z "$tls_port" ] || exec 3<>"/dev/tcp/127.0.0.1/$tls_port"
    ) 2>/dev/null
}

# rabbitmq_stop clean|fast: stops node and epmd by pid. Clean lets the node close its files, for data that is kept.
rabbitmq_stop() {
    rabbitmq_stop_node "$1"
    stop_pid_in "$epmd_run/epmd.pid" epmd 0
    rabbitmq_sweep
}

# A node that is killed while it starts leaves helpers behind, each in a session of its own, and one of them may still
# start another epmd. They have the node's environment, which names the run folder.
rabbitmq_sweep() {
    local pids
    while pids=$(grep -lszxF "TMPDIR=$run" /proc/[0-9]*/environ | cut -d / -f 3) && [ -n "$pids" ]; do
        # shellcheck disable=SC2086  # one word each
        kill -KILL $pids 2>/dev/null
        sleep 0.02
    done
}

rabbitmq_stop_node() {
    case $1 in
        clean) stop_pid_in "$run/beam.pid" "$node" "$RABBITMQ_STOP_SECONDS" ;;
        fast) stop_pid_in "$run/beam.pid" "$node" 0 ;;
    esac
}

# stop_pid_in FILE WORD SECONDS: sends TERM to the process whose pid is in FILE if its command line has WORD, and KILL
# after SECONDS. Returns when it is gone.
stop_pid_in() {
    local pid='' deadline=$((SECONDS + $3))
    [ -s "$1" ] && read -r pid <"$1"
    # Just after the fork it has our command line for a few milliseconds.
    own_process "$pid" "$2" || { sleep 0.1; own_process "$pid" "$2"; } || return 0
    if [ "$3" -gt 0 ]; then
        kill -TERM "$pid" 2>/dev/null
        kill -CONT "$pid" 2>/dev/null
        while own_process "$pid" "$2" && [ "$SECONDS" -lt "$deadline" ]; do sleep 0.05; done
    fi
    if own_process "$pid" "$2"; then kill -KILL "$pid" 2>/dev/null; fi
    while own_process "$pid" "$2"; do sleep 0.02; done
    # Its parent reaps it in a moment.
    deadline=$((SECONDS + 1))
    while kill -0 "$pid" 2>/dev/null && [ "$SECONDS" -le "$deadline" ]; do sleep 0.02; done
}

# rabbitmq_show_log: the node's log, after a failed start.
rabbitmq_show_log() {
    local file
    for file in "$home/log/startup" "$home/log/$node.log"; do
        [ -s "$file" ] || continue
        say "errors in $file, and its end:"
        grep -m 20 '\[error\]' "$file" >&2
        tail -n 10 "$file" >&2
    done
}

rabbitmq_write_ctl() {
    local tool
    for tool in rabbitmqctl rabbitmq-plugins; do
        {
            echo '#!/usr/bin/env bash'
            echo "# $tool for the node of this folder."
            printf '. %q\n' "$BROKERS"/lib/{common,tls,versions,rabbitmq}.sh "$run/settings"
            # shellcheck disable=SC2016
            echo 'rabbitmq_environment "$server_path/'"$tool"'" "$@"'
        } >"$run/$tool"
        chmod +x "$run/$tool"
    done
}

rabbitmq_write_restart() {
    {
        echo '#!/usr/bin/env bash'
        echo '# Starts the node of this folder again, with the same ports and data; a running one is stopped first.'
        printf '. %q\n' "$BROKERS"/lib/{common,tls,versions,rabbitmq}.sh "$run/settings"
        cat <<'END'
rabbitmq_stop_node clean
rabbitmq_start || {
    rabbitmq_show_log
    die "$EX_UNAVAILABLE" "the node did not come up again"
}
END
    } >"$run/restart"
    chmod +x "$run/restart"
}
