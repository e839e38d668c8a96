//! What happens where the kernel, a device or a path refuses the best means: none of it is lost.
//!
//! The kernel is made to refuse where it can be (by seccomp, and by sending without checksums). What a device without checksums and
//! a narrow path say is handed in, since loopback is neither.

use std::net::{Ipv4Addr, UdpSocket};
use std::num::NonZeroU8;

use bytes::Bytes;
use rustix::io::Errno;

use super::super::library::Source;
use super::super::sockets::{Sockets, WatchedSockets};
use super::tests::{blocks, content, expected, received, wire, wire_of};
use super::*;
use crate::sys::refuse::{self, Call};

/// A kernel that says `errno` to `call`, seen by a thread of its own.
fn where_it_says<T: Send>(errno: Errno, call: Call, act: impl FnOnce() -> T + Send) -> T {
    let refused = || {
        refuse::from_now_on(call, errno.raw_os_error()).expect("a thread may give up a call");
        act()
    };
    std::thread::scope(|scope| scope.spawn(refused).join().expect("the test says what is wrong"))
}

/// A window of seven packets leaves, and arrives whole and in order.
fn a_window_arrives(outbox: &mut Outbox, sockets: &WatchedSockets, machine: &UdpSocket) {
    let file = content(50);
    let source = Source::Bytes(Bytes::from(file.clone()));
    outbox.window(&blocks(machine, 50, 8, 1), &source).expect("read");
    outbox.flush(sockets);
    assert_eq!(received(machine, 7), expected(&file, 8, 1));
}

#[test]
fn a_kernel_that_cuts_nothing_gets_many_packets_a_call() {
    where_it_says(Errno::NOPROTOOPT, refuse::UDP_SEGMENT, || {
        let (sockets, machine) = wire();
        let mut outbox = Outbox::new(Means::Segments, &sockets);
        assert_eq!(outbox.means, Means::Many);
        a_window_arrives(&mut outbox, &sockets, &machine);
    });
}

#[test]
fn a_kernel_without_sendmmsg_gets_a_call_for_each() {
    for means in [Means::Segments, Means::Many] {
        where_it_says(Errno::NOSYS, refuse::SENDMMSG, || {
            let (sockets, machine) = wire();
            let mut outbox = Outbox::new(means, &sockets);
            assert_eq!(outbox.means, means, "at the start nothing shows it");
            a_window_arrives(&mut outbox, &sockets, &machine);
            assert_eq!(outbox.means, Means::Single);
            a_window_arrives(&mut outbox, &sockets, &machine);
        });
    }
}

#[test]
fn a_device_without_checksums_is_believed_at_once() {
    let (sockets, machine) = wire();
    let mut outbox = Outbox::new(Means::Segments, &sockets);
    let socket = sockets.get(Local::Ephemeral(0)).expect("there is one");
    let file = content(50);
    outbox.window(&blocks(&machine, 50, 8, 1), &Source::Bytes(Bytes::from(file.clone()))).expect("read");
    let window = outbox.queue.remove(0);
    assert_eq!(outbox.refused(socket, &window, &Errno::IO.into(), 1), 1, "it is done with");
    outbox.used = 0;
    assert_eq!(received(&machine, 7), expected(&file, 8, 1));
    assert_eq!(outbox.means, Means::Many);
    a_window_arrives(&mut outbox, &sockets, &machine);
}

#[test]
fn a_cut_that_the_kernel_refuses_leaves_in_packets() {
    let one = NonZeroU8::MIN;
    let sockets = Sockets::bind(Ipv4Addr::LOCALHOST, 0, one, one).expect("loopback has free ports");
    // Without checksums the kernel knows UDP_SEGMENT, and refuses each use of it.
    sockets.leave_out_checksums();
    let (sockets, machine) = wire_of(sockets);
    let mut outbox = Outbox::new(Means::Segments, &sockets);
    assert_eq!(outbox.means, Means::Segments, "at the start nothing shows it");
    let file = content(50);
    for _ in 0..REFUSALS + 1 {
        outbox.window(&blocks(&machine, 50, 8, 1), &Source::Bytes(Bytes::from(file.clone()))).expect("read");
        outbox.flush(&sockets);
        assert_eq!(received(&machine, 7), expected(&file, 8, 1));
    }
    assert_eq!(outbox.means, Means::Many, "it is not tried for ever");
}

#[test]
fn a_window_too_large_for_its_path_leaves_in_packets_and_others_are_cut_on() {
    let (sockets, machine) = wire();
    let mut outbox = Outbox::new(Means::Segments, &sockets);
    let socket = sockets.get(Local::Ephemeral(0)).expect("there is one");
    for _ in 0..REFUSALS + 1 {
        let source = Source::Bytes(Bytes::from(content(50)));
        outbox.window(&blocks(&machine, 50, 8, 1), &source).expect("read");
        let window = outbox.queue.remove(0);
        assert_eq!(outbox.refused(socket, &window, &Errno::MSGSIZE.into(), 1), 1);
        outbox.used = 0;
        assert_eq!(received(&machine, 7), expected(&content(50), 8, 1));
    }
    assert_eq!(outbox.means, Means::Segments);
}
