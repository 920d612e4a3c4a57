"""Doubles of the feeds that speak their wire protocols, and the truth of what they sent."""
