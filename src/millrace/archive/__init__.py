"""The archive of topics: what lies in it, how it is read, compacted, verified and replayed.

May import `kafka` and the ground.
"""
