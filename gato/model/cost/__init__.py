"""What a run costs on paper: parameters, arithmetic, memory, and the step time on so many chips."""
