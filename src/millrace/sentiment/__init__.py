"""What a post feels like: texts through a language model or a lexicon.

May import the ground, `kafka` and `sinks`.
"""
