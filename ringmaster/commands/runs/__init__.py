"""Commands for runs and their calls: change a run, watch it, decide a call, see rejected commands."""
