"""The parts of a change's place in the source's history (`changes`), as bits of one number of 128."""

LSN = 56  # bits of either LSN: 64 PiB of log
BEYOND = 1 << LSN
GENERATION = 2 * LSN + 2  # bits below the generation: two LSNs, whether it was streamed, and whether the row is there
MOST_GENERATIONS = 1 << (128 - GENERATION)
