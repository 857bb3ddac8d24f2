"""One base network into a family: compound coefficients, members, the training recipe of each."""
