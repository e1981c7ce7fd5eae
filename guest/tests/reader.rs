//! The reader alone, fed by hand: rows R01 to R78 of CONFORMANCE.md, and F01 to F06 as far as they need no transport.
//!
//! Here a read is polled only when it was woken, so a wake that is missing is a test that fails. What a transport adds is
//! in `read_flow.rs`, what CPython itself says about the same operations in `differential.rs`.

mod attempt;
mod random;

use std::io::ErrorKind;

use futures_lite::{AsyncBufReadExt, AsyncReadExt, StreamExt};
use wasi_streams::{Bytes, DEFAULT_LIMIT, Error, Result, StreamReader};

use attempt::Attempt;
use random::Random;

// ---------------------------------------------------------------------- construction, feeding, state

#[test]
fn r01_the_limit_is_65536_unless_given() {
    let mut reader = StreamReader::new(None).unwrap();
    assert_eq!((reader.limit(), DEFAULT_LIMIT), (65_536, 65_536));
    feed(&reader, &("x".repeat(65_536) + "\n"));
    assert_eq!(now(reader.readline()).unwrap().len(), 65_537, "a line as long as the limit passes");
    feed(&reader, &("x".repeat(65_537) + "\n"));
    assert!(matches!(now(reader.readline()), Err(Error::LineTooLong { .. })), "one byte more does not");
}

#[test]
fn r02_a_limit_of_zero_is_refused_by_name() {
    let error = StreamReader::new(0).unwrap_err();
    assert!(matches!(&error, Error::InvalidInput(text) if text.contains("limit")), "{error}");
    assert!(StreamReader::new(1).is_ok());
}

#[test]
fn r04_feeding_nothing_has_no_effect_and_wakes_nobody() {
    let mut reader = reader(4);
    let feeder = reader.feeder();
    let mut read = waiting(reader.read(1));
    feeder.feed_data(b"").unwrap();
    assert_eq!(read.wakes(), 0);
    assert!(read.turn().is_none());
    feeder.feed_data(b"x").unwrap();
    assert!(read.wakes() > 0, "something does wake");
    assert_eq!(finish(read).unwrap(), "x");
}

#[test]
fn r05_fed_bytes_are_appended_in_order() {
    let mut reader = reader(100);
    for piece in ["ab", "c", "def"] {
        feed(&reader, piece);
    }
    assert_eq!(now(reader.read(100)).unwrap(), "abcdef");
}

#[test]
fn r05_feeding_wakes_the_waiting_read_whatever_its_kind() {
    for kind in Kind::ALL {
        let mut reader = reader(100);
        let feeder = reader.feeder();
        let mut read = waiting(kind.perform(&mut reader));
        feeder.feed_data(b"ab\nde").unwrap();
        assert!(read.wakes() > 0, "{kind:?}");
        if kind == Kind::All {
            assert!(read.turn().is_none());
            feeder.feed_eof();
        }
        let is_line = [Kind::Until, Kind::Line, Kind::LineRef, Kind::Next].contains(&kind);
        assert_eq!(finish(read).unwrap(), if is_line { "ab\n" } else { "ab\nde" }, "{kind:?}");
    }
}

#[test]
fn r06_feeding_after_the_end_is_refused_even_nothing() {
    let mut reader = reader(4);
    reader.feed_eof();
    for data in ["x", ""] {
        assert!(matches!(reader.feed_data(data.as_bytes()), Err(Error::Closed(_))), "{data:?}");
        assert!(matches!(reader.feeder().feed_data(data.as_bytes()), Err(Error::Closed(_))), "{data:?}");
    }
    assert_eq!(now(reader.read_to_end()).unwrap(), "", "nothing of it was taken");
}

#[test]
fn r07_the_end_wakes_the_waiting_read_whatever_its_kind() {
    for kind in Kind::ALL {
        let mut reader = reader(4);
        let feeder = reader.feeder();
        let read = waiting(kind.perform(&mut reader));
        feeder.feed_eof();
        assert_eq!(given(finish(read)), "", "{kind:?}");
        assert!(reader.at_eof(), "{kind:?}");
    }
}

#[test]
fn r07_the_end_may_be_fed_again() {
    let mut reader = fed(4, "ab");
    reader.feed_eof();
    reader.feed_eof();
    assert_eq!(now(reader.read(9)).unwrap(), "ab");
    reader.feeder().feed_eof();
    assert!(reader.at_eof());
    assert_eq!(now(reader.read(9)).unwrap(), "");
}

#[test]
fn r08_at_eof_takes_the_end_and_an_empty_buffer() {
    let mut reader = reader(4);
    assert!(!reader.at_eof(), "empty, not ended");
    feed(&reader, "ab");
    assert!(!reader.at_eof(), "neither");
    reader.feed_eof();
    assert!(!reader.at_eof(), "ended, not empty");
    now(reader.read(1)).unwrap();
    assert!(!reader.at_eof(), "ended, one byte left");
    now(reader.read(1)).unwrap();
    assert!(reader.at_eof());
}

#[test]
fn r08_a_stored_error_plays_no_part_in_at_eof() {
    let reader = reader(4);
    reader.set_exception(stored());
    assert!(!reader.at_eof());
    reader.feed_eof();
    assert!(reader.at_eof());
    let reader = fed(4, "ab");
    reader.feed_eof();
    reader.set_exception(stored());
    assert!(!reader.at_eof());
}

#[test]
fn r08_bytes_lent_and_not_used_keep_the_reader_from_its_end() {
    let mut reader = fed(9, "a\nb");
    reader.feed_eof();
    assert_eq!(now(reader.readline_ref()).unwrap(), b"a\n");
    assert!(!reader.at_eof());
    assert_eq!(now(reader.fill_buf()).unwrap(), b"b");
    assert!(!reader.at_eof());
    reader.consume(1);
    assert!(reader.at_eof());
}

#[test]
fn r10_exception_gives_the_stored_error_or_none() {
    let reader = reader(4);
    assert!(reader.exception().is_none());
    reader.set_exception(stored());
    assert!(is_stored(&reader.exception().unwrap()));
    reader.feeder().set_exception(Error::io(ErrorKind::Other, "later"));
    assert_eq!(reader.exception().unwrap().to_string(), "later", "the last one counts");
}

#[test]
fn r10_storing_an_error_wakes_the_waiting_read_with_it() {
    for kind in Kind::ALL {
        let mut reader = reader(4);
        let feeder = reader.feeder();
        let read = waiting(kind.perform(&mut reader));
        feeder.set_exception(stored());
        assert!(is_stored(&finish(read).unwrap_err()), "{kind:?}");
    }
}

