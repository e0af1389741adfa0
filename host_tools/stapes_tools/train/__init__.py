"""Training of the acoustic model: a monotonic RNN-T with an auxiliary CTC head, in Keras 3."""
