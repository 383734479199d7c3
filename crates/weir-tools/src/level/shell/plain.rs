//! Whether a text keeps to the plain parts of a shell's language, read byte by byte and without the parser.
//!
//! It is a second opinion: shells differ in what they make of the rest (`$'…'`, `((…))`, `[[…]]` mean different things to
//! `sh` and `bash`), some of it evaluates data as code, and a parser may not see a substitution that stands in an odd place.

/// What the quotes around a byte are.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Quoted {
    No,
    Single,
    Double,
}

/// Whether the text has no backtick that a shell could run, no arithmetic, no `[[`, no `$'…'` and no expansion but
/// `$NAME`, `${NAME}` and `$(…)`.
pub(super) fn is_plain(text: &str) -> bool {
    if text.chars().any(|c| c.is_control() && c != '\n' && c != '\t') {
        return false;
    }
    // Within these, quotes begin anew or mean nothing, so that no quote counts.
    let blunt = text.contains("$(") || text.contains("<<") || text.contains('#');
    let bytes = text.as_bytes();
    let mut quoted = Quoted::No;
    let mut at = 0;
    while let Some(byte) = bytes.get(at) {
        let rest = bytes.get(at + 1..).unwrap_or_default();
        let next = rest.first().copied();
        let bare = blunt || quoted == Quoted::No;
        match byte {
            b'\'' if !blunt && quoted != Quoted::Double => {
                quoted = if quoted == Quoted::Single { Quoted::No } else { Quoted::Single };
            }
            _ if quoted == Quoted::Single => {}
            b'"' if !blunt => quoted = if quoted == Quoted::Double { Quoted::No } else { Quoted::Double },
            b'\\' if !blunt => at += 1,
            b'`' => return false,
            b'$' if !is_plain_dollar(rest, bare) => return false,
            b'(' | b'[' if bare && next == Some(*byte) => return false,
            _ => {}
        }
        at += 1;
    }
    true
}

/// What stands behind a `$`.
fn is_plain_dollar(rest: &[u8], bare: bool) -> bool {
    match rest.first() {
        Some(b'\'' | b'"') => !bare,
        Some(b'[') => false,
        Some(b'(') => rest.get(1) != Some(&b'('),
        Some(b'{') => {
            let name = rest.get(1..).unwrap_or_default();
            let end = name.iter().position(|b| *b == b'}').unwrap_or(0);
            is_name(name.get(..end).unwrap_or_default())
        }
        _ => true,
    }
}

/// Whether this is the name of a variable.
pub(super) fn is_name(name: &[u8]) -> bool {
    name.first().is_some_and(|b| b.is_ascii_alphabetic() || *b == b'_')
        && name.iter().all(|b| b.is_ascii_alphanumeric() || *b == b'_')
}

/// Whether there is no here-document, or one whose end cannot be mistaken: shells and parsers find it differently when
/// its mark is quoted in parts, or nearly occurs in the text.
pub(super) fn has_plain_here_document(text: &str) -> bool {
    let text = text.replace("<<<", " ");
    let Some((_, behind)) = text.split_once("<<") else { return true };
    if behind.contains("<<") {
        return false;
    }
    let (tabs, behind) = behind.strip_prefix('-').map_or((false, behind), |behind| (true, behind));
    let behind = behind.trim_start_matches(' ');
    let quote = behind.chars().next().filter(|c| matches!(c, '\'' | '"'));
    let behind = quote.map_or(behind, |_| behind.get(1..).unwrap_or_default());
    let mark: String = behind.chars().take_while(|c| c.is_ascii_alphanumeric() || *c == '_').collect();
    let after = behind.get(mark.len()..).unwrap_or_default().chars().next();
    let ends = match quote {
        Some(quote) => after == Some(quote),
        None => matches!(after, Some('\n' | ' ' | '|' | ';' | '&' | '>' | ')')),
    };
    let mut alike =
        behind.lines().skip(1).filter(|line| line.trim() == mark || line.trim() == format!("{mark})"));
    let exact = |line: &str| if tabs { line.trim_start_matches('\t') == mark } else { line == mark };
    let found = alike.next().is_some_and(exact) && alike.next().is_none();
    !mark.is_empty() && ends && found
}
