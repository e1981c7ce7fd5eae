use super::*;

fn fed(pieces: &[&'static str]) -> ReceiveBuffer {
    let mut buffer = ReceiveBuffer::new(DEFAULT_LIMIT);
    // Bytes of their own, as from a host.
    pieces.iter().for_each(|piece| buffer.feed(piece.as_bytes().to_vec().into()));
    buffer
}

fn line(buffer: &mut ReceiveBuffer) -> Bytes {
    let line = buffer.take_line(&mut Search::for_newline()).expect("not too long");
    line.expect("it is here")
}

#[test]
fn a_line_over_two_pieces_leaves_the_rest_of_the_second_where_it_is() {
    let second = Bytes::from(b"llo\nworld\nand".to_vec());
    let at = second.as_ptr();
    let mut buffer = fed(&["he"]);
    buffer.feed(second);
    assert_eq!(line(&mut buffer), "hello\n");
    let next = line(&mut buffer);
    assert_eq!((next.as_ref(), next.as_ptr()), (b"world\n".as_ref(), at.wrapping_add(4)));
    assert_eq!(buffer.take_all(), "and");
}

#[test]
fn bytes_over_two_pieces_leave_the_rest_of_the_second_where_it_is() {
    let second = Bytes::from(b"defgh".to_vec());
    let at = second.as_ptr();
    let mut buffer = fed(&["abc"]);
    buffer.feed(second);
    assert_eq!(buffer.take_exactly(5).expect("no error").expect("they are here"), "abcde");
    let rest = buffer.take_all();
    assert_eq!((rest.as_ref(), rest.as_ptr()), (b"fgh".as_ref(), at.wrapping_add(2)));
}

#[test]
fn lines_of_one_piece_share_its_memory() {
    let piece = Bytes::from(b"one\ntwo\n".to_vec());
    let at = piece.as_ptr();
    let mut buffer = fed(&[]);
    buffer.feed(piece);
    let lines = [buffer.take_ready_line(), buffer.take_ready_line()].map(|line| line.expect("it is here"));
    assert_eq!(lines.each_ref().map(|line| line.as_ptr()), [at, at.wrapping_add(4)]);
    assert_eq!(buffer.take_ready_line(), None);
}

#[test]
fn a_chunk_behind_what_is_lent_is_not_copied_when_that_is_used_up() {
    let second = Bytes::from(vec![b'x'; 2 * CHEAP]);
    let at = second.as_ptr();
    let mut buffer = fed(&["ab\ncd\n"]);
    let (view, n) = buffer.lend_ready_line().expect("a line");
    assert_eq!(view[..n], *b"ab\n");
    buffer.feed(second);
    assert_eq!(buffer.use_lent_line(), Some(3));
    assert_eq!(buffer.use_lent_line(), None, "the view is used up");
    assert_eq!(buffer.lend().expect("no error").expect("it is here").as_ptr(), at);
}

#[test]
fn whatever_else_is_taken_ends_what_is_lent() {
    let takes: [fn(&mut ReceiveBuffer); 5] = [
        |buffer| drop(buffer.take_all()),
        |buffer| drop(buffer.take_some(1)),
        |buffer| drop(buffer.take_exactly(5)),
        |buffer| drop(line(buffer)),
        |buffer| buffer.put_back(Bytes::from_static(b"x")),
    ];
    for take in takes {
        let mut buffer = fed(&["ab\ncd\n", "ef\ngh\n"]);
        assert_eq!(buffer.lend_ready_line().map(|(_, n)| n), Some(3));
        assert!(buffer.is_lent());
        take(&mut buffer);
        assert!(!buffer.is_lent());
        let left = buffer.buffered();
        buffer.use_lent(1);
        assert_eq!((buffer.use_lent_line(), buffer.buffered()), (None, left));
    }
}

#[test]
fn what_is_put_back_comes_before_all_that_is_here() {
    for pieces in [&[] as &[&str], &["cd"], &["c", "d"]] {
        let mut buffer = fed(pieces);
        buffer.put_back(Bytes::from_static(b"ab"));
        assert_eq!(buffer.take_all(), ["ab", &pieces.concat()].concat());
    }
}

#[test]
fn f01_what_a_paused_buffer_has_asked_for_is_little_more_than_what_it_may_hold() {
    for pieces in [&[4, 16, 64, 64][..], &[64, 64, 64], &[1, 64, 63, 64], &[60, 4, 64, 64]] {
        let mut buffer = ReceiveBuffer::new(DEFAULT_LIMIT);
        for &piece in pieces {
            assert!(!buffer.is_paused());
            buffer.feed(Bytes::from(vec![1; piece * 1024]));
        }
        let asked_for = buffer.front.len() + buffer.back.capacity();
        assert!(asked_for <= 3 * DEFAULT_LIMIT, "{pieces:?}: {asked_for} bytes");
    }
}

#[test]
fn a_buffer_that_grows_byte_by_byte_moves_each_byte_once_on_average() {
    let mut buffer = ReceiveBuffer::new(1 << 20);
    let mut moves = 0;
    for _ in 0..1 << 20 {
        let before = buffer.back.capacity();
        let held = buffer.back.len();
        buffer.feed(Bytes::from_static(b"x"));
        if buffer.back.capacity() != before {
            moves += held;
        }
    }
    assert!(moves <= 2 << 20, "{moves} bytes moved");
}
