//! `partita factorize`'s penalties.

use clap::Args;
use partita::nmf::{GroupSparsity, Real, Regularization};

/// What the factors pay for.
#[derive(Debug, Args)]
#[command(next_help_heading = "Penalties")]
pub(super) struct PenaltyArgs {
    /// Cost of large entries of W
    #[arg(long, value_name = "A", default_value_t = 0.0)]
    alpha_dictionary: f64,
    /// Cost of large entries of H
    #[arg(long, value_name = "A", default_value_t = 0.0)]
    alpha_activations: f64,
    /// From squares (0) to absolute values (1) in these two costs
    #[arg(long, value_name = "R", default_value_t = 0.0)]
    l1_ratio: f64,
    /// Cost of activations under templates of one norm: few large, the others small; useful are 0.01 to 1
    #[arg(long, value_name = "A", default_value_t = 0.0)]
    sparsity: f64,
    /// Cost of changes from one column of H to the next
    #[arg(long, value_name = "A", default_value_t = 0.0)]
    temporal_continuity: f64,
    /// Cost of groups of components that are active in the same column; useful are 0.01 to 1
    #[arg(
        id = "group_sparsity.strength",
        long = "group-sparsity",
        value_name = "A",
        requires = "group_sparsity.groups"
    )]
    group_sparsity: Option<f64>,
    /// Group of each component, as in 0,0,1,1
    #[arg(
        id = "group_sparsity.groups",
        long = "groups",
        value_name = "LIST",
        value_delimiter = ',',
        requires = "group_sparsity.strength"
    )]
    groups: Vec<usize>,
    /// What counts as silence of a group, relative to the mean of V
    #[arg(id = "group_sparsity.offset", long = "group-offset", value_name = "X", default_value_t = 0.01)]
    group_offset: f64,
}

impl PenaltyArgs {
    /// As the library takes them, rounded as the matrix is.
    pub(super) fn regularization<T: Real>(&self) -> Regularization {
        let rounded = |x: f64| T::nearest(x).into();
        Regularization {
            alpha_dictionary: rounded(self.alpha_dictionary),
            alpha_activations: rounded(self.alpha_activations),
            l1_ratio: rounded(self.l1_ratio),
            sparsity: rounded(self.sparsity),
            temporal_continuity: rounded(self.temporal_continuity),
            group_sparsity: self.group_sparsity.map(|strength| GroupSparsity {
                groups: self.groups.clone(),
                strength: rounded(strength),
                offset: rounded(self.group_offset),
            }),
        }
    }
}
