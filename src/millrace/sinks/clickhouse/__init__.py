"""Rows as tables of ClickHouse.

May import what `sinks` may.
"""
