"""Steps of real training runs to a target loss, against the batch size."""
