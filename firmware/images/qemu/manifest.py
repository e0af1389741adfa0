# ruff: noqa: F821 (MicroPython's makemanifest brings these names)
# A stock interpreter, as on a board that is not ours: kernels and package come from its ROMFS.
include("$(MPY_DIR)/extmod/asyncio")
