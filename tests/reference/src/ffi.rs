//! libmodsecurity's C interface, and handles over it that are safe to use.
//!
//! The declarations follow `modsecurity/{modsecurity,rules_set,transaction,intervention}.h` of 3.0. All
//! unsafe code of the crate is here. The handles rely on what those headers leave unsaid but the
//! library's own connectors depend on: a transaction uses its library and rules until it is cleaned up,
//! and nothing else keeps pointers that are passed in.
#![expect(unsafe_code, reason = "calls into a C library")]

use std::{
    cell::RefCell,
    ffi::{CStr, CString, c_char, c_int, c_void},
    marker::PhantomData,
    net::SocketAddr,
    ptr::NonNull,
};

/// An opaque type of the library.
macro_rules! opaque {
    ($($name:ident)*) => { $(
        #[repr(C)]
        struct $name {
            _bytes: [u8; 0],
            _not_send: PhantomData<*mut u8>,
        }
    )* };
}

opaque! { MscLibrary MscRules MscTransaction }

/// `ModSecurityIntervention`.
#[repr(C)]
struct MscIntervention {
    status: c_int,
    pause: c_int,
    url: *mut c_char,
    log: *mut c_char,
    disruptive: c_int,
}

type LogCallback = extern "C" fn(data: *mut c_void, line: *const c_void);

unsafe extern "C" {
    fn msc_init() -> *mut MscLibrary;
    fn msc_who_am_i(library: *mut MscLibrary) -> *const c_char;
    fn msc_set_log_cb(library: *mut MscLibrary, callback: LogCallback);
    fn msc_cleanup(library: *mut MscLibrary);

    fn msc_create_rules_set() -> *mut MscRules;
    fn msc_rules_add(rules: *mut MscRules, text: *const c_char, error: *mut *const c_char) -> c_int;
    fn msc_rules_cleanup(rules: *mut MscRules) -> c_int;

    fn msc_new_transaction(
        library: *mut MscLibrary,
        rules: *mut MscRules,
        log_data: *mut c_void,
    ) -> *mut MscTransaction;
    fn msc_transaction_cleanup(transaction: *mut MscTransaction);
    fn msc_process_connection(
        transaction: *mut MscTransaction,
        client: *const c_char,
        client_port: c_int,
        server: *const c_char,
        server_port: c_int,
    ) -> c_int;
    fn msc_process_uri(
        transaction: *mut MscTransaction,
        uri: *const c_char,
        method: *const c_char,
        version: *const c_char,
    ) -> c_int;
    fn msc_add_n_request_header(
        transaction: *mut MscTransaction,
        name: *const u8,
        name_length: usize,
        value: *const u8,
        value_length: usize,
    ) -> c_int;
    fn msc_process_request_headers(transaction: *mut MscTransaction) -> c_int;
    fn msc_append_request_body(transaction: *mut MscTransaction, body: *const u8, length: usize) -> c_int;
    fn msc_process_request_body(transaction: *mut MscTransaction) -> c_int;
    fn msc_add_n_response_header(
        transaction: *mut MscTransaction,
        name: *const u8,
        name_length: usize,
        value: *const u8,
        value_length: usize,
    ) -> c_int;
    fn msc_process_response_headers(
        transaction: *mut MscTransaction,
        status: c_int,
        protocol: *const c_char,
    ) -> c_int;
    fn msc_append_response_body(transaction: *mut MscTransaction, body: *const u8, length: usize) -> c_int;
    fn msc_process_response_body(transaction: *mut MscTransaction) -> c_int;
    fn msc_process_logging(transaction: *mut MscTransaction) -> c_int;
    fn msc_intervention(transaction: *mut MscTransaction, intervention: *mut MscIntervention) -> c_int;

    fn free(pointer: *mut c_void);
}

/// The library, initialised.
pub(crate) struct Library(NonNull<MscLibrary>);

impl Library {
    /// Initialises the library; `None` if it cannot be.
    pub(crate) fn new() -> Option<Library> {
        // SAFETY: takes nothing; the pointer returned is owned by us and released in `drop`.
        let library = NonNull::new(unsafe { msc_init() })?;
        // SAFETY: `library` is initialised; `on_log` is a function, valid for ever, with the signature
        // of the library's text log callback, which is what this call registers.
        unsafe { msc_set_log_cb(library.as_ptr(), on_log) };
        Some(Library(library))
    }

