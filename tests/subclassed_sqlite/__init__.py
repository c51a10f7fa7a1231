"""A third party's SQLite backend, as SpatiaLite's is."""
