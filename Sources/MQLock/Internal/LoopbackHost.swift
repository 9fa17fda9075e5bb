#if canImport(Glibc)
import Glibc
#elseif canImport(Musl)
import Musl
#else
import Darwin
#endif

extension String {
    /// Whether a host of this name or address is this machine. A name is not looked up.
    package var isLoopbackHost: Bool {
        // A trailing dot, and a zone after an address (RFC 4007), do not change where it leads.
        let host = lowercased().split(separator: "%").first.map(String.init) ?? ""
        let name = host.hasSuffix(".") ? String(host.dropLast()) : host
        if name == "localhost" || name.hasSuffix(".localhost") { return true }
        var ipv4 = in_addr()
        if inet_pton(AF_INET, name, &ipv4) == 1 { return UInt32(bigEndian: ipv4.s_addr) >> 24 == 127 }
        var ipv6 = in6_addr()
        guard inet_pton(AF_INET6, name, &ipv6) == 1 else { return false }
        let bytes = withUnsafeBytes(of: ipv6) { Array($0) }
        let mapped = bytes.dropLast(4).elementsEqual([0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xFF, 0xFF])
        return bytes == [UInt8](repeating: 0, count: 15) + [1] || mapped && bytes[12] == 127
    }
}
