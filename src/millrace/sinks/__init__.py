"""Stage 4, micro-batch to store: each writer is a function that Spark's `foreachBatch` calls.

A writer may see a batch again after a crash, so each ends its docstring with the line `Delivery: ...`. May import
`archive`, `kafka` and the ground.
"""
