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
