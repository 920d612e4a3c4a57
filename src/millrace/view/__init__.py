"""`millrace view`: a page that shows what the SQL stores and MongoDB hold, live, and writes nothing.

A face: may import `sinks`, `kafka` and the ground.
"""
