"""Pure DataFrame to DataFrame: one file an analysis."""
