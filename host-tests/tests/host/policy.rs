//! The policy's decisions, without a guest.

use std::net::SocketAddr;

use wasi_streams_host::{Denial, Policy, PolicyError, Verdict};
use wasmtime_wasi::sockets::SocketAddrUse::{self, TcpAccept, TcpBind, TcpConnect, TcpListen, UdpSend};

#[test]
fn loopback_is_open_in_both_directions_and_nothing_else_is() {
    let policy = Policy::loopback();
    for address in ["127.0.0.1:80", "127.9.9.9:1", "[::1]:80"] {
        for purpose in [TcpBind, TcpListen, TcpAccept, TcpConnect] {
            assert!(allows(&policy, address, purpose), "{address} {purpose:?}");
        }
        assert!(!allows(&policy, address, UdpSend));
    }
    for address in ["10.1.2.3:80", "[2001:db8::1]:80"] {
        for purpose in [TcpBind, TcpListen, TcpAccept, TcpConnect] {
            assert!(!allows(&policy, address, purpose), "{address} {purpose:?}");
        }
    }
}

#[test]
fn a_bind_to_no_address_is_the_first_step_of_connecting_and_no_listener() {
    let policy = Policy::loopback();
    for address in ["0.0.0.0:0", "[::]:0"] {
        assert!(allows(&policy, address, TcpBind));
    }
    assert!(!allows(&policy, "0.0.0.0:41234", TcpListen));
    assert!(!allows(&policy, "0.0.0.0:8080", TcpBind));
}

#[test]
fn no_network_means_not_even_loopback() {
    let policy = Policy::none();
    for purpose in [TcpBind, TcpListen, TcpAccept, TcpConnect, UdpSend] {
        assert!(!allows(&policy, "127.0.0.1:80", purpose));
    }
}

#[test]
fn the_whole_network_includes_everything_but_names() {
    let policy = Policy::everything();
    for purpose in [TcpBind, TcpListen, TcpAccept, TcpConnect, UdpSend] {
        assert!(allows(&policy, "203.0.113.9:443", purpose));
    }
    assert!(policy.lookup_refusal("example.org").is_some());
    assert!(policy.dns(true).lookup_refusal("example.org").is_none());
}

#[test]
fn an_allowed_host_is_an_address_a_network_or_a_name_with_or_without_a_port() {
    let cases = [
        ("10.1.2.3", "10.1.2.3:9", "10.1.2.4:9"),
        ("10.1.2.3:80", "10.1.2.3:80", "10.1.2.3:81"),
        ("10.0.0.0/8", "10.255.0.1:1", "11.0.0.1:1"),
        ("10.0.0.0/8:443", "10.1.1.1:443", "10.1.1.1:80"),
        ("0.0.0.0/0", "8.8.8.8:53", "[2001:db8::1]:53"),
        ("2001:db8::1", "[2001:db8::1]:7", "[2001:db8::2]:7"),
        ("[2001:db8::1]", "[2001:db8::1]:7", "[2001:db8::2]:7"),
        ("[2001:db8::1]:80", "[2001:db8::1]:80", "[2001:db8::1]:81"),
        ("2001:db8::/32", "[2001:db8:9::1]:80", "[2001:db9::1]:80"),
        ("[2001:db8::/32]:80", "[2001:db8:9::1]:80", "[2001:db8:9::1]:81"),
        // IPv4, wrapped: sockets of IPv6 connect to no such address.
        ("::ffff:10.1.2.3", "10.1.2.3:9", "10.1.2.4:9"),
        ("[::ffff:10.1.2.3]:80", "10.1.2.3:80", "10.1.2.3:81"),
        ("::ffff:10.0.0.0/104", "10.255.0.1:1", "11.0.0.1:1"),
    ];
    for (rule, inside, outside) in cases {
        let policy = Policy::none().allow(rule).unwrap();
        assert!(allows(&policy, inside, TcpConnect), "{rule} includes {inside}");
        assert!(!allows(&policy, outside, TcpConnect), "{rule} excludes {outside}");
        assert!(!allows(&policy, inside, TcpListen), "{rule} is no permission to listen");
    }
}

