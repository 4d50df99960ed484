"""From a case (problem, method, noise) to the loss at any step: the one engine behind all answers."""
