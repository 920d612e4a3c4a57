"""The jobs, wired: what each reads, which query it runs, where its rows go.

May import `spark` and all below it: `sinks`, `archive`, `queries`, `kafka` and the ground.
"""
