"""Scenarios: what happened in a window of steps, in a paragraph.

Serves GetScenario, SearchScenarios (by meaning), WatchScenarios.

Input of the group: step-completed. Every replica reads scenarios-extracted whole, for the search.
Writes scenarios-extracted (the scenario library, kept for ever), its state to windows, and answers
to model-answers. Key: group.

A window is done when its scenario is in the changelog and published.
"""
