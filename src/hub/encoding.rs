//! AMQP's encoding as far as the hub must look at it by itself: where a value ends, which frame it is.

/// The first value: its constructor, its content, what comes after it. Not for described values.
pub(super) fn value(text: &[u8]) -> Option<(u8, &[u8], &[u8])> {
    let (&code, rest) = text.split_first()?;
    let (length, rest) = match code >> 4 {
        0x4 => (0, rest),
        0x5 => (1, rest),
        0x6 => (2, rest),
        0x7 => (4, rest),
        0x8 => (8, rest),
        0x9 => (16, rest),
        0xa | 0xc | 0xe => {
            let (&length, rest) = rest.split_first()?;
            (usize::from(length), rest)
        }
        0xb | 0xd | 0xf => {
            let (length, rest) = rest.split_first_chunk::<4>()?;
            (usize::try_from(u32::from_be_bytes(*length)).ok()?, rest)
        }
        _ => return None,
    };
    let (content, rest) = rest.split_at_checked(length)?;
    Some((code, content, rest))
}

/// The first described value: the number it is described by, its constructor, its content, what comes
/// after it. A name as descriptor counts as no number anybody looks for.
pub(super) fn described(text: &[u8]) -> Option<(u64, u8, &[u8], &[u8])> {
    let (_, descriptor, rest) = value(text.strip_prefix(&[0x00])?)?;
    let number = match descriptor.len() {
        0..=8 => descriptor.iter().fold(0, |number, byte| number << 8 | u64::from(*byte)),
        _ => u64::MAX,
    };
    let (code, content, rest) = value(rest)?;
    Some((number, code, content, rest))
}

/// A field of a list, as constructor and content; null where the list is shorter.
pub(super) fn field(code: u8, list: &[u8], index: usize) -> Option<(u8, &[u8])> {
    const NULL: (u8, &[u8]) = (0x40, &[]);
    let mut fields = match code {
        0x45 => return Some(NULL),
        0xc0 => list.get(1..)?,
        0xd0 => list.get(4..)?,
        _ => return None,
    };
    let mut at = 0;
    while !fields.is_empty() {
        let (code, content, rest) = if fields.first() == Some(&0x00) {
            let (_, code, content, rest) = described(fields)?;
            (code, content, rest)
        } else {
            value(fields)?
        };
        if at == index {
            return Some((code, content));
        }
        (fields, at) = (rest, at + 1);
    }
    Some(NULL)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_of_lists() {
        // 7, null, a described list, "x".
        let list = [0x04, 0x52, 7, 0x40, 0x00, 0x53, 0x28, 0xc0, 1, 0, 0xa1, 1, b'x'];
        assert_eq!(field(0xc0, &list, 0), Some((0x52, &[7][..])));
        assert_eq!(field(0xc0, &list, 1), Some((0x40, &[][..])));
        assert_eq!(field(0xc0, &list, 2), Some((0xc0, &[0][..])));
        assert_eq!(field(0xc0, &list, 3), Some((0xa1, &b"x"[..])));
        assert_eq!(field(0xc0, &list, 4), Some((0x40, &[][..])));
        assert_eq!(field(0x45, &[], 0), Some((0x40, &[][..])));
        assert_eq!(field(0xc0, &[1, 0xa1, 9, b'x'], 0), None);
    }
}
