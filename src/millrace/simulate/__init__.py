"""Doubles of the feeds that speak their wire protocols, and the truth of what they sent.

May import `errors` alone: the truth shares nothing with what it judges.
"""
