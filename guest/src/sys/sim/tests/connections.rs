use super::*;

#[test]
fn a_connect_is_lazy_and_the_first_question_starts_it() {
    let net = Network::new();
    let to = addr("10.0.0.1:80");
    let _listener = net.connect_after(to, Duration::from_millis(30));
    let socket = TcpSocket::create(Family::V4).expect("tcp");
    assert_eq!(socket.finish_connect().err(), Some(ErrorCode::NotInProgress));
    socket.start_connect(to).expect("start");
    wait(subscribe_duration(10 * MS));
    assert_eq!(net.events(), []);
    assert_eq!(socket.finish_connect().err(), Some(ErrorCode::WouldBlock));
    wait(socket.subscribe());
    assert!(socket.finish_connect().is_ok());
    let times: Vec<_> = net.events().into_iter().map(|(at, event)| (at.as_millis(), event)).collect();
    assert_eq!(times[..2], [(10, Event::ConnectStarted(to)), (40, Event::Connected(to))]);
}

#[test]
fn a_failed_connect_uses_the_socket_up() {
    let net = Network::new();
    let to = addr("10.0.0.1:80");
    net.unreachable(to, Duration::from_millis(5));
    let socket = TcpSocket::create(Family::V4).expect("tcp");
    socket.start_connect(to).expect("start");
    wait(socket.subscribe());
    assert_eq!(socket.finish_connect().err(), Some(ErrorCode::RemoteUnreachable));
    assert_eq!(socket.start_connect(to), Err(ErrorCode::InvalidState));
    assert_eq!(net.now(), Duration::from_millis(5));
}

#[test]
fn impossible_addresses_are_invalid_arguments() {
    Network::new();
    for bad in ["0.0.0.0:80", "10.0.0.1:0", "224.0.0.1:80", "255.255.255.255:80", "[::1]:80"] {
        let socket = TcpSocket::create(Family::V4).expect("tcp");
        assert_eq!(socket.start_connect(addr(bad)), Err(ErrorCode::InvalidArgument), "{bad}");
    }
    for bad in ["[::]:80", "[::ffff:10.0.0.1]:80", "[::10.0.0.1]:80", "[ff02::1]:80", "[::1]:0"] {
        let socket = TcpSocket::create(Family::V6).expect("tcp");
        assert_eq!(socket.start_connect(addr(bad)), Err(ErrorCode::InvalidArgument), "{bad}");
    }
}

#[test]
fn binding_checks_permission_machine_and_neighbours() {
    let net = Network::new();
    net.deny(addr("127.0.0.1:22"));
    let first = listening("127.0.0.1:80");
    for (at, code) in [
        ("127.0.0.1:22", ErrorCode::AccessDenied),
        ("10.0.0.1:80", ErrorCode::AddressNotBindable),
        ("0.0.0.0:80", ErrorCode::AddressInUse),
        ("224.0.0.1:80", ErrorCode::InvalidArgument),
    ] {
        let socket = TcpSocket::create(Family::V4).expect("tcp");
        assert_eq!(socket.start_bind(addr(at)), Err(code), "{at}");
        assert_eq!(socket.start_listen(), Err(ErrorCode::InvalidState));
    }
    drop(first);
    drop(listening("0.0.0.0:80"));
    let any = listening("[::1]:0");
    assert_ne!(any.local_address().expect("bound").port(), 0);
    assert_eq!(any.set_listen_backlog_size(0), Err(ErrorCode::InvalidArgument));
    net.deny_tcp();
    assert_eq!(TcpSocket::create(Family::V4).err(), Some(ErrorCode::AccessDenied));
}

