//! The variables a rule can name. Their numbers are part of the blob.

macro_rules! variables {
    ($($number:literal $variant:ident $name:literal $kind:ident $doc:literal;)*) => {
        /// What a rule's target or a macro names: ModSecurity 3's variables.
        ///
        /// The number of each is part of the blob: new ones go to the end.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        #[repr(u8)]
        #[non_exhaustive]
        pub enum Variable {
            $(#[doc = $doc] $variant = $number,)*
        }

        impl Variable {
            /// All variables, by number.
            pub const ALL: &'static [Variable] = &[$(Variable::$variant),*];

            /// The name in rules and logs, in upper case.
            pub const fn name(self) -> &'static str {
                match self {
                    $(Variable::$variant => $name,)*
                }
            }

            /// Whether it has keys: `ARGS:id`, `TX:score`.
            pub const fn is_collection(self) -> bool {
                match self {
                    $(Variable::$variant => variables!(@$kind),)*
                }
            }
        }
    };
    (@collection) => { true };
    (@scalar) => { false };
}

variables! {
    0 Args "ARGS" collection "All arguments: of the query string and of the body, decoded.";
    1 ArgsGet "ARGS_GET" collection "Arguments of the query string.";
    2 ArgsPost "ARGS_POST" collection "Arguments of the body.";
    3 ArgsNames "ARGS_NAMES" collection "Names of all arguments.";
    4 ArgsGetNames "ARGS_GET_NAMES" collection "Names of the arguments of the query string.";
    5 ArgsPostNames "ARGS_POST_NAMES" collection "Names of the arguments of the body.";
    6 ArgsCombinedSize "ARGS_COMBINED_SIZE" scalar "Bytes in the names and values of all arguments.";
    7 QueryString "QUERY_STRING" scalar "The query string, raw.";
    8 RequestUri "REQUEST_URI" scalar "Path and query.";
    9 RequestUriRaw "REQUEST_URI_RAW" scalar "The request target as it was sent, with scheme and host if it had them.";
    10 RequestFilename "REQUEST_FILENAME" scalar "The path without the query.";
    11 RequestBasename "REQUEST_BASENAME" scalar "What follows the last slash of the path.";
    12 PathInfo "PATH_INFO" scalar "The path without the query, as ModSecurity 3 has it.";
    13 RequestLine "REQUEST_LINE" scalar "Method, target and protocol, as one line.";
    14 RequestMethod "REQUEST_METHOD" scalar "The method.";
    15 RequestProtocol "REQUEST_PROTOCOL" scalar "`HTTP/` and a version.";
    16 RequestHeaders "REQUEST_HEADERS" collection "Request headers.";
    17 RequestHeadersNames "REQUEST_HEADERS_NAMES" collection "Names of the request headers.";
    18 RequestCookies "REQUEST_COOKIES" collection "Request cookies.";
    19 RequestCookiesNames "REQUEST_COOKIES_NAMES" collection "Names of the request cookies.";
    20 RequestBody "REQUEST_BODY" scalar "The request's body, raw.";
    21 RequestBodyLength "REQUEST_BODY_LENGTH" scalar "Bytes in the request's body.";
    22 FullRequest "FULL_REQUEST" scalar "Head and body of the request.";
    23 FullRequestLength "FULL_REQUEST_LENGTH" scalar "Bytes in head and body of the request.";
    24 Files "FILES" collection "Original names of uploaded files.";
    25 FilesNames "FILES_NAMES" collection "Names of the form fields that carry files.";
    26 FilesSizes "FILES_SIZES" collection "Sizes of uploaded files, in bytes.";
    27 FilesTmpNames "FILES_TMPNAMES" collection "Names of temporary files: never there.";
    28 FilesTmpContent "FILES_TMP_CONTENT" collection "Contents of uploaded files: never there.";
    29 FilesCombinedSize "FILES_COMBINED_SIZE" scalar "Bytes in all uploaded files.";
    30 MultipartFilename "MULTIPART_FILENAME" collection "`filename` of each part of a multipart body.";
    31 MultipartName "MULTIPART_NAME" collection "`name` of each part of a multipart body.";
    32 MultipartPartHeaders "MULTIPART_PART_HEADERS" collection "Header lines of the parts of a multipart body, by the part's name.";
    33 MultipartStrictError "MULTIPART_STRICT_ERROR" scalar "1 if any of the multipart flags is set.";
    34 MultipartUnmatchedBoundary "MULTIPART_UNMATCHED_BOUNDARY" scalar "1 if a line looks like a boundary and is none.";
    35 MultipartBoundaryQuoted "MULTIPART_BOUNDARY_QUOTED" scalar "1 if the boundary was quoted.";
    36 MultipartBoundaryWhitespace "MULTIPART_BOUNDARY_WHITESPACE" scalar "1 if the boundary had white space.";
    37 MultipartCrlfLfLines "MULTIPART_CRLF_LF_LINES" scalar "1 if line ends are mixed.";
    38 MultipartDataAfter "MULTIPART_DATA_AFTER" scalar "1 if there is data after the last boundary.";
    39 MultipartDataBefore "MULTIPART_DATA_BEFORE" scalar "1 if there is data before the first boundary.";
    40 MultipartFileLimitExceeded "MULTIPART_FILE_LIMIT_EXCEEDED" scalar "1 if there were too many files.";
    41 MultipartHeaderFolding "MULTIPART_HEADER_FOLDING" scalar "1 if a part's header was folded.";
    42 MultipartInvalidHeaderFolding "MULTIPART_INVALID_HEADER_FOLDING" scalar "1 if a part's header was folded wrongly.";
    43 MultipartInvalidPart "MULTIPART_INVALID_PART" scalar "1 if a part could not be parsed.";
    44 MultipartInvalidQuoting "MULTIPART_INVALID_QUOTING" scalar "1 if a quoted parameter was not quoted well.";
    45 MultipartLfLine "MULTIPART_LF_LINE" scalar "1 if a line ended with a line feed alone.";
    46 MultipartMissingSemicolon "MULTIPART_MISSING_SEMICOLON" scalar "1 if the content type lacked a semicolon.";
    47 ReqbodyError "REQBODY_ERROR" scalar "1 if the body could not be parsed.";
    48 ReqbodyErrorMsg "REQBODY_ERROR_MSG" scalar "What was wrong with the body.";
    49 ReqbodyProcessor "REQBODY_PROCESSOR" scalar "The body's parser: `URLENCODED`, `MULTIPART`, `JSON`, `XML` or nothing.";
    50 ReqbodyProcessorError "REQBODY_PROCESSOR_ERROR" scalar "1 if the body's parser failed.";
    51 ReqbodyProcessorErrorMsg "REQBODY_PROCESSOR_ERROR_MSG" scalar "What the body's parser said.";
    52 UrlencodedError "URLENCODED_ERROR" scalar "1 if an argument was not encoded well.";
    53 InboundDataError "INBOUND_DATA_ERROR" scalar "1 if the request's body exceeded its limit.";
    54 OutboundDataError "OUTBOUND_DATA_ERROR" scalar "1 if the response's body exceeded its limit.";
    55 ResponseStatus "RESPONSE_STATUS" scalar "The response's status.";
    56 ResponseProtocol "RESPONSE_PROTOCOL" scalar "The response's protocol.";
    57 ResponseHeaders "RESPONSE_HEADERS" collection "Response headers.";
    58 ResponseHeadersNames "RESPONSE_HEADERS_NAMES" collection "Names of the response headers.";
    59 ResponseBody "RESPONSE_BODY" scalar "The response's body.";
    60 ResponseContentLength "RESPONSE_CONTENT_LENGTH" scalar "Bytes in the response's body.";
    61 ResponseContentType "RESPONSE_CONTENT_TYPE" scalar "The response's content type.";
    62 Status "STATUS" scalar "The response's status, by its other name.";
    63 StatusLine "STATUS_LINE" scalar "The response's status line.";
    64 RemoteAddr "REMOTE_ADDR" scalar "The client's address.";
    65 RemoteHost "REMOTE_HOST" scalar "The client's address, for its name is not looked up.";
    66 RemotePort "REMOTE_PORT" scalar "The client's port.";
    67 RemoteUser "REMOTE_USER" scalar "The user of basic authorization.";
    68 ServerAddr "SERVER_ADDR" scalar "The listener's address.";
    69 ServerName "SERVER_NAME" scalar "The host that was asked for.";
    70 ServerPort "SERVER_PORT" scalar "The listener's port.";
    71 AuthType "AUTH_TYPE" scalar "The scheme of the `Authorization` header.";
    72 UniqueId "UNIQUE_ID" scalar "The transaction's identifier.";
    73 Duration "DURATION" scalar "Milliseconds since the transaction began.";
    74 HighestSeverity "HIGHEST_SEVERITY" scalar "The lowest number of a severity among the matches so far; 255 at the start.";
    75 ModsecBuild "MODSEC_BUILD" scalar "The version as a number.";
    76 Time "TIME" scalar "`hh:mm:ss`.";
    77 TimeDay "TIME_DAY" scalar "Day of the month.";
    78 TimeEpoch "TIME_EPOCH" scalar "Seconds since 1970.";
    79 TimeHour "TIME_HOUR" scalar "Hour.";
    80 TimeMin "TIME_MIN" scalar "Minute.";
    81 TimeMon "TIME_MON" scalar "Month, 0 to 11.";
    82 TimeSec "TIME_SEC" scalar "Second.";
    83 TimeWday "TIME_WDAY" scalar "Day of the week, 0 (Sunday) to 6.";
    84 TimeYear "TIME_YEAR" scalar "Year.";
    85 MatchedVar "MATCHED_VAR" scalar "Value of the last match.";
    86 MatchedVarName "MATCHED_VAR_NAME" scalar "Name of the last match.";
    87 MatchedVars "MATCHED_VARS" collection "Values that the last operator matched.";
    88 MatchedVarsNames "MATCHED_VARS_NAMES" collection "Names of what the last operator matched.";
    89 Tx "TX" collection "The transaction's own variables and captures.";
    90 Ip "IP" collection "Variables kept for a client's address.";
    91 Global "GLOBAL" collection "Variables kept for all.";
    92 Session "SESSION" collection "Variables kept for a session.";
    93 User "USER" collection "Variables kept for a user.";
    94 Resource "RESOURCE" collection "Variables kept for a resource.";
    95 SessionId "SESSIONID" scalar "What `setsid` set.";
    96 UserId "USERID" scalar "What `setuid` set.";
    97 WebAppId "WEBAPPID" scalar "What `SecWebAppId` set.";
    98 Env "ENV" collection "Variables of `setenv`.";
    99 Rule "RULE" collection "Properties of the rule that runs: `id`, `msg`, `severity`, `rev`, `logdata`.";
    100 Geo "GEO" collection "What `@geoLookup` found: never there.";
    101 MscPcreError "MSC_PCRE_ERROR" scalar "Never set: matching is linear and cannot fail.";
    102 MscPcreLimitsExceeded "MSC_PCRE_LIMITS_EXCEEDED" scalar "Never set: matching is linear and has no limit.";
    103 Xml "XML:/*" scalar "All text of an XML body: `XML:/*`.";
    104 XmlAttributes "XML://@*" scalar "All attribute values of an XML body: `XML://@*`.";
}