#[test]
fn r05_r07_r10_the_futures_io_traits_wait_and_wake_likewise() {
    let mut reader = reader(4);
    let feeder = reader.feeder();
    let fill = waiting(async { reader.fill_buf().await.map(<[u8]>::to_vec) });
    feeder.feed_data(b"ab").unwrap();
    assert_eq!(finish(fill).unwrap(), b"ab");
    reader.consume(2);
    let mut buffer = [0; 9];
    let read = waiting(AsyncReadExt::read(&mut reader, &mut buffer));
    feeder.feed_data(b"cd").unwrap();
    assert_eq!(finish(read).unwrap(), 2);
    let read = waiting(AsyncReadExt::read(&mut reader, &mut buffer));
    feeder.feed_eof();
    assert_eq!(finish(read).unwrap(), 0);
    assert_eq!(&buffer[..2], b"cd");

    let mut reader = fed(4, "");
    let feeder = reader.feeder();
    let fill = waiting(async { reader.fill_buf().await.map(<[u8]>::to_vec) });
    feeder.set_exception(stored());
    assert!(is_stored(&finish(fill).unwrap_err().into()));
}

#[test]
fn r11_a_stored_error_is_what_every_read_gives_from_then_on() {
    let mut reader = fed(100, "line\nrest");
    reader.set_exception(stored());
    for round in 0..2 {
        for kind in Kind::ALL {
            assert!(is_stored(&now(kind.perform(&mut reader)).unwrap_err()), "{kind:?}, round {round}");
        }
        assert!(is_stored(&now(reader.read(0)).unwrap_err()));
        assert!(is_stored(&now(reader.readexactly(0)).unwrap_err()));
    }
    feed(&reader, "more\n");
    assert!(is_stored(&now(reader.readline()).unwrap_err()), "also when more arrives");
}

#[test]
fn r11_a_stored_error_is_what_the_futures_io_traits_give() {
    let mut reader = fed(100, "line\nrest");
    reader.set_exception(stored());
    assert!(is_stored(&now(reader.fill_buf()).unwrap_err().into()));
    assert!(is_stored(&now(AsyncReadExt::read(&mut reader, &mut [0; 4])).unwrap_err().into()));
    assert!(is_stored(&now(AsyncReadExt::read(&mut reader, &mut [])).unwrap_err().into()), "like read(0)");
}

#[test]
fn r11_a_stored_error_hides_lent_bytes_too() {
    let lent = || {
        let mut reader = fed(100, "one\ntwo\nthree\n");
        assert_eq!(now(reader.readline_ref()).unwrap(), b"one\n");
        reader.set_exception(stored());
        reader
    };
    assert!(is_stored(&now(lent().readline_ref()).unwrap_err()));
    assert!(is_stored(&now(lent().read(1)).unwrap_err()));
    assert!(is_stored(&now(lent().fill_buf()).unwrap_err().into()));
    assert!(is_stored(&now(AsyncReadExt::read(&mut lent(), &mut [0; 4])).unwrap_err().into()));
}

#[test]
fn r12_an_error_stored_after_the_end_wins() {
    let mut reader = reader(4);
    reader.feed_eof();
    assert_eq!(now(reader.read(1)).unwrap(), "");
    reader.set_exception(stored());
    for kind in Kind::ALL {
        assert!(is_stored(&now(kind.perform(&mut reader)).unwrap_err()), "{kind:?}");
    }
}

#[test]
fn r13_an_error_may_be_stored_just_after_the_waiting_read_was_cancelled() {
    for kind in Kind::ALL {
        let mut reader = reader(4);
        drop(waiting(kind.perform(&mut reader)));
        reader.set_exception(stored());
        assert!(is_stored(&reader.exception().unwrap()));
        assert!(is_stored(&now(reader.read(1)).unwrap_err()), "{kind:?}");
    }
}

#[test]
fn r14_an_argument_error_wins_over_a_stored_error() {
    let mut reader = fed(4, "ab");
    reader.set_exception(stored());
    assert!(matches!(now(reader.readuntil("")), Err(Error::InvalidInput(_))));
    assert!(matches!(now(reader.readuntil([] as [&str; 0])), Err(Error::InvalidInput(_))));
    assert!(matches!(now(reader.readuntil(["b", ""])), Err(Error::InvalidInput(_))));
}

#[test]
fn r17_a_cancelled_read_loses_no_byte() {
    for kind in [Kind::Some, Kind::Exactly, Kind::Until, Kind::Line, Kind::LineRef, Kind::Next] {
        for fed_before in ["", "ab"] {
            let before = if kind == Kind::Some { "" } else { fed_before }; // or it would not wait
            let mut reader = fed(100, before);
            let feeder = reader.feeder();
            let read = waiting(kind.perform(&mut reader));
            feeder.feed_data(b"cd\nef").unwrap();
            drop(read); // woken, and cancelled before it could run
            assert_eq!(now(reader.read(100)).unwrap(), format!("{before}cd\nef"), "{kind:?}");
        }
    }
}

#[test]
fn r17_a_read_that_waited_several_times_loses_no_byte_either() {
    for kind in [Kind::Exactly, Kind::Until, Kind::Line, Kind::LineRef, Kind::Next] {
        let mut reader = fed(100, "a");
        let feeder = reader.feeder();
        let mut read = waiting(kind.perform(&mut reader));
        for piece in ["b", "c"] {
            feeder.feed_data(piece.as_bytes()).unwrap();
            assert!(read.turn().is_none(), "{kind:?}");
        }
        drop(read);
        feeder.feed_data(b"d\n").unwrap();
        assert_eq!(now(reader.readline()).unwrap(), "abcd\n", "{kind:?}");
    }
}

#[test]
fn r17_a_cancelled_wait_for_lent_bytes_loses_no_byte() {
    let mut reader = fed(100, "one\ntw");
    assert_eq!(now(reader.readline_ref()).unwrap(), b"one\n");
    drop(waiting(async { reader.readline_ref().await.map(<[u8]>::len) }));
    assert_eq!(now(reader.read(100)).unwrap(), "tw");
    let feeder = reader.feeder();
    let fill = waiting(async { reader.fill_buf().await.map(<[u8]>::len) });
    feeder.feed_data(b"more").unwrap();
    drop(fill);
    assert_eq!(now(reader.read(100)).unwrap(), "more");
}

#[test]
fn r18_a_cancelled_read_to_end_puts_back_what_it_had() {
    let mut reader = fed(100, "ab");
    let feeder = reader.feeder();
    let mut read = waiting(reader.read_to_end());
    feeder.feed_data(b"cd").unwrap();
    assert!(read.turn().is_none());
    feeder.feed_data(b"ef").unwrap();
    drop(read);
    assert_eq!(now(reader.readexactly(5)).unwrap(), "abcde");
    feeder.feed_eof();
    assert!(!reader.at_eof());
    assert_eq!(now(reader.read_to_end()).unwrap(), "f");
}

