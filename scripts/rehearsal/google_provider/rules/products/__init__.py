"""The rules of each product's resources."""
