//! The lines of a reader, one by one and as a stream.

use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use futures_lite::Stream;

use super::StreamReader;
use crate::error::Result;
use crate::proto::search::Search;

/// The lines of a [`StreamReader`]; see [`StreamReader::lines`].
#[derive(Debug)]
pub struct Lines<'a>(ReadLine<'a>);

impl<'a> Lines<'a> {
    pub(super) fn of(reader: &'a mut StreamReader) -> Self {
        Self(ReadLine::of(reader))
    }
}

impl Stream for Lines<'_> {
    type Item = Result<Bytes>;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let next = &mut self.get_mut().0;
        let line = ready!(Pin::new(&mut *next).poll(cx));
        next.search = None; // the next line is another
        Poll::Ready(match line {
            Ok(line) if line.is_empty() => None, // R77
            other => Some(other),
        })
    }
}

/// What [`StreamReader::readline`] returns. Not an async function: what that keeps and checks costs as much as a short line.
#[derive(Debug)]
pub(super) struct ReadLine<'a> {
    reader: &'a mut StreamReader,
    search: Option<Search>,
}

impl<'a> ReadLine<'a> {
    pub(super) fn of(reader: &'a mut StreamReader) -> Self {
        Self { reader, search: None }
    }
}

impl Future for ReadLine<'_> {
    type Output = Result<Bytes>;

    #[inline(always)]
    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.get_mut();
        this.reader.poll_line(cx, &mut this.search)
    }
}
