//! Text as Python's `repr` shows it.

use std::fmt::Write;

/// Returns `text` as Python's `repr` of a string: in single quotes, or in double quotes if that saves escaping; what cannot be
/// printed is escaped.
pub fn repr(text: &str) -> String {
    let quote = if text.contains('\'') && !text.contains('"') { '"' } else { '\'' };
    let mut out = String::with_capacity(text.len() + 2);
    out.push(quote);
    for c in text.chars() {
        match c {
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            c if c == quote => out.extend(['\\', c]),
            c if is_printable(c) => out.push(c),
            c => escape(c, &mut out),
        }
    }
    out.push(quote);
    out
}

fn escape(c: char, out: &mut String) {
    // Writing to a string cannot fail.
    let _ = match u32::from(c) {
        code @ 0..=0xff => write!(out, "\\x{code:02x}"),
        code @ 0x100..=0xffff => write!(out, "\\u{code:04x}"),
        code => write!(out, "\\U{code:08x}"),
    };
}

/// Whether a character is printed as it is. `std` knows the same Unicode categories as Python, but tells only by escaping;
/// and marks that combine are left alone behind another character, as Python leaves them everywhere.
fn is_printable(c: char) -> bool {
    match c {
        ' '..='~' => true,
        '\0'..='\x7f' => false,
        c => {
            let text = String::from_iter(['a', c]);
            text.escape_debug().eq(text.chars())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::repr;

    #[test]
    fn quotes_are_those_that_need_the_least_escaping() {
        assert_eq!(repr(""), "''");
        assert_eq!(repr("Hello World!"), "'Hello World!'");
        assert_eq!(repr("it's"), "\"it's\"");
        assert_eq!(repr("say \"so\""), "'say \"so\"'");
        assert_eq!(repr("it's \"so\""), "'it\\'s \"so\"'");
    }

    #[test]
    fn what_cannot_be_printed_is_escaped() {
        assert_eq!(repr("a\\b\n\r\t"), r"'a\\b\n\r\t'");
        assert_eq!(repr("\0\x07\x1b\x7f"), r"'\x00\x07\x1b\x7f'");
        assert_eq!(repr("\u{85}\u{a0}\u{ad}"), r"'\x85\xa0\xad'");
        assert_eq!(repr("\u{200b}\u{2028}\u{feff}\u{e000}"), r"'\u200b\u2028\ufeff\ue000'");
        assert_eq!(repr("\u{e0001}\u{10ffff}"), r"'\U000e0001\U0010ffff'");
    }

    #[test]
    fn what_can_be_printed_is_left_alone() {
        for text in ["grüß dich", "你好", "e\u{301}", "\u{301}", "🦀", "½ ≤ ∞"] {
            assert_eq!(repr(text), format!("'{text}'"));
        }
    }
}
