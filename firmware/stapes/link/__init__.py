"""The link between a board and its host: docs/link.md.

Pure state machines, without input or output, and with clocks passed in: both ends run them.
"""
