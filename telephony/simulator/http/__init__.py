"""The simulator's HTTP side: Twilio's API, and the switches of a test."""
