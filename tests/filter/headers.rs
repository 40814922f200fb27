//! Header maps as Envoy keeps them: ordered pairs of bytes, names in lower case, repetitions kept.

use std::fmt;

/// Headers, in order. Values are bytes: HTTP allows any above 0x1f, and so does Envoy.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Headers(Vec<(Vec<u8>, Vec<u8>)>);

impl Headers {
    /// An empty map.
    pub fn new() -> Self {
        Self::default()
    }

    /// The map with one more pair.
    pub fn with(mut self, name: impl AsRef<[u8]>, value: impl AsRef<[u8]>) -> Self {
        self.add(name, value);
        self
    }

    /// Appends a pair; the name becomes lower case, as Envoy's codecs make it.
    pub fn add(&mut self, name: impl AsRef<[u8]>, value: impl AsRef<[u8]>) {
        self.0
            .push((name.as_ref().to_ascii_lowercase(), value.as_ref().to_vec()));
    }

    /// One pair of this name with this value, at the place of the first that was there.
    pub fn replace(&mut self, name: impl AsRef<[u8]>, value: impl AsRef<[u8]>) {
        let name = name.as_ref().to_ascii_lowercase();
        let place = self
            .0
            .iter()
            .position(|(held, _)| *held == name)
            .unwrap_or(self.0.len());
        self.remove(&name);
        self.0
            .insert(place.min(self.0.len()), (name, value.as_ref().to_vec()));
    }

    /// Removes every pair of this name.
    pub fn remove(&mut self, name: impl AsRef<[u8]>) {
        let name = name.as_ref().to_ascii_lowercase();
        self.0.retain(|(held, _)| *held != name);
    }

    /// The first value of this name.
    pub fn first(&self, name: impl AsRef<[u8]>) -> Option<&[u8]> {
        let name = name.as_ref().to_ascii_lowercase();
        self.0
            .iter()
            .find(|(held, _)| *held == name)
            .map(|(_, value)| value.as_slice())
    }

    /// The value of this name as text, when there is exactly one and it is UTF-8.
    pub fn text(&self, name: &str) -> Option<&str> {
        match self.all(name).as_slice() {
            [only] => std::str::from_utf8(only).ok(),
            _ => None,
        }
    }

    /// Every value of this name, in order.
    pub fn all(&self, name: &str) -> Vec<&[u8]> {
        let pairs = self
            .0
            .iter()
            .filter(|(held, _)| held.eq_ignore_ascii_case(name.as_bytes()));
        pairs.map(|(_, value)| value.as_slice()).collect()
    }

    /// The pairs, in order.
    pub fn iter(&self) -> impl Iterator<Item = (&[u8], &[u8])> {
        self.0
            .iter()
            .map(|(name, value)| (name.as_slice(), value.as_slice()))
    }

    /// How many pairs there are.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The first name or value that would not survive the wire: CR, LF or NUL in it, or no name.
    pub(crate) fn invalid(&self) -> Option<String> {
        let broken = |bytes: &[u8]| bytes.iter().any(|byte| matches!(byte, b'\r' | b'\n' | 0));
        let (name, value) = self
            .iter()
            .find(|(name, value)| name.is_empty() || broken(name) || broken(value))?;
        Some(format!("{}: {}", name.escape_ascii(), value.escape_ascii()))
    }

    /// As the ABI carries it: the number of pairs, the lengths, then each name and value with a
    /// NUL after it. An empty map is nothing at all.
    pub(crate) fn serialize(&self) -> Vec<u8> {
        if self.is_empty() {
            return Vec::new();
        }
        let mut out = (self.0.len() as u32).to_le_bytes().to_vec();
        for (name, value) in &self.0 {
            out.extend_from_slice(&(name.len() as u32).to_le_bytes());
            out.extend_from_slice(&(value.len() as u32).to_le_bytes());
        }
        for (name, value) in &self.0 {
            out.extend_from_slice(&[name, &[0][..], value, &[0]].concat());
        }
        out
    }

    /// Reads what [`Headers::serialize`] wrote; None when the lengths do not fit the bytes.
    pub(crate) fn deserialize(bytes: &[u8]) -> Option<Self> {
        if bytes.is_empty() {
            return Some(Self::default());
        }
        let word = |at: usize| -> Option<usize> {
            let word = bytes.get(at..at + 4)?;
            Some(u32::from_le_bytes(word.try_into().ok()?) as usize)
        };
        let count = word(0)?;
        let mut at = 4 + count.checked_mul(8)?;
        let mut headers = Self::default();
        for nth in 0..count {
            let (name_len, value_len) = (word(4 + nth * 8)?, word(8 + nth * 8)?);
            let name = bytes.get(at..at + name_len)?;
            let value = bytes.get(at + name_len + 1..at + name_len + 1 + value_len)?;
            at += name_len + value_len + 2;
            headers.add(name, value);
        }
        (at == bytes.len()).then_some(headers)
    }
}

impl<N: AsRef<[u8]>, V: AsRef<[u8]>> FromIterator<(N, V)> for Headers {
    fn from_iter<I: IntoIterator<Item = (N, V)>>(pairs: I) -> Self {
        pairs
            .into_iter()
            .fold(Self::new(), |headers, (name, value)| {
                headers.with(name, value)
            })
    }
}

impl fmt::Debug for Headers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut list = f.debug_list();
        for (name, value) in self.iter() {
            list.entry(&format_args!(
                "{}: {}",
                name.escape_ascii(),
                value.escape_ascii()
            ));
        }
        list.finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headers_read_back_as_serialized_also_with_bytes_that_are_no_text() {
        let headers = Headers::new()
            .with(":path", "/")
            .with("cookie", b"a=\xff")
            .with("cookie", "")
            .with("X-A", "1");
        assert_eq!(Headers::deserialize(&headers.serialize()), Some(headers));
        assert_eq!(Headers::deserialize(&[]), Some(Headers::new()));
    }

    #[test]
    fn a_truncated_map_is_no_map() {
        let bytes = Headers::new().with("a", "bc").serialize();
        for len in 1..bytes.len() {
            assert_eq!(Headers::deserialize(&bytes[..len]), None, "{len} bytes");
        }
    }

    #[test]
    fn replace_leaves_one_value_at_the_place_of_the_first() {
        let mut headers = Headers::new().with("a", "1").with("b", "2").with("A", "3");
        headers.replace("A", "4");
        assert_eq!(headers, Headers::new().with("a", "4").with("b", "2"));
    }
}
