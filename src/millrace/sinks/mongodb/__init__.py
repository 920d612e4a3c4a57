"""Rows as documents of MongoDB.

May import what `sinks` may.
"""
