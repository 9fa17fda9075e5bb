#if canImport(Glibc)
@preconcurrency import Glibc
#elseif canImport(Musl)
@preconcurrency import Musl
#else
@preconcurrency import Darwin
#endif

/// Ends a process that may have talked to a broker. Not `exit`, which destroys what threads of the broker's library may
/// still use. Nothing is left to flush.
func leave(_ status: Int32) -> Never { _exit(status) }
