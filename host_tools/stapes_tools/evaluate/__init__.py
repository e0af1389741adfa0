"""Evaluation: folders of recordings through the integer model, and figures with confidence intervals."""
