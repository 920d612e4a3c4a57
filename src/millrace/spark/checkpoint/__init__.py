"""Guards of a checkpoint: one process at a time, offsets of the right topics, windows that were read whole.

Imports what `spark` may import.
"""
