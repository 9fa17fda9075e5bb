#if canImport(Glibc)
import Glibc
#elseif canImport(Musl)
import Musl
#else
import Darwin
#endif

/// How a process names itself to operators and to other processes.
package enum ThisProcess {
    package static var id: Int32 { getpid() }

    /// The machine's own name, without a network look-up.
    package static let host: String = {
        var bytes = [CChar](repeating: 0, count: 256)
        guard gethostname(&bytes, bytes.count - 1) == 0 else { return "unknown" }
        return String(decoding: bytes.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }, as: UTF8.self)
    }()

    /// The default owner of locks.
    package static var owner: String { "\(host)/\(id)" }
}