#[test]
fn bytes_go_both_ways_and_end() {
    let net = Network::new();
    let (socket, peer, input, output) = connected(&net);
    write(&output, b"hello").expect("written");
    assert_eq!(peer.take_received(), b"hello");
    assert_eq!(input.read(9).expect("open"), b"");
    peer.send(b"world");
    peer.finish();
    assert_eq!(input.read(3).expect("data"), b"wor");
    assert_eq!(input.read(9).expect("data"), b"ld");
    assert_eq!(input.read(9), Err(StreamFailure::Closed));
    assert_eq!(socket.remote_address(), Ok(peer.local_addr()));
    socket.shutdown(Shutdown::Send).expect("connected");
    assert!(peer.saw_eof());
    assert_eq!(output.check_write(), Err(StreamFailure::Closed));
    drop((input, output, socket));
    let counts = net.counts();
    assert_eq!((counts.sockets, counts.input_streams, counts.output_streams, counts.pollables), (0, 0, 0, 0));
    assert!(!peer.saw_reset());
}

#[test]
fn writing_without_a_permit_traps() {
    let net = Network::new();
    let (_socket, _peer, _input, output) = connected(&net);
    assert_eq!(trap(|| output.write(b"x").expect("a trap")), "trap: not permitted to write 1 bytes");
    write(&output, b"x").expect("written");
    assert_eq!(trap(|| output.write(b"x").expect("a trap")), "trap: not permitted to write 1 bytes");
    assert_eq!(output.write(b""), Ok(()));
    net.set_faults(Faults { max_write: Some(4), ..Faults::default() });
    assert_eq!(output.check_write(), Ok(4));
    trap(|| output.write(b"12345").expect("a trap"));
}

#[test]
fn one_write_is_in_flight_and_dropping_it_freezes() {
    let net = Network::new();
    net.set_send_buffer(10);
    let (socket, peer, input, output) = connected(&net);
    peer.stall();
    write(&output, &[7; 25]).expect("taken");
    assert_eq!(output.check_write(), Ok(0));
    assert_eq!(peer.in_flight(), 25);
    peer.set_window(12);
    peer.resume();
    assert_eq!((peer.received_len(), output.check_write()), (12, Ok(0)));
    assert_eq!(peer.take_received().len(), 12);
    assert_eq!(output.check_write(), Ok(65536));
    peer.stall();
    output.write(&[8; 25]).expect("taken");
    socket.shutdown(Shutdown::Both).expect("connected");
    assert!(trap(|| drop(output)).starts_with("trap: dropping a busy output-stream"));
    assert_eq!(net.freezes(), 1);
    drop((input, socket));
}

#[test]
fn a_shutdown_keeps_the_write_in_flight_and_ends_after_it() {
    let net = Network::new();
    net.set_send_buffer(10);
    let (socket, peer, input, output) = connected(&net);
    peer.stall();
    write(&output, &[7; 25]).expect("taken");
    socket.shutdown(Shutdown::Send).expect("connected");
    assert_eq!(output.check_write(), Ok(0));
    net.after(Duration::from_secs(3), {
        let peer = peer.clone();
        move || peer.resume()
    });
    assert_eq!(poll(&[&output.subscribe()]), [0]);
    assert_eq!(net.now(), Duration::from_secs(3));
    assert_eq!((peer.received_len(), peer.saw_eof()), (25, true));
    drop((input, output, socket));
    assert_eq!(net.freezes(), 0);
}

#[test]
fn children_go_before_their_parents() {
    let net = Network::new();
    let (socket, _peer, input, output) = connected(&net);
    let pollable = input.subscribe();
    assert!(trap(|| drop(input)).starts_with("trap: resource has children: input-stream"));
    drop(pollable);
    assert!(trap(|| drop(socket)).starts_with("trap: resource has children: tcp-socket"));
    drop(output);
}

#[test]
fn a_reset_is_told_once_and_after_what_had_arrived() {
    let net = Network::new();
    let (socket, peer, input, output) = connected(&net);
    peer.send(b"last");
    peer.reset();
    assert_eq!(input.read(9).expect("data"), b"last");
    assert_eq!(input.read(9), Err(StreamFailure::Failed("ConnectionReset".into())));
    assert_eq!(socket.remote_address(), Err(ErrorCode::InvalidState));
    assert_eq!(write(&output, b"x"), Err(StreamFailure::Closed));

    let (_socket, peer, input, output) = connected(&net);
    peer.reset();
    assert_eq!(write(&output, b"x"), Err(StreamFailure::Failed("connection-reset (error 15)".into())));
    assert_eq!(input.read(9), Err(StreamFailure::Closed));
}

