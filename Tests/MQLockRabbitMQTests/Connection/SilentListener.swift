@testable import MQLockRabbitMQ

#if canImport(Glibc)
import Glibc
#elseif canImport(Darwin)
import Darwin
#endif

/// A port of the loopback at which connections are neither accepted nor refused, as behind a firewall that drops packets:
/// the queue of those to be accepted is full.
final class SilentListener: Sendable {
    let port: Int
    private let descriptors: [Int32]

    init() throws {
        let listener = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
        var address = sockaddr_in()
        address.sin_family = sa_family_t(AF_INET)
        address.sin_addr.s_addr = UInt32(0x7F00_0001).bigEndian
        var length = socklen_t(MemoryLayout<sockaddr_in>.size)
        var descriptors = [listener]
        let status = withUnsafeMutablePointer(to: &address) { address in
            address.withMemoryRebound(to: sockaddr.self, capacity: 1) { address in
                guard
                    bind(listener, address, length) | listen(listener, 0) | getsockname(listener, address, &length) == 0
                else { return Int32(-1) }
                for _ in 0..<8 {
                    let client = socket(AF_INET, Int32(SOCK_STREAM.rawValue | SOCK_NONBLOCK.rawValue), 0)
                    descriptors.append(client)
                    _ = connect(client, address, length)
                }
                return 0
            }
        }
        guard status == 0 else { throw ConnectionFailure(.system("no listener: \(systemErrorText(errno))")) }
        self.descriptors = descriptors
        port = Int(UInt16(bigEndian: address.sin_port))
    }

    deinit { for descriptor in descriptors { close(descriptor) } }
}
