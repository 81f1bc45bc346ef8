# The one long-lived process of this unit. Sourced by the hooks; needs setsid, grep, sleep and the hook tool config-get.

start_process() {
    ! is_running || return 0
    setsid sh -c "$(config-get command)" </dev/null >>"$CHARM_DIR/process.log" 2>&1 &
    echo $! >"$CHARM_DIR/process.pid"
}

# stop_process TENTHS: SIGTERM, and SIGKILL when it is still there after so many tenths of a second.
stop_process() {
    is_running || return 0
    send TERM
    tenths=$1
    while is_running && [ "$tenths" -gt 0 ]; do
        sleep 0.1
        tenths=$((tenths - 1))
    done
    send KILL
}

# A number in a file may be another process's by now (after a reboot, say): this unit's process has the unit's name.
is_running() {
    pid=$(cat "$CHARM_DIR/process.pid" 2>/dev/null) &&
        grep -qzx "JUJU_UNIT_NAME=$JUJU_UNIT_NAME" "/proc/$pid/environ" 2>/dev/null
}

# To all in its session's first process group; to itself alone where it has not made one yet.
send() {
    kill -s "$1" -- "-$pid" 2>/dev/null || kill -s "$1" "$pid" 2>/dev/null || true
}
