//! Pictures. The only files that know plotters.
