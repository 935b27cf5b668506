"""Scenarios: what happened in a window of steps, in a paragraph.

Reads step-completed; writes scenarios-extracted (the scenario library, kept for ever), and its
state to windows. Key: group. A window is done when its scenario is in the changelog and published.
"""
