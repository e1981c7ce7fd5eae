//! Whom a client believes.

use std::sync::Arc;

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::{WebPkiServerVerifier, verify_server_cert_signed_by_trust_anchor};
use rustls::crypto::{CryptoProvider, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::server::ParsedCertificate;
use rustls::{CertificateError, DigitallySignedStruct, OtherError, RootCertStore, SignatureScheme};

use super::certificate::Certificate;
use super::error::SelfSigned;
use super::pem::Pem;
use crate::error::{Error, Result};

/// Which servers are believed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Trust {
    /// Those whose name an authority confirms.
    NamedByAuthority,
    /// Those to whom an authority has given a certificate for any name.
    ByAuthority,
    /// All.
    Anybody,
}

/// Makes the check of a server's certificate.
pub(super) fn verifier(
    trust: Trust,
    roots: RootCertStore,
    revoked: Option<&Pem>,
    provider: &Arc<CryptoProvider>,
) -> Result<Arc<dyn ServerCertVerifier>> {
    let check = match trust {
        Trust::NamedByAuthority => {
            let builder = WebPkiServerVerifier::builder_with_provider(Arc::new(roots), Arc::clone(provider));
            let lists = revoked.map(Pem::revocation_lists).transpose()?.unwrap_or_default();
            let verifier = builder.with_crls(lists).build();
            let error = |error| Error::InvalidInput(format!("certificate authorities: {error}").into());
            Check::Full(verifier.map_err(error)?)
        }
        _ if revoked.is_some() => {
            return Err(Error::invalid("revocation lists have no meaning when certificates are not fully verified"));
        }
        Trust::ByAuthority => Check::Chain(roots),
        Trust::Anybody => Check::Nothing,
    };
    Ok(Arc::new(Verifier { check, provider: Arc::clone(provider) }))
}

#[derive(Debug)]
enum Check {
    Full(Arc<WebPkiServerVerifier>),
    Chain(RootCertStore),
    Nothing,
}

/// Checks as it was told; always that the peer has the key of its certificate.
#[derive(Debug)]
struct Verifier {
    check: Check,
    provider: Arc<CryptoProvider>,
}

impl ServerCertVerifier for Verifier {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        let algorithms = self.provider.signature_verification_algorithms.all;
        let verified = match &self.check {
            Check::Full(verifier) => {
                verifier.verify_server_cert(end_entity, intermediates, server_name, ocsp_response, now).map(|_| ())
            }
            Check::Chain(roots) => ParsedCertificate::try_from(end_entity).and_then(|certificate| {
                verify_server_cert_signed_by_trust_anchor(&certificate, roots, intermediates, now, algorithms)
            }),
            Check::Nothing => Ok(()),
        };
        match verified {
            Ok(()) => Ok(ServerCertVerified::assertion()),
            // An unknown issuer, but known to be nobody else: worth a word of its own.
            Err(rustls::Error::InvalidCertificate(
                why @ (CertificateError::UnknownIssuer | CertificateError::Other(_)),
            )) if Certificate::is_self_issued(end_entity) => {
                let authority = why != CertificateError::UnknownIssuer;
                let why = CertificateError::Other(OtherError(Arc::new(SelfSigned { authority })));
                Err(rustls::Error::InvalidCertificate(why))
            }
            Err(error) => Err(error),
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls12_signature(message, certificate, signature, &self.provider.signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls13_signature(message, certificate, signature, &self.provider.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}
