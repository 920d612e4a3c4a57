"""Write micro-batches to stores (stage 4): each writer is a function that Spark's `foreachBatch` calls.

A writer may see a batch again after a crash, so each ends its docstring with the line `Delivery: ...`. May import
`archive`, `kafka` and the ground.
"""
