# The kernels as a user C module, for ports built with make (unix, qemu).
STAPES_FIRMWARE_DIR := $(abspath $(USERMOD_DIR)/../..)

SRC_USERMOD_C += $(wildcard $(STAPES_FIRMWARE_DIR)/kernels/*.c)
SRC_USERMOD_C += $(wildcard $(STAPES_FIRMWARE_DIR)/bindings/api_*.c)
SRC_USERMOD_C += $(STAPES_EXTRA_SOURCES)
SRC_USERMOD_C += $(STAPES_FIRMWARE_DIR)/bindings/module_usermod.c

CFLAGS_USERMOD += -I$(STAPES_FIRMWARE_DIR)/bindings
CFLAGS_USERMOD += -I$(STAPES_FIRMWARE_DIR)/kernels
CFLAGS_USERMOD += -I$(STAPES_FIRMWARE_DIR)/spec/generated
