@testable import MQLockRabbitMQ

#if canImport(Glibc)
import Glibc
#elseif canImport(Darwin)
import Darwin
#endif

/// A listener on the loopback that says what it is told to, to every client in turn, and then waits for it to go.
final class FakeServer: Sendable {
    let port: Int
    private let listener: Int32

    /// nil instead of bytes: hang up.
    /// - Parameter trickles: a byte every now and then.
    init(saying reply: [UInt8]?, reads: Bool = true, trickles: Bool = false) throws {
        let listener = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
        var address = sockaddr_in()
        address.sin_family = sa_family_t(AF_INET)
        address.sin_addr.s_addr = UInt32(0x7F00_0001).bigEndian
        var length = socklen_t(MemoryLayout<sockaddr_in>.size)
        let status = withUnsafeMutablePointer(to: &address) { address in
            address.withMemoryRebound(to: sockaddr.self, capacity: 1) { address in
                bind(listener, address, length) | listen(listener, 8) | getsockname(listener, address, &length)
            }
        }
        guard status == 0 else { throw ConnectionFailure(.system("no listener: \(systemErrorText(errno))")) }
        self.listener = listener
        port = Int(UInt16(bigEndian: address.sin_port))
        _ = LoopThread.start(name: "fake-server") {
            while true {
                let client = accept(listener, nil, nil)
                guard client >= 0 else {
                    close(listener)
                    return
                }
                if let reply {
                    if trickles {
                        for byte in reply where send(client, [byte], 1, Int32(MSG_NOSIGNAL)) == 1 { usleep(100_000) }
                    } else {
                        _ = send(client, reply, reply.count, Int32(MSG_NOSIGNAL))
                    }
                    var buffer = [UInt8](repeating: 0, count: 4096)
                    if !reads {
                        var gone = pollfd(fd: client, events: 0, revents: 0)
                        poll(&gone, 1, 30_000)
                    }
                    while read(client, &buffer, buffer.count) > 0 {}
                }
                close(client)
            }
        }
    }

    /// Makes `accept` fail. Only the thread closes the descriptor: else it could come to accept the clients of another
    /// server that was given the same number.
    deinit { shutdown(listener, Int32(SHUT_RDWR)) }
}
