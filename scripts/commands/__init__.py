"""What an operator types, a module a command: it parses, calls one function, prints."""
