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
        let listener = try LoopbackListener(backlog: 0)
        port = listener.port
        descriptors = [listener.descriptor] + (0..<8).map { _ in listener.connecting() }
    }

    deinit { for descriptor in descriptors { close(descriptor) } }
}