#[test]
fn ports_are_one_all_or_a_range() {
    for (rule, inside, outside) in [
        ("10.1.2.3:8000-8999", ["10.1.2.3:8000", "10.1.2.3:8999"], ["10.1.2.3:7999", "10.1.2.3:9000"]),
        ("10.0.0.0/8:1-65535", ["10.1.2.3:1", "10.1.2.3:65535"], ["11.0.0.1:1", "9.0.0.1:65535"]),
        ("[2001:db8::/32]:80-80", ["[2001:db8::1]:80"; 2], ["[2001:db8::1]:79", "[2001:db8::1]:81"]),
    ] {
        let policy = Policy::none().allow(rule).unwrap();
        assert!(inside.iter().all(|address| allows(&policy, address, TcpConnect)), "{rule}");
        assert!(!outside.iter().any(|address| allows(&policy, address, TcpConnect)), "{rule}");
    }
    let policy = Policy::none().allow_listen("0.0.0.0:8000-8001").unwrap().allow_listen("[::1]:9000-9001").unwrap();
    for (address, allowed) in [
        ("10.0.0.1:7999", false),
        ("10.0.0.1:8000", true),
        ("0.0.0.0:8001", true),
        ("0.0.0.0:8002", false),
        ("[::1]:9001", true),
        ("[::1]:9002", false),
        ("[::2]:9001", false),
    ] {
        assert_eq!(allows(&policy, address, TcpBind), allowed, "{address}");
    }
}

#[test]
fn a_pattern_stands_for_every_name_that_ends_so_and_for_no_address() {
    let policy = Policy::none().allow("*.Example.org:443").unwrap();
    for name in ["a.example.org", "A.EXAMPLE.ORG", "a.b.example.org"] {
        assert!(policy.lookup_refusal(name).is_none(), "{name}");
    }
    for name in
        ["example.org", ".example.org", "aexample.org", "a.example.org.", "a.example.org.test", "org", "", "ä.org"]
    {
        assert!(policy.lookup_refusal(name).is_some(), "{name}");
    }
    // Which addresses these names have is not known before the guest has asked.
    assert!(!allows(&policy, "93.184.216.34:443", TcpConnect));
}

#[test]
fn a_name_is_that_which_is_looked_up_however_it_is_written() {
    let pattern = Policy::none().allow("*.B\u{fc}cher.example").unwrap();
    assert!(pattern.lookup_refusal("a.xn--bcher-kva.example").is_none());
    assert!(pattern.lookup_refusal("xn--bcher-kva.example").is_some());
    let name = Policy::none().allow("\u{ff4c}ocalhost:80").unwrap();
    assert!(name.lookup_refusal("localhost").is_none());
    assert!(Policy::none().allow("10.0.0").is_err(), "neither");
}

#[test]
fn what_is_no_pattern_is_an_error_that_names_it_and_shows_some() {
    for text in [
        "*",
        "*.",
        "*..org",
        "*org",
        "a.*.org",
        "a*.org",
        "*.org:0",
        "*.*.org",
        "**.org",
        "*.org/8",
        "10.0.0.*",
        "a:1-",
        "a:-1",
        "a:2-1",
        "a:1-65536",
        "a:0-1",
        "a:+1",
        "a:1-+2",
        "a:1-2-3",
        "10.0.0.0/33",
        "::/129",
        "10.0.0.0/+8",
        "10.0.0.0/",
        "a b",
        "",
    ] {
        let error = Policy::none().allow(text).unwrap_err();
        let told = error.to_string();
        assert!(matches!(&error, PolicyError::Host(of, _) if of == text), "{text}: {error:?}");
        assert!(told.contains(&format!("{text:?}")) && told.contains("*.example.org"), "{told}");
    }
    for text in
        ["80", "*:80", "localhost:80", "127.0.0.1", "127.0.0.1:2-1", "127.0.0.1:0-5", "[::1:80", "10.0.0.0/8:80"]
    {
        let error = Policy::none().allow_listen(text).unwrap_err();
        assert_eq!(error, PolicyError::Listen(text.into()));
        assert!(error.to_string().contains(&format!("{text:?}")) && error.to_string().contains("IP:PORT"), "{error}");
    }
}

