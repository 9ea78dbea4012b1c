"""What is shipped, and of what: locked requirements, reproducible wheels, bills of materials, licences."""
