//! What can be a connection handler, and what becomes of its result.

use std::fmt::Display;
use std::future::Future;
use std::pin::Pin;

use crate::error::Error;
use crate::reader::StreamReader;
use crate::writer::StreamWriter;

/// What handles the connections of a server: an async function or closure, or a plain one.
///
/// An async handler runs as a task of its own for each connection; a plain one is called and may start tasks itself.
/// Either returns nothing, or a `Result` whose error is reported.
///
/// The parameters of a closure need their types:
/// `|reader: StreamReader, writer: StreamWriter| async move { … }`.
///
/// `Kind` only keeps the implementations apart; it is always inferred.
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot handle connections",
    label = "not a handler",
    note = "a handler is `async fn(StreamReader, StreamWriter)` or a plain function, and returns nothing or a `Result` whose error \
            can be displayed"
)]
pub trait Handler<Kind>: 'static {
    #[doc(hidden)]
    fn handle(&self, reader: StreamReader, writer: StreamWriter) -> Handled;
}

/// What calling a handler gave: a future to run, or a result already.
#[doc(hidden)]
#[expect(missing_debug_implementations, reason = "made and taken apart by the library")]
pub enum Handled {
    Later(Pin<Box<dyn Future<Output = Outcome>>>),
    Now(Outcome),
}

/// How a handler ended.
#[doc(hidden)]
#[derive(Debug)]
pub enum Outcome {
    /// Well: what it did with its connection stands.
    Done,
    /// With an error to report.
    Failed(String),
    /// By being cancelled: nobody has to be told.
    Cancelled,
}

/// The result of a handler: nothing, or a `Result` with an error that can be displayed.
pub trait HandlerOutcome {
    #[doc(hidden)]
    fn outcome(self) -> Outcome;
}

impl HandlerOutcome for () {
    fn outcome(self) -> Outcome {
        Outcome::Done
    }
}

impl<T, E: Display + 'static> HandlerOutcome for Result<T, E> {
    fn outcome(self) -> Outcome {
        let Err(error) = self else { return Outcome::Done };
        let any: &dyn std::any::Any = &error;
        if matches!(any.downcast_ref(), Some(Error::Cancelled(_))) {
            return Outcome::Cancelled;
        }
        Outcome::Failed(format!("{error:#}"))
    }
}

#[doc(hidden)]
#[derive(Debug)]
pub struct Async<Fut>(Fut);

impl<F, Fut> Handler<Async<Fut>> for F
where
    F: Fn(StreamReader, StreamWriter) -> Fut + 'static,
    Fut: Future + 'static,
    Fut::Output: HandlerOutcome,
{
    fn handle(&self, reader: StreamReader, writer: StreamWriter) -> Handled {
        let future = self(reader, writer);
        Handled::Later(Box::pin(async move { future.await.outcome() }))
    }
}

#[doc(hidden)]
#[derive(Debug)]
pub struct Plain<Out>(Out);

impl<F, Out> Handler<Plain<Out>> for F
where
    F: Fn(StreamReader, StreamWriter) -> Out + 'static,
    Out: HandlerOutcome,
{
    fn handle(&self, reader: StreamReader, writer: StreamWriter) -> Handled {
        Handled::Now(self(reader, writer).outcome())
    }
}
