//! 256-bit vectors of x86-64, with fused multiply-add, where the processor has them. The only unsafe code there is.

#![expect(unsafe_code, reason = "vector instructions chosen at run time are three times as fast as portable code")]

use std::arch::x86_64::*;

use super::{Element, Job, Lanes, Simd, TWO_THIRDS, TWO_THIRDS_F64};

/// Evaluates instructions that read and write registers only.
macro_rules! registers {
    ($instructions:expr) => {
        // SAFETY: it stands where there is a value of `Avx2`, which proves that the processor has AVX2 and FMA; without a
        // pointer among their operands, nothing else is asked of these instructions.
        unsafe { $instructions }
    };
}

/// Proof that the processor has AVX2 and FMA: only [`Avx2::detect`] makes one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::nmf) struct Avx2(());

impl Avx2 {
    pub(in crate::nmf) fn detect() -> Option<Self> {
        (is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma")).then_some(Self(()))
    }

    /// Runs a job compiled for AVX2 and FMA, into which everything below is inlined.
    pub(in crate::nmf) fn run<T: Element, J: Job<T>>(self, job: J) -> J::Output
    where
        Self: Simd<T>,
    {
        #[target_feature(enable = "avx2,fma")]
        fn with_features<T: Element, J: Job<T>>(avx2: Avx2, job: J) -> J::Output
        where
            Avx2: Simd<T>,
        {
            job.run(avx2)
        }
        // SAFETY: `self` proves that the processor has both features.
        unsafe { with_features(self, job) }
    }
}

impl Simd<f32> for Avx2 {
    type V = __m256;

    #[inline(always)]
    fn load(self, from: &Lanes<f32>) -> __m256 {
        // SAFETY: `self` proves AVX; `Lanes` is 32 bytes, aligned to 32.
        unsafe { _mm256_load_ps(from.0.as_ptr()) }
    }
    #[inline(always)]
    fn store(self, x: __m256, to: &mut Lanes<f32>) {
        // SAFETY: `self` proves AVX; `Lanes` is 32 bytes, aligned to 32.
        unsafe { _mm256_store_ps(to.0.as_mut_ptr(), x) }
    }
    #[inline(always)]
    fn splat(self, x: f32) -> __m256 {
        registers!(_mm256_set1_ps(x))
    }
    #[inline(always)]
    fn add(self, a: __m256, b: __m256) -> __m256 {
        registers!(_mm256_add_ps(a, b))
    }
    #[inline(always)]
    fn sub(self, a: __m256, b: __m256) -> __m256 {
        registers!(_mm256_sub_ps(a, b))
    }
    #[inline(always)]
    fn mul(self, a: __m256, b: __m256) -> __m256 {
        registers!(_mm256_mul_ps(a, b))
    }
    #[inline(always)]
    fn div(self, a: __m256, b: __m256) -> __m256 {
        registers!(_mm256_div_ps(a, b))
    }
    #[inline(always)]
    fn max(self, a: __m256, b: __m256) -> __m256 {
        registers!(_mm256_max_ps(a, b))
    }
    #[inline(always)]
    fn sqrt(self, x: __m256) -> __m256 {
        registers!(_mm256_sqrt_ps(x))
    }
    #[inline(always)]
    fn mul_add(self, a: __m256, b: __m256, c: __m256) -> __m256 {
        registers!(_mm256_fmadd_ps(a, b, c))
    }
    #[inline(always)]
    fn prefetch(self, row: &[Lanes<f32>; 2]) {
        // SAFETY: a hint, without effect on memory, at the address of a reference.
        unsafe { _mm_prefetch::<_MM_HINT_T0>(row.as_ptr().cast()) }
    }
    #[inline(always)]
    fn sum(self, a: __m256) -> f32 {
        registers!({
            let four = _mm_add_ps(_mm256_castps256_ps128(a), _mm256_extractf128_ps::<1>(a));
            let two = _mm_add_ps(four, _mm_movehl_ps(four, four));
            _mm_cvtss_f32(_mm_add_ss(two, _mm_movehdup_ps(two)))
        })
    }
    #[inline(always)]
    fn sums(self, v: [__m256; 8]) -> [f32; 8] {
        let together = registers!({
            // Halves of two vectors side by side, then quarters of four, then eighths: the additions of `sum`, in its order.
            let mut halves = [_mm256_setzero_ps(); 4];
            for i in 0..4 {
                let (a, b) = (v[i], v[i + 4]);
                halves[i] = _mm256_add_ps(_mm256_permute2f128_ps::<0x20>(a, b), _mm256_permute2f128_ps::<0x31>(a, b));
            }
            let [a, b, c, d] = halves;
            let first = _mm256_add_ps(_mm256_unpacklo_ps(a, b), _mm256_unpackhi_ps(a, b));
            let second = _mm256_add_ps(_mm256_unpacklo_ps(c, d), _mm256_unpackhi_ps(c, d));
            let low = _mm256_shuffle_ps::<0b01_00_01_00>(first, second);
            let high = _mm256_shuffle_ps::<0b11_10_11_10>(first, second);
            _mm256_add_ps(low, high)
        });
        let mut sums = Lanes::<f32>::default();
        self.store(together, &mut sums);
        sums.0
    }
    #[inline(always)]
    fn split(self, x: __m256) -> (__m256, __m256) {
        registers!({
            let bits = _mm256_castps_si256(x);
            let e = _mm256_srai_epi32::<23>(_mm256_sub_epi32(bits, _mm256_set1_epi32(TWO_THIRDS)));
            let mantissa = _mm256_sub_epi32(bits, _mm256_slli_epi32::<23>(e));
            (_mm256_cvtepi32_ps(e), _mm256_castsi256_ps(mantissa))
        })
    }
    #[inline(always)]
    fn round(self, x: __m256) -> __m256 {
        registers!(_mm256_round_ps::<{ _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC }>(x))
    }
    #[inline(always)]
    fn exp2(self, e: __m256) -> __m256 {
        registers!({
            let e = _mm256_min_ps(_mm256_max_ps(e, _mm256_set1_ps(-126.0)), _mm256_set1_ps(127.0));
            let biased = _mm256_add_epi32(_mm256_cvtps_epi32(e), _mm256_set1_epi32(127));
            _mm256_castsi256_ps(_mm256_slli_epi32::<23>(biased))
        })
    }
}

impl Simd<f64> for Avx2 {
    type V = __m256d;

