"""Files of strangers are read in a process of their own, with limits of memory and time: `python -m web.intake.readers`."""
