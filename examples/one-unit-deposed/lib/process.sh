# The one long-lived process of this unit. Sourced by the hooks; needs flock, setsid, grep, sleep and the hook tool config-get.

# leader-deposed runs beside leader-elected if that takes its time. Whichever comes first, nothing runs afterwards.
start_process() {
    command=$(config-get command)
    (
        flock 9
        ! is_running || exit 0
        [ "$(cat "$CHARM_DIR/deposed" 2>/dev/null)" != "$TENURE_TERM" ] || exit 0
        setsid sh -c "$command" </dev/null >>"$CHARM_DIR/process.log" 2>&1 9>&- &
        echo $! >"$CHARM_DIR/process.pid"
    ) 9>"$CHARM_DIR/process.lock"
}

# stop_process TENTHS: SIGTERM, and SIGKILL when it is still there after so many tenths of a second.
stop_process() (
    flock 9
    echo "$TENURE_TERM" >"$CHARM_DIR/deposed"
    is_running || exit 0
    send TERM
    tenths=$1
    while is_running && [ "$tenths" -gt 0 ]; do
        sleep 0.1
        tenths=$((tenths - 1))
    done
    send KILL
) 9>"$CHARM_DIR/process.lock"

# A number in a file may be another process's by now (after a reboot, say): this unit's process has the unit's name.
is_running() {
    pid=$(cat "$CHARM_DIR/process.pid" 2>/dev/null) &&
        grep -qzx "JUJU_UNIT_NAME=$JUJU_UNIT_NAME" "/proc/$pid/environ" 2>/dev/null
}

# To all in its session's first process group; to itself alone where it has not made one yet.
send() {
    kill -s "$1" -- "-$pid" 2>/dev/null || kill -s "$1" "$pid" 2>/dev/null || true
}
