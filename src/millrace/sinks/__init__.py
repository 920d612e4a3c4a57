"""Micro-batch to store: one file a system, each a function that returns a Writer."""
