"""How fast it is, measured on the machine at hand and beside other ways of doing the same in the same run."""
