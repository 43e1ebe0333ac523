"""What boards are recognised by: data, one row a board, its name first and then its marks.

Apart from the profiles, so that a board need carry only its own: this table chooses one name, and one profile is
loaded. A mark is (kind of evidence, text); the kinds are the keys of Health.board_evidence (agent/port/contract.py).
A `dt_compatible` mark is one word of the device tree's list, any other mark is the whole text. A name without marks is
chosen by its owner only, or as the default. Words of device trees are those of the kernel's and OpenWrt's DTS files.
One text, because each short literal would stay for ever in the names table of a small heap.
"""

if False:
    from typing import Any

MARKS: "list[tuple[str, list[Any]]]" = [  # (board, its marks)
    (line.split("; ")[0], [tuple(mark.split(": ")) for mark in line.split("; ")[1:]])
    for line in """generic-linux
gl-mt300n-v2; dt_compatible: glinet,gl-mt300n-v2; cpuinfo_machine: GL.iNet GL-MT300N-V2
archer-c7-v5; dt_compatible: tplink,archer-c7-v5; cpuinfo_machine: TP-Link Archer C7 v5
openwrt-one; dt_compatible: openwrt,one
gl-mt3000; dt_compatible: glinet,gl-mt3000
raspberry-pi-zero-2w; dt_compatible: raspberrypi,model-zero-2-w
raspberry-pi-3b-plus; dt_compatible: raspberrypi,3-model-b-plus
raspberry-pi-4b; dt_compatible: raspberrypi,4-model-b
raspberry-pi-5; dt_compatible: raspberrypi,5-model-b
orangepi-zero3; dt_compatible: xunlong,orangepi-zero3
odroid-c4; dt_compatible: hardkernel,odroid-c4
tv-linux-generic
coreelec-tv; os_release_id: coreelec
esp32-s3
pico2-w
qemu-x86-64; dmi_product: Standard PC (Q35 + ICH9, 2009)
qemu-aarch64; dt_compatible: linux,dummy-virt
qemu-mipsel; dt_compatible: mti,malta""".split("\n")
]
