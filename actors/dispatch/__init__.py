"""When a business may place a call, and the claim of its next leads."""
