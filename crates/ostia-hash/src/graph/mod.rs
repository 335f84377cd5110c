//! Random graphs: an edge for each key.
