"""Who calls, what each may do, and Google's answer to those who may not."""