    /// The library's name and version.
    pub(crate) fn name(&self) -> String {
        // SAFETY: `self.0` is initialised and returns a C string that it owns; it is copied at once.
        let name = unsafe { CStr::from_ptr(msc_who_am_i(self.0.as_ptr())) };
        name.to_string_lossy().into_owned()
    }
}

impl Drop for Library {
    fn drop(&mut self) {
        // SAFETY: initialised in `new`, not used after this: transactions borrow it.
        unsafe { msc_cleanup(self.0.as_ptr()) };
    }
}

/// A set of rules.
pub(crate) struct Rules(NonNull<MscRules>);

impl Rules {
    /// The rules of a configuration text, with everything that it includes.
    pub(crate) fn parse(text: &str) -> Result<Rules, String> {
        let text = CString::new(text).map_err(|e| format!("zero byte at {}", e.nul_position()))?;
        // SAFETY: takes nothing; the pointer returned is owned by us and released in `drop`.
        let rules = Rules(NonNull::new(unsafe { msc_create_rules_set() }).ok_or("out of memory")?);
        let mut error: *const c_char = std::ptr::null();
        // SAFETY: `rules` is a rule set, `text` ends in a zero byte and outlives the call, and `error` is
        // a place for a pointer.
        let added = unsafe { msc_rules_add(rules.0.as_ptr(), text.as_ptr(), &mut error) };
        if added >= 0 {
            return Ok(rules);
        }
        if error.is_null() {
            return Err("no reason given".to_owned());
        }
        // SAFETY: on failure the library hands over a C string. It is copied and not released: some
        // versions hand out memory of their own here, and a failure ends the run.
        Err(unsafe { CStr::from_ptr(error) }.to_string_lossy().into_owned())
    }
}

impl Drop for Rules {
    fn drop(&mut self) {
        // SAFETY: created in `parse`, not used after this: transactions borrow it.
        unsafe { msc_rules_cleanup(self.0.as_ptr()) };
    }
}

/// The lines that a transaction has logged.
type Lines = RefCell<Vec<String>>;

/// Called by the library with a line for the log.
extern "C" fn on_log(data: *mut c_void, line: *const c_void) {
    // SAFETY: `data` is what `Transaction::begin` passed: a `Lines` that lives as long as the transaction,
    // used on this thread only, as the handles are not `Send`.
    let lines = unsafe { data.cast::<Lines>().as_ref() };
    // SAFETY: with the text callback registered in `Library::new`, `line` is a C string that lives for
    // the call; it is copied.
    let line = (!line.is_null()).then(|| unsafe { CStr::from_ptr(line.cast()) });
    if let (Some(lines), Some(line)) = (lines, line) {
        lines.borrow_mut().push(line.to_string_lossy().into_owned());
    }
}

/// One exchange on its way through the phases.
pub(crate) struct Transaction<'r> {
    transaction: NonNull<MscTransaction>,
    /// Boxed, because the library keeps its address.
    lines: Box<Lines>,
    _rules: PhantomData<(&'r Library, &'r Rules)>,
}