#[test]
fn r19_the_debug_form_shows_the_state() {
    let reader = fed(None, "secret");
    assert_eq!(format!("{reader:?}"), "StreamReader { buffered: 6, .. }");
    reader.feed_eof();
    reader.set_exception(stored());
    let text = format!("{reader:?}");
    assert!(text.contains("buffered: 6") && text.contains("eof: true") && text.contains("as stored"), "{text}");
    let reader = fed(2, "secret");
    assert_eq!(format!("{reader:?}"), "StreamReader { buffered: 6, limit: 2, paused: true, .. }");
}

#[test]
fn r19_the_debug_form_never_shows_content() {
    let mut reader = fed(2, "secret\nsecret");
    let feeder = reader.feeder();
    assert!(!format!("{reader:?}{reader:#?}{feeder:?}").contains("secret"));
    reader.consume(0);
    assert_eq!(now(reader.fill_buf()).unwrap().len(), 13);
    assert!(!format!("{reader:?}").contains("secret"), "lent bytes neither");
    assert!(format!("{reader:?}").contains("buffered: 13"), "and they count");
    assert!(!format!("{:?}", StreamReader::lines(&mut reader)).contains("secret"));
}

// ---------------------------------------------------------------------- read and readexactly

#[test]
fn r20_read_gives_what_is_there_and_never_waits_for_more() {
    let mut reader = fed(100, "abc");
    assert_eq!(now(reader.read(2)).unwrap(), "ab");
    assert_eq!(now(reader.read(2)).unwrap(), "c");
    feed(&reader, "d");
    assert_eq!(now(reader.read(usize::MAX)).unwrap(), "d");
}

#[test]
fn r21_read_waits_for_the_first_byte_or_the_end() {
    let mut reader = reader(100);
    let feeder = reader.feeder();
    let read = waiting(reader.read(5));
    feeder.feed_data(b"x").unwrap();
    assert_eq!(finish(read).unwrap(), "x");
    let read = waiting(reader.read(5));
    feeder.feed_eof();
    assert_eq!(finish(read).unwrap(), "");
}

#[test]
fn r22_read_at_the_end_gives_nothing_every_time() {
    let mut reader = reader(4);
    reader.feed_eof();
    for _ in 0..3 {
        assert_eq!(now(reader.read(5)).unwrap(), "");
        assert_eq!(now(reader.read_to_end()).unwrap(), "");
        assert_eq!(now(reader.fill_buf()).unwrap(), b"");
        assert_eq!(now(AsyncReadExt::read(&mut reader, &mut [0; 5])).unwrap(), 0);
    }
}

#[test]
fn r23_read_of_zero_gives_nothing_at_once_and_takes_nothing() {
    let mut empty = reader(4);
    assert_eq!(now(empty.read(0)).unwrap(), "");
    assert_eq!(now(AsyncReadExt::read(&mut empty, &mut [])).unwrap(), 0);
    let mut reader = fed(4, "ab");
    assert_eq!(now(reader.read(0)).unwrap(), "");
    assert_eq!(now(reader.read(9)).unwrap(), "ab");
}

#[test]
fn r24_read_to_end_waits_for_the_end_and_gives_everything() {
    let mut reader = fed(2, "ab");
    let feeder = reader.feeder();
    let mut read = waiting(reader.read_to_end());
    for piece in ["cdef", "g", "hijklmn"] {
        feeder.feed_data(piece.as_bytes()).unwrap();
        assert!(read.turn().is_none(), "not the end yet");
    }
    feeder.feed_eof();
    assert_eq!(finish(read).unwrap(), "abcdefghijklmn");
    assert!(reader.at_eof());
}

#[test]
fn r25_reads_are_not_capped_by_the_limit() {
    let mut reader = fed(3, "abcde");
    assert_eq!(now(reader.read(5)).unwrap(), "abcde");
    feed(&reader, "abcde");
    assert_eq!(now(reader.readexactly(5)).unwrap(), "abcde");
    feed(&reader, "abcde");
    assert_eq!(now(reader.fill_buf()).unwrap(), b"abcde");
}

#[test]
fn r26_an_error_half_way_through_read_to_end_is_given_and_what_was_collected_is_lost() {
    let mut reader = fed(100, "ab");
    let feeder = reader.feeder();
    let mut read = waiting(reader.read_to_end());
    feeder.feed_data(b"cd").unwrap();
    assert!(read.turn().is_none());
    feeder.set_exception(stored());
    assert!(is_stored(&finish(read).unwrap_err()));
    assert_eq!(format!("{reader:?}").split(',').next(), Some("StreamReader { buffered: 0"));
}

#[test]
fn r28_readexactly_of_zero_gives_nothing_at_once_and_takes_nothing() {
    assert_eq!(now(reader(4).readexactly(0)).unwrap(), "");
    let mut reader = fed(4, "ab");
    assert_eq!(now(reader.readexactly(0)).unwrap(), "");
    reader.feed_eof();
    assert_eq!(now(reader.readexactly(2)).unwrap(), "ab");
    assert_eq!(now(reader.readexactly(0)).unwrap(), "", "at the end too");
}

#[test]
fn r29_readexactly_takes_exactly_that_much() {
    let mut reader = fed(100, "abcdef");
    assert_eq!(now(reader.readexactly(4)).unwrap(), "abcd");
    assert_eq!(now(reader.read(9)).unwrap(), "ef");
    let feeder = reader.feeder();
    let mut read = waiting(reader.readexactly(3));
    feeder.feed_data(b"gh").unwrap();
    assert!(read.turn().is_none());
    feeder.feed_data(b"ij").unwrap();
    assert_eq!(finish(read).unwrap(), "ghi");
    assert_eq!(now(reader.read(9)).unwrap(), "j");
}

#[test]
fn r30_readexactly_gives_what_there_was_when_the_end_comes_first() {
    let mut reader = fed(100, "ab");
    let feeder = reader.feeder();
    let read = waiting(reader.readexactly(5));
    feeder.feed_data(b"c").unwrap();
    feeder.feed_eof();
    let error = finish(read).unwrap_err();
    assert!(matches!(&error, Error::Incomplete { partial, expected: Some(5) } if partial == "abc"), "{error:?}");
    assert!(reader.at_eof(), "the buffer is empty afterwards");
}

#[test]
fn r31_readexactly_at_the_end_has_an_empty_partial() {
    let mut reader = reader(4);
    reader.feed_eof();
    let error = now(reader.readexactly(5)).unwrap_err();
    assert!(matches!(&error, Error::Incomplete { partial, expected: Some(5) } if partial.is_empty()), "{error:?}");
}

