"""A site that writes notes and reads them back through the router."""
