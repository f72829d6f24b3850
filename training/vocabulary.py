"""What the policies of the benchmark were told in training, for `vocabulary` in policy.yaml.

The words are those of packages/sim/src/tasks/sentences.rs; goal_intake refuses what names none of them. A test
(packages/harness/tests/vocabulary.rs) holds every sentence of every split against the shipped packages.
"""

from __future__ import annotations

NOUNS = {"cube": "block", "puck": "disc", "brick": "bar", "cylinder": "can"}
OBJECTS = [("red", "cube"), ("red", "puck"), ("yellow", "cube"), ("yellow", "puck")]
OBJECTS += [("blue", "brick"), ("blue", "cylinder"), ("green", "brick"), ("green", "cylinder")]
PUSHING = ["pushed", "pushing", "slide", "shove", "nudge", "drive", "glide", "propel", "scoot", "advance", "press"]

VOCABULARY = {
    "objects": {f"{colour} {noun}": [f"{colour} {NOUNS[noun]}"] for colour, noun in OBJECTS},
    "goals": {"left": [], "right": [], "plate": ["dish"], "push": [*PUSHING, "line", "far line", "stripe"]},
    "verbs": {
        "put": [
            "place",
            "set",
            "lay",
            "sit",
            "leave",
            "drop off",
            "deposit",
            "park",
            "deliver",
            "serve",
            "belongs",
            "goes",
            "lives",
            "finishes",
        ],
        "move": ["bring", "carry", "transfer", "relocate", "shift", "get"],
        "pick up": ["take", "grab", "lift", "lifting", "find"],
        "push": PUSHING,
    },
    "negations": "refused",
}
