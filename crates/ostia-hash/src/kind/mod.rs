//! Kinds of table, and how each is searched.

pub mod halves_search;
