//! What a metered module and its host know each other by.

/// What every name that the pass adds begins with. A module that has such a name already is not metered.
pub const RESERVED_PREFIX: &str = "picket:";

/// The module that a metered module imports its two functions from.
pub const IMPORT_MODULE: &str = "picket:meter";

/// `(counter: i64, outstanding: i64) -> i64`, imported: the fuel that was handed out is used up. The sum
/// of the two goes to [`Gauge::refuel`](crate::Gauge::refuel); what comes back less `outstanding` is the
/// new counter.
pub const IMPORT_FUEL: &str = "fuel";

/// `() -> ()`, imported where the stack is counted: it is used up. Does not return.
pub const IMPORT_STACK: &str = "stack";

/// The counter, exported: a mutable global of type `i64`.
pub const EXPORT_FUEL: &str = "picket:fuel";

/// What is left of the stack, exported where it is counted: a mutable global of type `i64`, see
/// [`stack_level`](crate::stack_level).
pub const EXPORT_STACK: &str = "picket:stack";

/// The start function, exported: the host calls it like any other, so that it can be stopped.
pub const EXPORT_START: &str = "picket:start";

/// Bytes of stack that a frame is charged for beside eight for each parameter, local and operand.
pub const FRAME_BYTES: u32 = 96;

/// Frames that functions which cannot recurse may have on the stack together without being counted.
pub const UNCOUNTED_FRAMES: u32 = 64;

/// Bytes of stack of such frames together.
pub const UNCOUNTED_BYTES: u32 = 32 << 10;