#[test]
fn an_allowed_name_may_be_looked_up_and_its_addresses_reached() {
    let policy = Policy::none().allow("localhost:80").unwrap();
    assert!(policy.lookup_refusal("localhost").is_none());
    assert!(policy.lookup_refusal("LOCALHOST").is_none());
    assert!(policy.lookup_refusal("example.org").is_some());
    assert!(allows(&policy, "127.0.0.1:80", TcpConnect) || allows(&policy, "[::1]:80", TcpConnect));
    assert!(!allows(&policy, "127.0.0.1:81", TcpConnect));
}

#[test]
fn an_allowed_listener_accepts_whoever_comes() {
    let cases = [
        ("10.0.0.1:8080", "10.0.0.1:8080", "10.0.0.1:8081"),
        ("10.0.0.1:0", "10.0.0.1:8081", "10.0.0.2:8081"),
        ("0.0.0.0:8080", "10.0.0.1:8080", "[::]:8080"),
        ("0.0.0.0:8080", "0.0.0.0:8080", "0.0.0.0:8081"),
        ("[::]:0", "[2001:db8::1]:9", "10.0.0.1:9"),
        ("[::ffff:10.0.0.1]:8080", "10.0.0.1:8080", "10.0.0.1:8081"),
        ("[::ffff:10.0.0.1]:8080-8081", "10.0.0.1:8081", "10.0.0.2:8081"),
    ];
    for (rule, inside, outside) in cases {
        let policy = Policy::none().allow_listen(rule).unwrap();
        for purpose in [TcpBind, TcpListen] {
            assert!(allows(&policy, inside, purpose), "{rule} includes {inside}");
            assert!(!allows(&policy, outside, purpose), "{rule} excludes {outside}");
        }
        assert!(allows(&policy, "203.0.113.9:50000", TcpAccept));
        assert!(!allows(&policy, inside, TcpConnect), "{rule} is no permission to connect");
    }
}

#[test]
fn a_denial_names_the_address_and_the_option_that_allows_it() {
    let policy = Policy::loopback();
    let text = |address: &str, purpose| refusal(&policy, address, purpose).unwrap().to_string();
    assert_eq!(
        text("10.1.2.3:80", TcpConnect),
        "denied connect to 10.1.2.3:80: allow it with --allow 10.1.2.3:80 (or --net)"
    );
    assert_eq!(
        text("0.0.0.0:80", TcpBind),
        "denied bind to 0.0.0.0:80: allow it with --allow-listen 0.0.0.0:80 (or --net)"
    );
    // The port was the system's choice, and will be another next time.
    assert_eq!(
        text("0.0.0.0:41234", TcpListen),
        "denied listen on 0.0.0.0:0: allow it with --allow-listen 0.0.0.0:0 (or --net)"
    );
}

#[test]
fn what_a_denial_advises_is_a_rule_that_allows_it() {
    for (address, purpose) in [
        ("10.1.2.3:80", TcpConnect),
        ("[2001:db8::1]:80", TcpConnect),
        ("0.0.0.0:80", TcpBind),
        ("[::]:41234", TcpListen),
    ] {
        let policy = match refusal(&Policy::loopback(), address, purpose).unwrap() {
            Denial::Connect(peer) => Policy::loopback().allow(&peer.to_string()),
            Denial::Bind(local) | Denial::Listen(local) => Policy::loopback().allow_listen(&local.to_string()),
            denial => panic!("{denial}"),
        };
        assert!(allows(&policy.unwrap(), address, purpose), "{address}");
    }
}

#[test]
fn a_rule_that_means_nothing_is_refused_with_an_example() {
    for text in ["", ":80", "10.1.2.3:0", "10.1.2.3:http", "10.0.0.0/33", "x/8", "[::1", "[::1]80", "a b", "10.0.0.0/"]
    {
        let error = Policy::none().allow(text).unwrap_err().to_string();
        assert!(error.contains(&format!("{text:?}")) && error.contains("HOST:PORT"), "{error}");
        assert!(!error.contains('\n'), "{error}");
    }
    for text in ["", "8080", "localhost:80", "10.0.0.1", "::1:80x"] {
        let error = Policy::none().allow_listen(text).unwrap_err().to_string();
        assert!(error.contains(&format!("{text:?}")) && error.contains("IP:PORT"), "{error}");
    }
}

