"""What builds the distributions of this repository."""