#[test]
fn r32_readexactly_may_take_more_than_twice_the_limit() {
    let mut reader = fed(2, "12345");
    let feeder = reader.feeder();
    assert!(feeder.is_paused());
    let mut read = waiting(reader.readexactly(20));
    for _ in 0..3 {
        assert!(!feeder.is_paused(), "or it would wait for ever");
        feeder.feed_data(b"12345").unwrap();
        if let Some(data) = read.turn() {
            assert_eq!(data.unwrap(), "12345".repeat(4));
            return;
        }
    }
    panic!("20 bytes came, and it waits still");
}

// ---------------------------------------------------------------------- readuntil

#[test]
fn r40_the_read_without_a_separator_ends_at_a_newline_and_nothing_else() {
    let mut reader = fed(100, "a\rb\x0bc\x0cd\r\ne\n");
    assert_eq!(now(reader.readline()).unwrap(), "a\rb\x0bc\x0cd\r\n");
    assert_eq!(now(reader.readuntil(b'\n')).unwrap(), "e\n");
}

#[test]
fn r41_readuntil_gives_the_bytes_up_to_and_with_the_separator() {
    let mut reader = fed(100, "one--two--");
    assert_eq!(now(reader.readuntil("--")).unwrap(), "one--");
    assert_eq!(now(reader.readuntil("--")).unwrap(), "two--");
    feed(&reader, "--rest");
    assert_eq!(now(reader.readuntil("--")).unwrap(), "--", "nothing but the separator");
    assert_eq!(now(reader.read(9)).unwrap(), "rest");
}

#[test]
fn r41_every_type_of_separator_means_the_same() {
    let mut reader = fed(100, "a;".repeat(8).as_str());
    assert_eq!(now(reader.readuntil(";")).unwrap(), "a;");
    assert_eq!(now(reader.readuntil(b";")).unwrap(), "a;");
    assert_eq!(now(reader.readuntil(b';')).unwrap(), "a;");
    assert_eq!(now(reader.readuntil(&b";"[..])).unwrap(), "a;");
    assert_eq!(now(reader.readuntil([";"])).unwrap(), "a;");
    assert_eq!(now(reader.readuntil([b"!", b";"])).unwrap(), "a;");
    assert_eq!(now(reader.readuntil(&["!", ";"][..])).unwrap(), "a;");
    assert_eq!(now(reader.readuntil(&[&b";"[..], b"!!"])).unwrap(), "a;");
}

#[test]
fn r45_a_separator_is_found_however_it_is_split() {
    let mut reader = reader(100);
    let feeder = reader.feeder();
    let mut read = waiting(reader.readuntil("aaa"));
    for piece in ["QWEaa", "XYaa"] {
        feeder.feed_data(piece.as_bytes()).unwrap();
        assert!(read.turn().is_none());
    }
    feeder.feed_data(b"a").unwrap();
    assert_eq!(finish(read).unwrap(), "QWEaaXYaaa");
}

#[test]
fn r51_the_separator_does_not_count_against_the_limit() {
    let mut reader = fed(7, "1234567-----8");
    assert_eq!(now(reader.readuntil("-----")).unwrap(), "1234567-----");
}

#[test]
fn r52_a_separator_beyond_the_limit_is_an_overrun_and_the_data_stays() {
    let mut reader = fed(3, "1234--rest");
    for _ in 0..2 {
        let error = now(reader.readuntil("--")).unwrap_err();
        assert!(matches!(error, Error::LimitOverrun { consumed: 4, found: true }), "{error:?}");
        assert_eq!(error.to_string(), "separator is found, but chunk is longer than limit");
    }
    assert_eq!(now(reader.read(99)).unwrap(), "1234--rest");
}

#[test]
fn r54_no_separator_within_the_limit_is_an_overrun_and_the_data_stays() {
    for (data, separator) in [("abcdef", "\n"), ("abcdefAA", "AAA")] {
        let mut reader = fed(3, data);
        for _ in 0..2 {
            let error = now(reader.readuntil(separator)).unwrap_err();
            assert!(matches!(error, Error::LimitOverrun { consumed: 6, found: false }), "{error:?}");
            assert_eq!(error.to_string(), "separator is not found, and chunk exceed the limit");
        }
        assert_eq!(now(reader.read(99)).unwrap(), data);
    }
}

#[test]
fn r54_a_separator_that_may_have_begun_within_the_limit_is_waited_for() {
    let mut reader = fed(3, "abc--");
    let feeder = reader.feeder();
    let read = waiting(reader.readuntil("---"));
    feeder.feed_data(b"-").unwrap();
    assert_eq!(finish(read).unwrap(), "abc---");
}

#[test]
fn r55_the_limit_is_looked_at_before_the_end() {
    let mut reader = fed(3, "abcdef");
    reader.feed_eof();
    let error = now(reader.readuntil("\n")).unwrap_err();
    assert!(matches!(error, Error::LimitOverrun { consumed: 6, found: false }), "{error:?}");
    assert_eq!(now(reader.read(99)).unwrap(), "abcdef");
}

#[test]
fn r56_no_separator_before_the_end_gives_what_there_was() {
    let mut reader = fed(9, "some dataSE");
    let feeder = reader.feeder();
    let read = waiting(reader.readuntil("SEP"));
    feeder.feed_eof();
    let error = finish(read).unwrap_err();
    assert!(matches!(&error, Error::Incomplete { partial, expected: None } if partial == "some dataSE"), "{error:?}");
    assert!(reader.at_eof(), "the buffer is empty afterwards");
    let error = now(reader.readuntil("SEP")).unwrap_err();
    assert!(matches!(&error, Error::Incomplete { partial, expected: None } if partial.is_empty()), "{error:?}");
}

#[test]
fn r57_at_the_end_a_complete_separator_still_counts() {
    let mut reader = fed(100, "a");
    let feeder = reader.feeder();
    let read = waiting(reader.readuntil("SEP"));
    feeder.feed_data(b"SEPb").unwrap();
    feeder.feed_eof();
    assert_eq!(finish(read).unwrap(), "aSEP");
    assert_eq!(now(reader.read_to_end()).unwrap(), "b");
}

