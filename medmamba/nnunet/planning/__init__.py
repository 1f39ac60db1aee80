"""Plans within a memory budget: the planner, the model of memory, and what a plan costs."""
