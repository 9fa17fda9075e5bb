#if canImport(Glibc)
import Glibc
#elseif canImport(Darwin)
import Darwin
#endif

extension Endpoint {
    /// What a connection there exposes to others on the network, for people; nil if nothing.
    var exposure: String? {
        if let tls {
            guard !tls.verifiesPeer else { return nil }
            return """
                the certificate of the broker at \(address) is not verified (insecure=true): whoever answers there learns \
                the password and can hand out locks; name its CA with cacertfile= instead
                """
        }
        guard let open = hosts.first(where: { !$0.isLoopback }) else { return nil }
        return """
            the connection to the broker at \(open.address) is not encrypted: password and locks are open to the network; \
            use amqps://
            """
    }

}

extension Endpoint.Host {
    /// By what the host is called: a name is not looked up.
    fileprivate var isLoopback: Bool {
        // A trailing dot, and a zone after an address (RFC 4007), do not change where it leads.
        let host = name.lowercased().split(separator: "%").first.map(String.init) ?? ""
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
