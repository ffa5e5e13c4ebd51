//! From a type to a module.

use picket_abi::Manifest;

use crate::filter::Filter;

/// A filter that [`export!`](crate::export!) has turned into a module. Implemented by the macro.
pub trait Exported: Filter {
    /// What the module says of itself.
    const MANIFEST: Manifest<'static>;
}

/// Turns a [`Filter`] into a module: its exports, its manifest, allocator and panic report.
///
/// ```
/// # use picket_guest::{ConfigError, Configure, Filter, export};
/// # struct Guard;
/// # impl Filter for Guard {
/// #     fn configure(_: &Configure<'_>) -> Result<Self, ConfigError> { Ok(Guard) }
/// # }
/// export! {
///     Guard {
///         name: "guard",
///         version: env!("CARGO_PKG_VERSION"),
///         kind: "auth",
///         phases: [request_head, log],
///         // From here on everything may be left out.
///         capabilities: [log, kv],
///         body_window: 0,
///         heap: 16 * 1024,
///         panic: report,
///     }
/// }
/// ```
///
/// - `name`, `version`, `kind`: at most 64 bytes of printable ASCII each. The kind is a word that
///   tells people what sort of filter it is: `waf`, `auth`, `headers`, …
/// - `phases`: of `request_head`, `request_body`, `response_head`, `response_body`, `error`, `log`.
///   Only these are exported; the host calls no other. `configure` is always there.
/// - `capabilities`: of `log`, `emit`, `kv`, `http_fetch`, `now`, `random`. A host refuses a module
///   that imports what it does not declare, or declares what the policy does not grant.
/// - `body_window`: how many bytes of a body the host holds back, so that what the filter blocks
///   has not been sent on.
/// - `input`: length of the buffer for messages that the module begins with, in bytes: 8 KiB, or
///   32 KiB where there are body phases. Longer messages are taken all the same, on the heap.
/// - `heap`: bytes that can be allocated before memory has to grow. Growing costs an instance some
///   microseconds, so give a filter what one transaction usually needs.
/// - `panic`: `report` sends the text of a panic with file and line to the host, which takes the
///   capability `panic` and some kilobytes of formatting code; `silent` only traps.
#[macro_export]
macro_rules! export {
    (
        $filter:ty {
            name: $name:expr,
            version: $version:expr,
            kind: $kind:expr,
            phases: [$($phase:tt),+ $(,)?]
            $(, capabilities: [$($capability:tt),* $(,)?])?
            $(, body_window: $window:expr)?
            $(, input: $input:expr)?
            $(, heap: $heap:expr)?
            $(, panic: $panic:tt)?
            $(,)?
        }
    ) => {
        impl $crate::Exported for $filter {
            const MANIFEST: $crate::abi::Manifest<'static> = $crate::abi::Manifest {
                name: $crate::abi::Octets(::core::primitive::str::as_bytes($name)),
                version: $crate::abi::Octets(::core::primitive::str::as_bytes($version)),
                kind: $crate::abi::Octets(::core::primitive::str::as_bytes($kind)),
                phases: $crate::abi::PhaseSet::EMPTY
                    .with($crate::abi::Phase::Configure)
                    $(.with($crate::__phase!($phase)))+,
                capabilities: {
                    let set = $crate::abi::CapabilitySet::EMPTY
                        $($(.with($crate::__capability!($capability)))*)?;
                    if $crate::__reports!($($panic)?) {
                        set.with($crate::abi::Capability::Panic)
                    } else {
                        set
                    }
                },
                body_window: $crate::__or!([$($window)?] 0),
            };
        }

        // Checks the manifest on every target, not only where it becomes a section.
        const _: [u8; $crate::__private::manifest_len(&<$filter as $crate::Exported>::MANIFEST)] =
            $crate::__private::encode_manifest(&<$filter as $crate::Exported>::MANIFEST);

        #[cfg(target_arch = "wasm32")]
        const _: () = {
            const LEN: usize =
                $crate::__private::manifest_len(&<$filter as $crate::Exported>::MANIFEST);
            #[used]
            #[unsafe(link_section = "picket.manifest")]
            static SECTION: [u8; LEN] =
                $crate::__private::encode_manifest(&<$filter as $crate::Exported>::MANIFEST);

            #[global_allocator]
            static HEAP: $crate::__private::Heap<{ $crate::__or!([$($heap)?] 16 * 1024) }> =
                $crate::__private::Heap::new();

            static INPUT: $crate::__private::FirstInput<
                {
                    $crate::__or!(
                        [$($input)?]
                        $crate::__private::first_input_len(<$filter as $crate::Exported>::MANIFEST.phases)
                    )
                },
            > = $crate::__private::FirstInput::new();
            static RUNTIME: $crate::__private::Runtime<$filter> =
                $crate::__private::Runtime::new(&INPUT);

            #[panic_handler]
            fn panic(info: &::core::panic::PanicInfo<'_>) -> ! {
                $crate::__private::panic::<{ $crate::__reports!($($panic)?) }>(info)
            }

            #[unsafe(no_mangle)]
            extern "C" fn picket_abi() -> u32 {
                $crate::__private::abi_version()
            }

            #[unsafe(no_mangle)]
            extern "C" fn picket_input(len: u32) -> u32 {
                RUNTIME.input(len)
            }

            #[unsafe(no_mangle)]
            extern "C" fn picket_configure(len: u32) -> u64 {
                RUNTIME.configure(len)
            }

            $($crate::__phase_export!($phase RUNTIME);)+
        };
    };
}

