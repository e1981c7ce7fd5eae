//! The order in which addresses are tried (RFC 8305 section 4).

use std::collections::VecDeque;
use std::net::SocketAddr;

/// Reorders `addresses` so that families alternate, starting with `first_count` of the family that comes first.
/// `first_count` 0 leaves the order alone.
pub(crate) fn interleave(addresses: Vec<SocketAddr>, first_count: usize) -> Vec<SocketAddr> {
    let Some(first) = addresses.first() else { return addresses };
    if first_count == 0 {
        return addresses;
    }
    let total = addresses.len();
    let first_is_v4 = first.is_ipv4();
    let (mut front, mut back): (VecDeque<_>, VecDeque<_>) =
        addresses.into_iter().partition(|a| a.is_ipv4() == first_is_v4);
    let mut ordered = Vec::with_capacity(total);
    ordered.extend(front.drain(..(first_count - 1).min(front.len())));
    while ordered.len() < total {
        ordered.extend(front.pop_front());
        ordered.extend(back.pop_front());
    }
    ordered
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(first_count: usize, families: &str) -> String {
        let (mut a, mut b) = (0u16, 0u16);
        let addresses = families.chars().map(|family| match family {
            'A' => {
                a += 1;
                SocketAddr::from(([192, 0, 2, 1], a - 1))
            }
            _ => {
                b += 1;
                SocketAddr::from(([0x2001, 0xdb8, 0, 0, 0, 0, 0, 1], b - 1))
            }
        });
        let name = |a: SocketAddr| format!("{}{}", if a.is_ipv4() { 'A' } else { 'B' }, a.port());
        interleave(addresses.collect(), first_count).into_iter().map(name).collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn h05_families_alternate_after_the_first_n() {
        assert_eq!(names(1, "AAAABBB"), "A0 B0 A1 B1 A2 B2 A3");
        assert_eq!(names(2, "AAAABBB"), "A0 A1 B0 A2 B1 A3 B2");
        assert_eq!(names(3, "AAAABBB"), "A0 A1 A2 B0 A3 B1 B2");
        assert_eq!(names(5, "AAAABBB"), "A0 A1 A2 A3 B0 B1 B2");
    }

    #[test]
    fn h05_the_family_that_comes_first_leads() {
        assert_eq!(names(1, "BAAB"), "B0 A0 B1 A1");
        assert_eq!(names(1, ""), "");
    }

    #[test]
    fn o23_zero_leaves_the_order_alone() {
        assert_eq!(names(0, "AABB"), "A0 A1 B0 B1");
    }
}
