"""Run `make demo`: pipelines, their processes and terminal views.

A face: may import `applications`, `sinks`, `kafka`, `stack` and the ground.
"""
