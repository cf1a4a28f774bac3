"""The programs that are compared, each in a process of its own, told what to do line by line."""
