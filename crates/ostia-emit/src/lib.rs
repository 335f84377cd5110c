//! Perfect hash tables out: the `.ostia` file and source code in several languages.
#![forbid(unsafe_code)]
