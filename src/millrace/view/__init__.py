"""`millrace view`: a page that shows what the stores hold and how copies stand, live, and writes nothing.

A face: may import `sinks`, `cdc`, `kafka` and the ground.
"""
