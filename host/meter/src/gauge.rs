//! The host's side of the counters.

/// Fuel handed out in slices.
///
/// A metered module counts up to zero: its counter is what it has consumed, less what it was handed.
/// Slices are not seen in any amount; between them the host can look at the clock.
///
/// ```
/// use picket_meter::Gauge;
/// let (mut gauge, mut counter) = Gauge::begin(250, 100);
/// assert_eq!(counter, -100);
/// counter += 130; // the guest consumes 130, and finds at the next look that its slice is used up
/// counter = gauge.refuel(counter).unwrap();
/// assert_eq!((counter, gauge.used(counter)), (-100, 130));
/// counter += 120;
/// assert!(gauge.refuel(counter).is_err());
/// assert_eq!(gauge.used(counter), 250);
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Gauge {
    limit: u64,
    slice: u64,
    granted: u64,
}

/// The fuel is used up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Exhausted;

impl core::fmt::Display for Exhausted {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str("the fuel is used up")
    }
}

impl core::error::Error for Exhausted {}

/// Most that is handed out at once: the counter then never comes near its bounds.
const MAX_SLICE: u64 = 1 << 40;

impl Gauge {
    /// Begins a call that may consume `limit`, `slice` of it at a time. Returns the counter to begin with.
    pub fn begin(limit: u64, slice: u64) -> (Self, i64) {
        let slice = slice.clamp(1, MAX_SLICE);
        let granted = limit.min(slice);
        (Gauge { limit, slice, granted }, -(granted as i64))
    }

    /// The next slice for a guest whose counter is `counter`; returns its new counter.
    ///
    /// # Errors
    /// [`Exhausted`] if it has consumed all that it may. A guest that has consumed exactly its limit has
    /// exhausted it, as on wasmtime.
    pub fn refuel(&mut self, counter: i64) -> Result<i64, Exhausted> {
        let consumed = self.consumed(counter);
        if consumed >= self.limit {
            return Err(Exhausted);
        }
        self.granted = self.limit.min(consumed.saturating_add(self.slice));
        Ok(-((self.granted - consumed) as i64))
    }

    /// What a guest has used whose counter is `counter`: never more than its limit. Between two looks it
    /// may consume more, by less than one function has in its code; as wasmtime's, the amount ends at
    /// the limit.
    pub fn used(&self, counter: i64) -> u64 {
        self.consumed(counter).min(self.limit)
    }

    fn consumed(&self, counter: i64) -> u64 {
        self.granted.saturating_add_signed(counter)
    }
}

/// The value for [`EXPORT_STACK`](crate::EXPORT_STACK): frames that may be on the stack in the upper half,
/// bytes in the lower one. A function takes its frame off both at once; a negative half stops it.
pub fn stack_level(frames: u32, bytes: u32) -> i64 {
    const MAX: u32 = i32::MAX as u32;
    i64::from(frames.min(MAX)) << 32 | i64::from(bytes.min(MAX))
}
