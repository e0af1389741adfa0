"""End-pointers on the host: recordings with known ends, training, calibration, and what they are worth."""
