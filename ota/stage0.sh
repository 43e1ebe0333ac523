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
#
# The agent knows no slots. It is told CORELET_UPDATES (STATE), CORELET_SLOT (a, b or package), CORELET_RELEASE ("STATE
# SEQUENCE DIGEST" of what runs) and, on trial, CORELET_TRIAL=1. What it wants done it writes into STATE/order, and
# `-m ota follow STATE` does it, one at a time (ota/follow.py). CORELET_HEALTHY_S (120): how long a release on trial
# must be healthy; `follow` confirms for no less.
set -u
umask 077
state=$1 progress=$2 interpreter=$3
shift 3
hang=${CORELET_HANG_S:-90} trial=${CORELET_TRIAL_S:-2400} module=${CORELET_MODULE:-agent.__main__}
watchdog=${CORELET_WATCHDOG:-/dev/watchdog}
child='' stopping='' follower=''
again=${CORELET_AGAIN_S:-30}
export CORELET_UPDATES="$state" CORELET_PROGRESS="$progress"
unset CORELET_TRIAL
gently=''
nice -n 10 true 2>/dev/null && gently='nice -n 10'

feed() { [ -z "$fed" ] || echo . >&3; }
stop() {
    stopping=yes
    [ -z "$child" ] || kill -TERM "$child" 2>/dev/null
    [ -z "$follower" ] || kill -TERM "$follower" 2>/dev/null
}
trap stop TERM INT
fed=''
if [ -c "$watchdog" ] && (: >"$watchdog") 2>/dev/null; then
    exec 3>"$watchdog"
    fed=yes
fi

begin() { # the child, in the background; its arguments
    export CORELET_SLOT="$what" CORELET_RELEASE="$phase $sequence $digest"
    [ "$phase $why" != "trial trial" ] || export CORELET_TRIAL=1
    # shellcheck disable=SC2086  # the interpreter comes with its options
    if [ "$what" = package ]; then
        $interpreter -m "${module%.__main__}" "$@" &
    else
        $interpreter -m ota.mount "$state/$what" "$offset" "$module" "$@" &
    fi
    child=$!
    unset CORELET_TRIAL
}

follow() { # what the agent ordered; where that could not even be refused, again after CORELET_AGAIN_S (30)
    if [ -n "$follower" ]; then
        kill -0 "$follower" 2>/dev/null || { wait "$follower" || rest=$again; follower=''; }
    elif [ ! -e "$state/order" ]; then
        rest=0
    elif [ "$rest" -gt 0 ]; then
        rest=$((rest - 1))
    else
        # shellcheck disable=SC2086
        $gently $interpreter -m ota follow "$state" >&2 </dev/null &
        follower=$!
    fi
}

quit() { # nobody else writes the journal while ota.boot does; what is cut here is done again
    [ -n "$follower" ] || return 0
    kill -KILL "$follower" 2>/dev/null
    wait "$follower" 2>/dev/null
    follower=''
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
    still=0 age=0 last='' rest=0
    while kill -0 "$child" 2>/dev/null; do
        pause 1
        [ -n "$stopping" ] || follow
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
    read -r what offset phase why sequence digest <<LINE
$line
LINE
    what=${what:-none}
    if [ "$what" = none ] && [ -n "${CORELET_PACKAGE:-}" ]; then
        what=package phase=idle why='' sequence=$CORELET_PACKAGE digest=''
    fi
    echo "stage0: $line" >&2
    if [ "$what" = none ]; then
        delay=60 # nothing to run: what is wrong stands in the line above
    else
        began=$(date +%s)
        begin "$@"
        watch
        status=$?
        child=''
        quit
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
