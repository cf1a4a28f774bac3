"""Time and money: list prices, measured throughput, estimates, what a deployment costs."""
