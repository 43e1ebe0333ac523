#!/bin/sh
# Which slot runs: for an initramfs, before it mounts the root. Takes a try from a slot on trial, then prints a or b.
#
#   slot=$(sh initramfs.sh PLACE)      PLACE: the partition or file of the two lines of ota/backends/initramfs.py
#   mount /dev/disk/by-partlabel/root-$slot /root; mkdir -p /run/corelet; echo "corelet.slot=$slot" >/run/corelet/slot
#
# Needs dd, printf, sha256sum and tr, as in busybox. Where a try cannot be written the good slot runs; where both lines
# are damaged, slot a.
set -uf
place=$1
newest=0 good=a trial=- tries=0 number=1 # what there is without a valid line

checksum() { # of a text: 42 hex digits
    sum=$(printf '%s' "$1" | sha256sum) || return 1
    sum=${sum%% *}
    printf '%s' "${sum%??????????????????????}"
}

for n in 0 1; do
    line=$(dd if="$place" bs=64 skip=$((n * 64)) count=1 2>/dev/null | tr -d '\000')
    text=${line% *}
    case $text in
        "CLB1 "[1-9][0-9][0-9][0-9][0-9][0-9][0-9][0-9][0-9]" "[ab]" "[ab-]" "[0-9]) ;;
        *) continue ;;
    esac
    [ "${line##* }" = "$(checksum "$text")" ] || continue
    # shellcheck disable=SC2086  # five words
    set -- $text
    [ "$2" -gt "$newest" ] || continue
    newest=$2 good=$3 trial=$4 tries=$5 number=$n
done

slot=$good
if [ "$newest" -eq 0 ]; then
    echo "corelet: expected the state of the slots in $place, found none that is whole; slot a runs" >&2
elif [ "$trial" != - ] && [ "$tries" -gt 0 ]; then
    text="CLB1 $((newest + 1)) $good $trial $((tries - 1))"
    if printf '%s %s\n' "$text" "$(checksum "$text")" |
        dd of="$place" bs=64 seek=$(((1 - number) * 64)) conv=notrunc,fsync 2>/dev/null; then
        slot=$trial
    else
        echo "corelet: expected to write a try to $place, could not; the good slot runs" >&2
    fi
fi
echo "$slot"