#[test]
fn r58_after_an_overrun_the_safe_part_can_be_taken_and_the_search_go_on() {
    let mut reader = fed(3, "abcdefAA");
    let Err(Error::LimitOverrun { consumed, .. }) = now(reader.readuntil("AAA")) else { panic!("within the limit") };
    assert_eq!(now(reader.readexactly(consumed)).unwrap(), "abcdef");
    let feeder = reader.feeder();
    let read = waiting(reader.readuntil("AAA"));
    feeder.feed_data(b"Arest").unwrap();
    assert_eq!(finish(read).unwrap(), "AAA", "no separator was cut in half");

    let mut reader = fed(3, "12345--x");
    let Err(Error::LimitOverrun { consumed, .. }) = now(reader.readuntil("--")) else { panic!("within the limit") };
    assert_eq!(now(reader.readexactly(consumed)).unwrap(), "12345");
    assert_eq!(now(reader.readuntil("--")).unwrap(), "--");
}

#[test]
fn r59_after_an_overrun_the_pause_lasts_until_something_is_consumed() {
    let mut reader = fed(3, "abcdefgh");
    let feeder = reader.feeder();
    assert!(feeder.is_paused());
    assert!(now(reader.readuntil("\n")).is_err());
    assert!(feeder.is_paused());
    now(reader.readexactly(8)).unwrap();
    assert!(!feeder.is_paused());
}

// ---------------------------------------------------------------------- readline and iteration

#[test]
fn r70_a_line_comes_with_its_newline() {
    for kind in Kind::LINES {
        let mut reader = fed(100, "one\n\nthr");
        let feeder = reader.feeder();
        assert_eq!(now(kind.perform(&mut reader)).unwrap(), "one\n", "{kind:?}");
        assert_eq!(now(kind.perform(&mut reader)).unwrap(), "\n", "{kind:?}: an empty line");
        let read = waiting(kind.perform(&mut reader));
        feeder.feed_data(b"ee\nfour").unwrap();
        assert_eq!(finish(read).unwrap(), "three\n", "{kind:?}");
        assert_eq!(now(reader.read(9)).unwrap(), "four", "{kind:?}");
    }
}

#[test]
fn r71_at_the_end_the_rest_comes_without_a_newline() {
    for kind in Kind::LINES {
        let mut reader = fed(100, "one\ntw");
        let feeder = reader.feeder();
        assert_eq!(now(kind.perform(&mut reader)).unwrap(), "one\n", "{kind:?}");
        let read = waiting(kind.perform(&mut reader));
        feeder.feed_data(b"o").unwrap();
        feeder.feed_eof();
        assert_eq!(finish(read).unwrap(), "two", "{kind:?}");
        assert!(reader.at_eof(), "{kind:?}");
    }
}

#[test]
fn r72_at_the_end_there_are_no_lines_however_often_one_asks() {
    for kind in Kind::LINES {
        let mut reader = fed(100, "one\n");
        reader.feed_eof();
        assert_eq!(now(kind.perform(&mut reader)).unwrap(), "one\n");
        for _ in 0..3 {
            assert_eq!(now(kind.perform(&mut reader)).unwrap(), "", "{kind:?}");
        }
    }
}

#[test]
fn r73_of_a_line_over_the_limit_whose_end_is_here_that_line_is_dropped() {
    for kind in Kind::LINES {
        let mut reader = fed(3, "line1\nli\nrest");
        let error = now(kind.perform(&mut reader)).unwrap_err();
        assert!(matches!(error, Error::LineTooLong { found: true }), "{kind:?}: {error:?}");
        assert_eq!(error.to_string(), "separator is found, but chunk is longer than limit");
        assert_eq!(now(kind.perform(&mut reader)).unwrap(), "li\n", "{kind:?}");
        assert_eq!(now(reader.read(9)).unwrap(), "rest", "{kind:?}");
    }
}

#[test]
fn r73_a_long_line_behind_a_short_one_is_over_the_limit_too() {
    for kind in Kind::LINES {
        let mut reader = fed(3, "abc\nline1\nxyz\n");
        assert_eq!(now(kind.perform(&mut reader)).unwrap(), "abc\n", "{kind:?}");
        let error = now(kind.perform(&mut reader)).unwrap_err();
        assert!(matches!(error, Error::LineTooLong { found: true }), "{kind:?}: {error:?}");
        assert_eq!(now(kind.perform(&mut reader)).unwrap(), "xyz\n", "{kind:?}");
    }
}

#[test]
fn r74_of_a_line_over_the_limit_whose_end_is_not_here_everything_is_dropped() {
    for kind in Kind::LINES {
        let mut reader = fed(3, "a\nlong");
        let feeder = reader.feeder();
        assert_eq!(now(kind.perform(&mut reader)).unwrap(), "a\n", "{kind:?}");
        let error = now(kind.perform(&mut reader)).unwrap_err();
        assert!(matches!(error, Error::LineTooLong { found: false }), "{kind:?}: {error:?}");
        assert_eq!(error.to_string(), "separator is not found, and chunk exceed the limit");
        let read = waiting(kind.perform(&mut reader));
        feeder.feed_data(b"er\nb\n").unwrap();
        assert_eq!(finish(read).unwrap(), "er\n", "{kind:?}: the tail is a line of its own");
        assert_eq!(now(kind.perform(&mut reader)).unwrap(), "b\n", "{kind:?}");
    }
}

#[test]
fn r75_a_rest_over_the_limit_is_an_error_and_then_the_end() {
    for kind in Kind::LINES {
        let mut reader = fed(3, "a\nlong");
        reader.feed_eof();
        assert_eq!(now(kind.perform(&mut reader)).unwrap(), "a\n", "{kind:?}");
        let error = now(kind.perform(&mut reader)).unwrap_err();
        assert!(matches!(error, Error::LineTooLong { found: false }), "{kind:?}: {error:?}");
        assert!(reader.at_eof(), "{kind:?}");
        assert_eq!(now(kind.perform(&mut reader)).unwrap(), "", "{kind:?}");
    }
}

#[test]
fn r76_a_line_over_the_limit_ends_the_pause() {
    for kind in Kind::LINES {
        for data in ["long line\nab", "long line without end"] {
            let mut reader = fed(4, data);
            let feeder = reader.feeder();
            assert!(feeder.is_paused());
            assert!(matches!(now(kind.perform(&mut reader)), Err(Error::LineTooLong { .. })), "{kind:?}");
            assert!(!feeder.is_paused(), "{kind:?}, {data:?}");
        }
    }
}

#[test]
fn r77_iterating_gives_the_lines_and_ends() {
    let mut reader = fed(100, "a\nb\nc");
    reader.feed_eof();
    let mut lines = StreamReader::lines(&mut reader);
    let mut next = || now(lines.next()).map(|line| line.unwrap());
    assert_eq!([next(), next(), next()], ["a\n", "b\n", "c"].map(|line| Some(Bytes::from(line))));
    assert_eq!([next(), next()], [None, None]);
}

