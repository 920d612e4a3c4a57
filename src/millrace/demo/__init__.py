"""Run `make demo`: pipelines, their processes and terminal views.

A face: may import `applications`, `stack` and the ground.
"""
