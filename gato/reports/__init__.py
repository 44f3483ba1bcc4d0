"""Pages, plots, tables, videos and cards: numbers come in, images and text go out."""