impl<'r> Transaction<'r> {
    pub(crate) fn begin(library: &'r Library, rules: &'r Rules) -> Option<Transaction<'r>> {
        let lines = Box::<Lines>::default();
        let data = std::ptr::from_ref::<Lines>(&lines).cast_mut().cast();
        // SAFETY: library and rules are alive for `'r`; `data` points into a box that is dropped after
        // the transaction is cleaned up, and is only read through `&Lines`.
        let transaction = unsafe { msc_new_transaction(library.0.as_ptr(), rules.0.as_ptr(), data) };
        let transaction = NonNull::new(transaction)?;
        Some(Transaction { transaction, lines, _rules: PhantomData })
    }

    pub(crate) fn connection(&mut self, client: SocketAddr, server: SocketAddr) {
        let (from, to) = (c_string(client.ip().to_string()), c_string(server.ip().to_string()));
        let ports = (c_int::from(client.port()), c_int::from(server.port()));
        // SAFETY: the transaction is alive and copies both strings.
        unsafe { msc_process_connection(self.ptr(), from.as_ptr(), ports.0, to.as_ptr(), ports.1) };
    }

    /// `version` is the number only, `1.1`.
    pub(crate) fn request_line(&mut self, method: &[u8], target: &[u8], version: &[u8]) {
        let [method, target, version] = [method, target, version].map(c_string);
        // SAFETY: the transaction is alive and copies the three strings.
        unsafe { msc_process_uri(self.ptr(), target.as_ptr(), method.as_ptr(), version.as_ptr()) };
    }

    pub(crate) fn request_header(&mut self, name: &[u8], value: &[u8]) {
        let (n, v) = (name.as_ptr(), value.as_ptr());
        // SAFETY: the transaction is alive and copies both slices, whose lengths are passed.
        unsafe { msc_add_n_request_header(self.ptr(), n, name.len(), v, value.len()) };
    }

    /// Phase 1.
    pub(crate) fn request_headers(&mut self) -> Option<u16> {
        // SAFETY: the transaction is alive.
        unsafe { msc_process_request_headers(self.ptr()) };
        self.intervention()
    }

    /// Phase 2.
    pub(crate) fn request_body(&mut self, body: &[u8]) -> Option<u16> {
        if !body.is_empty() {
            // SAFETY: the transaction is alive and copies the slice, whose length is passed.
            unsafe { msc_append_request_body(self.ptr(), body.as_ptr(), body.len()) };
            // A body over the limit is refused at once.
            if let Some(status) = self.intervention() {
                return Some(status);
            }
        }
        // SAFETY: the transaction is alive.
        unsafe { msc_process_request_body(self.ptr()) };
        self.intervention()
    }

    pub(crate) fn response_header(&mut self, name: &[u8], value: &[u8]) {
        let (n, v) = (name.as_ptr(), value.as_ptr());
        // SAFETY: the transaction is alive and copies both slices, whose lengths are passed.
        unsafe { msc_add_n_response_header(self.ptr(), n, name.len(), v, value.len()) };
    }

    /// Phase 3.
    pub(crate) fn response_headers(&mut self, status: u16) -> Option<u16> {
        // SAFETY: the transaction is alive and copies the string, which is static.
        unsafe { msc_process_response_headers(self.ptr(), c_int::from(status), c"HTTP/1.1".as_ptr()) };
        self.intervention()
    }

    /// Phase 4.
    pub(crate) fn response_body(&mut self, body: &[u8]) -> Option<u16> {
        if !body.is_empty() {
            // SAFETY: the transaction is alive and copies the slice, whose length is passed.
            unsafe { msc_append_response_body(self.ptr(), body.as_ptr(), body.len()) };
        }
        // SAFETY: the transaction is alive.
        unsafe { msc_process_response_body(self.ptr()) };
        self.intervention()
    }

    /// Phase 5. Returns the lines logged in all phases.
    pub(crate) fn finish(mut self) -> Vec<String> {
        // SAFETY: the transaction is alive.
        unsafe { msc_process_logging(self.ptr()) };
        self.lines.take()
    }

    /// The status to answer with, if the rules interrupt.
    fn intervention(&mut self) -> Option<u16> {
        let (url, log) = (std::ptr::null_mut(), std::ptr::null_mut());
        let mut found = MscIntervention { status: 200, pause: 0, url, log, disruptive: 0 };
        // SAFETY: the transaction is alive, and `found` is laid out and initialised as the library asks.
        unsafe { msc_intervention(self.ptr(), &mut found) };
        if found.disruptive != 0 && !found.log.is_null() {
            // What interrupts is logged by the connector, not through the callback.
            // SAFETY: a C string allocated for us; it is copied.
            let line = unsafe { CStr::from_ptr(found.log) }.to_string_lossy().into_owned();
            self.lines.borrow_mut().push(line);
        }
        // SAFETY: both are null or allocated by the library with malloc for the caller to free.
        unsafe {
            free(found.url.cast());
            free(found.log.cast());
        }
        (found.disruptive != 0).then(|| u16::try_from(found.status).unwrap_or(500))
    }

    fn ptr(&mut self) -> *mut MscTransaction {
        self.transaction.as_ptr()
    }
}

impl Drop for Transaction<'_> {
    fn drop(&mut self) {
        // SAFETY: created in `begin`, not used after this; `lines` is dropped only after this body.
        unsafe { msc_transaction_cleanup(self.transaction.as_ptr()) };
    }
}

/// A C string of `text` up to its first zero byte, where a C library would stop too.
fn c_string(text: impl AsRef<[u8]>) -> CString {
    let text = text.as_ref();
    let end = text.iter().position(|&b| b == 0).unwrap_or(text.len());
    CString::new(&text[..end]).expect("no zero byte before the first one")
}
