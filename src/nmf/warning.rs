//! What a fit was asked for that cannot work as asked, as data, with what to do instead.
//! Knows no config; `misuse` finds what is wrong with one.

use std::fmt;

use crate::error::Advice;

/// Something that a fit was asked for, and that cannot work as asked.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub enum Warning {
    /// Entries of a factor start at 0, where multiplicative updates leave them.
    ZerosStay {
        /// Which factor.
        side: Side,
        /// Entries that stay 0.
        n_zeros: usize,
        /// Entries of the factor.
        n_entries: usize,
        /// Whether [`Init::Nndsvd`](super::Init::Nndsvd) put them there, and not a given factor.
        from_init: bool,
    },
    /// Components that are 0 and stay 0, so that they explain nothing.
    SilentComponents {
        /// Which, from 0.
        components: Vec<usize>,
    },
    /// Rows or columns of V that sound, and in which every component is 0 and stays 0.
    OutOfReach {
        /// [`Side::Dictionary`] for rows, [`Side::Activations`] for columns.
        side: Side,
        /// How many.
        n_lines: usize,
        /// The first of them, from 0.
        first: usize,
    },
    /// One factor pays for its size and the other, which is as free, does not: what one loses the other gains, and the
    /// product is what it is without the penalty.
    OneSidedPenalty {
        /// The factor that pays.
        side: Side,
    },
    /// A setting changes nothing.
    NoEffect {
        /// The setting, as the library spells it.
        name: &'static str,
        /// Why it changes nothing.
        reason: &'static str,
    },
    /// Zeros of V under a beta of at most 0: the divergence from 0 is infinite, so that they count as a hundred-millionth
    /// of the mean.
    ZerosInMatrix {
        /// How many of V's entries that count are 0.
        n_zeros: usize,
        /// How many there are.
        n_entries: usize,
        /// The beta of the divergence.
        beta: f64,
    },
    /// The graphics processor is a program that stands in for one.
    SoftwareGpu {
        /// What it is called.
        device: String,
    },
}

/// One of the two factors.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Side {
    /// W.
    Dictionary,
    /// H.
    Activations,
}

impl Side {
    fn other(self) -> Self {
        match self {
            Self::Dictionary => Self::Activations,
            Self::Activations => Self::Dictionary,
        }
    }

    fn name(self) -> &'static str {
        match self {
            Self::Dictionary => "dictionary",
            Self::Activations => "activations",
        }
    }
}

impl Warning {
    /// What to do about it.
    pub fn advice(&self) -> Advice {
        match self {
            Self::ZerosStay { from_init: true, .. } => Advice::set("init", "nndsvda").or("init", "nndsvdar"),
            Self::ZerosStay { from_init: false, .. } => {
                Advice::plain("give small numbers instead where they are not meant to stay 0")
            }
            Self::SilentComponents { .. } => Advice::plain("ask for fewer components, or start these otherwise"),
            Self::OutOfReach { side: Side::Dictionary, .. } => {
                Advice::plain("give a dictionary with an entry above 0 in these rows")
            }
            Self::OutOfReach { side: Side::Activations, .. } => {
                Advice::plain("give activations with an entry above 0 in these columns")
            }
            Self::OneSidedPenalty { side: Side::Activations } => Advice::set("sparsity", 0.1)
                .note("which counts activations under templates of one norm, or give `alpha_dictionary`, too"),
            Self::OneSidedPenalty { side: Side::Dictionary } => Advice::plain("give `alpha_activations`, too"),
            Self::NoEffect { .. } => Advice::plain("leave it out"),
            Self::ZerosInMatrix { .. } => {
                Advice::set("divergence", "kl").note("or add the level of the noise to the matrix")
            }
            Self::SoftwareGpu { .. } => Advice::set("device", "cpu").note("which is faster"),
        }
    }

    /// The warning for V^T ~ H^T W^T, whose factors stand in each other's places.
    pub fn transposed(self) -> Self {
        match self {
            Self::ZerosStay { side, n_zeros, n_entries, from_init } => {
                Self::ZerosStay { side: side.other(), n_zeros, n_entries, from_init }
            }
            Self::OutOfReach { side, n_lines, first } => Self::OutOfReach { side: side.other(), n_lines, first },
            Self::OneSidedPenalty { side } => Self::OneSidedPenalty { side: side.other() },
            other => other,
        }
    }
}

impl fmt::Display for Warning {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::ZerosStay { side, n_zeros, n_entries, from_init } => {
                let start = if *from_init { " with `init nndsvd`" } else { "" };
                let name = side.name();
                write!(
                    f,
                    "{n_zeros} of {n_entries} entries of the {name} start at 0{start}, and multiplicative updates leave \
                     them there"
                )
            }
            Self::SilentComponents { components } => {
                let (first, n) = (components.first().copied().unwrap_or_default(), components.len());
                let which = if n == 1 { format!("component {first} is") } else { format!("{n} components are") };
                write!(f, "{which} 0 from the start and cannot change")
            }
            Self::OutOfReach { side, n_lines, first } => {
                let (one, many) = match side {
                    Side::Dictionary => ("row", "rows"),
                    Side::Activations => ("column", "columns"),
                };
                if *n_lines == 1 {
                    write!(f, "{one} {first} of the matrix is out of reach: ")?;
                } else {
                    write!(f, "{n_lines} {many} of the matrix are out of reach, the first is {one} {first}: ")?;
                }
                write!(f, "every component is 0 there and cannot change")
            }
            Self::OneSidedPenalty { side } => {
                let name = side.name();
                write!(
                    f,
                    "`alpha_{name}` alone has no effect on the product: what it takes from one factor, the other gains"
                )
            }
            Self::NoEffect { name, reason } => write!(f, "`{name}` has no effect: {reason}"),
            Self::ZerosInMatrix { n_zeros, n_entries, beta } => write!(
                f,
                "{n_zeros} of {n_entries} entries of the matrix are 0, from which a divergence with a beta of {beta} is \
                 infinite: they count as 1e-8 of the mean"
            ),
            Self::SoftwareGpu { device } => {
                write!(f, "the graphics processor, {device}, is a program that stands in for one")
            }
        }
    }
}
