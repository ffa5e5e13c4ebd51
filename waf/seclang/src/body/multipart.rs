//! Multipart.
use super::*;

/// What a multipart body does that a strict reader, or another reader than this one, would not accept.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct MultipartFlags {
    /// `MULTIPART_BOUNDARY_QUOTED`: the boundary in `Content-Type` is in quotes.
    pub boundary_quoted: bool,
    /// `MULTIPART_BOUNDARY_WHITESPACE`: white space around its `=`.
    pub boundary_whitespace: bool,
    /// `MULTIPART_DATA_BEFORE`: data before the first boundary.
    pub data_before: bool,
    /// `MULTIPART_DATA_AFTER`: data after the last boundary.
    pub data_after: bool,
    /// `MULTIPART_HEADER_FOLDING`: a header of a part goes on in the next line.
    pub header_folding: bool,
    /// `MULTIPART_INVALID_HEADER_FOLDING`: and this line begins with other white space than a space or a tab.
    pub invalid_header_folding: bool,
    /// `MULTIPART_LF_LINE`: a line ends with LF alone.
    pub lf_line: bool,
    /// A line ends with CR LF; with `lf_line` this makes [`crlf_lf_lines`](MultipartFlags::crlf_lf_lines).
    pub crlf_line: bool,
    /// `MULTIPART_MISSING_SEMICOLON`: none before the boundary in `Content-Type`.
    pub missing_semicolon: bool,
    /// `MULTIPART_INVALID_QUOTING`: single quotes in `Content-Disposition`.
    pub invalid_quoting: bool,
    /// `MULTIPART_INVALID_PART`: a part without a name.
    pub invalid_part: bool,
    /// `MULTIPART_FILE_LIMIT_EXCEEDED`: more files than allowed.
    pub file_limit_exceeded: bool,
    /// `MULTIPART_UNMATCHED_BOUNDARY`: 0; 1 for a line that looks like a boundary and is none.
    pub unmatched_boundary: u8,
    /// The body could not be read; part of [`strict_error`](MultipartFlags::strict_error).
    pub error: bool,
}

impl MultipartFlags {
    /// `MULTIPART_CRLF_LF_LINES`: both kinds of line endings.
    #[must_use]
    pub fn crlf_lf_lines(&self) -> bool {
        self.crlf_line && self.lf_line
    }

    /// `MULTIPART_STRICT_ERROR`: any of the others but unmatched boundaries and CR LF lines.
    #[must_use]
    pub fn strict_error(&self) -> bool {
        self.error
            || self.boundary_quoted
            || self.boundary_whitespace
            || self.data_before
            || self.data_after
            || self.header_folding
            || self.invalid_header_folding
            || self.lf_line
            || self.missing_semicolon
            || self.invalid_quoting
            || self.invalid_part
            || self.file_limit_exceeded
    }
}

/// Reads multipart.
///
/// # Errors
/// When it is malformed, or a limit is exceeded.
pub fn multipart(
    _content_type: &[u8],
    _body: &[u8],
    _limits: &Limits,
    _scratch: &mut Scratch,
    _flags: &mut MultipartFlags,
    _sink: &mut dyn Sink,
) -> Result<(), Fault> {
    Ok(())
}
