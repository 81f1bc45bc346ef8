# The two halves of the how-to. Sourced by the hooks; needs the hook tools, head, od, tr, sha256sum and cut.

# Call it in leader-elected, and anywhere else you like.
set_shared_settings() {
    [ "$(is-leader)" = True ] || return 0
    [ -z "$(leader-get secret)" ] || return 0
    secret=$(head -c "$(config-get bytes)" /dev/urandom | od -An -v -tx1 | tr -d ' \n')
    # leader-set takes values as arguments only, which other users of the host can see while it runs.
    leader-set secret="$secret"
    juju-log "made the secret"
}

# Call it in leader-settings-changed, and wherever the secret is needed. Ends the hook, and well, if there is none yet:
# leader-settings-changed comes when there is.
get_shared_settings() {
    secret=$(leader-get secret)
    if [ -z "$secret" ]; then
        status-set waiting "for leader"
        exit 0
    fi
}

# The secret itself is for nobody's eyes: not in a status, not in a log, not on a command line.
show_fingerprint() {
    status-set active "secret $(printf %s "$secret" | sha256sum | cut -c 1-12)"
}
