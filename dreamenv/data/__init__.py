"""Episodes: explored, collected, stored; kinds of endings."""
