//! Time, as the host sees it.

/// A clock that never goes back. Deadlines and durations are taken from it.
pub trait Clock: Send + Sync {
    /// Microseconds since some moment of its own.
    fn monotonic_us(&self) -> u64;

    /// Microseconds that the calling thread has computed, where the system tells: a deadline then
    /// does not count the time in which other threads had the processor.
    fn thread_us(&self) -> Option<u64> {
        None
    }
}

/// The clock of the operating system.
#[cfg(feature = "std")]
#[derive(Clone, Copy, Debug)]
pub struct StdClock {
    start: std::time::Instant,
}

#[cfg(feature = "std")]
impl StdClock {
    /// A clock that starts now.
    pub fn new() -> Self {
        StdClock { start: std::time::Instant::now() }
    }
}

#[cfg(feature = "std")]
impl Default for StdClock {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(feature = "std")]
impl Clock for StdClock {
    fn monotonic_us(&self) -> u64 {
        u64::try_from(self.start.elapsed().as_micros()).unwrap_or(u64::MAX)
    }

    #[cfg(target_os = "linux")]
    fn thread_us(&self) -> Option<u64> {
        let time = rustix::time::clock_gettime(rustix::time::ClockId::ThreadCPUTime);
        let seconds = u64::try_from(time.tv_sec).ok()?;
        Some(seconds * 1_000_000 + u64::try_from(time.tv_nsec).ok()? / 1_000)
    }
}
