//! Finding the first separator in bytes that arrive in pieces.

use memchr::{memchr, memmem};

use crate::error::{Error, Result};

/// What `readuntil` accepts as a separator: one byte string, or several of which the one that ends first wins.
///
/// Implemented for byte strings (`&[u8]`, `&[u8; N]`, `&str`, `u8`), and for arrays and slices of references to
/// them.
///
/// # Differences from asyncio
///
/// Several separators came with Python 3.13, as a tuple; here they are an array or a slice.
pub trait Separators {
    #[doc(hidden)]
    fn with_list<T>(&self, use_list: impl FnOnce(&[&[u8]]) -> T) -> T;
}

impl Separators for [u8] {
    fn with_list<T>(&self, use_list: impl FnOnce(&[&[u8]]) -> T) -> T {
        use_list(&[self])
    }
}

impl<const N: usize> Separators for [u8; N] {
    fn with_list<T>(&self, use_list: impl FnOnce(&[&[u8]]) -> T) -> T {
        use_list(&[self])
    }
}

impl Separators for str {
    fn with_list<T>(&self, use_list: impl FnOnce(&[&[u8]]) -> T) -> T {
        use_list(&[self.as_bytes()])
    }
}

impl Separators for u8 {
    fn with_list<T>(&self, use_list: impl FnOnce(&[&[u8]]) -> T) -> T {
        use_list(&[&[*self]])
    }
}

impl<S: AsRef<[u8]> + ?Sized, const N: usize> Separators for [&S; N] {
    fn with_list<T>(&self, use_list: impl FnOnce(&[&[u8]]) -> T) -> T {
        self.as_slice().with_list(use_list)
    }
}

impl<S: AsRef<[u8]> + ?Sized> Separators for [&S] {
    fn with_list<T>(&self, use_list: impl FnOnce(&[&[u8]]) -> T) -> T {
        let list: Vec<&[u8]> = self.iter().map(|separator| (*separator).as_ref()).collect();
        use_list(&list)
    }
}

impl<S: Separators + ?Sized> Separators for &S {
    fn with_list<T>(&self, use_list: impl FnOnce(&[&[u8]]) -> T) -> T {
        (**self).with_list(use_list)
    }
}

/// Where a separator was found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Match {
    /// Index of its first byte.
    pub(crate) start: usize,
    /// Index behind its last byte.
    pub(crate) end: usize,
}

/// A search that remembers how far it has looked, so that bytes are looked at once however they arrive.
#[derive(Debug)]
pub(crate) struct Search {
    longest: usize,
    offset: usize,
}

impl Search {
    /// Starts a search; rejects what can never match.
    pub(crate) fn new(separators: &[&[u8]]) -> Result<Self> {
        if separators.is_empty() {
            return Err(Error::invalid("separator should contain at least one element")); // R43
        }
        if separators.iter().any(|separator| separator.is_empty()) {
            return Err(Error::invalid("separator should be at least one-byte string")); // R42, R44
        }
        let longest = separators.iter().map(|separator| separator.len()).max().unwrap_or(1);
        Ok(Self { longest, offset: 0 })
    }

    /// Starts a search for the end of a line.
    pub(crate) const fn for_newline() -> Self {
        Self { longest: 1, offset: 0 }
    }

    /// Looks at what is new in `data`. `None` means "no separator yet, and still within the limit".
    ///
    /// The separator itself does not count against `limit`.
    pub(crate) fn advance(&mut self, data: &[u8], separators: &[&[u8]], limit: usize) -> Result<Option<Match>> {
        if let Some(found) = self.look(data, separators) {
            return self.check(found, limit);
        }
        if self.offset > limit {
            return Err(Error::LimitOverrun { consumed: self.offset, found: false });
        }
        Ok(None)
    }

    /// The same without a limit, also for a part of what there is: what is found in it is found.
    pub(crate) fn look(&mut self, data: &[u8], separators: &[&[u8]]) -> Option<Match> {
        let found = first_match(data, self.offset, separators);
        if found.is_none() {
            // The last bytes may be the start of a separator.
            self.offset = (data.len() + 1).saturating_sub(self.longest);
        }
        found
    }

