//! A recording in, its parts out. One file per kind of knowledge, all shaped alike.
