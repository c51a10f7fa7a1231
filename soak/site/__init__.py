"""A site that keeps two ledgers: it appends to one, and reads both by the router."""
