//! What the members of an error's objects are, by their names.

/// What a member is to the reader.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Role {
    /// Words for people; in another form, the error itself.
    Message,
    /// Wraps the error: what is in it is further in.
    Inner,
    /// Says more about the error beside its message: read, but its words are not the message.
    Beside,
    /// A machine's word for the error.
    Code,
    /// The kind of the error.
    Kind,
    /// A status, as number or as word.
    Status,
    /// A word that goes with the others: a parameter's name, the name of a quota.
    Word,
    /// How long to wait.
    Hint,
    /// An answer kept whole: the error if it holds one, otherwise nobody's words.
    Answer,
    /// What was sent, generated, or where: never evidence.
    Never,
    /// Anything else: looked into, but its own words count only where nothing else was found.
    Other,
}

/// Members whose name begins so are of the request.
const NEVER_PREFIXES: &[&str] = &["request", "prompt", "input", "stack", "trace", "header"];

/// A name in lower case without separators, so that `errorCode`, `error_code` and `error-code` are one.
pub(super) fn normal(name: &str) -> String {
    name.chars().filter(|c| c.is_alphanumeric()).take(40).flat_map(char::to_lowercase).collect()
}

/// The role of a member with a normal name.
pub(super) fn role(normal: &str) -> Role {
    match normal {
        "message" | "msg" | "errormessage" | "errormsg" | "errmsg" | "statusmsg" | "statusmessage"
        | "statustext" | "description" | "errordescription" | "title" | "faultstring" | "exception"
        | "detail" | "errortext" | "errorstring" | "failurereason" | "failuremessage" | "statusreason"
        | "developermessage" | "exceptionmessage" | "reasonphrase" | "errorinfo" | "lasterror"
        | "fullmessage" | "failure" => Role::Message,
        "error" | "err" | "errors" | "cause" | "causes" | "innererror" | "inner" | "fault" | "baseresp"
        | "raw" | "response" | "rawresponse" | "responsebody" | "errorbody" | "errorresponse"
        | "originalerror" | "upstreamerror" | "lastexception" | "providererror" | "errordata" | "result"
        | "rawerror" | "responsemetadata" | "causedby" | "upstream" | "responsedata" | "upstreamresponse"
        | "rawbody" | "providerresponse" | "innerexception" | "errordetail" | "providermessage" => {
            Role::Inner
        }
        "details"
        | "errordetails"
        | "metadata"
        | "violations"
        | "extensions"
        | "previouserrors"
        | "incompletedetails"
        | "contentfilterresult"
        | "contentfilterresults"
        | "promptfeedback" => Role::Beside,
        "code" | "errorcode" | "errcode" | "reason" | "errno" | "errorkey" | "subcode" | "errorreason"
        | "blockreason" | "exceptioncode" | "faultcode" | "bizcode" | "finishreason" | "stopreason" => {
            Role::Code
        }
        "type" | "errortype" | "exceptiontype" | "kind" | "category" | "errorname" | "class" => Role::Kind,
        "status" | "statuscode" | "httpstatus" | "httpcode" | "httpstatuscode" | "responsecode"
        | "rawstatuscode" => Role::Status,
        "param" | "quotaid" | "quotametric" | "parameter" | "limittype" | "plantype" | "hint" => Role::Word,
        "retrydelay" | "retryafter" | "retryafterms" | "retryafterseconds" | "resetsinseconds"
        | "resetsat" | "resetat" | "estimatedtime" | "xratelimitreset" | "resettime" | "retryin"
        | "retryafters" | "retryaftersec" | "quotaresetdelay" => Role::Hint,
        "body" | "content" | "data" | "text" | "value" | "output" | "stderr" | "payload" => Role::Answer,
        "messages" | "contents" | "instructions" | "tools" | "choices" | "delta" | "arguments"
        | "failedgeneration" | "url" | "uri" | "path" | "file" | "filename" | "baseurl" | "endpoint"
        | "docs" | "documentation" | "documentationurl" | "helpurl" | "links" | "link" | "id" | "userid"
        | "orgid" | "organization" | "traceback" | "config" | "params" | "args" | "candidates" | "query"
        | "system" | "usage" | "timestamp" | "created" | "createdat" | "metadataheaders"
        | "generatedtext" | "completion" | "loc" | "instance" | "hostname" | "useragent" | "command"
        | "env" | "options" | "domain" | "user" | "email" | "toolusage" => Role::Never,
        _ if NEVER_PREFIXES.iter().any(|prefix| normal.starts_with(prefix)) => Role::Never,
        _ => Role::Other,
    }
}

/// Whether the value of a member is not even kept.
pub(super) fn is_never(name: &str) -> bool {
    let normal = normal(name);
    role(&normal) == Role::Never && normal != "headers"
}
