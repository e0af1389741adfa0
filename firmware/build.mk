# What is built for boards. Included by the top Makefile, which sets VENV, BIN and BOARD.
MODEL ?= models/coffee/model.tflite
GRAMMAR ?= models/grammars/coffee.yaml

.PHONY: unix-module natmods firmware

unix-module: $(VENV)/.installed-core  ## the kernels as a native module for MicroPython's unix port
	@$(BIN)/python -m stapes_tools.device unix-module build/unix

natmods: $(VENV)/.installed-core  ## native modules for stock boards: armv6m, rv32imc
	@$(BIN)/python -m stapes_tools.device natmod armv6m build/armv6m
	@$(BIN)/python -m stapes_tools.device natmod rv32imc build/rv32imc

firmware: $(VENV)/.installed-core  ## the firmware for BOARD, with MODEL and GRAMMAR: build/BOARD/stapes.uf2
	@$(BIN)/python -m stapes_tools.device firmware "$(BOARD)" "build/$(BOARD)" "$(MODEL)" "$(GRAMMAR)"
