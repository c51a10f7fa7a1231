"""What is read from replicas in the tests."""
