//! MessagePack, as far as records need it: read in place, member by member.

/// What is left to read. Every read is `None` when the octets are cut short or are something else.
pub(super) struct Reader<'a> {
    rest: &'a [u8],
}

impl<'a> Reader<'a> {
    pub(super) const fn new(octets: &'a [u8]) -> Self {
        Self { rest: octets }
    }

    #[inline]
    fn octet(&mut self) -> Option<u8> {
        let (first, rest) = self.rest.split_first()?;
        self.rest = rest;
        Some(*first)
    }

    #[inline]
    fn take(&mut self, octets: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.rest.split_at_checked(octets)?;
        self.rest = rest;
        Some(taken)
    }

    /// An unsigned number of so many octets, the highest first.
    #[inline]
    fn number(&mut self, octets: usize) -> Option<u64> {
        Some(self.take(octets)?.iter().fold(0, |number, octet| number << 8 | u64::from(*octet)))
    }

    fn length(&mut self, octets: usize) -> Option<usize> {
        usize::try_from(self.number(octets)?).ok()
    }

    /// Whether a nil comes next, which is read then.
    #[inline]
    pub(super) fn nil(&mut self) -> bool {
        let nil = self.rest.first() == Some(&0xc0);
        if nil {
            self.octet();
        }
        nil
    }

    #[inline]
    pub(super) fn text(&mut self) -> Option<&'a str> {
        let length = match self.octet()? {
            marker @ 0xa0..=0xbf => usize::from(marker & 0x1f),
            0xd9 => self.length(1)?,
            0xda => self.length(2)?,
            0xdb => self.length(4)?,
            _ => return None,
        };
        std::str::from_utf8(self.take(length)?).ok()
    }

    pub(super) fn flag(&mut self) -> Option<bool> {
        match self.octet()? {
            0xc2 => Some(false),
            0xc3 => Some(true),
            _ => None,
        }
    }

    #[expect(clippy::cast_possible_truncation, reason = "the number has no more octets than its type")]
    pub(super) fn int(&mut self) -> Option<i64> {
        match self.octet()? {
            small @ 0x00..=0x7f => Some(i64::from(small)),
            small @ 0xe0..=0xff => Some(i64::from(small.cast_signed())),
            marker @ 0xcc..=0xcf => i64::try_from(self.number(1 << (marker - 0xcc))?).ok(),
            0xd0 => Some(i64::from((self.number(1)? as u8).cast_signed())),
            0xd1 => Some(i64::from((self.number(2)? as u16).cast_signed())),
            0xd2 => Some(i64::from((self.number(4)? as u32).cast_signed())),
            0xd3 => Some(self.number(8)?.cast_signed()),
            _ => None,
        }
    }

    pub(super) fn double(&mut self) -> Option<f64> {
        match self.rest.first()? {
            0xcb => {
                self.octet();
                self.number(8).map(f64::from_bits)
            }
            _ => None,
        }
    }

    /// How many elements of an array follow.
    pub(super) fn array(&mut self) -> Option<usize> {
        match self.octet()? {
            marker @ 0x90..=0x9f => Some(usize::from(marker & 0x0f)),
            0xdc => self.length(2),
            0xdd => self.length(4),
            _ => None,
        }
    }

    /// Reads over one value, whatever it is.
    pub(super) fn skip(&mut self) -> Option<()> {
        let mut left = 1_usize;
        while left > 0 {
            left -= 1;
            left = left.checked_add(self.skip_head()?)?;
        }
        Some(())
    }

    /// Reads over the head of a value and what it holds itself; how many values belong to it.
    fn skip_head(&mut self) -> Option<usize> {
        let (octets, values) = match self.octet()? {
            0x00..=0x7f | 0xc0 | 0xc2 | 0xc3 | 0xe0..=0xff => (0, 0),
            marker @ 0x80..=0x8f => (0, usize::from(marker & 0x0f) * 2),
            marker @ 0x90..=0x9f => (0, usize::from(marker & 0x0f)),
            marker @ 0xa0..=0xbf => (usize::from(marker & 0x1f), 0),
            0xcc | 0xd0 => (1, 0),
            0xcd | 0xd1 => (2, 0),
            0xca | 0xce | 0xd2 => (4, 0),
            0xcb | 0xcf | 0xd3 => (8, 0),
            0xc4 | 0xd9 => (self.length(1)?, 0),
            0xc5 | 0xda => (self.length(2)?, 0),
            0xc6 | 0xdb => (self.length(4)?, 0),
            0xdc => (0, self.length(2)?),
            0xdd => (0, self.length(4)?),
            0xde => (0, self.length(2)?.checked_mul(2)?),
            0xdf => (0, self.length(4)?.checked_mul(2)?),
            // Extensions are in no record.
            _ => return None,
        };
        self.take(octets)?;
        Some(values)
    }
}

/// The members of a struct, one after the other. Those that are not there any more have their default.
pub(super) struct Members<'r, 'a> {
    reader: &'r mut Reader<'a>,
    left: usize,
}

impl<'r, 'a> Members<'r, 'a> {
    pub(super) fn of(reader: &'r mut Reader<'a>) -> Option<Self> {
        let left = reader.array()?;
        Some(Self { reader, left })
    }

    /// The next member, if there is one: it must be read.
    #[inline]
    pub(super) fn next(&mut self) -> Option<&mut Reader<'a>> {
        self.left = self.left.checked_sub(1)?;
        Some(self.reader)
    }

    /// The next member, which must be there.
    pub(super) fn reader(&mut self) -> Option<&mut Reader<'a>> {
        self.next()
    }

    #[inline]
    pub(super) fn text(&mut self) -> Option<&'a str> {
        self.next().map_or(Some(""), Reader::text)
    }

    #[inline]
    pub(super) fn optional_text(&mut self) -> Option<Option<&'a str>> {
        let Some(reader) = self.next() else { return Some(None) };
        if reader.nil() { Some(None) } else { reader.text().map(Some) }
    }

    #[inline]
    pub(super) fn flag(&mut self) -> Option<bool> {
        self.next().map_or(Some(false), Reader::flag)
    }

    #[inline]
    pub(super) fn int(&mut self) -> Option<i64> {
        self.next().map_or(Some(0), Reader::int)
    }

    #[inline]
    pub(super) fn double(&mut self) -> Option<f64> {
        self.next().map_or(Some(0.0), Reader::double)
    }

    pub(super) fn skip(&mut self, members: usize) -> Option<()> {
        for _ in 0..members {
            if let Some(reader) = self.next() {
                reader.skip()?;
            }
        }
        Some(())
    }

    /// The octets of the next member; none when it is not there.
    pub(super) fn raw(&mut self) -> Option<&'a [u8]> {
        let Some(reader) = self.next() else { return Some(&[]) };
        let before = reader.rest;
        reader.skip()?;
        before.get(..before.len() - reader.rest.len())
    }

    /// Reads over what is left.
    pub(super) fn end(mut self) -> Option<()> {
        self.skip(self.left)
    }
}