#[test]
fn r77_a_line_that_was_waited_for_does_not_hide_the_next() {
    let mut reader = fed(100, "abcdef");
    let feeder = reader.feeder();
    let mut lines = StreamReader::lines(&mut reader);
    let next = waiting(lines.next());
    feeder.feed_data(b"g\nh\ni\n").unwrap();
    assert_eq!(finish(next).unwrap().unwrap(), "abcdefg\n");
    assert_eq!(now(lines.next()).unwrap().unwrap(), "h\n");
    assert_eq!(now(lines.next()).unwrap().unwrap(), "i\n");
}

#[test]
fn r77_one_iteration_goes_on_where_another_was_left() {
    let mut reader = fed(100, "a\nb\nc\n");
    assert_eq!(now(StreamReader::lines(&mut reader).next()).unwrap().unwrap(), "a\n");
    assert_eq!(now(reader.readline()).unwrap(), "b\n");
    assert_eq!(now(StreamReader::lines(&mut reader).next()).unwrap().unwrap(), "c\n");
}

#[test]
fn r78_the_error_of_an_overlong_line_is_one_step_of_the_iteration() {
    let mut reader = fed(3, "a\nline1\nb\n");
    let feeder = reader.feeder();
    let mut lines = StreamReader::lines(&mut reader);
    assert_eq!(now(lines.next()).unwrap().unwrap(), "a\n");
    assert!(matches!(now(lines.next()), Some(Err(Error::LineTooLong { found: true }))));
    assert_eq!(now(lines.next()).unwrap().unwrap(), "b\n");
    feeder.feed_data(b"long").unwrap();
    assert!(matches!(now(lines.next()), Some(Err(Error::LineTooLong { found: false }))));
    feeder.feed_data(b"er\n").unwrap();
    feeder.feed_eof();
    assert_eq!(now(lines.next()).unwrap().unwrap(), "er\n");
    assert!(now(lines.next()).is_none());
}

// ---------------------------------------------------------------------- flow control

#[test]
fn f01_f02_more_than_twice_the_limit_asks_for_a_pause() {
    let reader = fed(4, "1234567");
    let feeder = reader.feeder();
    assert!(!feeder.is_paused());
    feed(&reader, "8");
    assert!(!feeder.is_paused(), "exactly twice the limit is allowed");
    feed(&reader, "9");
    assert!(feeder.is_paused());
}

#[test]
fn f01_lent_bytes_count() {
    let mut reader = fed(4, "ab\n45678");
    let feeder = reader.feeder();
    assert_eq!(now(reader.readline_ref()).unwrap(), b"ab\n");
    feeder.feed_data(b"678").unwrap();
    assert!(!feeder.is_paused(), "5 are lent, 3 are new");
    feeder.feed_data(b"9").unwrap();
    assert!(feeder.is_paused());

    let mut reader = fed(4, "12345678");
    let feeder = reader.feeder();
    assert_eq!(now(reader.fill_buf()).unwrap().len(), 8);
    assert!(!feeder.is_paused());
    feeder.feed_data(b"9").unwrap();
    assert!(feeder.is_paused());
}

#[test]
fn f01_bytes_put_back_count() {
    let mut reader = reader(2);
    let feeder = reader.feeder();
    let mut read = waiting(reader.read_to_end());
    for _ in 0..2 {
        feeder.feed_data(b"123").unwrap();
        assert!(read.turn().is_none());
        assert!(!feeder.is_paused());
    }
    drop(read);
    assert!(feeder.is_paused(), "6 bytes wait to be read");
    assert_eq!(now(reader.read(4)).unwrap(), "1231");
    assert!(!feeder.is_paused());
}

#[test]
fn f03_f04_a_pause_ends_when_no_more_than_the_limit_is_left() {
    let mut reader = fed(4, "123456789");
    let feeder = reader.feeder();
    now(reader.read(1)).unwrap();
    assert!(feeder.is_paused(), "8 of at most 4");
    now(reader.readexactly(3)).unwrap();
    assert!(feeder.is_paused(), "5 of at most 4");
    now(reader.read(1)).unwrap();
    assert!(!feeder.is_paused());
}

#[test]
fn f03_f04_every_kind_of_read_ends_a_pause() {
    for kind in Kind::ALL {
        let mut reader = fed(4, "a\n345\n789\n");
        let feeder = reader.feeder();
        feeder.feed_eof();
        assert!(feeder.is_paused(), "{kind:?}");
        while !given(now(kind.perform(&mut reader))).is_empty() {
            assert_eq!(feeder.is_paused(), buffered(&reader) > 4, "{kind:?}");
        }
        assert!(!feeder.is_paused(), "{kind:?}");
    }
}

#[test]
fn f03_f04_lent_bytes_count_until_they_are_used() {
    let mut reader = fed(4, "ab\ncd\nefgh");
    let feeder = reader.feeder();
    assert_eq!(now(reader.readline_ref()).unwrap(), b"ab\n");
    assert!(feeder.is_paused(), "7 are lent");
    assert_eq!(now(reader.readline_ref()).unwrap(), b"cd\n");
    assert!(!feeder.is_paused(), "4 are lent");

    let mut reader = fed(4, "123456789");
    let feeder = reader.feeder();
    assert_eq!(now(reader.fill_buf()).unwrap().len(), 9);
    assert!(feeder.is_paused(), "lending uses nothing");
    reader.consume(4);
    assert!(feeder.is_paused());
    reader.consume(1);
    assert!(!feeder.is_paused());
}

#[test]
fn f03_giving_a_loan_back_changes_no_pause() {
    let mut reader = fed(4, "123456789");
    let feeder = reader.feeder();
    now(reader.fill_buf()).unwrap();
    reader.consume(2);
    assert_eq!(now(reader.read(0)).unwrap(), "");
    assert!(feeder.is_paused(), "7 are left");
    assert_eq!(now(reader.readexactly(3)).unwrap(), "345");
    assert!(!feeder.is_paused(), "4 are left");
    assert_eq!(now(reader.read(9)).unwrap(), "6789");
}

#[test]
fn f05_a_read_that_has_to_wait_ends_the_pause_whatever_is_buffered() {
    let mut reader = fed(2, "123456789");
    let feeder = reader.feeder();
    assert!(feeder.is_paused());
    let read = waiting(reader.readexactly(10));
    assert!(!feeder.is_paused());
    drop(read);
    feeder.feed_data(b"").unwrap();
    assert!(!feeder.is_paused(), "it is too late to pause: nothing came");
    feeder.feed_data(b"0").unwrap();
    assert!(feeder.is_paused());
    assert_eq!(now(reader.readexactly(10)).unwrap(), "1234567890");
}

