//! Name lookup.

use std::net::IpAddr;

use super::reactor::Registration;
use crate::error::{Error, ResolveErrorKind, Result};
use crate::sys::host::ResolveStream;
use crate::sys::types::ErrorCode;

/// Looks `name` up; the order is the host's. Dropping the future gives the lookup up.
pub(crate) async fn resolve(name: &str) -> Result<Vec<IpAddr>> {
    let failed = |code| resolve_error(code, name);
    let lookup = ResolveStream::start(name).map_err(failed)?;
    let mut waiting: Option<Registration> = None;
    let mut found = Vec::new();
    loop {
        match lookup.next() {
            Ok(Some(address)) => found.push(address),
            Ok(None) => break,
            Err(ErrorCode::WouldBlock) => {
                waiting.get_or_insert_with(|| Registration::new(lookup.subscribe())).ready().await;
            }
            Err(code) => return Err(failed(code)),
        }
    }
    drop(waiting); // a pollable must go before what it belongs to
    Ok(found)
}

fn resolve_error(code: ErrorCode, host: &str) -> Error {
    let kind = match code {
        ErrorCode::InvalidArgument => {
            return Error::InvalidInput(format!("{host:?} is not a valid host name").into());
        }
        // Hosts that do not permit name lookup say "permanent failure".
        ErrorCode::AccessDenied | ErrorCode::PermanentResolverFailure => ResolveErrorKind::Denied,
        ErrorCode::TemporaryResolverFailure | ErrorCode::Timeout => ResolveErrorKind::Temporary,
        ErrorCode::NameUnresolvable => ResolveErrorKind::UnknownName,
        _ => ResolveErrorKind::Permanent,
    };
    Error::Resolve { kind, host: host.into() }
}
