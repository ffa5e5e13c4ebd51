//! The parts of a request that rules look at, under their ModSecurity names.

/// A part of a request. The number is its bit in the blob.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum Variable {
    /// The method.
    RequestMethod = 0,
    /// `HTTP/1.1`, …
    RequestProtocol = 1,
    /// Path and query as they were sent.
    RequestTarget = 2,
    /// The path as it was sent, up to `?`.
    RequestPath = 3,
    /// The query as it was sent.
    QueryString = 4,
    /// Values of arguments: query, form, multipart fields, JSON leaves. Once decoded.
    Args = 5,
    /// Names of arguments, likewise.
    ArgsNames = 6,
    /// Values of cookies.
    RequestCookies = 7,
    /// Names of cookies.
    RequestCookiesNames = 8,
    /// Values of headers, but for `Cookie`.
    RequestHeaders = 9,
    /// Names of headers.
    RequestHeadersNames = 10,
    /// File names that the client gave in a multipart body.
    Files = 11,
    /// Field names of the files.
    FilesNames = 12,
    /// A body of no type that is parsed, in windows.
    RequestBody = 13,
    /// What was wrong with the body: `json`, `multipart`, `urlencoded`.
    ReqbodyError = 14,
    /// How many headers of a name there are, in decimal.
    HeaderCount = 15,
}

impl Variable {
    /// How many variables there are.
    pub const COUNT: usize = 16;

    /// All variables, by number.
    pub const ALL: [Variable; Self::COUNT] = [
        Variable::RequestMethod,
        Variable::RequestProtocol,
        Variable::RequestTarget,
        Variable::RequestPath,
        Variable::QueryString,
        Variable::Args,
        Variable::ArgsNames,
        Variable::RequestCookies,
        Variable::RequestCookiesNames,
        Variable::RequestHeaders,
        Variable::RequestHeadersNames,
        Variable::Files,
        Variable::FilesNames,
        Variable::RequestBody,
        Variable::ReqbodyError,
        Variable::HeaderCount,
    ];

    /// The name in rules and reports.
    pub const fn name(self) -> &'static str {
        match self {
            Variable::RequestMethod => "REQUEST_METHOD",
            Variable::RequestProtocol => "REQUEST_PROTOCOL",
            Variable::RequestTarget => "REQUEST_TARGET",
            Variable::RequestPath => "REQUEST_PATH",
            Variable::QueryString => "QUERY_STRING",
            Variable::Args => "ARGS",
            Variable::ArgsNames => "ARGS_NAMES",
            Variable::RequestCookies => "REQUEST_COOKIES",
            Variable::RequestCookiesNames => "REQUEST_COOKIES_NAMES",
            Variable::RequestHeaders => "REQUEST_HEADERS",
            Variable::RequestHeadersNames => "REQUEST_HEADERS_NAMES",
            Variable::Files => "FILES",
            Variable::FilesNames => "FILES_NAMES",
            Variable::RequestBody => "REQUEST_BODY",
            Variable::ReqbodyError => "REQBODY_ERROR",
            Variable::HeaderCount => "HEADER_COUNT",
        }
    }

    /// The variable of that [name](Variable::name).
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|variable| variable.name() == name)
    }

    /// The variable of that number.
    pub fn from_number(number: u8) -> Option<Self> {
        Self::ALL.get(usize::from(number)).copied()
    }

    /// Its bit in a mask.
    pub const fn bit(self) -> u32 {
        1 << self as u32
    }

    /// Whether its values arrive in such numbers or lengths that a pattern without a required
    /// literal, which runs on every value, would be too dear. The compiler refuses those.
    pub const fn is_bulk(self) -> bool {
        matches!(
            self,
            Variable::Args
                | Variable::ArgsNames
                | Variable::RequestCookies
                | Variable::RequestCookiesNames
                | Variable::RequestHeadersNames
                | Variable::RequestBody
                | Variable::QueryString
                | Variable::RequestTarget
        )
    }
}
