"""Whether the tables of both sides are equal, row by row. May import what `cdc` may."""
