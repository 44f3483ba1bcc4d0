"""Pages, plots, tables, films and cards: numbers come in, pictures and text go out."""
