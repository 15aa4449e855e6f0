"""Whether a version that answers beside another goes on. Pure: what was seen in, a word out.

Each policy has three words: yes, no, and "not yet". Too little to go by is never a yes, a number
that is none is never a yes, and after the deadline what is not a yes is a no.
"""
