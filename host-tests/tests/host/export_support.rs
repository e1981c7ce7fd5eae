//! How tests call the exported interface: as a component in another language does, one function after another.

use std::net::SocketAddr;
use std::pin::Pin;

use anyhow::Result;
use tokio::time::Duration;
use wasi_streams_host::exported::{Exported, Held, connections};
use wasi_streams_host::peer::{Listener, Peer};
use wasi_streams_host::{Guest, patiently};
use wasmtime::component::ResourceAny;

use crate::tls_support::Pki;

pub(crate) use connections::{Error, ErrorKind, Interest};

/// The ways to perform an operation that may have to wait; each gives the same answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Form {
    /// The function that waits.
    Blocking,
    /// The `try-` function, and the host's `poll` of what `subscribe` gives.
    Polling,
    /// The `try-` function, and `wait`.
    Waiting,
}

pub(crate) const FORMS: [Form; 3] = [Form::Blocking, Form::Polling, Form::Waiting];

/// What a `try-` function says.
pub(crate) trait Answer {
    type Done;

    /// None for "not yet".
    fn done(self) -> Option<Self::Done>;
}

impl<T> Answer for Option<T> {
    type Done = T;

    fn done(self) -> Option<T> {
        self
    }
}

impl Answer for bool {
    type Done = ();

    fn done(self) -> Option<()> {
        self.then_some(())
    }
}

/// Calls a function of the interface, `call!(net.reader.call_read(reader, 1))` or `call!(net.call_wait(&[], None))`, and gives what it
/// answers. A trap fails the test, and so does a call that does not come back.
macro_rules! call {
    ($net:ident.$function:ident($($argument:expr),*)) => {{
        let (interface, store) = $net.parts();
        $crate::export_support::returned(stringify!($function), Box::pin(interface.$function(store, $($argument),*))).await?
    }};
    ($net:ident.$resource:ident.$function:ident($($argument:expr),*)) => {{
        let (interface, store) = $net.parts();
        let interface = interface.$resource();
        $crate::export_support::returned(stringify!($function), Box::pin(interface.$function(store, $($argument),*))).await?
    }};
}
pub(crate) use call;

/// Repeats a `try-` function until it has an answer, and polls what `subscribe` gives between.
macro_rules! poll_until {
    ($net:ident.$resource:ident.$trying:ident($object:expr $(, $argument:expr)*)) => {
        loop {
            use $crate::export_support::Answer;
            match call!($net.$resource.$trying($object $(, $argument)*)).map(Answer::done) {
                Ok(Some(answer)) => break Ok(answer),
                Ok(None) => {}
                Err(error) => break Err(error),
            }
            let pollables = call!($net.$resource.call_subscribe($object));
            $net.poll(&pollables).await?;
            for pollable in pollables {
                $net.drop_pollable(pollable)?;
            }
        }
    };
}
pub(crate) use poll_until;

/// Performs an operation in the form that is given:
/// `perform!(form, net.reader: call_read | call_try_read as Readable(reader, 1))`.
macro_rules! perform {
    ($form:expr, $net:ident.$resource:ident: $blocking:ident | $trying:ident as $interest:ident
        ($object:expr $(, $argument:expr)*)) => {
        match $form {
            $crate::export_support::Form::Blocking => call!($net.$resource.$blocking($object $(, $argument)*)),
            $crate::export_support::Form::Polling => {
                $crate::export_support::poll_until!($net.$resource.$trying($object $(, $argument)*))
            }
            $crate::export_support::Form::Waiting => loop {
                use $crate::export_support::Answer;
                match call!($net.$resource.$trying($object $(, $argument)*)).map(Answer::done) {
                    Ok(Some(answer)) => break Ok(answer),
                    Ok(None) => {}
                    Err(error) => break Err(error),
                }
                let on = [$crate::export_support::Interest::$interest($object)];
                assert_eq!(call!($net.call_wait(&on, None))?, [0]);
            },
        }
    };
}
pub(crate) use perform;

type Called<'a, T> = Pin<Box<dyn Future<Output = wasmtime::Result<T>> + Send + 'a>>;

/// What a call gives, if it gives anything within the time; a pause of the whole machine is not held against it. Boxed, or the futures of the tests take minutes to compile.
pub(crate) async fn returned<T>(name: &str, call: Called<'_, T>) -> Result<T> {
    match patiently(crate::support::DEADLINE, call).await {
        Some(answer) => answer.map_err(|trap| anyhow::anyhow!("{name}: {trap:?}")),
        None => anyhow::bail!("{name} does not return"),
    }
}

