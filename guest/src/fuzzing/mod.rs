//! What fuzzing runs: each function does what its input says, and panics when something comes out that must not.
//!
//! The crate in `fuzz/` calls them under libFuzzer (`make fuzz`). The tests here replay what it has found worth keeping,
//! `fuzz/corpus`, so every `make test-native` is a short run of both.

mod model;
mod reader;
#[cfg(feature = "tls-ring")]
mod tls;
#[cfg(feature = "tls-ring")]
mod tls_configs;
#[cfg(feature = "tls-ring")]
mod tls_side;

pub use reader::reader;
#[cfg(feature = "tls-ring")]
pub use tls::tls;

/// An input as a script: what to do next is its next byte. Behind its end there are zeroes.
struct Script<'a>(&'a [u8]);

impl<'a> Script<'a> {
    fn is_over(&self) -> bool {
        self.0.is_empty()
    }

    fn byte(&mut self) -> u8 {
        self.bytes(1).first().copied().unwrap_or(0)
    }

    /// The next `n` bytes, or those that are left.
    fn bytes(&mut self, n: usize) -> &'a [u8] {
        let (bytes, rest) = self.0.split_at(n.min(self.0.len()));
        self.0 = rest;
        bytes
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::panic::catch_unwind;
    use std::path::{Path, PathBuf};

    #[test]
    fn the_corpus_of_the_reader_has_no_finding() {
        replay("reader", super::reader);
    }

    #[cfg(feature = "tls-ring")]
    #[test]
    fn the_corpus_of_tls_has_no_finding() {
        replay("tls", super::tls);
    }

    fn replay(name: &str, target: fn(&[u8])) {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../fuzz/corpus").join(name);
        let entries = fs::read_dir(&folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
        let mut files: Vec<PathBuf> = entries.map(|entry| entry.unwrap().path()).collect();
        files.sort();
        assert!(!files.is_empty(), "{} is empty: nothing was tested", folder.display());
        for file in &files {
            let input = fs::read(file).unwrap();
            assert!(catch_unwind(|| target(&input)).is_ok(), "{}: a finding, see the panic above", file.display());
        }
    }
}
