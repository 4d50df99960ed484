"""Linear probes under cross-entropy: softmax regression by Gaussian-averaged re-linearisation."""
