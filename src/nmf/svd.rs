//! The leading singular vectors of a matrix, by random projection.

use ndarray::{Array1, Array2, ArrayView2, Axis};
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;
use rand_distr::{Distribution, StandardNormal};
use rayon::prelude::*;

use super::kernel::wide;
use super::{Real, SparseMatrix};

/// Directions more than asked for, as in Halko et al. and in scikit-learn.
const OVERSAMPLING: usize = 10;

/// Power iterations: each multiplies the gaps between singular values. Scikit-learn takes 4 to 7.
const POWER_ITERATIONS: usize = 7;

/// What is left of a vector after projection counts as nothing below this share of it.
const DEPENDENT: f64 = 1e-13;

/// Sweeps of Jacobi rotations, at the most; ten or so suffice.
const MAX_SWEEPS: usize = 60;

/// Columns of the matrix that are worked on at once, in f64.
const BLOCK: usize = 256;

/// Blocks whose products are held at once.
const BLOCKS_AT_ONCE: usize = 8;

/// The leading part of a matrix M = sum over i of `s[i] u[i] v[i]^T`.
#[derive(Debug)]
pub(super) struct Svd {
    /// One left singular vector per row, `k` x `n_rows`.
    pub(super) u: Array2<f64>,
    /// Singular values, falling.
    pub(super) s: Array1<f64>,
    /// One right singular vector per row, `k` x `n_columns`.
    pub(super) v: Array2<f64>,
}

/// The first `k` singular triplets, with `k` at most the smaller side.
///
/// # References
/// N. Halko, P.-G. Martinsson and J. A. Tropp, "Finding structure with randomness: probabilistic algorithms for
/// constructing approximate matrix decompositions", SIAM Review 53(2), 2011: the randomized subspace iteration
/// (algorithm 4.4) and the direct SVD (algorithm 5.1).
pub(super) fn truncated_svd(m: &impl Matrix, k: usize, seed: u64) -> Svd {
    let (n_rows, n_columns) = m.dim();
    let n_directions = (k + OVERSAMPLING).min(n_rows).min(n_columns);
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    // Vectors are rows here, so that each is contiguous.
    let first = Array2::from_shape_simple_fn((n_directions, n_columns), || StandardNormal.sample(&mut rng));
    let mut left = m.onto_rows(&first);
    orthonormalize(&mut left);
    for _ in 0..POWER_ITERATIONS {
        let mut right = m.onto_columns(&left);
        orthonormalize(&mut right);
        left = m.onto_rows(&right);
        orthonormalize(&mut left);
    }
    // M ~ Q (M^T Q)^T, and M^T Q = B = P R: an SVD of the small R rotates Q and P into singular vectors.
    let mut right = m.onto_columns(&left);
    let r = orthonormalize(&mut right);
    let (rotation_p, s, rotation_q) = jacobi(r);
    let leading = |x: Array2<f64>| x.slice_move(ndarray::s![..k, ..]);
    Svd {
        u: leading(rotation_q.t().dot(&left)),
        s: s.slice_move(ndarray::s![..k]),
        v: leading(rotation_p.t().dot(&right)),
    }
}

/// A matrix M as what it does to vectors.
pub(super) trait Matrix {
    /// Rows and columns.
    fn dim(&self) -> (usize, usize);

    /// M x for each row x of `vectors`, as rows.
    fn onto_rows(&self, vectors: &Array2<f64>) -> Array2<f64>;

    /// M^T x for each row x of `vectors`, as rows.
    fn onto_columns(&self, vectors: &Array2<f64>) -> Array2<f64>;
}

impl<T: Real> Matrix for ArrayView2<'_, T> {
    fn dim(&self) -> (usize, usize) {
        Self::dim(self)
    }

    fn onto_rows(&self, vectors: &Array2<f64>) -> Array2<f64> {
        let blocks: Vec<_> =
            self.axis_chunks_iter(Axis(1), BLOCK).zip(vectors.axis_chunks_iter(Axis(1), BLOCK)).collect();
        let mut sum = Array2::zeros((vectors.nrows(), self.nrows()));
        for blocks in blocks.chunks(BLOCKS_AT_ONCE) {
            let products: Vec<Array2<f64>> =
                blocks.par_iter().map(|(m, vectors)| vectors.dot(&m.mapv(wide).t())).collect();
            for product in products {
                sum += &product;
            }
        }
        sum
    }

    fn onto_columns(&self, vectors: &Array2<f64>) -> Array2<f64> {
        let mut product = Array2::zeros((vectors.nrows(), self.ncols()));
        let blocks: Vec<_> =
            product.axis_chunks_iter_mut(Axis(1), BLOCK).zip(self.axis_chunks_iter(Axis(1), BLOCK)).collect();
        blocks.into_par_iter().for_each(|(mut product, m)| product.assign(&vectors.dot(&m.mapv(wide))));
        product
    }
}

/// A matrix that is mostly zero, and its transpose.
pub(super) struct Entries<'a, T: Real> {
    pub(super) rows: &'a SparseMatrix<T>,
    pub(super) columns: &'a SparseMatrix<T>,
}

impl<T: Real> Matrix for Entries<'_, T> {
    fn dim(&self) -> (usize, usize) {
        self.rows.dim()
    }

    fn onto_rows(&self, vectors: &Array2<f64>) -> Array2<f64> {
        combined(self.rows, vectors)
    }

    fn onto_columns(&self, vectors: &Array2<f64>) -> Array2<f64> {
        combined(self.columns, vectors)
    }
}

