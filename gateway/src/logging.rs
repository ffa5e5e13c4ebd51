//! The log of the process, on standard error.

use std::io;

use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt::format::Writer;
use tracing_subscriber::fmt::time::{FormatTime, SystemTime};
use tracing_subscriber::util::SubscriberInitExt;

use crate::config::{LogConfig, LogFormat};

/// Begins to log. Has no effect if the process logs already.
pub fn init(config: &LogConfig) {
    // The configuration has been checked; whoever made one by hand gets the default.
    let level = EnvFilter::try_new(&config.level).unwrap_or_else(|_| EnvFilter::new("info"));
    let builder = tracing_subscriber::fmt().with_env_filter(level).with_writer(io::stderr);
    let _ = match config.format {
        LogFormat::Human => builder.with_ansi(io::IsTerminal::is_terminal(&io::stderr())).finish().try_init(),
        LogFormat::Json => builder.json().flatten_event(true).finish().try_init(),
    };
}

/// The time of now, as RFC 3339 in UTC with microseconds.
pub(crate) fn timestamp() -> String {
    let mut text = String::new();
    // Writing to a string has no errors.
    let _ = SystemTime.format_time(&mut Writer::new(&mut text));
    text
}

/// The time of now as C's `asctime` writes it, in UTC: `Sat Nov 21 11:15:18 2026`.
pub(crate) fn asctime() -> String {
    asctime_of(&timestamp())
}

/// The same of a time in RFC 3339.
fn asctime_of(timestamp: &str) -> String {
    const MONTHS: [&str; 12] =
        ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
    const DAYS: [&str; 7] = ["Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"];
    let number = |range: std::ops::Range<usize>| {
        timestamp.get(range).and_then(|digits| digits.parse::<usize>().ok()).unwrap_or(0)
    };
    let (year, month, day) = (number(0..4), number(5..7), number(8..10));
    // Sakamoto's method: days of the week move by these within a year that begins in March.
    const OFFSETS: [usize; 12] = [0, 3, 2, 5, 0, 3, 5, 1, 4, 6, 2, 4];
    let month_index = month.saturating_sub(1).min(11);
    let shifted = if month < 3 { year.saturating_sub(1) } else { year };
    let weekday = (shifted + shifted / 4 - shifted / 100 + shifted / 400 + OFFSETS[month_index] + day) % 7;
    let time = timestamp.get(11..19).unwrap_or_default();
    format!("{} {} {day:2} {time} {year}", DAYS[weekday], MONTHS[month_index])
}

#[cfg(test)]
mod tests {
    use super::asctime_of;

    #[test]
    fn asctime_knows_its_days() {
        for (from, to) in [
            ("2026-11-21T11:15:18.000000Z", "Sat Nov 21 11:15:18 2026"),
            ("2024-02-29T00:00:00Z", "Thu Feb 29 00:00:00 2024"),
            ("2000-01-01T23:59:59Z", "Sat Jan  1 23:59:59 2000"),
        ] {
            assert_eq!(asctime_of(from), to);
        }
    }
}
