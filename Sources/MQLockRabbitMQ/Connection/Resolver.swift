#if canImport(Glibc)
import Glibc
#elseif canImport(Darwin)
import Darwin
#endif

/// Resolves names to addresses with the system's resolver.
enum Resolver {
    typealias LookUp = @Sendable (Endpoint.Host) throws(ConnectionFailure) -> [SocketAddress]

    /// May block as long as the system's configuration allows.
    static let system: LookUp = { (host) throws(ConnectionFailure) in
        let (status, code, addresses) = query(host, flags: 0)
        guard status != 0 else { return addresses }
        throw failure(status, code, host)
    }

    /// The address, if the host is one; never blocks.
    static func numeric(_ host: Endpoint.Host) -> [SocketAddress]? {
        let (status, _, addresses) = query(host, flags: AI_NUMERICHOST)
        return status == 0 ? addresses : nil
    }

    private static func query(
        _ host: Endpoint.Host, flags: Int32
    ) -> (status: Int32, code: Int32, addresses: [SocketAddress]) {
        var hints = addrinfo()
        hints.ai_family = AF_UNSPEC
        hints.ai_flags = flags
        #if canImport(Glibc)
        hints.ai_socktype = Int32(SOCK_STREAM.rawValue)
        #else
        hints.ai_socktype = SOCK_STREAM
        #endif
        var list: UnsafeMutablePointer<addrinfo>?
        let status = getaddrinfo(host.name, String(host.port), &hints, &list)
        let code = errno
        guard status == 0 else { return (status, code, []) }
        defer { freeaddrinfo(list) }
        var addresses: [SocketAddress] = []
        var next = list
        while let entry = next?.pointee {
            next = entry.ai_next
            if let address = SocketAddress(entry.ai_addr, entry.ai_addrlen), !addresses.contains(address) {
                addresses.append(address)
            }
        }
        return (0, 0, interleaved(addresses))
    }

    /// The system's order, but alternating between the families (RFC 8305, 4): often only one of them works.
    static func interleaved(_ addresses: [SocketAddress]) -> [SocketAddress] {
        guard let first = addresses.first?.family else { return [] }
        var lists = [addresses.filter { $0.family == first }[...], addresses.filter { $0.family != first }[...]]
        var result: [SocketAddress] = []
        while result.count < addresses.count {
            for index in lists.indices {
                if let address = lists[index].popFirst() { result.append(address) }
            }
        }
        return result
    }

    private static func failure(_ status: Int32, _ code: Int32, _ host: Endpoint.Host) -> ConnectionFailure {
        switch status {
        case EAI_NONAME: return ConnectionFailure(.unreachable("the host name \(host.name) is not known"))
        case EAI_SYSTEM where ConnectionFailure.isOfThisProcess(code): return ConnectionFailure(ofThisProcess: code)
        case EAI_MEMORY: return ConnectionFailure(.system("out of memory"))
        default:
            let text = gai_strerror(status).map { String(cString: $0) } ?? "status \(status)"
            return ConnectionFailure(.unreachable("the host name \(host.name) cannot be looked up: \(text)"))
        }
    }
}

/// An address that a socket connects to.
struct SocketAddress: Sendable, Equatable {
    private let bytes: [UInt8]
    let family: Int32

    init?(_ address: UnsafePointer<sockaddr>?, _ length: socklen_t) {
        guard let address, length > 0 else { return nil }
        bytes = Array(UnsafeRawBufferPointer(start: address, count: Int(length)))
        family = Int32(address.pointee.sa_family)
    }

    func withPointer<Result>(_ body: (UnsafePointer<sockaddr>, socklen_t) -> Result) -> Result {
        // An array's memory is aligned for every type.
        bytes.withUnsafeBytes { bytes in
            body(bytes.baseAddress!.assumingMemoryBound(to: sockaddr.self), socklen_t(bytes.count))
        }
    }
}