/// M x for each row x of `vectors`, as rows.
fn combined<T: Real>(m: &SparseMatrix<T>, vectors: &Array2<f64>) -> Array2<f64> {
    let vectors = vectors.t().as_standard_layout().into_owned();
    let mut product = Array2::zeros((m.dim().0, vectors.ncols()));
    product.axis_iter_mut(Axis(0)).into_par_iter().enumerate().for_each(|(row, mut product)| {
        let (columns, values) = m.row(row);
        columns.iter().zip(values).for_each(|(&j, &x)| product.scaled_add(wide(x), &vectors.row(j as usize)));
    });
    product.reversed_axes().as_standard_layout().into_owned()
}

/// Makes the rows orthonormal, in order, and returns R (upper triangular): old row j = sum over i of R[i, j] new
/// row i. A row that depends on the ones before becomes 0.
fn orthonormalize(rows: &mut Array2<f64>) -> Array2<f64> {
    let n = rows.nrows();
    let mut r = Array2::zeros((n, n));
    for j in 0..n {
        let (before, mut rest) = rows.view_mut().split_at(Axis(0), j);
        let mut row = rest.row_mut(0);
        let first_norm = row.dot(&row).sqrt();
        // Twice is enough (Kahan, Parlett): the second pass removes what rounding left in the first.
        for _ in 0..2 {
            for (i, other) in before.rows().into_iter().enumerate() {
                let along = other.dot(&row);
                r[(i, j)] += along;
                row.scaled_add(-along, &other);
            }
        }
        let norm = row.dot(&row).sqrt();
        if norm > DEPENDENT * first_norm {
            r[(j, j)] = norm;
            row /= norm;
        } else {
            row.fill(0.0);
        }
    }
    r
}

/// The singular value decomposition A = P diag(s) Q^T of a small square matrix, largest first, by one-sided Jacobi
/// rotations: Q rotates the columns of A until they are orthogonal.
fn jacobi(a: Array2<f64>) -> (Array2<f64>, Array1<f64>, Array2<f64>) {
    let n = a.nrows();
    // Rows of these are columns of the matrices.
    let (mut a, mut q) = (a.reversed_axes().as_standard_layout().into_owned(), Array2::<f64>::eye(n));
    for _ in 0..MAX_SWEEPS {
        let mut is_orthogonal = true;
        for i in 0..n {
            for j in i + 1..n {
                let (x, y) = (a.row(i), a.row(j));
                let (xx, yy, xy) = (x.dot(&x), y.dot(&y), x.dot(&y));
                if xy.abs() <= f64::EPSILON * (xx * yy).sqrt() {
                    continue;
                }
                is_orthogonal = false;
                let zeta = (yy - xx) / (2.0 * xy);
                let tangent = zeta.signum() / (zeta.abs() + (1.0 + zeta * zeta).sqrt());
                let cosine = 1.0 / (1.0 + tangent * tangent).sqrt();
                rotate(&mut a, (i, j), cosine, cosine * tangent);
                rotate(&mut q, (i, j), cosine, cosine * tangent);
            }
        }
        if is_orthogonal {
            break;
        }
    }
    let norms: Vec<f64> = a.rows().into_iter().map(|row| row.dot(&row).sqrt()).collect();
    let mut order: Vec<usize> = (0..n).collect();
    order.sort_by(|&i, &j| norms[j].total_cmp(&norms[i]));
    let mut p = a.select(Axis(0), &order);
    let s = Array1::from_iter(order.iter().map(|&i| norms[i]));
    for (mut row, &norm) in p.rows_mut().into_iter().zip(&s) {
        if norm > 0.0 {
            row /= norm;
        }
    }
    (p.reversed_axes(), s, q.select(Axis(0), &order).reversed_axes())
}

/// Rows i and j become `cosine` i - `sine` j and `sine` i + `cosine` j.
fn rotate(m: &mut Array2<f64>, (i, j): (usize, usize), cosine: f64, sine: f64) {
    for column in 0..m.ncols() {
        let (x, y) = (m[(i, column)], m[(j, column)]);
        m[(i, column)] = cosine * x - sine * y;
        m[(j, column)] = sine * x + cosine * y;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn singular_triplets_rebuild_the_matrix() {
        let mut rng = ChaCha8Rng::seed_from_u64(5);
        let m = Array2::<f64>::from_shape_simple_fn((7, 12), || StandardNormal.sample(&mut rng));
        let svd = truncated_svd(&m.view(), 7, 1);
        let scaled = &svd.u.t() * &svd.s;
        let gap = (scaled.dot(&svd.v) - &m).mapv(f64::abs).fold(0.0, |a: f64, b| a.max(*b));
        assert!(gap < 1e-10, "largest error {gap}");
        for vectors in [&svd.u, &svd.v] {
            let gap = (vectors.dot(&vectors.t()) - Array2::<f64>::eye(7)).mapv(f64::abs).sum();
            assert!(gap < 1e-10, "not orthonormal by {gap}");
        }
        assert!(svd.s.windows(2).into_iter().all(|pair| pair[0] >= pair[1]), "{}", svd.s);
    }

    #[test]
    fn a_matrix_of_lower_rank_has_singular_values_of_zero() {
        let m = Array2::from_shape_fn((5, 6), |(i, j)| (i + 1) as f32 * (j + 1) as f32);
        let svd = truncated_svd(&m.view(), 3, 0);
        let first = 55f64.sqrt() * 91f64.sqrt();
        assert!((svd.s[0] / first - 1.0).abs() < 1e-12 && svd.s[1] < 1e-9 * first, "{}", svd.s);
    }
}
