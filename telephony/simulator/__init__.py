"""A stand-in for Twilio's voice API: places calls that nobody hears, and remembers every one."""
