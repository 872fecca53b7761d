"""What a call says, as it is stored: the script of its run or business, and what is known of its lead."""
