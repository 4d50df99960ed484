"""Tables of runs that a user has measured: their columns, and curves to lay over a prediction."""
