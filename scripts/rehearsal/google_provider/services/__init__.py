"""What Google's services do with a resource, and what they refuse."""
