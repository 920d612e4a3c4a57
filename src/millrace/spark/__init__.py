"""Run Spark applications: options, session, supervised queries, checkpoints, progress, stopping.

May import `sinks`, `archive`, `queries`, `kafka` and the ground.
"""