#[test]
fn f06_a_source_that_cannot_pause_has_everything_buffered() {
    let mut reader = fed(2, "12345");
    assert!(reader.feeder().is_paused());
    for _ in 0..1000 {
        feed(&reader, "12345");
    }
    reader.feed_eof();
    assert_eq!(now(reader.read_to_end()).unwrap().len(), 5005);
}

// ---------------------------------------------------------------------- borrowed and owned reads together

#[test]
fn borrowed_and_owned_reads_may_alternate() {
    let mut reader = fed(100, "one\ntwo\nthree\nfour\nfive\nsix\nseven");
    let feeder = reader.feeder();
    assert_eq!(now(reader.readline_ref()).unwrap(), b"one\n");
    assert_eq!(now(reader.readline()).unwrap(), "two\n");
    assert_eq!(now(reader.readline_ref()).unwrap(), b"three\n");
    feeder.feed_data(b"\neight\n").unwrap();
    assert_eq!(now(reader.readuntil("r")).unwrap(), "four".to_owned());
    assert_eq!(now(reader.fill_buf()).unwrap().first(), Some(&b'\n'));
    reader.consume(1);
    assert_eq!(now(reader.readexactly(5)).unwrap(), "five\n");
    let mut buffer = [0; 3];
    now(reader.read_exact(&mut buffer)).unwrap();
    assert_eq!(&buffer, b"six");
    assert_eq!(now(StreamReader::lines(&mut reader).next()).unwrap().unwrap(), "\n");
    assert_eq!(now(reader.readline_ref()).unwrap(), b"seven\n");
    feeder.feed_eof();
    assert_eq!(now(reader.read_to_end()).unwrap(), "eight\n");
}

#[test]
fn what_was_lent_is_not_changed_by_what_arrives() {
    let mut reader = fed(100, "one\ntwo\nthr");
    let feeder = reader.feeder();
    let line = now(reader.readline_ref()).unwrap();
    feeder.feed_data(b"ee\n").unwrap();
    assert_eq!(line, b"one\n");
    assert_eq!(now(reader.readline_ref()).unwrap(), b"two\n");
    assert_eq!(now(reader.readline_ref()).unwrap(), b"three\n");
}

#[test]
fn what_was_read_is_not_changed_by_what_arrives() {
    let mut reader = fed(100, "one\ntwo");
    let line = now(reader.readline()).unwrap();
    feed(&reader, "\nthree\n");
    let second = now(reader.readline()).unwrap();
    feed(&reader, "four\n");
    assert_eq!((line.as_ref(), second.as_ref()), (b"one\n".as_ref(), b"two\n".as_ref()));
    assert_eq!(now(reader.read(99)).unwrap(), "three\nfour\n");
}

#[test]
fn using_more_than_was_lent_uses_what_was_lent() {
    let mut reader = fed(100, "abc");
    let feeder = reader.feeder();
    assert_eq!(now(reader.fill_buf()).unwrap(), b"abc");
    feeder.feed_data(b"def").unwrap();
    reader.consume(99);
    assert_eq!(now(reader.read(99)).unwrap(), "def");
}

#[test]
fn a_read_that_was_given_up_takes_nothing_from_what_is_lent() {
    let mut reader = fed(100, "one\ntwo\nthree\nfour\n");
    assert_eq!(now(reader.readline_ref()).unwrap(), b"one\n");
    drop(waiting(reader.readexactly(99)));
    assert_eq!(now(reader.readline_ref()).unwrap(), b"two\n");
    drop(waiting(reader.readuntil("--")));
    assert_eq!(now(reader.fill_buf()).unwrap(), b"three\nfour\n");
    drop(waiting(reader.read_to_end()));
    assert_eq!(now(reader.readline_ref()).unwrap(), b"three\n");
    assert_eq!(now(reader.readline_ref()).unwrap(), b"four\n");
}

#[test]
fn r51_r73_r74_borrowed_lines_have_the_limit_of_owned_ones() {
    let all = "a\n1234\n12345\nabcd\n123456";
    for at in 0..all.len() {
        let (first, second) = all.split_at(at);
        let mut reader = fed(4, first);
        feed(&reader, second);
        for line in ["a\n", "1234\n"] {
            assert_eq!(now(reader.readline_ref()).unwrap(), line.as_bytes(), "split at {at}");
        }
        let error = now(reader.readline_ref()).unwrap_err();
        assert!(matches!(error, Error::LineTooLong { found: true }), "{error:?}, split at {at}");
        assert_eq!(now(reader.readline_ref()).unwrap(), b"abcd\n", "split at {at}");
        let error = now(reader.readline_ref()).unwrap_err();
        assert!(matches!(error, Error::LineTooLong { found: false }), "{error:?}, split at {at}");
        feed(&reader, "7\n");
        assert_eq!(now(reader.readline_ref()).unwrap(), b"7\n", "split at {at}");
    }
}

#[test]
fn f01_f03_what_arrives_behind_lent_bytes_counts_with_them() {
    let mut reader = fed(4, "ab\ncd\n");
    let feeder = reader.feeder();
    assert_eq!(now(reader.readline_ref()).unwrap(), b"ab\n");
    feed(&reader, "ef\n");
    feed(&reader, "gh");
    assert_eq!((buffered(&reader), feeder.is_paused()), (8, false));
    feed(&reader, "i");
    assert_eq!((buffered(&reader), feeder.is_paused()), (9, true));
    assert_eq!(now(reader.readline_ref()).unwrap(), b"cd\n");
    assert_eq!((buffered(&reader), feeder.is_paused()), (6, true));
    assert_eq!(now(reader.readline_ref()).unwrap(), b"ef\n");
    assert_eq!((buffered(&reader), feeder.is_paused()), (3, false));
    let line = waiting(async { reader.readline_ref().await.map(<[u8]>::to_vec) });
    feeder.feed_data(b"\n").unwrap();
    assert_eq!(finish(line).unwrap(), b"ghi\n");
}

#[test]
fn borrowed_bytes_that_came_in_pieces_are_all_lent_in_order() {
    for used in [1, 7, 9999] {
        let mut reader = fed(None, &"a".repeat(10));
        let rest = "b".repeat(3000) + &"c".repeat(2000);
        feed(&reader, &rest[..1500]);
        feed(&reader, &rest[1500..]);
        let mut seen = Vec::new();
        while seen.len() < 4000 {
            let lent = now(reader.fill_buf()).unwrap();
            let n = used.min(lent.len());
            seen.extend_from_slice(&lent[..n]);
            reader.consume(n);
            assert_eq!(buffered(&reader), 5010 - seen.len());
        }
        seen.extend_from_slice(&if seen.len() < 5010 { now(reader.read(9999)).unwrap() } else { Bytes::new() });
        assert_eq!(String::from_utf8(seen).unwrap(), "a".repeat(10) + &rest);
    }
}

