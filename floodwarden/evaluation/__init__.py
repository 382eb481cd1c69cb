"""How well labelled traffic is judged, in a closed loop: found, how soon, who was hit by mistake, and against whom."""
