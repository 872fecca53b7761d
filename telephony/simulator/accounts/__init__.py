"""The accounts of the simulator: what each may do, how it is authenticated, and the pace of its calls."""
