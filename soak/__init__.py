"""A site under load and under faults for as long as one likes: ``just soak MINUTES``."""
