"""Benchmarks: each compares two things in one run and gives their ratio."""
