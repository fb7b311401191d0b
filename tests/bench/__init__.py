"""Benchmarks: every figure is a ratio of two measurements made side by side."""