/// Policies by what they are made of, as words: `loopback`, `everything`, `dns`, `HOST…` to connect to, `=IP:PORT` to listen on.
fn made_of(words: &str) -> Result<Policy, PolicyError> {
    words.split_whitespace().try_fold(Policy::default(), |policy, word| {
        Ok(match word {
            "loopback" => Policy::loopback(),
            "everything" => Policy::everything(),
            "dns" => policy.dns(true),
            listen if listen.starts_with('=') => policy.allow_listen(&listen[1..])?,
            host => policy.allow(host)?,
        })
    })
}

/// What is allowed, and right beside it what is not.
const CASES: &[(&str, &str, &str, bool)] = &[
    // Nothing by default.
    ("", "connect", "127.0.0.1:80", false),
    ("", "connect", "[::1]:80", false),
    ("", "bind", "127.0.0.1:0", false),
    ("", "bind", "0.0.0.0:0", false),
    ("", "listen", "127.0.0.1:80", false),
    ("", "udp", "127.0.0.1:53", false),
    ("", "lookup", "localhost", false),
    ("", "lookup", "127.0.0.1", false),
    // Loopback, and what looks like it.
    ("loopback", "connect", "127.0.0.1:1", true),
    ("loopback", "connect", "127.255.255.254:65535", true),
    ("loopback", "connect", "126.255.255.255:80", false),
    ("loopback", "connect", "128.0.0.1:80", false),
    ("loopback", "connect", "0.0.0.0:80", false),
    ("loopback", "connect", "[::]:80", false),
    ("loopback", "connect", "[::1]:80", true),
    ("loopback", "connect", "[::2]:80", false),
    ("loopback", "connect", "[::ffff:127.0.0.1]:80", true),
    ("loopback", "connect", "[::ffff:10.0.0.1]:80", false),
    ("loopback", "connect", "[fe80::1]:80", false),
    ("loopback", "connect", "169.254.169.254:80", false),
    ("loopback", "bind", "127.0.0.1:0", true),
    ("loopback", "bind", "0.0.0.0:0", true),
    ("loopback", "listen", "0.0.0.0:40000", false),
    ("loopback", "listen", "[::1]:80", true),
    ("loopback", "accept", "127.0.0.1:40000", true),
    ("loopback", "accept", "10.0.0.1:40000", false),
    ("loopback", "udp", "127.0.0.1:53", false),
    ("loopback", "lookup", "localhost", false),
    // Networks: their edges, and their ports.
    ("10.1.0.0/16", "connect", "10.1.0.0:80", true),
    ("10.1.0.0/16", "connect", "10.1.255.255:80", true),
    ("10.1.0.0/16", "connect", "10.0.255.255:80", false),
    ("10.1.0.0/16", "connect", "10.2.0.0:80", false),
    ("10.1.2.3/16", "connect", "10.1.9.9:80", true),
    ("10.1.2.3/32", "connect", "10.1.2.3:80", true),
    ("10.1.2.3/32", "connect", "10.1.2.2:80", false),
    ("10.1.0.0/16:443", "connect", "10.1.0.1:443", true),
    ("10.1.0.0/16:443", "connect", "10.1.0.1:444", false),
    ("10.1.0.0/16", "connect", "127.0.0.1:80", false),
    ("10.1.0.0/16", "bind", "0.0.0.0:0", true),
    ("10.1.0.0/16", "bind", "10.1.0.1:80", false),
    ("10.1.0.0/16", "lookup", "10.1.0.1", false),
    ("0.0.0.0/0", "connect", "203.0.113.9:80", true),
    ("0.0.0.0/0", "connect", "[2001:db8::1]:80", false),
    ("::/0", "connect", "[2001:db8::1]:80", true),
    ("::/0", "connect", "203.0.113.9:80", false),
    ("2001:db8::/33", "connect", "[2001:db8:7fff::]:80", true),
    ("2001:db8::/33", "connect", "[2001:db8:8000::]:80", false),
    ("10.0.0.1:80 10.0.0.2:81", "connect", "10.0.0.2:81", true),
    ("10.0.0.1:80 10.0.0.2:81", "connect", "10.0.0.1:81", false),
    ("loopback 10.0.0.1:80", "connect", "127.0.0.1:9", true),
    // Names: the one, whatever its case, and neither those above nor those below.
    ("localhost", "lookup", "LocalHost", true),
    ("localhost", "lookup", "a.localhost", false),
    ("localhost", "lookup", "localhost.", false),
    ("localhost", "lookup", "host", false),
    ("localhost:80", "connect", "127.0.0.1:81", false),
    ("dns", "lookup", "example.org", true),
    ("dns", "connect", "10.0.0.1:80", false),
    ("everything", "lookup", "example.org", false),
    ("everything dns", "lookup", "example.org", true),
    ("everything", "connect", "169.254.169.254:80", true),
    ("everything", "udp", "10.0.0.1:53", true),
    // Listening.
    ("=127.0.0.1:80", "listen", "127.0.0.1:80", true),
    ("=127.0.0.1:80", "bind", "127.0.0.1:81", false),
    ("=127.0.0.1:80", "bind", "127.0.0.2:80", false),
    ("=127.0.0.1:80", "connect", "127.0.0.1:80", false),
    ("=0.0.0.0:80", "bind", "0.0.0.0:80", true),
    ("=0.0.0.0:80", "bind", "[::]:80", false),
    ("=127.0.0.1:80", "accept", "203.0.113.9:50000", true),
    ("10.0.0.1", "accept", "10.0.0.1:50000", false),
];