    #[inline(always)]
    fn load(self, from: &Lanes<f64>) -> __m256d {
        // SAFETY: `self` proves AVX; `Lanes` is 32 bytes, aligned to 32.
        unsafe { _mm256_load_pd(from.0.as_ptr()) }
    }
    #[inline(always)]
    fn store(self, x: __m256d, to: &mut Lanes<f64>) {
        // SAFETY: `self` proves AVX; `Lanes` is 32 bytes, aligned to 32.
        unsafe { _mm256_store_pd(to.0.as_mut_ptr(), x) }
    }
    #[inline(always)]
    fn splat(self, x: f64) -> __m256d {
        registers!(_mm256_set1_pd(x))
    }
    #[inline(always)]
    fn add(self, a: __m256d, b: __m256d) -> __m256d {
        registers!(_mm256_add_pd(a, b))
    }
    #[inline(always)]
    fn sub(self, a: __m256d, b: __m256d) -> __m256d {
        registers!(_mm256_sub_pd(a, b))
    }
    #[inline(always)]
    fn mul(self, a: __m256d, b: __m256d) -> __m256d {
        registers!(_mm256_mul_pd(a, b))
    }
    #[inline(always)]
    fn div(self, a: __m256d, b: __m256d) -> __m256d {
        registers!(_mm256_div_pd(a, b))
    }
    #[inline(always)]
    fn max(self, a: __m256d, b: __m256d) -> __m256d {
        registers!(_mm256_max_pd(a, b))
    }
    #[inline(always)]
    fn sqrt(self, x: __m256d) -> __m256d {
        registers!(_mm256_sqrt_pd(x))
    }
    #[inline(always)]
    fn mul_add(self, a: __m256d, b: __m256d, c: __m256d) -> __m256d {
        registers!(_mm256_fmadd_pd(a, b, c))
    }
    #[inline(always)]
    fn prefetch(self, row: &[Lanes<f64>; 2]) {
        // SAFETY: a hint, without effect on memory, at the address of a reference.
        unsafe { _mm_prefetch::<_MM_HINT_T0>(row.as_ptr().cast()) }
    }
    #[inline(always)]
    fn sum(self, a: __m256d) -> f64 {
        registers!({
            let two = _mm_add_pd(_mm256_castpd256_pd128(a), _mm256_extractf128_pd::<1>(a));
            _mm_cvtsd_f64(_mm_add_sd(two, _mm_unpackhi_pd(two, two)))
        })
    }
    #[inline(always)]
    fn split(self, x: __m256d) -> (__m256d, __m256d) {
        registers!({
            let bits = _mm256_castpd_si256(x);
            // There is no shift that keeps the sign: exponents are counted from -1023, and no normal x is below that.
            let from_lowest = _mm256_add_epi64(bits, _mm256_set1_epi64x((1023 << 52) - TWO_THIRDS_F64));
            let e = _mm256_srli_epi64::<52>(from_lowest);
            let signed = _mm256_sub_epi64(e, _mm256_set1_epi64x(1023));
            let mantissa = _mm256_sub_epi64(bits, _mm256_slli_epi64::<52>(signed));
            // In the last bits of 2^52, whole numbers become a double.
            let magic = _mm256_castpd_si256(_mm256_set1_pd(TWO_TO_52));
            let e = _mm256_sub_pd(_mm256_castsi256_pd(_mm256_or_si256(e, magic)), _mm256_set1_pd(TWO_TO_52 + 1023.0));
            (e, _mm256_castsi256_pd(mantissa))
        })
    }
    #[inline(always)]
    fn round(self, x: __m256d) -> __m256d {
        registers!(_mm256_round_pd::<{ _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC }>(x))
    }
    #[inline(always)]
    fn exp2(self, e: __m256d) -> __m256d {
        registers!({
            let e = _mm256_min_pd(_mm256_max_pd(e, _mm256_set1_pd(-1022.0)), _mm256_set1_pd(1023.0));
            // In the last bits of 2^52, the double becomes a whole number; the shift drops the rest.
            let biased = _mm256_castpd_si256(_mm256_add_pd(e, _mm256_set1_pd(TWO_TO_52 + 1023.0)));
            _mm256_castsi256_pd(_mm256_slli_epi64::<52>(biased))
        })
    }
}

/// From here on, doubles are whole numbers, the last bit being 1.
const TWO_TO_52: f64 = 4_503_599_627_370_496.0;
