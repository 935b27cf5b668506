"""What operators need: pages, rules and dashboards, those of them that are made from code."""