#[test]
fn each_policy_allows_what_it_says_and_nothing_beside_it() {
    for (words, what, target, allowed) in CASES {
        let policy = made_of(words).unwrap();
        let denial = asked(&policy, what, target);
        assert_eq!(denial.is_none(), *allowed, "{words:?}: {what} {target}: {denial:?}");
    }
}

/// What refuses this use, in words.
fn asked(policy: &Policy, what: &str, target: &str) -> Option<Denial> {
    let purpose = match what {
        "lookup" => return policy.lookup_refusal(target),
        "connect" => TcpConnect,
        "bind" => TcpBind,
        "listen" => TcpListen,
        "accept" => TcpAccept,
        "udp" => UdpSend,
        other => panic!("{other}"),
    };
    refusal(policy, target, purpose)
}

#[test]
fn a_hook_is_asked_first_and_may_leave_it_to_the_rules() {
    let hooked = |verdict| Policy::loopback().hook(move |_| verdict);
    for (verdict, inside, outside) in
        [(Verdict::Rules, true, false), (Verdict::Allow, true, true), (Verdict::Deny, false, false)]
    {
        let policy = hooked(verdict);
        assert_eq!(allows(&policy, "127.0.0.1:80", TcpConnect), inside, "{verdict:?}");
        assert_eq!(allows(&policy, "10.0.0.1:80", TcpConnect), outside, "{verdict:?}");
        assert_eq!(policy.lookup_refusal("example.org").is_none(), outside, "{verdict:?}");
        // What no rule would allow is not advised.
        let told = policy.lookup_refusal("example.org").map(|denial| denial.to_string());
        let expected = match verdict {
            Verdict::Rules => Some("allow it with --allow example.org, or every name with --dns"),
            Verdict::Allow => None,
            Verdict::Deny => Some("a hook of the host refuses it, whatever the rules say"),
        };
        assert_eq!(told, expected.map(|remedy| format!("denied lookup of \"example.org\": {remedy}")));
        assert!(allows(&policy, "0.0.0.0:0", TcpBind), "the first step of connecting: {verdict:?}");
    }
    // It is told what the log would say, and can go by it.
    let only_even = Policy::loopback().hook(|denial| match denial {
        Denial::Connect(peer) if peer.port() % 2 == 1 => Verdict::Deny,
        Denial::Lookup(name) if name.ends_with(".test") => Verdict::Allow,
        _ => Verdict::Rules,
    });
    assert!(allows(&only_even, "127.0.0.1:80", TcpConnect) && !allows(&only_even, "127.0.0.1:81", TcpConnect));
    assert!(only_even.lookup_refusal("a.test").is_none() && only_even.lookup_refusal("a.org").is_some());
}

fn refusal(policy: &Policy, address: &str, purpose: SocketAddrUse) -> Option<Denial> {
    policy.refusal(address.parse::<SocketAddr>().unwrap(), purpose)
}

fn allows(policy: &Policy, address: &str, purpose: SocketAddrUse) -> bool {
    refusal(policy, address, purpose).is_none()
}
