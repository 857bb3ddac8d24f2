"""One network that holds all of a space: elastic blocks, sandwich training, extraction."""
