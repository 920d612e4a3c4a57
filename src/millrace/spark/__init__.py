"""How any application starts, runs, survives and stops. May import `sinks`, `queries`, `kafka` and the ground."""
