//! Name lookup.

use std::net::IpAddr;

use super::watched::Watched;
use crate::error::{Error, ResolveErrorKind, Result, quoted};
use crate::sys::host::ResolveStream;
use crate::sys::types::ErrorCode;

/// Looks `name` up; the order is the host's. Dropping the future gives the lookup up.
pub(crate) async fn resolve(name: &str) -> Result<Vec<IpAddr>> {
    let failed = |code| resolve_error(code, name);
    let mut lookup = Watched::new(ResolveStream::start(name).map_err(failed)?);
    let mut found = Vec::new();
    loop {
        match lookup.handle().next() {
            Ok(Some(address)) => found.push(address),
            Ok(None) => return Ok(found),
            Err(ErrorCode::WouldBlock) => lookup.ready().await,
            Err(code) => return Err(failed(code)),
        }
    }
}

fn resolve_error(code: ErrorCode, host: &str) -> Error {
    let kind = match code {
        ErrorCode::InvalidArgument => {
            return Error::InvalidInput(format!("{} is not a valid host name", quoted(host)).into());
        }
        // Hosts that do not permit name lookup say "permanent failure".
        ErrorCode::AccessDenied | ErrorCode::PermanentResolverFailure => ResolveErrorKind::Denied,
        ErrorCode::TemporaryResolverFailure | ErrorCode::Timeout => ResolveErrorKind::Temporary,
        ErrorCode::NameUnresolvable => ResolveErrorKind::UnknownName,
        _ => ResolveErrorKind::Permanent,
    };
    Error::Resolve { kind, host: host.into() }
}
