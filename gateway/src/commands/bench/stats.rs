//! Order statistics of measured times.

/// Times of one request on one lane, in nanoseconds.
#[derive(Clone, Debug, Default)]
pub(crate) struct Samples {
    nanos: Vec<u64>,
    sorted: bool,
}

impl Samples {
    /// Takes in a measured time.
    pub(crate) fn push(&mut self, nanos: u64) {
        self.nanos.push(nanos);
        self.sorted = false;
    }

    /// Takes in all times of `other`.
    pub(crate) fn extend(&mut self, other: &Samples) {
        self.nanos.extend_from_slice(&other.nanos);
        self.sorted = false;
    }

    /// How many times there are.
    pub(crate) fn len(&self) -> usize {
        self.nanos.len()
    }

    /// The smallest time that at least `percent` of a hundred are not above (nearest rank), in
    /// nanoseconds; 0 where nothing was measured.
    pub(crate) fn percentile(&mut self, percent: u32) -> u64 {
        if !self.sorted {
            self.nanos.sort_unstable();
            self.sorted = true;
        }
        let rank = (self.nanos.len() * percent as usize).div_ceil(100).max(1);
        self.nanos.get(rank - 1).copied().unwrap_or(0)
    }

    /// How many of these one after the other make a second; 0 where nothing was measured.
    pub(crate) fn per_second(&self) -> f64 {
        let total: u64 = self.nanos.iter().sum();
        if total == 0 { 0.0 } else { self.nanos.len() as f64 * 1e9 / total as f64 }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_by_nearest_rank() {
        let mut samples = Samples::default();
        assert_eq!(samples.percentile(50), 0);
        for nanos in (1..=200).rev() {
            samples.push(nanos);
        }
        assert_eq!(samples.percentile(50), 100);
        assert_eq!(samples.percentile(99), 198);
        assert_eq!(samples.percentile(100), 200);
        samples.push(1_000);
        assert_eq!(samples.percentile(100), 1_000);
    }

    #[test]
    fn the_rate_is_that_of_one_after_the_other() {
        let mut samples = Samples::default();
        samples.push(1_000);
        samples.push(3_000);
        assert_eq!(samples.per_second(), 500_000.0);
    }
}
