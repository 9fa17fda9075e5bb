#if canImport(Glibc)
@preconcurrency import Glibc
#elseif canImport(Musl)
@preconcurrency import Musl
#else
@preconcurrency import Darwin
#endif

/// The connections of this process.
enum OwnConnections {
    /// Cuts all TCP connections, as a broker does that goes down.
    static func cut() {
        for descriptor in 0..<min(4096, Int32(clamping: sysconf(Int32(_SC_OPEN_MAX)))) {
            var address = sockaddr_storage()
            var length = socklen_t(MemoryLayout<sockaddr_storage>.size)
            let status = withUnsafeMutableBytes(of: &address) { bytes in
                getpeername(descriptor, bytes.baseAddress?.assumingMemoryBound(to: sockaddr.self), &length)
            }
            guard status == 0, [AF_INET, AF_INET6].contains(Int32(address.ss_family)) else { continue }
            _ = shutdown(descriptor, Int32(SHUT_RDWR))
        }
    }
}
