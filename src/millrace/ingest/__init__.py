"""Carry the outside world into Kafka (stage 1): one loop for all feeds, one file or folder a provider.

May import `kafka` and the ground.
"""
