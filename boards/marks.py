"""What boards are recognised by: data, one row a board, its name first and then its marks.

Apart from the profiles, so that a board need carry only its own: this table chooses one name, and one profile is
loaded. A mark is (kind of evidence, text); the kinds are the keys of Health.board_evidence (agent/port/contract.py).
A `dt_compatible` mark is one word of the device tree's list, any other mark is the whole text. A name without marks is
chosen by its owner only, or as the default.
"""

MARKS: "tuple[tuple[str | tuple[str, str], ...], ...]" = (
    ("generic-linux",),
    ("gl-mt300n-v2", ("dt_compatible", "glinet,gl-mt300n-v2"), ("cpuinfo_machine", "GL.iNet GL-MT300N-V2")),
    ("qemu-x86-64", ("dmi_product", "Standard PC (Q35 + ICH9, 2009)")),
    ("raspberry-pi-zero-2w", ("dt_compatible", "raspberrypi,model-zero-2-w")),
)
