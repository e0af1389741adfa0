# ruff: noqa: F821 (MicroPython's makemanifest brings these names)
# What is frozen into the image. The reference stays out: the image has the kernels in C.
freeze("$(PORT_DIR)/modules")
include("$(MPY_DIR)/extmod/asyncio")
package("stapes", base_path="$(BOARD_DIR)/../../firmware", opt=3)
module("stapes_spec.py", base_path="$(BOARD_DIR)/../../firmware/spec/generated", opt=3)
module("main.py", base_path="$(BOARD_DIR)/../../firmware/images/pico", opt=3)