/// Declares a place for data that a host or a build puts into the module: `attached!(pub RULES);`
/// makes a static whose `get()` is those bytes, empty where nothing was put in. Once a module.
///
/// The data are part of the module's initial memory: every instance has them from the start and pays
/// nothing for them. `picket_host::attach` and `picket rules bake` put them in.
#[macro_export]
macro_rules! attached {
    ($visibility:vis $name:ident) => {
        /// Data that were put into the module.
        #[cfg_attr(target_arch = "wasm32", unsafe(export_name = "picket_data"))]
        $visibility static $name: $crate::__private::DataSlot = $crate::__private::DataSlot::new();
    };
}

#[doc(hidden)]
#[macro_export]
macro_rules! __or {
    ([] $default:expr) => {
        $default
    };
    ([$given:expr] $default:expr) => {
        $given
    };
}

#[doc(hidden)]
#[macro_export]
macro_rules! __reports {
    () => {
        true
    };
    (report) => {
        true
    };
    (silent) => {
        false
    };
    ($other:tt) => {
        compile_error!(concat!("`", stringify!($other), "`: a panic is to be `report` or `silent`"))
    };
}

#[doc(hidden)]
#[macro_export]
macro_rules! __phase {
    (request_head) => {
        $crate::abi::Phase::RequestHead
    };
    (request_body) => {
        $crate::abi::Phase::RequestBody
    };
    (response_head) => {
        $crate::abi::Phase::ResponseHead
    };
    (response_body) => {
        $crate::abi::Phase::ResponseBody
    };
    (error) => {
        $crate::abi::Phase::Error
    };
    (log) => {
        $crate::abi::Phase::Log
    };
    ($other:tt) => {
        compile_error!(concat!(
            "`",
            stringify!($other),
            "` is no phase: request_head, request_body, response_head, response_body, error, log are"
        ))
    };
}

#[doc(hidden)]
#[macro_export]
macro_rules! __capability {
    (panic) => {
        $crate::abi::Capability::Panic
    };
    (log) => {
        $crate::abi::Capability::Log
    };
    (emit) => {
        $crate::abi::Capability::Emit
    };
    (kv) => {
        $crate::abi::Capability::Kv
    };
    (http_fetch) => {
        $crate::abi::Capability::HttpFetch
    };
    (now) => {
        $crate::abi::Capability::Now
    };
    (random) => {
        $crate::abi::Capability::Random
    };
    ($other:tt) => {
        compile_error!(concat!(
            "`",
            stringify!($other),
            "` is no capability: log, emit, kv, http_fetch, now, random are"
        ))
    };
}

#[doc(hidden)]
#[macro_export]
macro_rules! __phase_export {
    (request_head $runtime:ident) => {
        #[unsafe(no_mangle)]
        extern "C" fn picket_request_head(len: u32) -> u64 {
            $runtime.request_head(len)
        }
    };
    (request_body $runtime:ident) => {
        #[unsafe(no_mangle)]
        extern "C" fn picket_request_body(len: u32) -> u64 {
            $runtime.request_body(len)
        }
    };
    (response_head $runtime:ident) => {
        #[unsafe(no_mangle)]
        extern "C" fn picket_response_head(len: u32) -> u64 {
            $runtime.response_head(len)
        }
    };
    (response_body $runtime:ident) => {
        #[unsafe(no_mangle)]
        extern "C" fn picket_response_body(len: u32) -> u64 {
            $runtime.response_body(len)
        }
    };
    (error $runtime:ident) => {
        #[unsafe(no_mangle)]
        extern "C" fn picket_error(len: u32) -> u64 {
            $runtime.error(len)
        }
    };
    (log $runtime:ident) => {
        #[unsafe(no_mangle)]
        extern "C" fn picket_log(len: u32) -> u64 {
            $runtime.log(len)
        }
    };
    // What is no phase has been reported by `__phase!`.
    ($other:tt $runtime:ident) => {};
}
