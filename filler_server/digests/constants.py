"""Constants of the digest; `filler_server.digests.contract` says what they are for."""

GAMMA = 0x9E3779B97F4A7C15
FIRST = 0xBF58476D1CE4E5B9
LOW = 0x94D049BB133111EB
HIGH = 0xD6E8FEB86659FD93
