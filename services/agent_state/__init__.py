"""Agents: who they are, what they remember, and what they do next.

Reads observations-delivered (a group's token); writes agents-acted, and its state to agents.
Key: group. A step is done when every agent of the group that had a reason to act did so, the new
state and the actions are one record of the changelog, and the actions are published.
"""
