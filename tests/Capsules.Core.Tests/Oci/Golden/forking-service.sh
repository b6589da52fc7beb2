#!/bin/sh
# Made by capsule: starts the services, passes the request to stop on, ends when the first of them has ended. A command is run in their place.
if [ "$#" -gt 0 ]; then exec "$@"; fi
pids=
as() {
    user=${1%%:*}; group=${1#*:}; shift
    if [ "$user" = root ] || [ "$user" = 0 ]; then exec "$@"; fi
    [ "$group" != "$user" ] || group=$(id -g "$user")
    if setpriv --reuid="$user" --regid="$group" --init-groups -- sh -c : 2>/dev/null; then exec setpriv --reuid="$user" --regid="$group" --init-groups -- "$@"; fi
    if command -v runuser >/dev/null; then exec runuser -u "$user" -g "$group" -- "$@"; fi
    if command -v su >/dev/null; then exec su -s /bin/sh "$user" -c 'exec "$@"' -- sh "$@"; fi
    echo "nothing here can become user $user: setpriv, runuser or su is needed" >&2; exit 126
}
daemon() { while :; do [ -s "$1" ] && kill -0 "$(head -n 1 "$1")" 2>/dev/null || return; sleep 1; done; }
( cd '/srv' && umask 0022 && export 'TZ=UTC' && as 'web' '/bin/x' 'it'"'"'s; rm -rf $HOME' 'ÿ') || exit
( while :; do sleep 3600; done ) & pids="$pids $!"
stop() {
    trap '' TERM INT
    kill -TERM $pids 2>/dev/null
    wait
    exit 0
}
trap stop TERM INT
if [ -z "$pids" ]; then exit 0; fi
while :; do
    for pid in $pids; do kill -0 "$pid" 2>/dev/null || { wait "$pid"; status=$?; kill -TERM $pids 2>/dev/null; exit "$status"; }; done
    sleep 1 & wait $!
done