#[test]
fn a_peer_that_closed_answers_the_first_write_with_a_reset() {
    let net = Network::new();
    let (socket, peer, input, output) = connected(&net);
    peer.close();
    assert_eq!(socket.remote_address(), Err(ErrorCode::InvalidState));
    assert_eq!(write(&output, b"x"), Ok(()));
    assert_eq!(write(&output, b"x"), Err(StreamFailure::Closed));
    assert_eq!(input.read(9), Err(StreamFailure::Closed));
}

#[test]
fn a_close_with_unread_bytes_is_a_reset() {
    let net = Network::new();
    let (socket, peer, input, output) = connected(&net);
    peer.stall();
    write(&output, b"lost").expect("written");
    peer.send(b"unread");
    drop((input, output, socket));
    assert!(peer.saw_reset() && !peer.saw_eof());
    peer.resume();
    assert_eq!(peer.take_received(), b"");
}

#[test]
fn a_clean_close_delivers_and_then_resets_late_senders() {
    let net = Network::new();
    let (socket, peer, input, output) = connected(&net);
    peer.stall();
    write(&output, b"kept").expect("written");
    drop((input, output, socket));
    peer.resume();
    assert_eq!((peer.take_received(), peer.saw_eof()), (b"kept".to_vec(), true));
    peer.send(b"late");
    assert!(peer.saw_reset());
}

#[test]
fn accepting_may_block_fail_and_meet_the_vanished() {
    let net = Network::new();
    let at = addr("127.0.0.1:80");
    assert_eq!(net.connect(at).err(), Some(ErrorCode::ConnectionRefused));
    let listener = listening("0.0.0.0:80");
    assert_eq!(listener.accept().err(), Some(ErrorCode::WouldBlock));
    net.fail_accepts(ErrorCode::NewSocketLimit, 1);
    wait(listener.subscribe());
    assert_eq!(listener.accept().err(), Some(ErrorCode::NewSocketLimit));
    let peer = net.connect(at).expect("listening");
    peer.send(b"hi");
    let (socket, input, output) = listener.accept().expect("accepted");
    assert_eq!(socket.remote_address(), Ok(peer.local_addr()));
    assert_eq!(input.read(9).expect("data"), b"hi");
    net.connect(at).expect("listening").reset();
    net.abort_vanished(true);
    assert_eq!(listener.accept().err(), Some(ErrorCode::ConnectionAborted));
    drop((input, output, socket));
}

#[test]
fn the_guest_can_talk_to_itself_with_back_pressure() {
    let net = Network::new();
    net.set_send_buffer(10);
    net.set_receive_buffer(10);
    let listener = listening("127.0.0.1:80");
    let client = TcpSocket::create(Family::V4).expect("tcp");
    client.start_connect(addr("127.0.0.1:80")).expect("start");
    wait(client.subscribe());
    let (client_in, client_out) = client.finish_connect().expect("connected");
    let (server, server_in, server_out) = listener.accept().expect("accepted");
    write(&client_out, &[1; 25]).expect("taken");
    assert_eq!(client_out.check_write(), Ok(0));
    assert_eq!(server_in.read(99).expect("data").len(), 10);
    assert!(client_out.check_write().expect("open") > 0);
    assert_eq!(server_out.splice(&server_in, 99), Ok(10));
    assert_eq!(client_in.read(99).expect("data").len(), 10);
    server_in.read(99).expect("data");
    drop((client_in, client_out, client));
    assert_eq!(server_in.read(9), Err(StreamFailure::Closed));
    drop((server_in, server_out, server));
}

#[test]
fn the_end_of_the_process_loses_only_the_write_in_flight() {
    let net = Network::new();
    net.set_send_buffer(10);
    let (socket, peer, input, output) = connected(&net);
    peer.stall();
    write(&output, &[7; 25]).expect("taken");
    net.exit();
    peer.resume();
    assert_eq!((peer.received_len(), peer.saw_eof()), (10, true));
    drop((input, output, socket));
    assert_eq!(net.freezes(), 0);
}
