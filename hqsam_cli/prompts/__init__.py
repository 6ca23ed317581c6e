"""Where prompts come from: box files, points, coarse masks; all end as one table of `ImagePrompts`."""
