//! Watching work that takes time: how far it is, and a way to stop it.
//! One type for everything that takes a while; what is done with the news is the caller's business.

use std::fmt;
use std::ops::ControlFlow;

use crate::{Error, Result};

/// How far the work is.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Progress {
    /// What is being done.
    pub step: Step,
    /// Samples read or written, iterations done, or pieces of work done.
    pub done: u64,
    /// Of how many at the most, where that is known.
    pub total: Option<u64>,
    /// The objective of a factorization, where it was computed.
    pub divergence: Option<f64>,
}

/// What is being done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Step {
    /// A recording is read and transformed.
    Reading,
    /// A score is brought into the time of a recording.
    Aligning,
    /// What is in a recording, or in a matrix, is found out.
    Fitting,
    /// It is found out how loud stems become.
    Measuring,
    /// Stems are made.
    Rendering,
    /// Spectrograms are made for pictures.
    Drawing,
    /// Estimates are compared with references.
    Scoring,
}

impl Step {
    /// One word for it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Reading => "reading",
            Self::Aligning => "aligning",
            Self::Fitting => "separating",
            Self::Measuring => "measuring",
            Self::Rendering => "writing",
            Self::Drawing => "drawing",
            Self::Scoring => "scoring",
        }
    }
}

/// Someone who is told how far the work is, and may stop it.
///
/// # Examples
/// ```
/// use std::ops::ControlFlow;
/// use partita::nmf::{NmfConfig, StopReason, fit_with};
/// use partita::watch::Watch;
/// let v = ndarray::Array2::from_shape_fn((20, 30), |(i, j)| (i * j % 7) as f32);
/// let mut n_told = 0;
/// let mut tell = |_| {
///     n_told += 1;
///     if n_told < 3 { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
/// };
/// let parts = fit_with(v.view(), &NmfConfig::default(), &mut Watch::new(&mut tell))?;
/// assert_eq!((parts.n_iter, parts.stop_reason), (3, StopReason::Cancelled));
/// # Ok::<(), partita::Error>(())
/// ```
pub struct Watch<'a> {
    tell: Option<&'a mut dyn FnMut(Progress) -> ControlFlow<()>>,
    /// Once it was told to end, all that is left to do ends, too.
    is_over: bool,
}

impl fmt::Debug for Watch<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Watch").field("is_watched", &self.tell.is_some()).finish()
    }
}

impl<'a> Watch<'a> {
    /// Tells `tell` of every step; where it answers `Break`, the work ends. It is not asked again.
    pub fn new(tell: &'a mut dyn FnMut(Progress) -> ControlFlow<()>) -> Self {
        Self { tell: Some(tell), is_over: false }
    }

    /// Nobody watches: the work goes on to its end.
    pub fn none() -> Self {
        Self { tell: None, is_over: false }
    }

    /// Tells how far the work is.
    ///
    /// # Errors
    /// [`Error::Cancelled`] where it is to end.
    pub fn tell(&mut self, progress: Progress) -> Result<()> {
        if let (false, Some(tell)) = (self.is_over, &mut self.tell) {
            self.is_over = tell(progress).is_break();
        }
        if self.is_over { Err(Error::Cancelled) } else { Ok(()) }
    }

    /// [`Watch::tell`], of a step without an objective.
    ///
    /// # Errors
    /// [`Error::Cancelled`] where it is to end.
    pub fn at(&mut self, step: Step, done: u64, total: Option<u64>) -> Result<()> {
        self.tell(Progress { step, done, total, divergence: None })
    }
}
