//! JSON tokens exactly as orjson writes them: strings, floats, integers (form: `kato_service/engine/answer.py`).
//!
//! Called by `render` and `listing`.

use crate::pattern::Name;

const HEX: &[u8; 16] = b"0123456789abcdef";

/// A growing answer in UTF-8.
#[derive(Default)]
pub struct Json {
    bytes: Vec<u8>,
}

impl Json {
    /// An empty answer with room for `capacity` bytes.
    pub fn with_capacity(capacity: usize) -> Self {
        Self { bytes: Vec::with_capacity(capacity) }
    }

    /// The bytes written.
    pub fn into_bytes(self) -> Vec<u8> {
        self.bytes
    }

    /// Append text that is JSON already.
    pub fn raw(&mut self, text: &str) {
        self.bytes.extend_from_slice(text.as_bytes());
    }

    /// Append an integer.
    pub fn int(&mut self, value: impl itoa::Integer) {
        self.raw(itoa::Buffer::new().format(value));
    }

    /// Append a float as the shortest decimal that reads back as the same; `null` when it is not finite.
    pub fn float(&mut self, value: f64) {
        if value.is_finite() {
            self.raw(zmij::Buffer::new().format_finite(value));
        } else {
            self.raw("null");
        }
    }

    /// Append a float, or `null` for none.
    pub fn optional(&mut self, value: Option<f64>) {
        self.float(value.unwrap_or(f64::NAN));
    }

    /// Append bytes as lower-case hex digits, quoted.
    pub fn hex(&mut self, bytes: &[u8]) {
        self.bytes.push(b'"');
        bytes.iter().for_each(|&byte| self.bytes.extend(digits(byte)));
        self.bytes.push(b'"');
    }

    /// Append a string, quoted and escaped.
    pub fn string(&mut self, text: &str) {
        self.bytes.push(b'"');
        let mut rest = text.as_bytes();
        while let Some(at) = rest.iter().position(|&byte| byte < 0x20 || byte == b'"' || byte == b'\\') {
            self.bytes.extend_from_slice(&rest[..at]);
            self.escape(rest[at]);
            rest = &rest[at + 1..];
        }
        self.bytes.extend_from_slice(rest);
        self.bytes.push(b'"');
    }

    fn escape(&mut self, byte: u8) {
        let short = match byte {
            b'"' | b'\\' => byte,
            0x08 => b'b',
            b'\t' => b't',
            b'\n' => b'n',
            0x0c => b'f',
            b'\r' => b'r',
            _ => {
                self.raw("\\u00");
                self.bytes.extend(digits(byte));
                return;
            }
        };
        self.bytes.extend([b'\\', short]);
    }

    /// Append `,"name":value` of an object.
    pub fn field(&mut self, name: &str, value: impl Into<Option<f64>>) {
        self.raw(",\"");
        self.raw(name);
        self.raw("\":");
        self.optional(value.into());
    }

    /// Append a key of an object, escaped, with its colon.
    pub fn key(&mut self, name: &str) {
        self.string(name);
        self.raw(":");
    }

    /// Append an object, each member by `write`.
    pub fn object<T>(&mut self, members: impl IntoIterator<Item = T>, write: impl FnMut(&mut Self, T)) {
        self.between(b"{}", members, write);
    }

    /// Append a list, each item by `write`.
    pub fn list<T>(&mut self, items: impl IntoIterator<Item = T>, write: impl FnMut(&mut Self, T)) {
        self.between(b"[]", items, write);
    }

    fn between<T>(&mut self, ends: &[u8; 2], items: impl IntoIterator<Item = T>, mut write: impl FnMut(&mut Self, T)) {
        self.bytes.push(ends[0]);
        for (index, item) in items.into_iter().enumerate() {
            if index > 0 {
                self.bytes.push(b',');
            }
            write(self, item);
        }
        self.bytes.push(ends[1]);
    }
}

/// A name as lower-case hex digits.
pub fn hex_of(name: &Name) -> [u8; 2 * size_of::<Name>()] {
    let mut text = [0; 2 * size_of::<Name>()];
    text.chunks_exact_mut(2).zip(name).for_each(|(pair, &byte)| pair.copy_from_slice(&digits(byte)));
    text
}

fn digits(byte: u8) -> [u8; 2] {
    [HEX[usize::from(byte >> 4)], HEX[usize::from(byte & 15)]]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(write: impl FnOnce(&mut Json)) -> String {
        let mut json = Json::default();
        write(&mut json);
        String::from_utf8(json.into_bytes()).expect("UTF-8")
    }

    #[test]
    fn strings_are_escaped_as_orjson_does() {
        assert_eq!(
            written(|j| j.string("a\"\\/\u{8}\t\n\u{c}\r\u{1f}\u{7f}é😀")),
            "\"a\\\"\\\\/\\b\\t\\n\\f\\r\\u001f\u{7f}é😀\""
        );
        assert_eq!(written(|j| j.string("")), "\"\"");
    }

    #[test]
    fn numbers_keep_their_kind() {
        assert_eq!(written(|j| j.float(1.0)), "1.0");
        assert_eq!(written(|j| j.float(-0.0)), "-0.0");
        assert_eq!(written(|j| j.float(1e-7)), "1e-7");
        assert_eq!(written(|j| j.optional(None)), "null");
        assert_eq!(written(|j| j.int(-1i64)), "-1");
    }

    #[test]
    fn lists_and_hex() {
        assert_eq!(written(|j| j.list([1, 2], |j, n: i32| j.int(n))), "[1,2]");
        assert_eq!(written(|j| j.hex(&[0x0a, 0xff])), "\"0aff\"");
    }
}
