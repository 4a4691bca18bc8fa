"""How the bundled generator `mini` was made: corpus, shapes, training, evaluation. Nothing in the studio imports it."""
