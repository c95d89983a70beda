"""The ground floor: frozen words of the house and the rules that belong to them. No I/O here, ever."""
