#!/bin/sh
# Stage-0: starts what ota.boot chooses, watches that it goes on, and starts again. For ever, or until it is told to stop.
#
#   stage0.sh STATE PROGRESS INTERPRETER [ARGUMENT ...]     for example
#   stage0.sh /var/lib/corelet/ota /run/corelet.progress "micropython -X heapsize=512k" up --state /var/lib/corelet
#
# Runs in the folder that holds ota/ (and, with CORELET_PACKAGE=N, agent/ of sequence number N: the package's own code).
# The code that runs writes a growing number into PROGRESS (a file in memory, not on flash); if it stands still for
# CORELET_HANG_S (90) seconds, or a release on trial is not confirmed within CORELET_TRIAL_S (2400), it is killed.
# /dev/watchdog is fed here, where there is one, so that the board restarts when this loop does not turn.
# Its end by TERM or INT is orderly: the try of a release on trial is given back.
set -u
umask 077
state=$1 progress=$2 interpreter=$3
shift 3
hang=${CORELET_HANG_S:-90} trial=${CORELET_TRIAL_S:-2400} module=${CORELET_MODULE:-agent.__main__}
watchdog=${CORELET_WATCHDOG:-/dev/watchdog}
child='' stopping=''

feed() { [ -z "$fed" ] || echo . >&3; }
stop() {
    stopping=yes
    [ -z "$child" ] || kill -TERM "$child" 2>/dev/null
}
trap stop TERM INT
fed=''
if [ -c "$watchdog" ] && (: >"$watchdog") 2>/dev/null; then
    exec 3>"$watchdog"
    fed=yes
fi

begin() { # the child, in the background; its arguments
    CORELET_SLOT=$what CORELET_PROGRESS=$progress
    export CORELET_SLOT CORELET_PROGRESS
    # shellcheck disable=SC2086  # the interpreter comes with its options
    if [ "$what" = package ]; then
        $interpreter -m "${module%.__main__}" "$@" &
    else
        $interpreter -m ota.mount "$state/$what" "$offset" "$module" "$@" &
    fi
    child=$!
}

pause() { # seconds
    left=$1
    while [ "$left" -gt 0 ] && [ -z "$stopping" ]; do
        sleep 1 &
        wait $! 2>/dev/null
        feed
        left=$((left - 1))
    done
}

watch() { # the child, until it ends; its status
    still=0 age=0 last=''
    while kill -0 "$child" 2>/dev/null; do
        pause 1
        [ -z "$stopping" ] || sleep 1
        age=$((age + 1)) still=$((still + 1)) now=''
        [ ! -r "$progress" ] || read -r now <"$progress"
        [ "$now" = "$last" ] || still=0
        last=$now
        if [ "$still" -ge "$hang" ] || { [ "$age" -eq "$trial" ] && $interpreter -m ota.boot "$state" --unconfirmed; }; then
            echo "stage0: $what does not go on, or was not confirmed: killed" >&2
            kill -KILL "$child"
        fi
        if [ -n "$stopping" ] && [ "$((stopped = ${stopped:-0} + 1))" -gt 20 ]; then
            kill -KILL "$child" 2>/dev/null
        fi
    done
    wait "$child"
}

delay=${CORELET_DELAY_S:-1} # between starts, and twice as long each time
while [ -z "$stopping" ]; do
    : >"$progress"
    # shellcheck disable=SC2086
    line=$($interpreter -m ota.boot "$state" ${CORELET_PACKAGE:+--package "$CORELET_PACKAGE"} </dev/null)
    what=${line%% *} offset=${line#* }
    what=${what:-none}
    offset=${offset%% *}
    [ "$what" != none ] || [ -z "${CORELET_PACKAGE:-}" ] || what=package
    echo "stage0: $line" >&2
    if [ "$what" = none ]; then
        delay=60 # nothing to run: what is wrong stands in the line above
    else
        began=$(date +%s)
        begin "$@"
        watch
        status=$?
        child=''
        echo "stage0: $what ended with status $status" >&2
        if [ "$status" -eq 0 ] || [ -n "$stopping" ]; then
            $interpreter -m ota.boot "$state" --refund >/dev/null
        fi
        [ "$(($(date +%s) - began))" -lt 60 ] || delay=${CORELET_DELAY_S:-1}
    fi
    pause "$delay"
    delay=$((delay < 32 ? delay * 2 : 60))
done
[ -z "$fed" ] || echo V >&3 # the board need not restart
