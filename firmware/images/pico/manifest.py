# ruff: noqa: F821 (MicroPython's makemanifest brings these names)
# What is frozen into the image. The reference stays out: the image has the kernels in C.
# The board package, and what the board knows of its board.toml, the build puts beside it.
freeze("$(PORT_DIR)/modules")
include("$(MPY_DIR)/extmod/asyncio")
module("stapes_spec.py", base_path="$(BOARD_DIR)/../../firmware/spec/generated", opt=3)
module("main.py", base_path="$(BOARD_DIR)/../../firmware/images/pico", opt=3)