pub(crate) fn drop_all(net: &mut Exported, pollables: Vec<Held>) -> Result<()> {
    pollables.into_iter().try_for_each(|pollable| net.drop_pollable(pollable))
}

/// Whether one of these is ready without anything new happening.
pub(crate) async fn any_ready(net: &mut Exported, pollables: &[Held]) -> Result<bool> {
    Ok(!ready_within(net, pollables, Duration::from_millis(40)).await?.is_empty())
}

/// Which of these are ready, once one is, or the time is over.
pub(crate) async fn ready_within(net: &mut Exported, pollables: &[Held], time: Duration) -> Result<Vec<usize>> {
    let timer = net.timer(time)?;
    let mut ready = net.poll(pollables.iter().chain([&timer])).await?;
    ready.retain(|index| *index < pollables.len());
    net.drop_pollable(timer)?;
    Ok(ready)
}

/// The component with everything.
pub(crate) async fn net() -> Result<Exported> {
    Guest::named("wasi-streams").export().await
}

/// A connection, seen from both sides.
pub(crate) struct Pair {
    pub(crate) reader: ResourceAny,
    pub(crate) writer: ResourceAny,
    pub(crate) peer: Peer,
}

/// Connects the component to a native peer.
pub(crate) async fn pair(net: &mut Exported) -> Result<Pair> {
    pair_with(net, &Listener::v4()?, None).await
}

/// The same, to this listener and with options.
pub(crate) async fn pair_with(net: &mut Exported, listener: &Listener, options: Option<ResourceAny>) -> Result<Pair> {
    let (reader, writer) = call!(net.call_connect("127.0.0.1", listener.port(), options))?;
    Ok(Pair { reader, writer, peer: listener.accept().await? })
}

/// The error of a call that must have one.
#[track_caller]
pub(crate) fn expect_error<T>(answer: Result<T, Error>) -> Error {
    match answer {
        Err(error) => error,
        Ok(_) => panic!("this cannot succeed"),
    }
}

/// Lets the component run while nothing is asked of it: what it has to tidy up by itself is tidied up then.
pub(crate) async fn settle(net: &mut Exported) -> Result<()> {
    let nothing = call!(net.call_wait(&[], Some(100)))?;
    assert!(nothing.is_empty());
    Ok(())
}

/// A server on a free port of 127.0.0.1.
pub(crate) async fn listen(net: &mut Exported, options: Option<ResourceAny>) -> Result<(ResourceAny, SocketAddr)> {
    let server = call!(net.call_listen(&["127.0.0.1".to_owned()], 0, options))?;
    let address = call!(net.server.call_local_addresses(server)).remove(0);
    Ok((server, SocketAddr::new(address.host.parse()?, address.port)))
}

/// How a client does TLS that trusts the authority.
pub(crate) async fn client_config(net: &mut Exported, pki: &Pki) -> Result<ResourceAny> {
    let config = call!(net.tls_client_config.call_constructor());
    let roots = pki.authority.pem();
    call!(net.tls_client_config.call_add_roots_pem(config, &roots));
    Ok(config)
}

/// How a server does TLS with the certificate of `server`.
pub(crate) async fn server_config(net: &mut Exported, pki: &Pki) -> Result<ResourceAny> {
    let config = call!(net.tls_server_config.call_constructor());
    let (chain, key) = (pki.read("server.pem")?, pki.read("server.key")?);
    call!(net.tls_server_config.call_add_identity_pem(config, &chain, &key));
    Ok(config)
}

/// The options of a connection that speaks TLS.
pub(crate) async fn tls_options(net: &mut Exported, config: ResourceAny, name: Option<&str>) -> Result<ResourceAny> {
    let options = call!(net.connect_options.call_constructor());
    call!(net.connect_options.call_set_tls(options, config, name));
    Ok(options)
}

/// Ends the handshakes of a connection whose both ends are the component's. Who polls drives only what it polls for, so that is both.
pub(crate) async fn shake_hands(
    net: &mut Exported,
    form: Form,
    ends: [ResourceAny; 2],
) -> Result<[Result<(), Error>; 2]> {
    loop {
        let mut pollables = Vec::new();
        for end in ends {
            if form == Form::Polling && matches!(call!(net.writer.call_try_handshake(end)), Ok(false)) {
                pollables.extend(call!(net.writer.call_subscribe(end)));
            }
        }
        if pollables.is_empty() {
            break;
        }
        net.poll(&pollables).await?;
        drop_all(net, pollables)?;
    }
    let [first, second] = ends;
    Ok([
        perform!(form, net.writer: call_handshake | call_try_handshake as Handshaken(first)),
        perform!(form, net.writer: call_handshake | call_try_handshake as Handshaken(second)),
    ])
}
