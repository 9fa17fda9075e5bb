#if canImport(Glibc)
@preconcurrency import Glibc
#elseif canImport(Musl)
@preconcurrency import Musl
#else
@preconcurrency import Darwin
#endif

/// Ends a process that may have talked with a broker. Not `exit`, which takes down what threads of the broker's library may
/// still use; nothing is left to flush.
func leave(_ status: Int32) -> Never { _exit(status) }
