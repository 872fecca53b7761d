"""Ringmaster's queue beside other job queues: the same work, the same servers, one log."""
