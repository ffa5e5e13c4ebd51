//! The built-in WAF module, where the build put one into the binary.

/// The WAF module that `PICKET_WAF_MODULE` named at build time.
pub fn waf() -> Option<&'static [u8]> {
    let module: Option<&'static [u8]> = include!(concat!(env!("OUT_DIR"), "/waf.rs"));
    module
}
