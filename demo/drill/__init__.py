"""A recovery drill on the demo project; ``run_demo.py`` is its plot."""
