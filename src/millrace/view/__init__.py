"""`millrace view`: a page that shows what the SQL stores hold, live, and writes nothing.

A face: may import `sinks` and the ground.
"""
