"""Modulators: who becomes aware of what, and when a group goes on, rests or is parked.

Reads agents-acted and messages-forwarded, and the population topic whole; writes
observations-delivered (the group's next token), messages-forwarded, step-completed, and its state
to groups. Key: group. A step is done when its actions are routed and the next token is on its way,
unless the group rests (nobody has anything left to do) or is parked (no more scenarios wanted).
"""