    /// Whether what was found is within the limit.
    pub(crate) fn check(&self, found: Match, limit: usize) -> Result<Option<Match>> {
        if found.start > limit {
            return Err(Error::LimitOverrun { consumed: found.start, found: true });
        }
        Ok(Some(found))
    }
}

/// The match that ends first; of two that end at the same byte, the shorter (R47, R49).
fn first_match(data: &[u8], from: usize, separators: &[&[u8]]) -> Option<Match> {
    if let [[byte]] = separators {
        let start = from + find_byte(*byte, data.get(from..)?)?;
        return Some(Match { start, end: start + 1 });
    }
    let mut best: Option<Match> = None;
    for separator in separators {
        let until = best.map_or(data.len(), |found| found.end);
        let Some(at) = data.get(from..until).and_then(|part| memmem::find(part, separator)) else { continue };
        let found = Match { start: from + at, end: from + at + separator.len() };
        best = match best {
            Some(old) if old.end < found.end || (old.end == found.end && old.start >= found.start) => Some(old),
            _ => Some(found),
        };
    }
    best
}

/// What [`find_byte`] looks at before it calls anything: most lines are not much longer.
const NEAR: usize = 32;

/// Vector code pays where there is more than this.
const FAR: usize = 2 * NEAR;

/// A component has vector code only when it was built for hosts that have SIMD.
const HAS_VECTORS: bool = !cfg!(all(target_family = "wasm", not(target_feature = "simd128")));

/// Where `byte` is first.
#[inline(always)]
pub(crate) fn find_byte(byte: u8, data: &[u8]) -> Option<usize> {
    match data.split_first_chunk() {
        Some((near, rest)) => find_in_block(byte, near).or_else(|| Some(NEAR + find_in_rest(byte, rest)?)),
        None => find_in_rest(byte, data),
    }
}

#[inline(never)]
fn find_in_rest(byte: u8, data: &[u8]) -> Option<usize> {
    if HAS_VECTORS && data.len() > FAR {
        return memchr(byte, data);
    }
    let (blocks, rest) = data.as_chunks();
    let at = blocks.iter().enumerate().find_map(|(i, block)| Some(i * NEAR + find_in_block(byte, block)?));
    at.or_else(|| Some(data.len() - rest.len() + find_in_words(byte, rest)?))
}

fn find_in_words(byte: u8, data: &[u8]) -> Option<usize> {
    let (words, rest) = data.as_chunks();
    let at = words.iter().enumerate().find_map(|(i, word)| Some(i * size_of_val(word) + find_in_word(byte, *word)?));
    at.or_else(|| Some(data.len() - rest.len() + rest.iter().position(|each| *each == byte)?))
}

/// Without a loop, when this is optimised.
#[inline]
fn find_in_block(byte: u8, block: &[u8; NEAR]) -> Option<usize> {
    find_in_words(byte, block)
}

