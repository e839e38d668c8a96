//! A kernel that knows a system call no more, for tests of what is done without it: seccomp(2), which no library in the tree wraps.

#![expect(unsafe_code, reason = "a seccomp filter has no safe wrapper; nothing here but that")]

use std::{io, mem::offset_of};

/// A call, and what its second and third arguments are where it is not refused with any.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Call {
    number: libc::c_long,
    arguments: Option<[libc::c_int; 2]>,
}

/// sendmmsg(2).
pub(crate) const SENDMMSG: Call = Call { number: libc::SYS_sendmmsg, arguments: None };

/// getsockopt(2) of UDP's segmentation offload.
pub(crate) const UDP_SEGMENT: Call =
    Call { number: libc::SYS_getsockopt, arguments: Some([libc::SOL_UDP, libc::UDP_SEGMENT]) };

/// To this thread, and those that it starts, the kernel says `errno` to `call`, for as long as they live.
///
/// # Errors
/// When the kernel knows no filters.
pub(crate) fn from_now_on(call: Call, errno: libc::c_int) -> io::Result<()> {
    let mut filter = program(call, errno);
    let len = libc::c_ushort::try_from(filter.len()).map_err(io::Error::other)?;
    let program = libc::sock_fprog { len, filter: filter.as_mut_ptr() };
    // SAFETY: the first call takes numbers; the second a program whose instructions live until it returns, and copies both.
    let (promised, filtered) = unsafe {
        let promised = libc::prctl(libc::PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
        (promised, libc::prctl(libc::PR_SET_SECCOMP, libc::SECCOMP_MODE_FILTER, &raw const program))
    };
    if promised == 0 && filtered == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

/// Compares the call's number and arguments one by one; what differs anywhere is allowed.
fn program(Call { number, arguments }: Call, errno: libc::c_int) -> Vec<libc::sock_filter> {
    let first = offset_of!(libc::seccomp_data, args);
    let argument = |place: usize| first + place * size_of::<u64>() + low_half();
    let compared: Vec<(usize, libc::c_long)> = std::iter::once((offset_of!(libc::seccomp_data, nr), number))
        .chain(arguments.into_iter().flatten().zip(1..).map(|(value, place)| (argument(place), value.into())))
        .collect();
    let instruction = |code: u32, jf: usize, k: u32| libc::sock_filter {
        code: u16::try_from(code).expect("codes are short"),
        jt: 0,
        jf: u8::try_from(jf).expect("the program is short"),
        k,
    };
    let mut all = Vec::new();
    for (place, (offset, value)) in compared.iter().enumerate() {
        let (offset, value) =
            (u32::try_from(*offset).expect("a short struct"), u32::try_from(*value).expect("small"));
        all.push(instruction(libc::BPF_LD | libc::BPF_W | libc::BPF_ABS, 0, offset));
        // To the end: past what is left to compare, and the refusal.
        let rest = 2 * (compared.len() - place) - 1;
        all.push(instruction(libc::BPF_JMP | libc::BPF_JEQ | libc::BPF_K, rest, value));
    }
    let refusal = libc::SECCOMP_RET_ERRNO | errno.cast_unsigned();
    all.extend(
        [refusal, libc::SECCOMP_RET_ALLOW]
            .map(|verdict| instruction(libc::BPF_RET | libc::BPF_K, 0, verdict)),
    );
    all
}

/// Where the half of a 64-bit argument is that an int is in.
const fn low_half() -> usize {
    if cfg!(target_endian = "little") { 0 } else { size_of::<u32>() }
}
