"""Case numbers of the coronavirus, by country: from a page, its mirror, a file or the package.

May import `names` and `errors`.
"""
