"""Run `make demo`: pipelines, their processes and terminal views.

A face: may import `applications`, `sinks`, `cdc`, `kafka`, `stack` and the ground.
"""
