//! What a certificate says, parsed.

use std::fmt;
use std::net::IpAddr;
use std::time::SystemTime;

use x509_cert::der::Decode;
use x509_cert::ext::pkix::SubjectAltName as Extension;
use x509_cert::ext::pkix::name::GeneralName;

use crate::error::{Error, Result};

/// An X.509 certificate: what asyncio's `peercert` has, and the bytes.
#[derive(Clone, PartialEq, Eq)]
pub struct Certificate {
    der: Vec<u8>,
    subject: String,
    issuer: String,
    serial_number: String,
    not_before: SystemTime,
    not_after: SystemTime,
    subject_alt_names: Vec<SubjectAltName>,
}

/// A name that a certificate is for.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum SubjectAltName {
    /// The name of a host, with `*.` in front perhaps.
    Dns(String),
    /// An address.
    Ip(IpAddr),
    /// A mail address.
    Email(String),
    /// A URI.
    Uri(String),
}

impl Certificate {
    /// Parses a certificate in DER.
    ///
    /// # Errors
    ///
    /// [`Error::InvalidInput`] if it is none.
    pub fn parse(der: &[u8]) -> Result<Self> {
        let broken = |error| Error::InvalidInput(format!("broken certificate: {error}").into());
        let parsed = x509_cert::Certificate::from_der(der).map_err(broken)?;
        let parsed = parsed.tbs_certificate();
        let names = parsed.get_extension::<Extension>().map_err(broken)?;
        let validity = parsed.validity();
        Ok(Self {
            der: der.to_vec(),
            subject: parsed.subject().to_string(),
            issuer: parsed.issuer().to_string(),
            serial_number: parsed.serial_number().as_bytes().iter().map(|byte| format!("{byte:02X}")).collect(),
            not_before: validity.not_before.to_system_time(),
            not_after: validity.not_after.to_system_time(),
            subject_alt_names: names.map_or_else(Vec::new, |(_critical, names)| subject_alt_names(&names)),
        })
    }

    /// Whether the certificate is its own issuer's.
    pub(super) fn is_self_issued(der: &[u8]) -> bool {
        let parsed = x509_cert::Certificate::from_der(der);
        parsed.is_ok_and(|parsed| parsed.tbs_certificate().subject() == parsed.tbs_certificate().issuer())
    }

    /// Returns the certificate itself, in DER.
    pub fn der(&self) -> &[u8] {
        &self.der
    }

    /// Returns whom it is for, as text (RFC 4514): `CN=server,O=Example`.
    pub fn subject(&self) -> &str {
        &self.subject
    }

    /// Returns who has signed it, as text (RFC 4514).
    pub fn issuer(&self) -> &str {
        &self.issuer
    }

    /// Returns its number, in hexadecimal digits.
    pub fn serial_number(&self) -> &str {
        &self.serial_number
    }

    /// Returns from when on it is valid.
    pub fn not_before(&self) -> SystemTime {
        self.not_before
    }

    /// Returns until when it is valid.
    pub fn not_after(&self) -> SystemTime {
        self.not_after
    }

    /// Returns the names that it is for; clients check these and not the subject (RFC 9525).
    pub fn subject_alt_names(&self) -> &[SubjectAltName] {
        &self.subject_alt_names
    }
}

/// The names of the kinds known here; others, such as those of directories, are passed over.
fn subject_alt_names(names: &Extension) -> Vec<SubjectAltName> {
    let known = names.0.iter().filter_map(|name| match name {
        GeneralName::DnsName(name) => Some(SubjectAltName::Dns(name.to_string())),
        GeneralName::Rfc822Name(name) => Some(SubjectAltName::Email(name.to_string())),
        GeneralName::UniformResourceIdentifier(name) => Some(SubjectAltName::Uri(name.to_string())),
        GeneralName::IpAddress(bytes) => ip_address(bytes.as_bytes()).map(SubjectAltName::Ip),
        _ => None,
    });
    known.collect()
}

fn ip_address(bytes: &[u8]) -> Option<IpAddr> {
    let v4 = || <[u8; 4]>::try_from(bytes).map(IpAddr::from);
    let v6 = || <[u8; 16]>::try_from(bytes).map(IpAddr::from);
    v4().or_else(|_| v6()).ok()
}

impl fmt::Display for SubjectAltName {
    /// Writes it as Python does: `DNS:example.org`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Dns(name) => write!(f, "DNS:{name}"),
            Self::Ip(address) => write!(f, "IP Address:{address}"),
            Self::Email(address) => write!(f, "email:{address}"),
            Self::Uri(uri) => write!(f, "URI:{uri}"),
        }
    }
}

impl fmt::Debug for Certificate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Certificate")
            .field("subject", &self.subject)
            .field("issuer", &self.issuer)
            .field("serial_number", &self.serial_number)
            .field("subject_alt_names", &self.subject_alt_names)
            .finish_non_exhaustive()
    }
}
