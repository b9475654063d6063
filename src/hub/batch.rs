//! Batched messages: one delivery whose data sections are encoded messages of their own.
//!
//! Only the bodies are taken out of them, which is all the hub's readers look at; properties that the
//! messages of a batch carry are left behind.

use super::encoding::described;

/// The message format of a delivery that holds a batch.
pub(super) const FORMAT: u32 = 0x8001_3700;

const DATA: u64 = 0x75;
const VALUE: u64 = 0x77;

/// The data sections of one encoded message, or its value where that is text or binary. `None`: it is
/// not a message.
pub(super) fn body(mut message: &[u8]) -> Option<Vec<Vec<u8>>> {
    let mut data = Vec::new();
    while !message.is_empty() {
        let (section, code, content, rest) = described(message)?;
        // vbin and str, short and long.
        let bytes = matches!(code, 0xa0 | 0xa1 | 0xb0 | 0xb1);
        if matches!(section, DATA | VALUE) && bytes {
            data.push(content.to_vec());
        }
        message = rest;
    }
    (!data.is_empty()).then_some(data)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bodies_of_encoded_messages() {
        // Properties (an empty list), then data.
        let message = [0x00, 0x53, 0x73, 0x45, 0x00, 0x53, 0x75, 0xa0, 2, b'h', b'i'];
        assert_eq!(body(&message), Some(vec![b"hi".to_vec()]));
        // The long descriptor and the long binary.
        let long = [0x00, 0x80, 0, 0, 0, 0, 0, 0, 0, 0x75, 0xb0, 0, 0, 0, 1, b'x'];
        assert_eq!(body(&long), Some(vec![b"x".to_vec()]));
        let text = [0x00, 0x53, 0x77, 0xa1, 2, b'o', b'k'];
        assert_eq!(body(&text), Some(vec![b"ok".to_vec()]));
    }

    #[test]
    fn nonsense_is_no_message() {
        let message = [0x00, 0x53, 0x75, 0xa0, 2, b'h', b'i'];
        for end in 0..message.len() {
            assert_eq!(body(&message[..end]), None, "{end}");
        }
        assert_eq!(body(b"{\"records\":[]}"), None);
        assert_eq!(body(&[0x00, 0x53, 0x75, 0xb0, 0xff, 0xff, 0xff, 0xff]), None);
    }
}