// ---------------------------------------------------------------------- the same bytes, in other pieces

#[test]
fn however_the_bytes_are_split_the_reads_give_the_same() {
    for seed in 0..2000 {
        let random = &mut Random::new(seed);
        let (len, reads) = (random.below(60), random.below(12));
        let data = random.bytes(len, b"ab\n\r");
        let reads: Vec<Whole> = (0..reads).map(|_| Whole::random(random)).collect();
        let whole = perform_all(&reads, std::slice::from_ref(&data));
        let pieces = split(random, &data);
        assert_eq!(perform_all(&reads, &pieces), whole, "seed {seed}: {reads:?} of {pieces:?}");
    }
}

/// A read whose result depends on the bytes alone, not on when they come.
#[derive(Clone, Debug)]
enum Whole {
    Exactly(usize),
    Line,
    LineRef,
    Next,
    Until(Vec<Vec<u8>>),
    /// `read_exact` of the futures-io traits.
    Into(usize),
    /// `read_until` of the futures-io traits.
    UntilByte(u8),
}

impl Whole {
    fn random(random: &mut Random) -> Self {
        match random.below(8) {
            0 => Self::Exactly(random.below(15)),
            1 => Self::Line,
            2 | 3 => Self::LineRef,
            4 => Self::Next,
            5 => Self::Into(random.below(15)),
            6 => Self::UntilByte(b'\n'),
            _ => {
                let count = 1 + random.below(3);
                let separator = |random: &mut Random| {
                    let len = 1 + random.below(3);
                    random.bytes(len, b"ab\n\r")
                };
                Self::Until((0..count).map(|_| separator(random)).collect())
            }
        }
    }

    async fn perform(&self, reader: &mut StreamReader) -> String {
        let result = match self {
            Self::Exactly(n) => reader.readexactly(*n).await,
            Self::Line => reader.readline().await,
            Self::LineRef => reader.readline_ref().await.map(Bytes::copy_from_slice),
            Self::Next => reader.lines().next().await.unwrap_or(Ok(Bytes::new())),
            Self::Until(separators) => {
                let separators: Vec<&[u8]> = separators.iter().map(Vec::as_slice).collect();
                reader.readuntil(separators.as_slice()).await
            }
            Self::Into(n) => {
                let mut buffer = vec![0; *n];
                reader.read_exact(&mut buffer).await.map(|()| buffer.into()).map_err(Error::from)
            }
            Self::UntilByte(byte) => {
                let mut buffer = Vec::new();
                reader.read_until(*byte, &mut buffer).await.map(|_| buffer.into()).map_err(Error::from)
            }
        };
        format!("{result:?}")
    }
}

/// What the reads give, and what is left, when the bytes come in these pieces and then the end.
fn perform_all(reads: &[Whole], pieces: &[Vec<u8>]) -> Vec<String> {
    let mut reader = reader(None);
    let feeder = reader.feeder();
    let mut all = Vec::new();
    let mut read_all = Attempt::start(async {
        for read in reads {
            all.push(read.perform(&mut reader).await);
        }
        all.push(format!("{:?}", reader.read_to_end().await));
        all
    });
    for piece in pieces {
        feeder.feed_data(piece).unwrap();
        if let Err(attempt) = &mut read_all {
            assert!(attempt.turn().is_none(), "nothing is complete before the end");
        }
    }
    feeder.feed_eof();
    match read_all {
        Ok(_) => panic!("nothing is complete before the end"),
        Err(attempt) => finish(attempt),
    }
}

fn split(random: &mut Random, data: &[u8]) -> Vec<Vec<u8>> {
    let mut pieces = Vec::new();
    let mut rest = data;
    while !rest.is_empty() {
        let n = if random.chance(10) { 0 } else { 1 + random.below(rest.len().min(9)) };
        pieces.push(rest[..n].to_vec());
        rest = &rest[n..];
    }
    pieces
}

// ---------------------------------------------------------------------- helpers

/// The ways to read, each with arguments that make it wait for more than `ab`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Some,
    All,
    Exactly,
    Until,
    Line,
    LineRef,
    Next,
}

impl Kind {
    const ALL: [Self; 7] = [Self::Some, Self::All, Self::Exactly, Self::Until, Self::Line, Self::LineRef, Self::Next];
    const LINES: [Self; 3] = [Self::Line, Self::LineRef, Self::Next];

    async fn perform(self, reader: &mut StreamReader) -> Result<Bytes> {
        match self {
            Self::Some => reader.read(5).await,
            Self::All => reader.read_to_end().await,
            Self::Exactly => reader.readexactly(5).await,
            Self::Until => reader.readuntil("\n").await,
            Self::Line => reader.readline().await,
            Self::LineRef => reader.readline_ref().await.map(Bytes::copy_from_slice),
            Self::Next => reader.lines().next().await.unwrap_or(Ok(Bytes::new())),
        }
    }
}

/// What a read gave, complete or not.
fn given(result: Result<Bytes>) -> Bytes {
    result.unwrap_or_else(|error| error.partial().cloned().unwrap_or_else(|| panic!("{error}")))
}

fn reader(limit: impl Into<Option<usize>>) -> StreamReader {
    StreamReader::new(limit).unwrap()
}

/// A reader with something in it.
fn fed(limit: impl Into<Option<usize>>, data: &str) -> StreamReader {
    let reader = reader(limit);
    feed(&reader, data);
    reader
}

fn feed(reader: &StreamReader, data: &str) {
    reader.feed_data(data.as_bytes()).unwrap();
}

fn stored() -> Error {
    Error::io(ErrorKind::ConnectionReset, "as stored")
}

fn is_stored(error: &Error) -> bool {
    error.kind() == ErrorKind::ConnectionReset && error.to_string() == "as stored"
}

/// How much is buffered, as the debug form says.
fn buffered(reader: &StreamReader) -> usize {
    let text = format!("{reader:?}");
    let digits = text.trim_start_matches("StreamReader { buffered: ");
    digits[..digits.find([',', ' ']).unwrap()].parse().unwrap()
}

/// Starts a read that has to wait.
#[track_caller]
fn waiting<'a, T>(future: impl Future<Output = T> + 'a) -> Attempt<'a, T> {
    Attempt::start(future).err().expect("it did not wait")
}

/// The result of a read that waited, which must be there now.
#[track_caller]
fn finish<T>(mut attempt: Attempt<'_, T>) -> T {
    attempt.turn().expect("it waits still, or was not woken")
}

/// The result of a read that need not wait.
#[track_caller]
fn now<T>(future: impl Future<Output = T>) -> T {
    Attempt::start(future).ok().expect("it waits")
}