impl Variable {
    /// How many there are: each number is below it.
    pub const COUNT: usize = Self::ALL.len();

    /// The variable of this name, in any case; `XML` alone is [`Variable::Xml`].
    pub fn from_name(name: &[u8]) -> Option<Variable> {
        if name.eq_ignore_ascii_case(b"XML") {
            return Some(Variable::Xml);
        }
        Self::ALL.iter().copied().find(|variable| variable.name().as_bytes().eq_ignore_ascii_case(name))
    }

    /// The variable of this number.
    pub fn from_u8(number: u8) -> Option<Variable> {
        Self::ALL.get(usize::from(number)).copied()
    }

    /// Whether it lives longer than a transaction: `initcol` and its kind give it a key.
    pub const fn is_persistent(self) -> bool {
        matches!(
            self,
            Variable::Ip | Variable::Global | Variable::Session | Variable::User | Variable::Resource
        )
    }

    /// Whether rules can set it: `TX`, `ENV` and what is kept.
    pub const fn is_writable(self) -> bool {
        matches!(self, Variable::Tx | Variable::Env) || self.is_persistent()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_and_names_come_back() {
        for (number, variable) in Variable::ALL.iter().enumerate() {
            assert_eq!(*variable as usize, number);
            assert_eq!(Variable::from_u8(number as u8), Some(*variable));
            assert_eq!(Variable::from_name(variable.name().as_bytes()), Some(*variable));
            let lower = variable.name().to_ascii_lowercase();
            assert_eq!(Variable::from_name(lower.as_bytes()), Some(*variable));
        }
        assert_eq!(Variable::from_u8(Variable::COUNT as u8), None);
        assert_eq!(Variable::from_name(b"xml"), Some(Variable::Xml));
        assert_eq!(Variable::from_name(b""), None);
        assert_eq!(Variable::from_name(b"ARG"), None);
    }

    #[test]
    fn kinds_are_told_apart() {
        assert!(Variable::Args.is_collection() && Variable::Tx.is_collection());
        assert!(!Variable::RequestUri.is_collection() && !Variable::Xml.is_collection());
        assert!(Variable::Ip.is_persistent() && !Variable::Tx.is_persistent());
        assert!(Variable::Tx.is_writable() && !Variable::Args.is_writable());
    }
}
