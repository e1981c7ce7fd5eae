//! The parts that do no I/O, natively: `make bench-micro`.

use std::hint::black_box;
use std::sync::Arc;

use bytes::Bytes;
use divan::Bencher;
use divan::counter::{BytesCount, ItemsCount};
use rustls::pki_types::{PrivateKeyDer, ServerName};
use rustls::{ClientConfig, RootCertStore, ServerConfig};
use wasi_streams::micro::{Receiving, Sending, Tunnel, count_lines};
use wasi_streams::{DEFAULT_LIMIT, StreamReader, run};

const PIECE: usize = 64 * 1024;

fn main() {
    divan::main();
}

fn lines(length: usize) -> Bytes {
    let line = [&vec![b'x'; length - 1], &b"\n"[..]].concat();
    line.repeat(PIECE / length).into()
}

/// Lines of 64 KiB, by length.
mod line_splitting {
    use super::*;

    #[divan::bench(args = [20, 80, 1000])]
    fn search(bencher: Bencher<'_, '_>, length: usize) {
        let data = lines(length);
        let count = data.len() / length;
        bencher.counter(ItemsCount::new(count)).bench(|| {
            assert_eq!(count_lines(black_box(&data), DEFAULT_LIMIT).unwrap(), count);
        });
    }

    #[divan::bench(args = [20, 80, 1000])]
    fn buffer(bencher: Bencher<'_, '_>, length: usize) {
        let data = lines(length);
        let count = data.len() / length;
        bencher.counter(ItemsCount::new(count)).bench(|| {
            let mut buffer = Receiving::new(DEFAULT_LIMIT);
            buffer.feed(Bytes::copy_from_slice(&data)); // what the host gives is nobody else's
            (0..count).for_each(|_| drop(black_box(buffer.line().unwrap().unwrap())));
        });
    }

    #[divan::bench(args = [20, 80, 1000])]
    fn readline(bencher: Bencher<'_, '_>, length: usize) {
        let data = lines(length);
        bencher.counter(ItemsCount::new(data.len() / length)).bench(|| {
            let mut reader = StreamReader::new(None).unwrap();
            reader.feed_data(&data).unwrap();
            reader.feed_eof();
            run(async { while !black_box(reader.readline().await.unwrap()).is_empty() {} });
        });
    }

    #[divan::bench(args = [20, 80, 1000])]
    fn readline_ref(bencher: Bencher<'_, '_>, length: usize) {
        let data = lines(length);
        bencher.counter(ItemsCount::new(data.len() / length)).bench(|| {
            let mut reader = StreamReader::new(None).unwrap();
            reader.feed_data(&data).unwrap();
            reader.feed_eof();
            run(async { while !black_box(reader.readline_ref().await.unwrap()).is_empty() {} });
        });
    }
}

mod receive_buffer {
    use super::*;

    /// What arrives is taken at once.
    #[divan::bench(args = [64, PIECE])]
    fn in_and_out(bencher: Bencher<'_, '_>, size: usize) {
        let mut buffer = Receiving::new(DEFAULT_LIMIT);
        let arrives = || Bytes::from(vec![0; size]);
        bencher.counter(BytesCount::new(size)).with_inputs(arrives).bench_local_values(|bytes| {
            buffer.feed(bytes);
            buffer.some(PIECE).unwrap()
        });
    }

    /// 64 KiB that arrive in pieces are taken as one.
    #[divan::bench(args = [1024, 16 * 1024])]
    fn gathered(bencher: Bencher<'_, '_>, size: usize) {
        let piece = Bytes::from(vec![0; size]);
        bencher.counter(BytesCount::new(PIECE)).bench(|| {
            let mut buffer = Receiving::new(DEFAULT_LIMIT);
            (0..PIECE / size).for_each(|_| buffer.feed(piece.clone()));
            buffer.exactly(PIECE).unwrap().unwrap()
        });
    }
}

mod send_queue {
    use super::*;

    #[divan::bench(args = [64, PIECE])]
    fn in_and_out(bencher: Bencher<'_, '_>, size: usize) {
        let data = vec![0; size];
        let mut queue = Sending::new();
        bencher.counter(BytesCount::new(size)).bench_local(|| {
            queue.push(black_box(&data));
            queue.drain(PIECE)
        });
    }

    /// 64 KiB of small writes go out in a few pieces.
    #[divan::bench]
    fn coalesced(bencher: Bencher<'_, '_>) {
        let data = vec![0; 64];
        bencher.counter(BytesCount::new(PIECE)).bench(|| {
            let mut queue = Sending::new();
            (0..PIECE / data.len()).for_each(|_| queue.push(black_box(&data)));
            queue.drain(PIECE / 4)
        });
    }
}

mod tls {
    use super::*;

    type Configs = (Arc<ClientConfig>, ServerName<'static>, Arc<ServerConfig>);

    fn configs() -> Configs {
        let key = rcgen::KeyPair::generate().unwrap();
        let certificate = rcgen::CertificateParams::new(["localhost".into()]).unwrap().self_signed(&key).unwrap();
        let mut roots = RootCertStore::empty();
        roots.add(certificate.der().clone()).unwrap();
        let client = ClientConfig::builder().with_root_certificates(roots).with_no_client_auth();
        let key = PrivateKeyDer::try_from(key.serialize_der()).unwrap();
        let server =
            ServerConfig::builder().with_no_client_auth().with_single_cert(vec![certificate.der().clone()], key);
        (client.into(), ServerName::try_from("localhost").unwrap(), server.unwrap().into())
    }

    fn tunnel((client, name, server): &Configs) -> Tunnel {
        Tunnel::new(Arc::clone(client), name.clone(), Arc::clone(server)).unwrap()
    }

    /// Both ends of one, resumed after the first.
    #[divan::bench]
    fn handshake(bencher: Bencher<'_, '_>) {
        let configs = configs();
        bencher.counter(ItemsCount::new(1_u32)).bench(|| tunnel(&configs));
    }

    /// Encrypted and decrypted again.
    #[divan::bench(args = [64, PIECE])]
    fn carry(bencher: Bencher<'_, '_>, size: usize) {
        let data = vec![0; size];
        let mut tunnel = tunnel(&configs());
        bencher.counter(BytesCount::new(size)).bench_local(|| {
            assert_eq!(tunnel.carry(black_box(&data)).unwrap(), size);
        });
    }
}
