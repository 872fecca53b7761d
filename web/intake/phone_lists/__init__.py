"""Lists of phone numbers, such as a do-not-call register: read from CSV or JSON, each number checked as that of a lead is."""