/// The same in eight bytes at once.
#[inline]
fn find_in_word(byte: u8, word: [u8; size_of::<u64>()]) -> Option<usize> {
    const LOW_BITS: u64 = u64::from_le_bytes([0x01; 8]);
    const HIGH_BITS: u64 = LOW_BITS << 7;
    let differs = u64::from_le_bytes(word) ^ (LOW_BITS * u64::from(byte));
    // The high bit of each byte that was zero; a borrow may set more of them, but only behind the first.
    let found = differs.wrapping_sub(LOW_BITS) & !differs & HIGH_BITS;
    (found != 0).then(|| found.trailing_zeros() as usize / 8)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Feeds `pieces` one after another and gives the first match with the bytes before it.
    fn run(pieces: &[&str], separators: &[&[u8]], limit: usize) -> Result<Option<(String, usize)>> {
        let mut search = Search::new(separators)?;
        let mut data = Vec::new();
        for piece in pieces {
            data.extend_from_slice(piece.as_bytes());
            if let Some(found) = search.advance(&data, separators, limit)? {
                return Ok(Some((String::from_utf8_lossy(&data[..found.end]).into_owned(), data.len() - found.end)));
            }
        }
        Ok(None)
    }

    fn found(pieces: &[&str], separators: &[&str]) -> Option<(String, usize)> {
        let separators: Vec<&[u8]> = separators.iter().map(|s| s.as_bytes()).collect();
        run(pieces, &separators, 65536).expect("within the limit")
    }

    #[test]
    fn r45_a_separator_may_be_split_over_pieces() {
        assert_eq!(found(&["QWEaa", "XYaa", "a"], &["aaa"]), Some(("QWEaaXYaaa".into(), 0)));
    }

    #[test]
    fn r46_near_misses_do_not_count() {
        assert_eq!(found(&["XXX", "a", "a", "a"], &["aaa"]), Some(("XXXaaa".into(), 0)));
    }

    #[test]
    fn r47_the_separator_that_ends_first_wins() {
        assert_eq!(found(&["ABCDEFG"], &["DEF", "BCDE"]), Some(("ABCDE".into(), 2)));
    }

    #[test]
    fn r48_the_order_given_does_not_matter() {
        assert_eq!(found(&["ab\r\ncd"], &["\r\n", "\r"]), Some(("ab\r".into(), 3)));
        assert_eq!(found(&["ab\r\ncd"], &["\r", "\r\n"]), Some(("ab\r".into(), 3)));
    }

    #[test]
    fn r49_of_two_that_end_together_the_shorter_is_the_match() {
        let list: [&[u8]; 2] = [b"xyz", b"z"];
        assert_eq!(first_match(b"abcxyz", 0, &list), Some(Match { start: 5, end: 6 }));
        let list: [&[u8]; 2] = [b"z", b"xyz"];
        assert_eq!(first_match(b"abcxyz", 0, &list), Some(Match { start: 5, end: 6 }));
    }

    #[test]
    fn r50_a_buffer_shorter_than_the_longest_separator_is_searched() {
        assert_eq!(found(&["data", "Z", "Aaaa"], &["A", "long sep"]), Some(("dataZA".into(), 3)));
    }

    #[test]
    fn r51_the_separator_itself_does_not_count_against_the_limit() {
        assert_eq!(run(&["1234567\n"], &[b"\n"], 7).expect("allowed"), Some(("1234567\n".into(), 0)));
    }

    #[test]
    fn r53_with_several_separators_the_overrun_is_at_the_start_of_the_shorter() {
        let error = run(&["some dataA"], &[b"A", b"ome dataA"], 3).expect_err("over the limit");
        assert!(matches!(error, Error::LimitOverrun { consumed: 9, found: true }), "{error:?}");
    }

    #[test]
    fn r54_an_overrun_without_a_match_says_what_is_safe_to_take() {
        let error = run(&["abcdef"], &[b"\n"], 3).expect_err("over the limit");
        assert!(matches!(error, Error::LimitOverrun { consumed: 6, found: false }), "{error:?}");
        let error = run(&["abcdefAA"], &[b"AAA"], 3).expect_err("over the limit");
        assert!(matches!(error, Error::LimitOverrun { consumed: 6, found: false }), "{error:?}");
    }

    #[test]
    fn a_byte_is_found_wherever_it_is_and_whatever_is_around_it() {
        for byte in [b'\n', 0, 0x7F, 0x80, 0xFF] {
            // Bytes that differ in one bit, and those that borrow from it.
            let others = (0..8).map(|bit| byte ^ (1 << bit)).chain([byte.wrapping_sub(1), byte.wrapping_add(1)]);
            for other in others {
                for len in 0..=3 * NEAR + 9 {
                    let mut data = vec![other; len];
                    assert_eq!(find_byte(byte, &data), None, "{byte} in {len} times {other}");
                    for at in (0..len).rev() {
                        data[at] = byte; // and behind it more of them
                        assert_eq!(find_byte(byte, &data), Some(at), "{byte} at {at} in {len} times {other}");
                    }
                }
            }
        }
    }

    #[test]
    fn r42_r43_r44_an_empty_separator_is_an_argument_error() {
        for list in [&[] as &[&[u8]], &[b""], &[b"a", b""]] {
            assert!(matches!(Search::new(list), Err(Error::InvalidInput(_))));
        }
    }
}
