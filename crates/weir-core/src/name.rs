//! Names that people give: users, organisations, projects, plans, channels, tags.
//!
//! They are shown in lists, logs and terminals and compared by rules, so that what cannot be seen is no part of one.

use std::fmt;

/// How long a name may be, in bytes.
pub const NAME_BYTES_MAX: usize = 200;
/// How long a tag may be, in bytes.
pub const TAG_BYTES_MAX: usize = 128;
/// How many tags one identity or key may have.
pub const TAGS_MAX: usize = 64;

/// Why a text is no name. It is told as what follows the word "it".
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NameFault {
    /// Nothing, or spaces only.
    Blank,
    /// More bytes than there may be.
    TooLong {
        /// How many there may be.
        bytes_max: usize,
    },
    /// A character that moves a cursor or ends a line instead of being seen.
    Control(char),
    /// More tags than there may be.
    TooMany {
        /// How many there may be.
        max: usize,
    },
}

impl fmt::Display for NameFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Blank => f.write_str("must not be blank"),
            Self::TooLong { bytes_max } => write!(f, "may have {bytes_max} bytes at most"),
            Self::Control(c) => write!(f, "must not hold the control character U+{:04X}", u32::from(*c)),
            Self::TooMany { max } => write!(f, "may hold {max} at most"),
        }
    }
}

/// Whether a text may be a name.
///
/// # Errors
/// Why not.
pub fn check_name(name: &str) -> Result<(), NameFault> {
    check(name, NAME_BYTES_MAX)
}

/// Whether these may be the tags of an identity or a key.
///
/// # Errors
/// What is wrong with them; of several, with the first.
pub fn check_tags(tags: &[String]) -> Result<(), NameFault> {
    if tags.len() > TAGS_MAX {
        return Err(NameFault::TooMany { max: TAGS_MAX });
    }
    tags.iter().try_for_each(|tag| check(tag, TAG_BYTES_MAX))
}

fn check(text: &str, bytes_max: usize) -> Result<(), NameFault> {
    if text.trim().is_empty() {
        return Err(NameFault::Blank);
    }
    if let Some(control) = text.chars().find(|c| c.is_control()) {
        return Err(NameFault::Control(control));
    }
    if text.len() > bytes_max { Err(NameFault::TooLong { bytes_max }) } else { Ok(()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_seen_as_it_is() {
        let long = "x".repeat(NAME_BYTES_MAX + 1);
        let table: [(&str, Result<(), &str>); 9] = [
            ("ada", Ok(())),
            (" Ada Lovelace ", Ok(())),
            ("アダ", Ok(())),
            ("", Err("must not be blank")),
            (" \u{a0}", Err("must not be blank")),
            ("a\nb", Err("must not hold the control character U+000A")),
            ("a\u{1b}[2J", Err("must not hold the control character U+001B")),
            ("a\u{7f}", Err("must not hold the control character U+007F")),
            (&long, Err("may have 200 bytes at most")),
        ];
        for (name, expected) in table {
            assert_eq!(
                check_name(name).map_err(|f| f.to_string()),
                expected.map_err(str::to_owned),
                "{name:?}"
            );
        }
    }

    #[test]
    fn tags_are_names_and_not_many() {
        let tags = |tags: &[&str]| check_tags(&tags.iter().map(|&tag| tag.to_owned()).collect::<Vec<_>>());
        assert_eq!(tags(&[]), Ok(()));
        assert_eq!(tags(&["a", "b c"]), Ok(()));
        assert_eq!(tags(&["a", " "]), Err(NameFault::Blank));
        assert_eq!(tags(&["a\u{0}"]), Err(NameFault::Control('\0')));
        assert_eq!(tags(&[&"x".repeat(129)]), Err(NameFault::TooLong { bytes_max: TAG_BYTES_MAX }));
        assert_eq!(tags(&["a"; TAGS_MAX + 1]), Err(NameFault::TooMany { max: TAGS_MAX }));
    }
}
